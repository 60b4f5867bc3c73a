"""What a judge says of many responses, in a few numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from biddable.errors import InputError
from biddable.judges.base import Judge, require_equal_lengths
from biddable.runs.compare import mean_interval
from biddable.types import Response, Task, Verdict


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of ``n`` numbers and its 95 % interval over responses, None of a single one."""

    value: float
    interval: tuple[float, float] | None
    n: int


@dataclass(frozen=True, slots=True)
class VerdictSummary:
    """Verdicts on ``n`` responses.

    Attributes:
        n: how many there are.
        passed: the share that passes among those that the judge decided; None where it decided none.
        score: the mean of the scores; None where it gave none.
        undecided: how many the judge did not decide.
        unscored: how many have no score.
        checks: for each check by name, the share of times that it was met.
    """

    n: int
    passed: Mean | None
    score: Mean | None
    undecided: int
    unscored: int
    checks: dict[str, Mean]


def judge_responses(judge: Judge, tasks: Sequence[Task], responses: Sequence[Response]) -> list[Verdict]:
    """Judge each response to its task; one that could not be had (``error``) fails without being judged.

    Raises:
        InputError: not one response for each task.
    """
    require_equal_lengths(tasks, responses)
    rows = [i for i, response in enumerate(responses) if not response.error]
    verdicts = judge([tasks[i] for i in rows], [responses[i] for i in rows]) if rows else []
    judged = dict(zip(rows, verdicts, strict=True))
    return [
        judged[i] if i in judged else Verdict(None, False, f"no answer: {response.error}")
        for i, response in enumerate(responses)
    ]


def summarize_verdicts(verdicts: Sequence[Verdict]) -> VerdictSummary:
    """Count verdicts.

    Raises:
        InputError: there are none.
    """
    if not verdicts:
        raise InputError("verdicts", list(verdicts), "at least one")
    passed = [float(verdict.passed) for verdict in verdicts if verdict.passed is not None]
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    checks: defaultdict[str, list[float]] = defaultdict(list)
    for verdict in verdicts:
        for check in verdict.checks:
            checks[check.id].append(float(check.passed))
    n = len(verdicts)
    return VerdictSummary(
        n=n,
        passed=_mean(passed),
        score=_mean(scores),
        undecided=n - len(passed),
        unscored=n - len(scores),
        checks={id: Mean(fmean(met), None, len(met)) for id, met in sorted(checks.items())},
    )


def _mean(values: Sequence[float]) -> Mean | None:
    if not values:
        return None
    return Mean(fmean(values), mean_interval(values) if len(values) > 1 else None, len(values))
