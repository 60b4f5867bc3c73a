"""How often a method's response is better than its baseline's to the same prompt, lengths left aside or not.

The length-controlled win rate follows Y. Dubois et al., "Length-Controlled AlpacaEval", 2024 (arXiv
2404.04475): a logistic regression of wins on an intercept and tanh((length - baseline's length) / standard
deviation of that difference), of which the intercept is kept: the win rate at equal lengths. The paper's term
for the difficulty of each instruction rests on data of other models on AlpacaEval's own prompts, and its
penalty on comparisons of a baseline with itself told to be long or short: both are left out here, so that any
prompts can be compared, and so is the L1 penalty that its program chooses by cross-validation; figures of
that leaderboard are near, and not the same. The interval is ours: that of the intercept by the sandwich
estimator (P. Huber, 1967; over clusters where there are any) and Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from biddable.errors import InputError
from biddable.runs.compare import verdict_on
from biddable.runs.significance import mcnemar, paired_share_interval, t_p
from biddable.runs.statistics import CONFIDENCE, Floats, Interval, interval_kind, mean_interval
from biddable.types import Comparison, Prediction, RoleOfComparison

EVEN = 0.5
"""The win rate of two that are equally good."""
LEAST_FOR_LENGTHS = 20
"""Below so many prompts (or clusters) the length-controlled interval is too narrow, and none is given."""
_STEPS = 100
_NO_WIDTH = 1e-9
"""Below it an interval's width is what rounding leaves of none."""


@dataclass(frozen=True, slots=True)
class LengthControlled:
    """The win rate as it would be if responses were as long as the baseline's.

    Attributes:
        rate: between 0 and 1.
        interval: at 95 %; None of few prompts, and where clusters are all alike.
        effect: what a response much longer than the baseline's adds to the log-odds of a win.
        effect_interval: the same at 95 %; None likewise.
        interval_kind: what they are over; empty where there is none.
    """

    rate: float
    interval: Interval | None
    effect: float
    effect_interval: Interval | None
    interval_kind: str = ""


@dataclass(frozen=True, slots=True)
class WinRate:
    """How a method fares against its baseline.

    Attributes:
        rate: the mean of the wins, in which a tie is 1/2.
        interval: at 95 %; None of a single prompt or cluster, and where clusters (not all of wins, all of
            ties or all of losses), or grades, are all alike.
        interval_kind: what it is over.
        p: two-sided, of "wins and losses are as likely": the sign test's (McNemar's exact) where there are
            wins, ties and losses only, and pairs are independent (or all alike); else the t test's. None
            likewise.
        test: which of the two.
        wins, ties, losses: how many are above 1/2, 1/2, and below.
        n: pairs that were decided.
        undecided: pairs that were not, and do not count.
        length: mean length of the method's responses in characters, of the pairs that count; None where
            lengths are not known.
        baseline_length: the same of the baseline's.
        controlled: the length-controlled win rate; None where it cannot be had.
        problem: why not; else empty.
    """

    rate: float
    interval: Interval | None
    interval_kind: str
    p: float | None
    test: str
    wins: int
    ties: int
    losses: int
    n: int
    undecided: int = 0
    length: float | None = None
    baseline_length: float | None = None
    controlled: LengthControlled | None = None
    problem: str = ""

    def comparison(
        self,
        *,
        controlled: bool = False,
        seeds: Sequence[int] = (0,),
        predicted: Prediction = "higher",
        margin: float = 0.0,
        role: RoleOfComparison = "claim",
        baseline_name: str = "baseline",
        method_name: str = "method",
    ) -> Comparison:
        """As a comparison with an even chance, raw or length-controlled.

        Several seeds on the same prompts are ``runs.compare.compare("win rate", 0.5, wins, seeds=seeds)``.

        Raises:
            InputError: there is no interval, or "equal" is claimed without a margin.
        """
        of = self.controlled if controlled else self
        if of is None or of.interval is None:
            expected = "a win rate with an interval" + (f": {self.problem}" if controlled else "")
            raise InputError("win rate", self.rate if of is None else of.rate, expected)
        if predicted == "equal" and not margin > 0:
            raise InputError("margin", margin, "a number above 0 where no difference is claimed")
        low, high = of.interval[0] - EVEN, of.interval[1] - EVEN
        return Comparison(
            metric="length-controlled win rate" if controlled else "win rate",
            baseline=EVEN,
            method=of.rate,
            difference=of.rate - EVEN,
            interval=(low, high),
            n=self.n,
            seeds=tuple(seeds),
            predicted=predicted,
            verdict=verdict_on((low, high), predicted, margin) if role == "claim" else None,
            baseline_name=baseline_name,
            method_name=method_name,
            role=role,
            interval_kind=of.interval_kind,
            p_value=None,
        )


def win_rate(
    wins: Sequence[float | None],
    *,
    lengths: tuple[ArrayLike, ArrayLike] | None = None,
    clusters: Sequence[Hashable] | None = None,
) -> WinRate:
    """The win rate of pairs, with what it would be at equal lengths where lengths are known.

    Args:
        wins: of each pair 1 where the method's response is better, 0 where the baseline's is, 1/2 for a tie,
            or how likely it is to be better; None where the pair was not decided.
        lengths: of each pair the method's and the baseline's length, in characters as the paper has it.
        clusters: of each pair what it shares with those that it is not independent of, such as its prompt.

    Raises:
        InputError: a number is not between 0 and 1, none was decided, or something has another length.
    """
    for place, win in enumerate(wins):
        if win is not None and not 0 <= win <= 1:
            raise InputError(f"wins[{place}]", win, "a number from 0 to 1, or None")
    for name, given in zip(("lengths", "baseline's lengths"), lengths or (), strict=False):
        if np.shape(given) != (len(wins),):
            raise InputError(name, f"{np.size(given)} numbers", f"one for each of the {len(wins)} pairs")
    if clusters is not None and len(clusters) != len(wins):
        raise InputError("clusters", f"{len(clusters)} names", f"one for each of the {len(wins)} pairs")
    rows = [place for place, win in enumerate(wins) if win is not None]
    if not rows:
        raise InputError("wins", f"{len(wins)} pairs", "at least one pair that was decided")
    values = np.array([wins[row] for row in rows], dtype=np.float64)
    groups = None if clusters is None else [clusters[row] for row in rows]
    if groups is not None and len(set(groups)) == len(groups):
        groups = None  # each by itself
    interval, kind, p, test = _uncertainty(values, groups)
    length = baseline_length = controlled = None
    problem = "lengths are not known"
    if lengths is not None:
        ours, theirs = (np.asarray(each, dtype=np.float64)[rows] for each in lengths)
        length, baseline_length = float(ours.mean()), float(theirs.mean())
        controlled, problem = _length_controlled(values, ours - theirs, groups)
    return WinRate(
        rate=float(values.mean()),
        interval=interval,
        interval_kind=kind,
        p=p,
        test=test,
        wins=int((values > EVEN).sum()),
        ties=int((values == EVEN).sum()),
        losses=int((values < EVEN).sum()),
        n=len(rows),
        undecided=len(wins) - len(rows),
        length=length,
        baseline_length=baseline_length,
        controlled=controlled,
        problem=problem,
    )


def _uncertainty(
    values: Floats, clusters: Sequence[Hashable] | None
) -> tuple[Interval | None, str, float | None, str]:
    """The interval of the mean, what it is over, the p-value and its test."""
    n = len(values) if clusters is None else len(set(clusters))
    over = f"{n} cases" if clusters is None else f"{n} clusters of {len(values)} cases"
    if clusters is not None and np.ptp(values) == 0:
        values, clusters = values[:n], None  # each cluster says the same thing once
    wins, losses = int((values > EVEN).sum()), int((values < EVEN).sum())
    if n < 2:
        return None, "", None, ""
    if clusters is None and np.isin(values, (0, EVEN, 1)).all():
        low, high = paired_share_interval(wins, losses, n)
        interval = EVEN + low / 2, EVEN + high / 2
        return interval, f"Bonett–Price over {over}", mcnemar(wins, losses), "sign test"
    low, high = mean_interval(values, clusters=clusters)
    if high - low < _NO_WIDTH:
        return None, "", None, ""  # clusters, or grades, that are all alike say nothing of how they vary
    p = t_p(values - EVEN, clusters=clusters)
    return (max(0.0, low), min(1.0, high)), interval_kind(values, clusters=clusters), p, "t"


def _length_controlled(
    values: Floats, longer: Floats, clusters: Sequence[Hashable] | None
) -> tuple[LengthControlled | None, str]:
    """The win rate at equal lengths, or why there is none; ``longer`` by how much each response is."""
    from scipy.special import expit, stdtrit

    n = len(values)
    units = n if clusters is None else len(set(clusters))
    if np.ptp(values) == 0:
        return None, "every pair came out alike"
    if n < 2 or np.ptp(longer) == 0:
        return None, "the difference of lengths is the same for every pair"
    design = np.stack([np.ones(n), np.tanh(longer / longer.std(ddof=1))], axis=1)  # [N, 2]
    found = _fit(design, values)
    if found is None:
        return None, "wins and losses are told apart by length alone"
    odds, bread = found
    rate, effect = float(expit(odds[0])), float(odds[1])
    if units < LEAST_FOR_LENGTHS:
        return LengthControlled(rate, None, effect, None), ""
    scores = design * (values - expit(design @ odds))[:, None]
    if clusters is not None:
        places = {cluster: place for place, cluster in enumerate(dict.fromkeys(clusters))}
        summed = np.zeros((units, 2))
        np.add.at(summed, [places[cluster] for cluster in clusters], scores)
        scores = summed
    covariance = bread @ (scores.T @ scores) @ bread * units / (units - 2)
    half = float(stdtrit(units - 2, (1 + CONFIDENCE) / 2)) * np.sqrt(np.diag(covariance))
    if half.min() < _NO_WIDTH:
        return LengthControlled(rate, None, effect, None), ""
    low, high = (odds - half).tolist(), (odds + half).tolist()
    interval = float(expit(low[0])), float(expit(high[0]))
    over = f"{n} cases" if clusters is None else f"{units} clusters of {n} cases"
    kind = f"sandwich and t over {over}"
    return LengthControlled(rate, interval, effect, (low[1], high[1]), kind), ""


def _fit(design: Floats, values: Floats) -> tuple[Floats, Floats] | None:
    """Logistic regression of values from 0 to 1 by Newton's method; None where no finite weights fit best.

    Returns:
        The weights and the inverse of the likelihood's curvature there.
    """
    from scipy.special import expit

    odds = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        chances = expit(design @ odds)
        curvature = design.T @ (design * (chances * (1 - chances))[:, None])
        if np.linalg.cond(curvature) > 1e10:
            return None
        bread = np.linalg.inv(curvature)
        step = bread @ (design.T @ (values - chances))
        odds = odds + step * min(1.0, 5.0 / max(1e-12, float(np.abs(step).max())))
        if math.isclose(float(np.abs(step).max()), 0.0, abs_tol=1e-9):
            return odds, bread
    return None
