"""What a paper says of two arms of an experiment."""

from __future__ import annotations

from dataclasses import dataclass

from biddable.types import Prediction, RoleOfComparison

METRIC = "score"


@dataclass(frozen=True, slots=True)
class Claim:
    """What is predicted of an arm beside another.

    Attributes:
        baseline, method: the arms.
        predicted: the method's scores are "higher", "lower" or, within ``margin``, "equal".
        metric: of which scores.
        role: "control" where our own construction fixes the outcome, "question" where nobody predicts it
            ``predicted`` is the better side: both are measured, and claim nothing.
        margin: for "equal": the largest difference that counts as none, in units of the metric.
    """

    baseline: str
    method: str
    predicted: Prediction = "higher"
    metric: str = METRIC
    role: RoleOfComparison = "claim"
    margin: float = 0.0
