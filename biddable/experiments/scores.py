"""The scores of an experiment's arms: collected seed by seed, compared, drawn and written down."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biddable.errors import InputError
from biddable.experiments.claims import METRIC, Claim
from biddable.runs.compare import compare
from biddable.runs.figures import Bars, Cell, Curves, Interval, Point, Table
from biddable.runs.statistics import as_scores, mean_interval, share_interval
from biddable.types import Comparison

Rows = dict[int | None, NDArray[np.float64]]
"""Scores of the cases [cases] by seed; those of an arm that is the same for every seed under None."""


class ArmScores:
    """Scores [seeds, cases] by metric and arm.

    All arms are scored on the same cases in the same order, and by the same seeds. An arm that does not
    depend on the seed is added once, without one, and stands beside each seed of the others.
    """

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Rows]] = {}
        self._clusters: dict[str, Sequence[Hashable]] = {}

    def add(self, arm: str, values: ArrayLike, *, metric: str = METRIC, seed: int | None = None) -> None:
        """Add the scores of an arm.

        Args:
            arm: whose they are.
            values: one for each case, or a single number.
            metric: what they measure, as the report says it.
            seed: which repetition they are of; None for an arm that is the same in all.

        Raises:
            InputError: a score is not finite, other arms have another number of cases, or the arm has
                these scores already.
        """
        row = as_scores("values", np.atleast_1d(values).astype(np.float64))
        if len(row) > 1:
            raise InputError("values", f"shape {row.shape}", f"{arm}, {metric}: one score for each case")
        arms = self._rows.setdefault(metric, {})
        for other, rows in arms.items():
            for known in rows.values():
                if len(known) != row.shape[1]:
                    raise InputError(
                        f"{arm}, {metric}", f"{row.shape[1]} cases", f"the {len(known)} cases of {other}"
                    )
        rows = arms.setdefault(arm, {})
        if rows and (seed in rows or (seed is None) != (None in rows)):
            raise InputError("seed", seed, f"{arm}, {metric}: each seed once, or no seed at all")
        rows[seed] = row[0]

    def cluster(self, metric: str, clusters: Sequence[Hashable]) -> None:
        """Say for each case of a metric which group it was drawn with, where cases are not independent."""
        self._clusters[metric] = clusters

    def arms(self, metric: str = METRIC) -> list[str]:
        """The arms that have scores of a metric, in the order in which they came."""
        return list(self._rows.get(metric, {}))

    def values(self, arm: str, metric: str = METRIC) -> NDArray[np.float64]:
        """Scores [seeds, cases] of an arm, by ascending seed; [1, cases] where it has no seeds.

        Raises:
            InputError: there are none.
        """
        rows = self._of(arm, metric)
        return np.stack([rows[seed] for seed in self._seeds(rows)])

    def compare(self, claims: Iterable[Claim]) -> list[Comparison]:
        """Put the arms of every claim side by side.

        Raises:
            InputError: an arm has no scores of the metric, or two have different seeds.
        """
        return [self._compared(claim) for claim in claims]

    def bars(
        self,
        title: str,
        metrics: Sequence[str] = (METRIC,),
        *,
        arms: Sequence[str] = (),
        group_by: Literal["arm", "metric"] = "arm",
        unit: str = "",
        note: str = "",
    ) -> Bars:
        """Means with their intervals, a group of bars for each arm with one for each metric, or turned."""
        arms = arms or self._arms_of(metrics)
        cells = {(arm, metric): self._estimate(arm, metric) for arm in arms for metric in metrics}
        groups, members = (arms, metrics) if group_by == "arm" else (metrics, arms)
        keys = {
            member: [(group, member) if group_by == "arm" else (member, group) for group in groups]
            for member in members
        }
        return Bars(
            title=title,
            categories=tuple(groups),
            series={member: tuple(cells[key][0] for key in of) for member, of in keys.items()},
            intervals={member: tuple(cells[key][1] for key in of) for member, of in keys.items()},
            unit=unit,
            note=note,
        )

    def table(
        self,
        title: str,
        metrics: Sequence[str] = (METRIC,),
        *,
        arms: Sequence[str] = (),
        note: str = "Means and their 95 % intervals.",
    ) -> Table:
        """Arms by metrics, each cell a mean and its interval; a dash where an arm was not scored."""
        rows: list[tuple[Cell, ...]] = [
            (arm, *(_cell(*self._estimate(arm, metric)) for metric in metrics))
            for arm in arms or self._arms_of(metrics)
        ]
        return Table(title=title, columns=("arm", *metrics), rows=tuple(rows), note=note)

    def curves(
        self,
        title: str,
        arms: Mapping[float, str],
        metrics: Sequence[str] = (METRIC,),
        *,
        x_label: str = "iteration",
        y_label: str = "score",
        note: str = "",
    ) -> Curves:
        """A line for each metric through arms that follow each other: x -> arm, those that were scored."""
        series = {}
        for metric in metrics:
            points = [(x, *self._estimate(arm, metric)) for x, arm in arms.items()]
            series[metric] = tuple(
                Point(x, mean, *(ends or (None, None))) for x, mean, ends in points if mean is not None
            )
        return Curves(title=title, x_label=x_label, y_label=y_label, series=series, note=note)

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Metric -> arm -> mean, interval and the mean of each seed, for ``results.json``."""
        return {
            metric: {arm: self._numbers(arm, metric) for arm in arms} for metric, arms in self._rows.items()
        }

    def _compared(self, claim: Claim) -> Comparison:
        baseline, method = (self._of(arm, claim.metric) for arm in (claim.baseline, claim.method))
        by_seed = [self._seeds(rows) for rows in (baseline, method) if None not in rows]
        if len(by_seed) == 2 and by_seed[0] != by_seed[1]:
            what = f"the seeds of {claim.method}, {claim.metric}"
            raise InputError(what, by_seed[1], f"those of {claim.baseline}: {by_seed[0]}")
        seeds = [seed for seed in by_seed[0] if seed is not None] if by_seed else [0]
        shape = (len(seeds), len(next(iter(method.values()))))
        return compare(
            claim.metric,
            np.broadcast_to(self.values(claim.baseline, claim.metric), shape),
            np.broadcast_to(self.values(claim.method, claim.metric), shape),
            seeds=seeds,
            predicted=claim.predicted,
            margin=claim.margin,
            role=claim.role,
            clusters=self._clusters.get(claim.metric),
            baseline_name=claim.baseline,
            method_name=claim.method,
        )

    def _of(self, arm: str, metric: str) -> Rows:
        if arm not in self._rows.get(metric, {}):
            raise InputError("arm", arm, f"one with scores of {metric!r}: {', '.join(self.arms(metric))}")
        return self._rows[metric][arm]

    def _arms_of(self, metrics: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(arm for metric in metrics for arm in self.arms(metric)))

    def _estimate(self, arm: str, metric: str) -> tuple[float | None, Interval | None]:
        """Mean and interval; no interval of a single score, neither where the arm was not scored."""
        if arm not in self.arms(metric):
            return None, None
        values = self.values(arm, metric)
        clusters = self._clusters.get(metric)
        if values.size < 2:
            return float(values.mean()), None
        if len(values) == 1 and clusters is None and np.isin(values, (0, 1)).all():
            return float(values.mean()), share_interval(int(values.sum()), values.size)
        return float(values.mean()), mean_interval(values, clusters=clusters)

    def _numbers(self, arm: str, metric: str) -> dict[str, Any]:
        mean, interval = self._estimate(arm, metric)
        seeds = self._seeds(self._rows[metric][arm])
        per_seed = self.values(arm, metric).mean(1).tolist()
        numbers: dict[str, Any] = {"mean": mean, "per_seed": per_seed}
        numbers |= {"interval": list(interval)} if interval else {}
        return numbers | ({"seeds": seeds} if seeds != [None] else {})

    @staticmethod
    def _seeds(rows: Rows) -> list[int | None]:
        return sorted(rows, key=lambda seed: -1 if seed is None else seed)


def _cell(mean: float | None, interval: Interval | None) -> str:
    """``0.312 [0.268, 0.364]``."""
    if mean is None:
        return "–"
    numbers = [mean, *(interval or ())]
    places = 3 if max(map(abs, numbers)) <= 1 else 2 if max(map(abs, numbers)) < 100 else 0
    texts = [f"{number:,.{places}f}" for number in numbers]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]" if interval else texts[0]
