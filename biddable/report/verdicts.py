"""The comparisons of a run as a reader sees them: decimals that suit, intervals on a common scale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from biddable.report.formats import decimals
from biddable.types import Comparison, VerdictOnClaim


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """A comparison, its decimals, and the distance from zero at which its interval's drawing ends."""

    comparison: Comparison
    places: int
    scale: float

    @property
    def seeds(self) -> str:
        """``seed 0``, ``seeds 0, 1, 2`` or, of many, ``12 seeds``."""
        seeds = self.comparison.seeds
        if len(seeds) > 5:
            return f"{len(seeds)} seeds"
        return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))

    @property
    def verdict(self) -> str:
        """The verdict on the claim, or ``control``."""
        return self.comparison.verdict or "control"

    @property
    def outcome(self) -> str:
        """``held (predicted higher)``, or ``control``."""
        predicted = f" (predicted {self.comparison.predicted})"
        return self.verdict + (predicted if self.comparison.role == "claim" else "")

    @property
    def interval(self) -> str:
        """What the interval is over, and the p-value where there is one; empty for results without either."""
        p = self.comparison.p_value
        exact = f"sign flips p = {p:.2g}" if p is not None else ""
        return "; ".join(filter(None, (self.comparison.interval_kind, exact)))


def verdict_rows(comparisons: Sequence[Comparison]) -> list[VerdictRow]:
    """One row per comparison. Rates are drawn on one scale, anything else on its own."""
    widest_rate = max((_reach(each) for each in comparisons if _is_rate(each)), default=1.0)
    return [
        VerdictRow(
            each,
            places=decimals([each.baseline, each.method, *each.interval]),
            scale=(widest_rate if _is_rate(each) else _reach(each)) or 1.0,
        )
        for each in comparisons
    ]


def summary(comparisons: Sequence[Comparison]) -> str:
    """The verdicts on claims, counted, in one line; controls are counted beside them."""
    claims = [each for each in comparisons if each.role == "claim"]
    controls = len(comparisons) - len(claims)
    also = f"; {controls} control{'s' * (controls > 1)}" if controls else ""
    return _claims(claims) + also


def _claims(claims: Sequence[Comparison]) -> str:
    count = Counter(each.verdict for each in claims)
    if not count:
        return "No claim was tested"
    if len(claims) == 1:
        return "The claim held" if count["held"] else f"The claim was {claims[0].verdict}"
    total = len(claims)
    if count["held"] == total:
        return f"All {total} claims held"
    words: tuple[VerdictOnClaim, ...] = ("not shown", "contradicted")
    parts = [f"{count['held']} of {total} claims held", *(f"{count[w]} {w}" for w in words if count[w])]
    return ", ".join(parts)


def _reach(comparison: Comparison) -> float:
    return max(map(abs, (*comparison.interval, comparison.difference)))


def _is_rate(comparison: Comparison) -> bool:
    return 0 <= comparison.baseline <= 1 and 0 <= comparison.method <= 1
