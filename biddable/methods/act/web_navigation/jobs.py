"""What a network is trained with, and its outcome. Needs no simulator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Curriculum = Literal["none", "warm start", "goal simulation", "meta-trainer"]
TEST_SEED = 3_000_000


@dataclass(frozen=True, slots=True)
class ArmSettings:
    """The settings of an arm.

    Attributes:
        name: of the arm.
        pages: ids of environments; those of a vector env are taken from them in turn.
        curriculum: how episodes begin.
        dense: whether potential-based reward is added.
        shallow: whether the network has its shallow part.
    """

    name: str
    pages: tuple[str, ...]
    curriculum: Curriculum = "none"
    dense: bool = False
    shallow: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """An arm with a seed, and everything else that its outcome depends on."""

    arm: ArmSettings
    seed: int
    rng_seed: int
    """Seed of initial weights and draws, derived from the run's root seed and ``seed``."""
    frames: int
    num_envs: int
    cases: int
    threshold: float
    warm_start: tuple[float, float]
    """The oracle's initial probability, and the share of the training over which it falls to 0."""
    inet_updates: int
    dqn: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job.

    Attributes:
        arm, seed: of the job.
        frames: environment steps until the threshold was reached; the whole budget where it never was.
        reached: whether the threshold was reached.
        curve: (frames, share of whole instructions followed) while training, on values of the training.
        success: success in each test case, 0 or 1, on held-out values.
        train_success: the same on values of the training.
        inet: the meta-trainer's: shares of right fields, of right instructions, of instructions refused.
        weights: file of the weights, in the run's model folder.
    """

    arm: str
    seed: int
    frames: int
    reached: bool
    curve: list[tuple[int, float]]
    success: list[float]
    train_success: list[float]
    weights: str
    inet: list[float] = field(default_factory=list)
