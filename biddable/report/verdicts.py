"""The comparisons of a run as a reader sees them: decimals that suit, intervals on a common scale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from biddable.report.formats import decimals
from biddable.runs.compare import verdict_on
from biddable.types import Comparison, RoleOfComparison, VerdictOnClaim

MEASURED = {"held": "better", "contradicted": "worse", "not shown": "not shown"}
"""What verdicts say where nobody claims anything, and a better score is what is looked for."""


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """A comparison, its decimals, and the distance from zero at which its interval's drawing ends.

    ``measured``: it is part of an evaluation, where nobody claims anything.
    """

    comparison: Comparison
    places: int
    scale: float
    measured: bool = False

    @property
    def seeds(self) -> str:
        """``seed 0``, ``seeds 0, 1, 2`` or, of many, ``12 seeds``."""
        seeds = self.comparison.seeds
        if len(seeds) > 5:
            return f"{len(seeds)} seeds"
        return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))

    @property
    def verdict(self) -> str:
        """The verdict on the claim, ``control``, or where nobody claims anything ``better`` and its like."""
        if self.comparison.role == "question":
            return MEASURED[verdict_on(self.comparison.interval, self.comparison.predicted)]
        verdict = self.comparison.verdict or "control"
        return MEASURED.get(verdict, verdict) if self.measured else verdict

    @property
    def prediction(self) -> str:
        """``predicted higher``; empty where nothing is."""
        claims = self.comparison.role == "claim" and not self.measured
        return f"predicted {self.comparison.predicted}" if claims else ""

    @property
    def outcome(self) -> str:
        """``held (predicted higher)``, or ``control``."""
        return self.verdict + (f" ({self.prediction})" if self.prediction else "")

    @property
    def interval(self) -> str:
        """What the interval is over, and the p-value where there is one; empty for results without either."""
        p = self.comparison.p_value
        exact = f"sign flips p = {p:.2g}" if p is not None else ""
        return "; ".join(filter(None, (self.comparison.interval_kind, exact)))


def verdict_rows(comparisons: Sequence[Comparison], *, measured: bool = False) -> list[VerdictRow]:
    """One row per comparison. Rates are drawn on one scale, anything else on its own.

    ``measured``: they are an evaluation's, where nobody claims anything.
    """
    widest_rate = max((_reach(each) for each in comparisons if _is_rate(each)), default=1.0)
    return [
        VerdictRow(
            each,
            places=decimals([each.baseline, each.method, *each.interval]),
            scale=(widest_rate if _is_rate(each) else _reach(each)) or 1.0,
            measured=measured,
        )
        for each in comparisons
    ]


def summary(comparisons: Sequence[Comparison], *, measured: bool = False) -> str:
    """The verdicts on claims, counted, in one line; controls and questions are counted beside them.

    ``measured``: they are an evaluation's, and it is differences that are counted.
    """
    if measured:
        count = Counter(MEASURED[each.verdict] for each in comparisons if each.verdict)
        named = [f"{number} {word}" for word in MEASURED.values() if (number := count[word])]
        return f"Beside the baseline: {', '.join(named)}" if named else "What was measured"
    claims = [each for each in comparisons if each.role == "claim"]
    count = Counter(each.role for each in comparisons)
    roles: tuple[RoleOfComparison, ...] = ("control", "question")
    beside = [f"{count[role]} {role}{'s' * (count[role] > 1)}" for role in roles if count[role]]
    return "; ".join([_claims(claims), *beside])


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
