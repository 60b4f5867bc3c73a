"""What a network is taught with and what came of it. Needs no simulator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Curriculum = Literal["none", "warm start", "goal simulation", "meta-trainer"]
TEST_SEED = 3_000_000


@dataclass(frozen=True, slots=True)
class Arm:
    """Where it learns, how episodes begin, what is paid, what it looks at.

    ``pages`` are ids of environments; those side by side take turns.
    """

    name: str
    pages: tuple[str, ...]
    curriculum: Curriculum = "none"
    dense: bool = False
    shallow: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """An arm with a seed, and everything else that its outcome depends on."""

    arm: Arm
    seed: int
    draw: int
    """Decides weights and draws."""
    frames: int
    envs: int
    cases: int
    threshold: float
    warm_start: tuple[float, float]
    """Probability at first, and the share of the training over which it falls."""
    inet_updates: int
    dqn: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Attributes:
        arm, seed: whose it is.
        frames: until whole instructions were followed as often as the threshold says; all, if never.
        reached: whether it was.
        curve: (frames, share of whole instructions followed) while training, on values of the training.
        success: one number for each test case, on values never seen.
        seen_success: the same on values of the training.
        inet: the meta-trainer's: shares of right fields, of right instructions, of instructions refused.
        weights: where they are kept, in the run's folder.
    """

    arm: str
    seed: int
    frames: int
    reached: bool
    curve: list[tuple[int, float]]
    success: list[float]
    seen_success: list[float]
    weights: str
    inet: list[float] = field(default_factory=list)
