"""Scores of tasks as cases: their means, their rank correlations as comparisons, a point for each.

Equal values share their mean rank (Spearman 1904). The interval of a rho is Bonett and Wright's
(``runs.statistics.rank_correlation``), that of a difference of two a bootstrap over tasks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import ArrayLike

from biddable.errors import InputError
from biddable.experiments.cross_task import SplitTask
from biddable.runs.compare import verdict_on
from biddable.runs.figures import Cell, Scatter, ScatterPoint, Table
from biddable.runs.statistics import Interval, interval_of, mean_interval, rank_correlation
from biddable.types import Comparison, Task

Row = tuple[SplitTask, Task]
"""A row to score, with its task."""

LEAST = 5
"""Tasks below which a rank correlation says nothing."""
PERMUTATIONS = 9_999


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's rho of two scores over tasks.

    Attributes:
        rho, interval: with its 95 % interval.
        p_value: two-sided, by permutations.
        n: tasks.
        tied: those at 0 in both scores, which share a rank.
        without: rho of the others; None where none ties, fewer than 5 are left or they are all alike.
    """

    rho: float
    interval: Interval
    p_value: float
    n: int
    tied: int
    without: float | None


def correlation(x: Sequence[float], y: Sequence[float]) -> Correlation | None:
    """The correlation of two scores of the same tasks; None where all tasks have the same in one of them.

    Raises:
        InputError: fewer than 5 tasks, or not as many in both.
    """
    if len(x) != len(y):
        raise InputError("tasks", [len(x), len(y)], "scores of the same tasks")
    if len(x) < LEAST:
        raise InputError("tasks", len(x), f"at least {LEAST}, for a correlation over them")
    if _constant(x) or _constant(y):
        return None
    rest = [pair for pair in zip(x, y, strict=True) if any(pair)]
    first, second = [pair[0] for pair in rest], [pair[1] for pair in rest]
    told = LEAST <= len(rest) < len(x) and not _constant(first) and not _constant(second)
    rho, interval = rank_correlation(x, y)
    without = spearman(first, second) if told else None
    return Correlation(rho, interval, permutation_p(x, y), len(x), len(x) - len(rest), without)


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rho; 0 where one of both is constant, as draws of a bootstrap may be."""
    a, b = _ranks(x), _ranks(y)
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm else 0.0


def permutation_p(x: ArrayLike, y: ArrayLike, rng_seed: int = 0) -> float:
    """Two-sided p-value of "scores are paired by chance": how often |rho| is as large for permuted tasks."""
    a, b = _ranks(x), _ranks(y)
    permuted = np.random.default_rng(rng_seed).permuted(np.tile(b, (PERMUTATIONS, 1)), axis=1) @ a
    as_large = np.abs(permuted) >= abs(float(a @ b)) - 1e-9
    return float(1 + as_large.sum()) / (PERMUTATIONS + 1)


def as_comparison(found: Correlation, metric: str, pair: str, seeds: Sequence[int]) -> Comparison:
    """A rho beside none at all; predicted is that it is above 0."""
    return Comparison(
        metric=metric,
        baseline=0.0,
        method=found.rho,
        difference=found.rho,
        interval=found.interval,
        n=found.n,
        seeds=tuple(seeds),
        predicted="higher",
        verdict=verdict_on(found.interval, "higher"),
        baseline_name="no correlation",
        method_name=pair,
        interval_kind=f"Bonett and Wright, over {found.n} tasks; by permutations p = {found.p_value:.2g}",
    )


def compared(
    metric: str,
    of: Sequence[float],
    first: tuple[str, Sequence[float]],
    second: tuple[str, Sequence[float]],
    seeds: Sequence[int],
) -> Comparison:
    """The rho of scores with those of ``second`` beside their rho with those of ``first``, over tasks.

    Predicted is that the second is higher.
    """

    def difference(of: ArrayLike, first: ArrayLike, second: ArrayLike) -> float:
        return spearman(of, second) - spearman(of, first)

    low, high = interval_of(difference, of, first[1], second[1])
    baseline, method = spearman(of, first[1]), spearman(of, second[1])
    return Comparison(
        metric=metric,
        baseline=baseline,
        method=method,
        difference=method - baseline,
        interval=(low, high),
        n=len(of),
        seeds=tuple(seeds),
        predicted="higher",
        verdict=verdict_on((low, high), "higher"),
        baseline_name=first[0],
        method_name=second[0],
        interval_kind=f"bootstrap over {len(of)} tasks",
    )


def by_task(values: Sequence[Sequence[float]], rows: Sequence[Row]) -> dict[str, float]:
    """The mean score of each task, of values [seeds, rows]."""
    found: dict[str, list[float]] = {}
    for value, (each, _) in zip(np.mean(values, axis=0).tolist(), rows, strict=True):
        found.setdefault(each.name, []).append(value)
    return {name: fmean(of) for name, of in found.items()}


def above_chance(scores: Mapping[str, float], chance: Mapping[str, float]) -> list[float]:
    """Scores of tasks with guessing at 0 and all right at 1; what is no better than guessing has 0.

    Below it, two conditions that know nothing would agree by what guessing scores, which they share.
    """
    return [
        max(0.0, (value - chance[task]) / (1 - chance[task])) if chance[task] < 1 else 0.0
        for task, value in scores.items()
    ]


def commonest(rows: Sequence[Row]) -> list[str]:
    """For each row the answer that most rows to learn from of its task have."""
    common = {
        each.name: Counter(row.references[0] for row in each.train).most_common(1)[0][0] for each, _ in rows
    }
    return [common[each.name] for each, _ in rows]


def figures(
    scores: Mapping[str, Mapping[str, float]],
    values: Mapping[str, Sequence[Sequence[float]]],
    rows: Sequence[Row],
    axis: str,
    against: Sequence[str],
    score: str,
) -> list[Scatter | Table]:
    """A point for each task, its score of ``axis`` over that of each arm of ``against``; and a table.

    Args:
        scores: by arm and task.
        values: by arm, [seeds, rows], from 0 to 1.
        rows: whose they are.
        axis: the arm on the axis that goes up.
        against: arms on the other axis, those that there are.
        score: what is measured.
    """
    names = [each.name for each, _ in rows]

    def interval(arm: str, task: str) -> Interval | None:
        of = np.mean(values[arm], axis=0)[[at for at, name in enumerate(names) if name == task]]
        if of.size < 2:
            return None
        low, high = mean_interval(of)
        return max(0.0, low), min(1.0, high)

    series = {
        arm: tuple(
            ScatterPoint(value, scores[axis][task], task, interval(arm, task), interval(axis, task))
            for task, value in scores[arm].items()
        )
        for arm in against
        if arm in scores
    }
    table: list[tuple[Cell, ...]] = [
        (task, *(of[task] for of in scores.values()), names.count(task)) for task in scores[axis]
    ]
    note = "Means over the rows of a task."
    return [
        Scatter("Each task", f"{score}: {', '.join(series)}", f"{score}: {axis}", series, diagonal=True),
        Table("Each task under each condition", ("task", *scores, "rows"), tuple(table), note=note),
    ]


def _ranks(values: ArrayLike) -> np.ndarray:
    """Ranks less their mean."""
    from scipy.stats import rankdata

    ranks = rankdata(values)
    return np.asarray(ranks - ranks.mean())


def _constant(values: Sequence[float]) -> bool:
    return float(np.ptp(values)) == 0
