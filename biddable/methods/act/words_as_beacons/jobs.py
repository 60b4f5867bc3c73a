"""What a student is told and what came of it. Needs no simulator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Encoding = Literal["relative", "representation", "language"]
TEST_SEED = 2_000_000


@dataclass(frozen=True, slots=True)
class Arm:
    """Who teaches, what the student sees and what it is paid.

    ``accuracy`` is the teacher's: none for nobody, else one share for all subgoals or one for each; ``mean``
    and ``std`` are of how far its wrong cells are off.
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

    arm: Arm
    seed: int
    level: str
    frames: int
    threshold: float
    cases: int
    ppo: dict[str, Any]
    pool: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Attributes:
        arm, seed: whose it is.
        frames: seen until the threshold was reached; all of them, where it never was.
        reached: whether it was.
        curve: (frames, success of the latest episodes).
        with_teacher, alone: one number per test case, with the teacher still there and with nobody.
    """

    arm: str
    seed: int
    frames: int
    reached: bool
    curve: list[tuple[int, float]]
    with_teacher: list[float]
    alone: list[float]
