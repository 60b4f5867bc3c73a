"""Asking somebody for demonstrations that fit: what to show first, a live score, feedback, a quota."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from biddable.errors import InputError
from biddable.methods.act.compatible_demos.compatibility import (
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
    """What came of a demonstration that was offered.

    Attributes:
        accepted: whether it counts towards the quota.
        score: how well it fits, from 0 to 1.
        incompatible: how many of its steps do not.
        windows: where to look, worst first, as (first step, end); empty where it was accepted.
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
    """The paper's loop with one demonstrator, a person or a program; who asks calls ``offer`` until ``full``.

    Args:
        policy: the ensemble that learned the base demonstrations.
        base: those demonstrations.
        thresholds: what does not fit.
        quota: how many are wanted.
        limit: the most steps of a demonstration that may not fit.

    Raises:
        InputError: no base demonstrations, a quota below 1, a limit below 0.
    """

    policy: Predictor
    base: Sequence[Demonstration]
    thresholds: Thresholds
    quota: int
    limit: int = 5
    accepted: list[Demonstration] = field(default_factory=list)
    offered: int = 0

    def __post_init__(self) -> None:
        if not self.base:
            raise InputError("base", "no demonstrations", "at least one")
        if self.quota < 1:
            raise InputError("quota", self.quota, "an integer of at least 1")
        if self.limit < 0:
            raise InputError("limit", self.limit, "an integer of at least 0")

    @property
    def full(self) -> bool:
        """Whether the quota is filled."""
        return len(self.accepted) >= self.quota

    def to_study(self, rng: np.random.Generator) -> list[int]:
        """Which base demonstrations to show first: five at random of the four fifths with the least error."""
        errors = [float(self._matrix(one)[:, 0].mean()) for one in self.base]
        best = np.argsort(errors, kind="stable")[: max(1, round(BEST_SHARE * len(errors)))]
        return [int(i) for i in rng.permutation(best)[:SHOWN]]

    def live_score(self, state: Floats, action: Floats | None) -> float:
        """The bar shown while somebody acts, from 0 to 1; in the middle while nobody does (no action)."""
        if action is None:
            return NEUTRAL
        matrix = compatibility(self.policy, np.asarray(state)[None], np.asarray(action)[None])
        return float(step_scores(matrix, self.thresholds)[0])

    def offer(self, demonstration: Demonstration) -> Feedback:
        """Accept or reject it, and say why.

        Raises:
            InputError: it did not succeed, or the quota is filled.
        """
        if not demonstration.success:
            raise InputError("demonstration", "one that did not succeed", "one that did its task")
        if self.full:
            raise InputError("demonstration", f"number {self.quota + 1}", f"no more than {self.quota}")
        self.offered += 1
        matrix = self._matrix(demonstration)
        bad = int(is_incompatible(matrix, self.thresholds).sum())
        score = compatibility_score(matrix, self.thresholds)
        if bad <= self.limit:
            self.accepted.append(demonstration)
            return Feedback(True, score, bad)
        windows = tuple(worst_windows(matrix, self.thresholds))
        return Feedback(False, score, bad, windows, nearest_demonstration(demonstration, self.base))

    def _matrix(self, one: Demonstration) -> Floats:
        return compatibility(self.policy, one.states, one.actions)
