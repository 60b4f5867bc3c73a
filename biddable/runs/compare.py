"""Comparisons of a method with a baseline: an interval of the difference, and the verdict on a claim.

All scores are of the same cases, and every seed is scored on the same cases, so baseline and method are
paired by seed and case: the interval is that of the mean of their differences, over seeds and cases
(``biddable.runs.statistics`` says how, and how often it is wrong).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from biddable.errors import InputError
from biddable.runs.statistics import Floats, Interval, as_scores, interval_kind, mean_interval, sign_flip_p
from biddable.types import Comparison, Prediction, RoleOfComparison, VerdictOnClaim


def compare(
    metric: str,
    baseline: ArrayLike,
    method: ArrayLike,
    *,
    seeds: Sequence[int],
    predicted: Prediction = "higher",
    margin: float = 0.0,
    role: RoleOfComparison = "claim",
    clusters: Sequence[Hashable] | None = None,
    baseline_name: str = "baseline",
    method_name: str = "method",
) -> Comparison:
    """Compare scores of a method with those of its baseline.

    Args:
        metric: what the scores measure.
        baseline: scores of the same cases in the same order as the method's, in the same shape; one row
            [1, cases] or [cases], or one number, is shared by all of the method's seeds.
        method: scores, [seeds, cases]; [seeds] where a seed has one score; [cases] where there is one seed.
        seeds: the seeds of the method's rows.
        predicted: the paper's claim: the method's score is "higher", "lower" or "equal".
        margin: for "equal": the largest difference that counts as none, in units of the metric.
        role: "control" where our own construction fixes the outcome, "question" where nobody predicts it, and
            ``predicted`` is the better side: both get no verdict.
        clusters: for each case the group it was drawn with, if cases are not independent.
        baseline_name, method_name: how the two are called in the report.

    Raises:
        InputError: shapes do not match, a score is not finite, there is but one score, the number of
            seeds is wrong, or "equal" comes without a margin.
    """
    one_each = len(seeds) > 1 and np.ndim(method) == 1
    ours, theirs = _rows("method", method, one_each), _rows("baseline", baseline, one_each)
    if theirs.size > 1 and theirs.shape[1] != ours.shape[1]:
        raise InputError("baseline", f"{theirs.shape[1]} cases", f"the method's {ours.shape[1]} cases")
    if len(theirs) not in (1, len(ours)):
        raise InputError("baseline", f"{len(theirs)} rows", f"1 row or the method's {len(ours)}")
    if len(seeds) != len(ours):
        raise InputError("seeds", list(seeds), f"{len(ours)} seeds, one for each row of the method")
    if predicted == "equal" and not margin > 0:
        raise InputError("margin", margin, "a number above 0 where no difference is claimed")
    differences = ours - theirs
    interval = mean_interval(differences, clusters=clusters)
    baseline_mean, method_mean = float(theirs.mean()), float(ours.mean())
    return Comparison(
        metric=metric,
        baseline=baseline_mean,
        method=method_mean,
        difference=method_mean - baseline_mean,
        interval=interval,
        n=ours.shape[1],
        seeds=tuple(int(seed) for seed in seeds),
        predicted=predicted,
        verdict=verdict_on(interval, predicted, margin) if role == "claim" else None,
        baseline_name=baseline_name,
        method_name=method_name,
        role=role,
        interval_kind=interval_kind(differences, clusters=clusters),
        p_value=sign_flip_p(differences),
    )


def verdict_on(interval: Interval, predicted: Prediction, margin: float = 0.0) -> VerdictOnClaim:
    """The verdict of an interval of the difference on a claim.

    "higher" and "lower": held if all of it lies on the predicted side of 0, contradicted if all of it
    lies on the other. "equal": held if all of it lies within ``margin`` of 0, contradicted if none does.
    """
    low, high = interval
    if predicted == "equal":
        held, contradicted = -margin <= low and high <= margin, low > margin or high < -margin
    else:
        above, below = low > 0, high < 0
        held, contradicted = (above, below) if predicted == "higher" else (below, above)
    return "held" if held else "contradicted" if contradicted else "not shown"


def _rows(field: str, values: ArrayLike, one_each: bool) -> Floats:
    """Scores as [seeds, cases]; a list holds one score of each seed if ``one_each``, else cases."""
    return as_scores(field, np.asarray(values)[:, None] if one_each and np.ndim(values) == 1 else values)
