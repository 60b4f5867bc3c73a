"""Verdicts on responses that somebody has; what was killed goes on where it was.

Responses are judged in batches. With a file to write, the folder ``FILE.part`` keeps what is finished, until
``answers.finished``; the verdicts are the same in either case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from biddable.judges.base import Judge
from biddable.judges.load import judge_identity
from biddable.judges.pairwise import PairJudge, PairVerdict, judge_pairs
from biddable.judges.summary import judge_responses
from biddable.runs.codec import digest
from biddable.suites import answers
from biddable.types import Response, Task, Verdict

Item = TypeVar("Item")
Value = TypeVar("Value")


def rated(
    spec: str, judge: Judge, tasks: Sequence[Task], responses: Sequence[Response], target: Path | None = None
) -> list[Verdict]:
    """A verdict on each response.

    Args:
        spec: the judge's name.
        judge: the judge of that name.
        tasks: what was asked.
        responses: one for each task.
        target: the file that the verdicts will be written to.

    Raises:
        RunError: ``FILE.part`` holds verdicts of another judge, or on other responses.
    """
    config = {"responses": digest([*tasks, *responses])}
    items = list(enumerate(zip(tasks, responses, strict=True)))

    def verdicts(batch: Sequence[tuple[int, tuple[Task, Response]]]) -> list[Verdict]:
        asked, given = zip(*(each for _, each in batch), strict=True)
        return judge_responses(judge, asked, given, seeds=[place for place, _ in batch])

    return _kept(
        "rate",
        spec,
        config,
        items,
        verdicts,
        Verdict,
        target,
        lambda each: each.passed is None and each.score is None,
    )


def compared(
    spec: str,
    judge: PairJudge,
    tasks: Sequence[Task],
    first: Sequence[Response],
    second: Sequence[Response],
    target: Path | None = None,
) -> list[PairVerdict]:
    """A verdict on each pair of responses; arguments and errors as of ``rated``."""
    config = {"responses": digest([*tasks, *first]), "baseline": digest(second)}
    items = list(enumerate(zip(tasks, first, second, strict=True)))

    def verdicts(batch: Sequence[tuple[int, tuple[Task, Response, Response]]]) -> list[PairVerdict]:
        asked, ours, theirs = zip(*(each for _, each in batch), strict=True)
        return judge_pairs(judge, asked, ours, theirs, seeds=[place for place, _ in batch])

    return _kept(
        "pairwise", spec, config, items, verdicts, PairVerdict, target, lambda each: each.win is None
    )


def _kept(
    method: str,
    spec: str,
    config: dict[str, Any],
    items: Sequence[Item],
    verdicts: Callable[[list[Item]], list[Value]],
    type: Any,
    target: Path | None,
    undecided: Callable[[Value], bool],
) -> list[Value]:
    if target is None:
        size = answers.BATCH
        batches = [list(items[start : start + size]) for start in range(0, len(items), size)]
        return [verdict for batch in batches for verdict in verdicts(batch)]
    config = {"judge": spec, "judge_identity": judge_identity(spec), **config}
    with answers.unfinished(target, method, config) as run:
        return answers.map_again(run, "verdicts", items, verdicts, type, undecided)
