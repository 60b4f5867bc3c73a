"""Intervals: of means over seeds and cases, of shares, of correlations and of any other statistic.

Every interval is at 95 %. That of a mean of scores [seeds, cases] says what other seeds *and* other cases
would give. Its half width h follows from two t intervals, that of the seeds' means and that of the cases'
means, without the noise that the second shares with the first:

    h² = t(S - 1)² · MS_seeds / SC  +  t(C - 1)² · max(0, MS_cases - MS_rest) / SC

with S seeds, C cases and the mean squares MS of a two-way layout without replication (H. Scheffé, "The
Analysis of Variance", 1959, chapter 7; half widths added in squares as in W. G. Howe, "Approximate confidence
limits on the mean of X + Y", JASA 69, 1974). Where cases are all alike that is the t interval over seeds;
where seeds are all alike (a deterministic arm), or there is but one, it is the t interval over cases.

How often that interval of a difference excludes 0 where there is none, in per cent (2,000 simulations each;
nominal 5; ``python -m tests.runs.simulations`` counts them):

==========================================  ======  =======  ======  =======  ========
what makes differences vary                 2 x 50  3 x 100  5 x 20  5 x 100  10 x 100
==========================================  ======  =======  ======  =======  ========
cases, alike for every seed                 3.4     4.8      5.0     5.5      5.3
each score by itself                        3.6     4.0      4.5     4.9      4.5
cases and each score                        2.0     2.6      4.3     4.5      5.8
cases, each score and, slightly, seeds      1.8     2.5      3.8     4.0      4.2
seeds, and little else                      5.7     4.5      4.8     5.8      5.1
right or wrong, by case                     1.6     1.9      4.3     4.0      4.9
right or wrong, by case, seed and both      3.3     3.9      3.5     3.6      4.5
right or wrong, whole seeds fail            13.1    2.7      2.9     1.7      5.2
==========================================  ======  =======  ======  =======  ========

So it is cautious where both vary and seeds are few. Two seeds that fail whole often agree exactly, and
an interval over them has no width: take five or more there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biddable.errors import InputError

CONFIDENCE = 0.95
LEAST_SIGN_FLIPS = 6
"""With fewer seeds no p-value of the sign-flip test is below 5 %."""
_SIGN_FLIPS = 2**16
"""Up to 16 seeds all signs are tried, beyond that as many are drawn."""

Interval = tuple[float, float]
Floats = NDArray[np.float64]


def mean_interval(scores: ArrayLike, *, clusters: Sequence[Hashable] | None = None) -> Interval:
    """95 % interval of the mean of scores (see the module).

    Args:
        scores: [seeds, cases], or [cases] of one seed; [seeds, 1] where a seed has one score.
        clusters: for each case the group it was drawn with (a document, a person, a room). The interval is
            then over groups: the cluster-robust t interval, with one less than the groups as degrees of
            freedom.

    Raises:
        InputError: a score is not finite, there is only one score or one cluster, or ``clusters`` has
            another length.
    """
    values = as_scores("scores", scores)
    if values.size < 2:
        raise InputError("scores", values.tolist(), "at least two scores: one alone has no interval")
    mean = float(values.mean())
    if clusters is not None:
        values = _by_cluster(values, clusters)
    half = math.hypot(*_half_widths(values))
    return mean - half, mean + half


def interval_kind(scores: ArrayLike, *, clusters: Sequence[Hashable] | None = None) -> str:
    """What ``mean_interval`` of these is over: "t over 5 seeds and 100 cases"."""
    values = as_scores("scores", scores)
    seeds, cases = values.shape
    samples = [] if seeds == 1 or _all_alike(values) else [f"{seeds} seeds"]
    if clusters is not None:
        samples.append(f"{len(set(clusters))} clusters of {cases} cases")
    elif cases > 1:
        samples.append(f"{cases} cases")
    return "t over " + " and ".join(samples)


def _all_alike(values: Floats) -> bool:
    """Whether seeds are copies of one another, as a deterministic method's; single scores may tie."""
    return values.shape[1] > 1 and bool((values == values[0]).all())


def _half_widths(values: Floats) -> Interval:
    """What seeds and what cases add to the half width of the interval of a mean of values [S, C]."""
    from scipy.special import stdtrit

    S, C = values.shape  # noqa: N806 (the formula's letters)
    by_seed, by_case, mean = values.mean(1), values.mean(0), values.mean()
    rest = values - by_seed[:, None] - by_case[None, :] + mean
    ms_seeds = C * float(((by_seed - mean) ** 2).sum()) / (S - 1) if S > 1 else 0.0
    ms_cases = S * float(((by_case - mean) ** 2).sum()) / (C - 1) if C > 1 else 0.0
    ms_rest = float((rest**2).sum()) / ((S - 1) * (C - 1)) if S > 1 and C > 1 else 0.0
    tail = (1 + CONFIDENCE) / 2
    over_seeds = stdtrit(S - 1, tail) * math.sqrt(ms_seeds / (S * C)) if S > 1 else 0.0
    over_cases = stdtrit(C - 1, tail) * math.sqrt(max(0.0, ms_cases - ms_rest) / (S * C)) if C > 1 else 0.0
    return float(over_seeds), float(over_cases)


def _by_cluster(values: Floats, clusters: Sequence[Hashable]) -> Floats:
    """[S, C] -> [S, G] with the same mean of every seed: what departs from the mean, added up."""
    cases = values.shape[1]
    members = _members(clusters, cases)
    mean = values.mean()
    totals = [(values[:, rows] - mean).sum(1) for rows in members]
    return mean + np.stack(totals, axis=1) * len(members) / cases


def _members(clusters: Sequence[Hashable], cases: int) -> list[list[int]]:
    """The cases of each cluster."""
    if len(clusters) != cases:
        raise InputError("clusters", f"{len(clusters)} names", f"{cases}, one for each case")
    rows: dict[Hashable, list[int]] = {}
    for row, cluster in enumerate(clusters):
        rows.setdefault(cluster, []).append(row)
    if len(rows) < 2:
        raise InputError("clusters", list(rows), "at least two clusters: one alone has no interval")
    return list(rows.values())


def sign_flip_p(differences: ArrayLike) -> float | None:
    """Two-sided p-value of "mean differences of seeds are as likely to be above 0 as below".

    It says nothing of other cases. Exact up to 16 seeds.

    Args:
        differences: [seeds, cases] or, where a seed has one, [seeds, 1].

    Returns:
        None below 6 seeds, where p cannot be below 5 %, and where seeds are copies of one another.
    """
    values = as_scores("differences", differences)
    if len(values) < LEAST_SIGN_FLIPS or _all_alike(values):
        return None
    from scipy.stats import permutation_test

    tested = permutation_test(
        (values.mean(1),),
        np.mean,
        permutation_type="samples",
        n_resamples=_SIGN_FLIPS,
        rng=np.random.default_rng(0),
    )
    return float(tested.pvalue)


def interval_of(
    statistic: Callable[..., float],
    *samples: ArrayLike,
    clusters: Sequence[Hashable] | None = None,
    method: Literal["BCa", "percentile", "basic"] = "BCa",
    resamples: int = 2_000,
    rng_seed: int = 0,
) -> Interval:
    """95 % bootstrap interval of ``statistic(*samples)``: a median, an AUC, a ratio, a correlation …

    Where BCa is not defined (a statistic that is the same for almost every draw) the percentiles are taken.
    Below some 20 cases any bootstrap is too narrow; for a mean use ``mean_interval``.

    Args:
        statistic: takes the samples, each drawn anew, and gives a number.
        samples: the same cases in each, [cases] or [cases, …]; they are drawn together.
        clusters: for each case the group it was drawn with; whole groups are drawn then.
        method: as in ``scipy.stats.bootstrap``.
        resamples: draws.
        rng_seed: seed of the draws.

    Raises:
        InputError: samples differ in length or are shorter than 2, or the statistic is not finite.
    """
    import warnings

    from scipy.stats import bootstrap

    arrays = [np.asarray(sample) for sample in samples]
    lengths = [len(array) for array in arrays]
    if not lengths or min(lengths) < 2 or len(set(lengths)) > 1:
        raise InputError("samples", lengths, "samples of one length, at least 2")
    members = [[row] for row in range(lengths[0])] if clusters is None else _members(clusters, lengths[0])

    def of_drawn(drawn: NDArray[np.int_]) -> float:
        rows = [row for unit in drawn for row in members[unit]]
        return float(statistic(*(array[rows] for array in arrays)))

    if not math.isfinite(whole := of_drawn(np.arange(len(members)))):
        raise InputError("statistic", whole, "a finite number for the samples")
    ends = (math.nan, math.nan)
    for kind in dict.fromkeys((method, "percentile")):
        if all(map(math.isfinite, ends)):
            break
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # DegenerateDataWarning: the percentiles are taken
            interval = bootstrap(
                (np.arange(len(members)),),
                of_drawn,
                n_resamples=resamples,
                vectorized=False,
                method=kind,
                confidence_level=CONFIDENCE,
                rng=np.random.default_rng(rng_seed),
            ).confidence_interval
        ends = (float(interval.low), float(interval.high))
    if not all(map(math.isfinite, ends)):
        raise InputError("statistic", ends, "a finite number for every draw of the samples")
    return ends


def share_interval(count: int, of: int) -> Interval:
    """95 % interval of a share, ``count`` of ``of`` independent cases (Wilson's, good for 0 and for all).

    Raises:
        InputError: ``of`` is below 1, or ``count`` is not between 0 and ``of``.
    """
    if of < 1 or not 0 <= count <= of:
        raise InputError("count", f"{count} of {of}", "0 to all of at least 1")
    from scipy.stats import binomtest

    interval = binomtest(int(count), int(of)).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def rank_correlation(x: ArrayLike, y: ArrayLike) -> tuple[float, Interval]:
    """Spearman's rank correlation of two samples of the same cases, and its 95 % interval.

    By Fisher's z with the variance of D. Bonett and T. Wright, "Sample size requirements for estimating
    Pearson, Kendall and Spearman correlations", Psychometrika 65, 2000.

    Raises:
        InputError: fewer than 4 cases, samples of different length, or one that is constant.
    """
    from scipy.stats import spearmanr

    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if xs.shape != ys.shape or xs.ndim != 1 or len(xs) < 4:
        raise InputError("samples", [xs.shape, ys.shape], "two samples [cases] of at least 4 cases")
    for name, values in (("x", xs), ("y", ys)):
        if not np.isfinite(values).all() or np.ptp(values) == 0:
            raise InputError(name, f"{len(values)} values", "finite ones that are not all the same")
    rho = float(spearmanr(xs, ys).statistic)
    if abs(rho) >= 1 - 1e-12:
        return rho, (rho, rho)
    half = 1.959963984540054 * math.sqrt((1 + rho**2 / 2) / (len(xs) - 3))
    return rho, (math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half))


def as_scores(field: str, values: ArrayLike) -> Floats:
    """Scores as an array [seeds, cases]; [cases] is one seed's. Raises InputError: shape, NaN."""
    array = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if array.ndim != 2 or array.size == 0:
        raise InputError(field, f"an array of shape {array.shape}", "shape [seeds, cases] or [cases]")
    if not np.isfinite(array).all():
        raise InputError(field, "an array with NaN or infinities", "finite scores")
    return array
