"""A linear rule from indicators of a data set to the loss of a model that is fine-tuned on it.

The rule is fitted on means over mixes of rows and applied to single rows (InstructMining, arXiv 2307.06290).
So that it does not run away there, each indicator is cut off at the 1st and 99th percentile of its rows and
standardised before means are taken: what the rule predicts of a mix is then the mean of what it predicts of
its rows. Lower is better: it predicts the logarithm of a loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biddable.errors import InputError
from biddable.runs.figures import Table

Floats = NDArray[np.float64]

TAILS = (1.0, 99.0)
ALIKE = 1e-9
"""An indicator that differs less is the same everywhere, or what others make up."""
MIXES_FOR_EACH = 3
"""So many mixes there must be for every indicator that enters the fit of several."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How an indicator is cut off and standardised: ends, and mean and deviation between them."""

    low: float
    high: float
    mean: float
    deviation: float

    @classmethod
    def of(cls, values: ArrayLike) -> Scale:
        """The scale of the rows that are chosen from."""
        rows = np.asarray(values, dtype=np.float64)
        low, high = np.percentile(rows, TAILS)
        cut = rows.clip(low, high)
        deviation = float(cut.std())
        return cls(float(low), float(high), float(cut.mean()), deviation if deviation > ALIKE else 1.0)

    def __call__(self, values: ArrayLike) -> Floats:
        """Standardised values."""
        return np.asarray((np.clip(values, self.low, self.high) - self.mean) / self.deviation)


@dataclass(frozen=True, slots=True)
class QualityRule:
    """log loss = intercept + sum of coefficient · indicator.

    Attributes:
        intercept, coefficients: of the rule; the second by the names of indicators.
        scales: of each indicator; one without takes its values as they are.
    """

    intercept: float
    coefficients: Mapping[str, float]
    scales: Mapping[str, Scale] = field(default_factory=dict)

    def predict_log_loss(self, indicators: Mapping[str, ArrayLike]) -> Floats:
        """Predicted log loss of each row, lower is better.

        Raises:
            InputError: an indicator of the rule is not there.
        """
        predicted: Floats = np.array(self.intercept)
        for name, coefficient in self.coefficients.items():
            if name not in indicators:
                raise InputError("indicators", sorted(indicators), f"{name} among them, for the rule has it")
            values = np.asarray(indicators[name], dtype=np.float64)
            predicted = predicted + coefficient * (
                self.scales[name](values) if name in self.scales else values
            )
        return predicted


def best_first(predicted: ArrayLike) -> list[int]:
    """Places from the lowest predicted log loss to the highest; of equal ones the earlier first."""
    return [int(i) for i in np.argsort(np.asarray(predicted, dtype=np.float64), kind="stable")]


@dataclass(frozen=True, slots=True)
class Term:
    """An indicator in a fit: its slope alone, and what it is in the rule; None where it is not in it.

    Attributes:
        name: of the indicator.
        alone, alone_p: slope and p-value of a fit of this indicator alone; None where it is constant.
        coefficient, error, t, p, vif: in the rule.
        left_out: why it is not in the rule.
    """

    name: str
    alone: float | None = None
    alone_p: float | None = None
    coefficient: float | None = None
    error: float | None = None
    t: float | None = None
    p: float | None = None
    vif: float | None = None
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a rule fits the mixes.

    Attributes:
        terms: every indicator.
        r2, adjusted_r2: within the mixes that it was fitted on.
        left_out_r2: of predictions for mixes that were left out of the fit, choice of indicators included;
            None where there are too few mixes.
        fitted, left_out: log losses [mixes] as fitted, and as predicted for each when it was left out.
    """

    terms: tuple[Term, ...]
    r2: float
    adjusted_r2: float
    left_out_r2: float | None
    fitted: tuple[float, ...]
    left_out: tuple[float, ...]

    def table(self) -> Table:
        """All indicators."""
        rows = tuple(
            (t.name, t.alone, t.alone_p, t.coefficient, t.error, t.t, t.p, t.vif, t.left_out)
            for t in self.terms
        )
        columns = ("indicator", "slope alone", "p alone", "coefficient", "error", "t", "p", "VIF", "left out")
        held = "–" if self.left_out_r2 is None else f"{self.left_out_r2:.2f}"
        note = (
            "Log loss for one standard deviation of an indicator among rows; lower is better. R² "
            f"{self.r2:.2f}, adjusted {self.adjusted_r2:.2f}, of mixes that were left out {held}. p-values "
            "do not account for indicators having been chosen by them."
        )
        return Table("The rule, fitted on mixes", columns, rows, note)


def fit_rule(
    means: Mapping[str, Sequence[float]],
    losses: Sequence[float],
    drop_p: float = 0.05,
    scales: Mapping[str, Scale] | None = None,
) -> tuple[QualityRule, Fit]:
    """Fit a rule by least squares, after leaving out what explains nothing.

    An indicator that is the same in all mixes, or a sum of others, is left out; so are, where there are more
    than a third as many as mixes, those that say least alone. Of the others the one with the highest p-value
    goes, one after the other, until all are at most ``drop_p`` or one is left.

    Args:
        means: of each indicator, its mean in each mix.
        losses: of each mix, above 0.
        drop_p: see above.
        scales: of the indicators, for the rule.

    Raises:
        InputError: a loss without a logarithm, fewer mixes than indicators and two more, or no indicator that
            differs between mixes.
    """
    names = list(means)
    y = np.asarray(losses, dtype=np.float64)
    for at, loss in enumerate(y):
        if not (np.isfinite(loss) and loss > 0):
            raise InputError(f"losses[{at}]", float(loss), "a finite number above 0, which has a logarithm")
    if len(y) < len(names) + 2:
        expected = f"at least {len(names) + 2} for {len(names)} indicators"
        raise InputError("mixes", len(y), expected)
    x = np.array([means[name] for name in names], dtype=np.float64).T
    y = np.log(y)
    kept, why = _chosen(x, y, names, drop_p)
    if not kept:
        raise InputError("indicators", names, "one that differs between mixes: all are the same in each")
    solved = _ols(x[:, kept], y)
    held = _leave_one_out(x, y, names, drop_p)
    coefficients = {names[at]: float(solved.beta[1 + place]) for place, at in enumerate(kept)}
    rest = float(((y - solved.fitted) ** 2).sum())
    all_of_it = float(((y - y.mean()) ** 2).sum())
    r2 = 1 - rest / all_of_it if all_of_it else 0.0
    terms = []
    for at, name in enumerate(names):
        alone = None if np.ptp(x[:, at]) < ALIKE else _ols(x[:, [at]], y)
        slope, p = (None, None) if alone is None else (float(alone.beta[1]), float(alone.p[1]))
        if at in kept:
            place = 1 + kept.index(at)
            numbers = (solved.beta[place], solved.error[place], solved.t[place], solved.p[place])
            vif = _vif(x[:, kept])[place - 1]
            coefficient, error, t, of_t = map(_finite, numbers)
            terms.append(Term(name, slope, p, coefficient, error, t, of_t, _finite(vif)))
        else:
            terms.append(Term(name, slope, p, left_out=why[name]))
    fit = Fit(
        tuple(terms),
        r2,
        1 - (1 - r2) * (len(y) - 1) / max(1, len(y) - len(kept) - 1),
        held[0],
        tuple(map(float, solved.fitted)),
        held[1],
    )
    return QualityRule(float(solved.beta[0]), coefficients, scales or {}), fit


@dataclass(frozen=True, slots=True)
class _Solved:
    beta: Floats
    error: Floats
    t: Floats
    p: Floats
    fitted: Floats


def _ols(x: Floats, y: Floats) -> _Solved:
    """Least squares with an intercept, which comes first."""
    from scipy.stats import t as student

    a = np.column_stack([np.ones(len(y)), x])
    beta: Floats = np.linalg.lstsq(a, y, rcond=None)[0].astype(np.float64)
    fitted: Floats = a @ beta
    freedom = len(y) - a.shape[1]
    if freedom < 1:
        nothing = np.full(a.shape[1], np.nan)
        return _Solved(beta, nothing, nothing, nothing, fitted)
    variance = float(((y - fitted) ** 2).sum()) / freedom
    error: Floats = np.sqrt(np.diag(np.linalg.pinv(a.T @ a)).clip(0) * variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 0, beta / error, np.copysign(np.inf, beta))
    return _Solved(beta, error, t, 2 * student.sf(np.abs(t), freedom), fitted)


def _chosen(x: Floats, y: Floats, names: Sequence[str], drop_p: float) -> tuple[list[int], dict[str, str]]:
    """Places of the indicators that stay, and why each of the others does not."""
    why: dict[str, str] = {}
    kept: list[int] = []
    for at, name in enumerate(names):
        column = x[:, at] - x[:, at].mean()
        if np.ptp(x[:, at]) < ALIKE:
            why[name] = "the same in all mixes"
            continue
        if kept:
            others = x[:, kept] - x[:, kept].mean(0)
            rest = column - others @ np.linalg.lstsq(others, column, rcond=None)[0]
            # With as many indicators as mixes any column is a sum of others, by chance.
            if len(kept) < len(y) - 2 and np.linalg.norm(rest) < 1e-6 * np.linalg.norm(column):
                why[name] = f"a sum of {', '.join(names[other] for other in kept)}"
                continue
        kept.append(at)
    most = max(1, len(y) // MIXES_FOR_EACH)
    alone = {at: abs(float(np.corrcoef(x[:, at], y)[0, 1])) if np.ptp(y) > 0 else 0.0 for at in kept}
    best = sorted(kept, key=lambda at: -alone[at])[:most]
    why |= {names[at]: f"says less alone than {most} others" for at in kept if at not in best}
    kept = [at for at in kept if at in best]
    while len(kept) > 1:
        p = np.nan_to_num(_ols(x[:, kept], y).p[1:], nan=1.0)
        worst = int(p.argmax())
        if p[worst] <= drop_p:
            break
        why[names[kept[worst]]] = f"p = {p[worst]:.2g} beside the others"
        del kept[worst]
    return kept, why


def _leave_one_out(
    x: Floats, y: Floats, names: Sequence[str], drop_p: float
) -> tuple[float | None, tuple[float, ...]]:
    """R² of predictions for mixes that were left out, and the predictions."""
    predicted, means = [], []
    for at in range(len(y)):
        rest = np.arange(len(y)) != at
        kept, _ = _chosen(x[rest], y[rest], names, drop_p)
        if len(y) < 4 or not kept:
            return None, ()
        beta = _ols(x[rest][:, kept], y[rest]).beta
        predicted.append(float(beta[0] + x[at, kept] @ beta[1:]))
        means.append(float(y[rest].mean()))
    total = float(((y - np.array(means)) ** 2).sum())
    missed = float(((y - np.array(predicted)) ** 2).sum())
    return (1 - missed / total if total else None), tuple(predicted)


def _vif(x: Floats) -> list[float]:
    """Variance inflation of each column: 1 / (1 − R² of the column by the others)."""
    if x.shape[1] == 1:
        return [1.0]
    found = []
    for at in range(x.shape[1]):
        column, others = x[:, at], np.delete(x, at, axis=1)
        missed = float(((column - _ols(others, column).fitted) ** 2).sum())
        total = float(((column - column.mean()) ** 2).sum())
        found.append(total / missed if missed else float("inf"))
    return found


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
