"""What a student of a teacher of subgoals is trained with, and its outcome. Needs no simulator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Encoding = Literal["relative", "representation", "language"]
"""How a student sees a subgoal; see ``envs.minigrid_subgoals``."""
TEST_SEED = 2_000_000


@dataclass(frozen=True, slots=True)
class ArmSettings:
    """The settings of an arm.

    Attributes:
        name: of the arm.
        encoding: how the student sees a subgoal.
        accuracy: the teacher's: empty without a teacher, else one share for all subgoals or one for each.
        alpha: the most that reaching a subgoal adds to the reward.
        shown: whether the student sees subgoals.
        mean, std: of the distance of the teacher's wrong cells from the right ones, in cells.
    """

    name: str
    encoding: Encoding = "representation"
    accuracy: tuple[float, ...] = ()
    alpha: float = 0.2
    shown: bool = True
    mean: float = 1.0
    std: float = 1.0


@dataclass(frozen=True, slots=True)
class Job:
    """An arm with a seed, and everything else that its outcome depends on."""

    arm: ArmSettings
    seed: int
    level: str
    frames: int
    threshold: float
    cases: int
    ppo: dict[str, Any]
    pool: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job.

    Attributes:
        arm, seed: of the job.
        frames: environment steps until the threshold was reached; the whole budget where it never was.
        reached: whether the threshold was reached.
        curve: (frames, success of the latest episodes).
        with_teacher, alone: success in each test case, 0 or 1, with the teacher and without.
    """

    arm: str
    seed: int
    frames: int
    reached: bool
    curve: list[tuple[int, float]]
    with_teacher: list[float]
    alone: list[float]
