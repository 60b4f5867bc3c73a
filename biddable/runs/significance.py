"""Paired tests: p-values of a mean difference, their correction for many, and the items that power needs.

Everything is two-sided. Sources: Q. McNemar, Psychometrika 12, 1947 (the exact test is that of a coin);
S. Holm, Scandinavian Journal of Statistics 6, 1979; D. Bonett and R. Price, "Adjusted Wald confidence
interval for a difference of binomial proportions based on paired data", Journal of Educational and
Behavioral Statistics 37, 2012.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from biddable.errors import InputError
from biddable.runs.statistics import CONFIDENCE, Interval, mean_interval

POWER = 0.8
"""The chance to see a difference that is there."""
FEW = 10
"""Below so many items that only one has right, the t interval of a 0/1 metric is too narrow."""
MOST = 10**9
"""Items beyond which no number is given."""


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number by Holm's method, in the order given.

    The chance that any difference that is none has one of 5 % or less is then 5 % at most.

    Raises:
        InputError: a p-value is not between 0 and 1.
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise InputError("p_values", p, "a number between 0 and 1")
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for tried, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - tried) * p_values[place]))
        corrected[place] = highest
    return corrected


def right_alone(base: ArrayLike, scores: ArrayLike) -> tuple[int, int] | None:
    """Items that only the second, or only the first, has right; None where a metric is not 0 or 1."""
    base, scores = np.asarray(base), np.asarray(scores)
    if not np.isin(base, (0, 1)).all() or not np.isin(scores, (0, 1)).all():
        return None
    return int((scores > base).sum()), int((scores < base).sum())


def mcnemar(gained: int, lost: int) -> float:
    """McNemar's exact p-value of items that only one of two has right: ``gained`` and ``lost``.

    Raises:
        InputError: a count is below 0.
    """
    if min(gained, lost) < 0:
        raise InputError("counts", (gained, lost), "two counts of at least 0")
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def paired_share_interval(gained: int, lost: int, n: int) -> Interval:
    """95 % interval of the difference of two shares of the same ``n`` items (Bonett and Price).

    It has a width even where no item differs, or all do, and the t interval has none.

    Raises:
        InputError: the counts are no part of ``n`` items.
    """
    if n < 1 or min(gained, lost) < 0 or gained + lost > n:
        raise InputError("counts", (gained, lost, n), "gained and lost items of at least 1")
    from scipy.special import ndtri

    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = float(ndtri((1 + CONFIDENCE) / 2)) * math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    return max(-1.0, up - down - half), min(1.0, up - down + half)


def t_p(differences: ArrayLike, *, clusters: Sequence[Hashable] | None = None) -> float:
    """p-value of "the mean of these differences [items] is 0": the one that belongs to ``mean_interval``.

    Where all differences are equal it is 1 if they are 0, else 0.

    Raises:
        InputError: as ``mean_interval``.
    """
    from scipy.special import stdtr

    values = np.asarray(differences, dtype=np.float64)
    mean, error, freedom = float(values.mean()), standard_error(values, clusters=clusters), len(values) - 1
    if clusters is not None:
        freedom = len(set(clusters)) - 1
    if error == 0:
        return float(mean == 0)
    return float(2 * stdtr(freedom, -abs(mean) / error))


def standard_error(differences: ArrayLike, *, clusters: Sequence[Hashable] | None = None) -> float:
    """The standard error of a mean of differences [items], over clusters where there are any.

    Raises:
        InputError: as ``mean_interval``.
    """
    from scipy.special import stdtrit

    values = np.asarray(differences, dtype=np.float64)
    low, high = mean_interval(values, clusters=clusters)
    freedom = (len(values) if clusters is None else len(set(clusters))) - 1
    return float((high - low) / 2 / stdtrit(freedom, (1 + CONFIDENCE) / 2))


def power(difference: float, deviation: float, n: float) -> float:
    """The chance that a paired t test at 5 % sees a mean difference.

    Args:
        difference: the true mean difference.
        deviation: the standard deviation of items' differences. Of clustered items, the standard error
            times the root of their number.
        n: items, above 1.
    """
    from scipy.special import stdtrit
    from scipy.stats import nct

    freedom, shift = n - 1, abs(difference) / deviation * math.sqrt(n)
    if shift > 30:  # certain, and beyond what the distribution can be computed for
        return 1.0
    critical = float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    chance = float(nct.sf(critical, freedom, shift))
    # Beyond 4 the other tail is below 1e-8, and not always computed.
    return chance + float(nct.cdf(-critical, freedom, shift)) if shift < 4 else chance


def items_needed(difference: float, deviation: float, *, chance: float = POWER) -> int | None:
    """The items at which a paired t test sees a mean difference with that chance (see ``power``).

    Returns:
        None where they are more than ``MOST``, or where items' differences do not vary.

    Raises:
        InputError: the difference is 0, or the chance is not above 5 % and below 1.
    """
    if difference == 0 or not math.isfinite(difference):
        raise InputError("difference", difference, "a number other than 0")
    if not 1 - CONFIDENCE < chance < 1:
        raise InputError("chance", chance, "a number above 0.05 and below 1")
    if deviation == 0:
        return None
    low, high = 2, 4
    while power(difference, deviation, high) < chance:
        low, high = high, high * 2
        if high > MOST:
            return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(difference, deviation, middle) >= chance else (middle + 1, high)
    return low


def detectable(deviation: float, n: int, *, chance: float = POWER) -> float | None:
    """The smallest mean difference that a paired t test of ``n`` items sees with that chance.

    Returns:
        None where items' differences do not vary, or there is but one item.
    """
    from scipy.optimize import brentq

    if deviation == 0 or n < 2:
        return None
    widest = deviation
    while power(widest, deviation, n) < chance:
        widest *= 2
    return float(brentq(lambda difference: power(difference, deviation, n) - chance, 0.0, widest))
