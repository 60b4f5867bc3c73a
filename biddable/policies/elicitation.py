"""Elicitation of compatible demonstrations: what to show first, a live score, feedback, a quota."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from biddable.errors import InputError
from biddable.policies.compatibility import (
    Demonstration,
    Floats,
    Predictor,
    Thresholds,
    compatibility,
    compatibility_score,
    is_incompatible,
    nearest_demonstration,
    step_scores,
    worst_windows,
)

SHOWN = 5
BEST_SHARE = 0.8
NEUTRAL = 0.5


@dataclass(frozen=True, slots=True)
class Feedback:
    """The answer to a demonstration that was offered.

    Attributes:
        accepted: whether it counts towards the quota.
        score: how well it fits, from 0 to 1.
        incompatible: how many of its steps do not.
        windows: its worst parts, as (first step, end), worst first; empty where it was accepted.
        nearest: the base demonstration most like it by dynamic time warping (see ``nearest_demonstration``),
            as a place among them; None where it was accepted.
    """

    accepted: bool
    score: float
    incompatible: int
    windows: tuple[tuple[int, int], ...] = ()
    nearest: int | None = None


@dataclass(slots=True)
class ElicitationSession:
    """The paper's loop with one demonstrator, a person or a program: call ``offer`` until ``full``.

    Args:
        policy: the ensemble that learned the base demonstrations.
        base: those demonstrations.
        thresholds: what is incompatible.
        quota: the number of demonstrations wanted.
        max_incompatible: the most incompatible steps of an accepted demonstration.
        accepted: the demonstrations accepted so far.
        offered: the number of demonstrations offered so far.

    Raises:
        InputError: no base demonstrations, a quota below 1, ``max_incompatible`` below 0.
    """

    policy: Predictor
    base: Sequence[Demonstration]
    thresholds: Thresholds
    quota: int
    max_incompatible: int = 5
    accepted: list[Demonstration] = field(default_factory=list)
    offered: int = 0

    def __post_init__(self) -> None:
        if not self.base:
            raise InputError("base", "no demonstrations", "at least one")
        if self.quota < 1:
            raise InputError("quota", self.quota, "an integer of at least 1")
        if self.max_incompatible < 0:
            raise InputError("max_incompatible", self.max_incompatible, "an integer of at least 0")

    @property
    def full(self) -> bool:
        """Whether the quota is filled."""
        return len(self.accepted) >= self.quota

    def to_study(self, rng: np.random.Generator) -> list[int]:
        """Places of base demonstrations to show first: 5 drawn from the 80 % with the least error."""
        errors = [float(self._matrix(demonstration)[:, 0].mean()) for demonstration in self.base]
        best = np.argsort(errors, kind="stable")[: max(1, round(BEST_SHARE * len(errors)))]
        return [int(i) for i in rng.permutation(best)[:SHOWN]]

    def live_score(self, state: Floats, action: Floats | None) -> float:
        """The score of one step, from 0 to 1, for display while somebody acts; 0.5 without an action."""
        if action is None:
            return NEUTRAL
        matrix = compatibility(self.policy, np.asarray(state)[None], np.asarray(action)[None])
        return float(step_scores(matrix, self.thresholds)[0])

    def offer(self, demonstration: Demonstration) -> Feedback:
        """Accept or reject a demonstration.

        Raises:
            InputError: it did not succeed, or the quota is filled.
        """
        if not demonstration.success:
            raise InputError("demonstration", "one that did not succeed", "one that did its task")
        if self.full:
            raise InputError("demonstration", f"number {self.quota + 1}", f"no more than {self.quota}")
        self.offered += 1
        matrix = self._matrix(demonstration)
        incompatible = int(is_incompatible(matrix, self.thresholds).sum())
        score = compatibility_score(matrix, self.thresholds)
        if incompatible <= self.max_incompatible:
            self.accepted.append(demonstration)
            return Feedback(True, score, incompatible)
        windows = tuple(worst_windows(matrix, self.thresholds))
        return Feedback(False, score, incompatible, windows, nearest_demonstration(demonstration, self.base))

    def _matrix(self, demonstration: Demonstration) -> Floats:
        return compatibility(self.policy, demonstration.states, demonstration.actions)
