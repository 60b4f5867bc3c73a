"""What a judge says of many responses, in a few numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import fmean

from biddable.errors import InputError
from biddable.judges.base import Judge, require_equal_lengths
from biddable.runs.statistics import mean_interval, share_interval
from biddable.types import Response, Task, Verdict

_NO_WIDTH = 1e-9
"""Below it an interval's width is what rounding leaves of none."""


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of ``n`` numbers and its 95 % interval over responses, or over what they are not independent
    in; None of a single one, and where all are alike and are no shares."""

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


def judge_responses(
    judge: Judge,
    tasks: Sequence[Task],
    responses: Sequence[Response],
    *,
    seeds: Sequence[int] | None = None,
) -> list[Verdict]:
    """Judge each response to its task; one that could not be had (``error``) fails without being judged.

    ``seeds``, one for each response, are for judges that sample.

    Raises:
        InputError: not one response for each task.
    """
    require_equal_lengths(tasks, responses, seeds)
    rows = [i for i, response in enumerate(responses) if not response.error]
    drawn = {} if seeds is None else {"seeds": [seeds[i] for i in rows]}
    verdicts = judge([tasks[i] for i in rows], [responses[i] for i in rows], **drawn) if rows else []
    judged = dict(zip(rows, verdicts, strict=True))
    return [
        judged[i] if i in judged else Verdict(None, False, f"no answer: {response.error}")
        for i, response in enumerate(responses)
    ]


def summarize_verdicts(
    verdicts: Sequence[Verdict], clusters: Sequence[Hashable] | None = None
) -> VerdictSummary:
    """Count verdicts.

    ``clusters`` names for each what it shares with those that it is not independent of: its prompt.

    Raises:
        InputError: there are none.
    """
    if not verdicts:
        raise InputError("verdicts", list(verdicts), "at least one")
    groups = range(len(verdicts)) if clusters is None else clusters
    pairs = list(zip(verdicts, groups, strict=True))
    passed = [(float(verdict.passed), group) for verdict, group in pairs if verdict.passed is not None]
    scores = [(verdict.score, group) for verdict, group in pairs if verdict.score is not None]
    checks: defaultdict[str, list[float]] = defaultdict(list)
    for verdict in verdicts:
        for check in verdict.checks:
            checks[check.id].append(float(check.passed))
    n = len(verdicts)
    return VerdictSummary(
        n=n,
        passed=_mean(passed, share=True),
        score=_mean(scores),
        undecided=n - len(passed),
        unscored=n - len(scores),
        checks={id: Mean(fmean(met), None, len(met)) for id, met in sorted(checks.items())},
    )


def _mean(values: Sequence[tuple[float, Hashable]], share: bool = False) -> Mean | None:
    """The mean of numbers, each with its cluster: by t; where independent ones are 0 or 1, by Wilson."""
    if not values:
        return None
    numbers, groups = [number for number, _ in values], [group for _, group in values]
    mean, units, alike = fmean(numbers), len(set(groups)), len(set(numbers)) == 1
    interval = None
    if share and units > 1 and (alike or units == len(values)):
        interval = share_interval(round(mean * units), units)
    elif units > 1 and not alike:
        low, high = mean_interval(numbers, clusters=groups if units < len(values) else None)
        if share:
            low, high = max(0.0, low), min(1.0, high)
        interval = (low, high) if high - low > _NO_WIDTH else None
    return Mean(mean, interval, len(values))
