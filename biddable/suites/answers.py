"""What a model answers to many prompts: a stage of a run that any executor can compute."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from biddable.errors import InputError
from biddable.models.base import GREEDY, Sampling
from biddable.models.choices import choose
from biddable.models.lazy import LazyModel
from biddable.runs.executors import Batches, Executor, in_process
from biddable.runs.run import Run
from biddable.types import Prompt, Response

Item = TypeVar("Item")
Value = TypeVar("Value")

BATCH = 128
"""Prompts between two entries of the journal: what an interruption can lose, decoded side by side."""


@dataclass(frozen=True)
class Ask:
    """Asks a model; it can be sent to other processes, each of which loads the model once.

    Called on a batch of (prompt, seed), it gives the ``n`` responses to each. Where the model takes no prompt
    of a batch, the responses of each hold its own reason. With ``choices`` there is one response to each, the
    likeliest of them.
    """

    model: LazyModel
    sampling: Sampling = GREEDY
    n: int = 1
    choices: tuple[str, ...] = ()

    def __call__(self, batch: Sequence[tuple[Prompt, int]]) -> list[list[Response]]:
        """Responses, ``[prompts][n]``."""
        prompts, seeds = [prompt for prompt, _ in batch], [seed for _, seed in batch]
        if self.choices:
            return [[response] for response in choose(self.model(), prompts, self.choices)]
        try:
            return self.model().generate(prompts, n=self.n, sampling=self.sampling, seeds=seeds)
        except InputError as error:
            if len(batch) == 1:
                return [[Response("", finish_reason="error", error=str(error))] * self.n]
            return [row for each in batch for row in self([each])]


def answers(
    run: Run,
    name: str,
    ask: Ask,
    prompts: Sequence[Prompt],
    seeds: Sequence[int] | None = None,
    *,
    again: bool = False,
) -> list[list[Response]]:
    """The responses to each prompt, ``[prompts][n]``.

    Args:
        run: the run, whose executor computes them.
        name: the stage's name.
        ask: the model, and how it is asked.
        prompts: what is asked.
        seeds: one for each prompt (default 0, 1, …).
        again: whether those that could not be had before the run was killed are asked for again. Later stages
            that were computed from the others would not fit.
    """
    items = list(zip(prompts, range(len(prompts)) if seeds is None else seeds, strict=True))
    if not again:
        return run.map(name, items, ask, list[Response], BATCH)
    return map_again(run, name, items, ask, list[Response], lambda row: any(each.error for each in row))


def map_again(
    run: Run,
    name: str,
    items: Sequence[Item],
    fn: Callable[[list[Item]], list[Value]],
    type: Any,
    failed: Callable[[Value], bool],
    *,
    key: Callable[[Item], Any] = lambda item: item,
    some: bool = True,
) -> list[Value]:
    """``run.map``; results of an earlier process that say that they ``failed`` are computed again.

    With ``some`` false that is only where all of them failed, after which a run that needs some ends: later
    stages may have been computed from those that did not, and would not fit other results.
    """
    computed: set[int] = set()

    def noting(fn: Callable[[list[Any]], list[Any]], batches: Batches) -> Iterator[tuple[int, list[Any]]]:
        batches = list(batches)
        computed.update(index for index, _ in batches)
        return run.executor(fn, batches)

    results = run.map(name, items, fn, type, BATCH, key=key, executor=noting)
    again = [i for i, result in enumerate(results) if i // BATCH not in computed and failed(result)]
    if again and (some or len(again) == len(results)):
        [(_, anew)] = run.executor(fn, [(0, [items[i] for i in again])])
        for i, result in zip(again, anew, strict=True):
            results[i] = result
    return results


def part_of(target: Path) -> Path:
    """The folder that keeps what is finished of a file that is written whole, at the end."""
    return target.with_name(target.name + ".part")


def finished(target: Path) -> None:
    """Remove what was kept of a file, which is written now, or of which nothing could be had."""
    shutil.rmtree(part_of(target), ignore_errors=True)


@contextmanager
def unfinished(
    target: Path, method: str, config: dict[str, Any], executor: Executor = in_process
) -> Iterator[Run]:
    """A run in ``part_of(target)``; what fails before it has a finished batch leaves no folder.

    Raises:
        RunError: the folder holds other work, whose first difference is named.
    """
    with Run.open(part_of(target), method, config, 0, executor=executor) as run:
        try:
            yield run
        except BaseException:
            journals = (run.folder / "stages").glob("*.jsonl")
            if all(path.read_bytes().count(b"\n") < 2 for path in journals):  # the header, and no batch
                shutil.rmtree(run.folder, ignore_errors=True)
            raise


def not_plain(
    n: int,
    *,
    cut_off: int,
    max_tokens: int | None,
    empty: int,
    thinking: int,
    thinking_removed: bool,
) -> list[str]:
    """What ``n`` answers are besides plain texts, a sentence each; none where all are.

    Args:
        n: how many answers there are.
        cut_off: those that reached the limit of tokens.
        max_tokens: that limit, where it is known.
        empty: those without any text.
        thinking: those that hold a block of thinking, or did before it was removed.
        thinking_removed: whether it was.
    """
    notes = []
    if cut_off:
        limit = f"{max_tokens} tokens (--max-tokens)" if max_tokens else "the limit of tokens"
        notes.append(f"{cut_off} of {n} answers ({cut_off / n:.1%}) were cut off at {limit}.")
    if empty:
        notes.append(f"{empty} of {n} answers are empty.")
    if thinking and thinking_removed:
        notes.append(f"{thinking} of {n} answers held a block of thinking, which was taken off.")
    elif thinking:
        notes.append(
            f"{thinking} of {n} answers hold a block of thinking as part of the answer; "
            "--strip-thinking takes it off."
        )
    return notes
