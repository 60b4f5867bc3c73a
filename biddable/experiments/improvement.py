"""Improvement from a policy's own episodes: what is trained and collected, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError
from biddable.experiments.commanding import Lab
from biddable.experiments.scores import ArmScores
from biddable.policies.batches import Demonstrations
from biddable.runs.figures import Curves, Figure, mean_curve
from biddable.types import Trajectory

SOAR, LCBC = "SOAR", "LCBC"
SUCCESS, GAIN = "success", "gain in success"
LOST, BALANCE = "success lost per unit of detector error", "balance of attempts"
ZONE, RANDOM = "zone + UCB", "random task"
"""How tasks are proposed."""


@dataclass(frozen=True, slots=True)
class Job:
    """An arm to be trained: ``round`` 0 before any collection; ``error`` of labels, below 0: as judged."""

    arm: str
    seed: int
    rng_seed: int
    round: int = 0
    error: float = -1.0

    @property
    def name(self) -> str:
        """Of its weights and checkpoints."""
        error = "" if self.error < 0 else f"-{self.error:g}"
        return f"{self.arm.lower()}-{self.seed}-{self.round}{error}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: file of the weights, (step, mean loss), and of each case 0 or 1."""

    weights: str
    losses: list[tuple[int, float]]
    success: list[float]


@dataclass(frozen=True, slots=True)
class CollectJob:
    """Episodes to be collected with a seed's policy of the round before."""

    seed: int
    rng_seed: int
    round: int
    weights: str
    proposer: str = ZONE

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{'episodes' if self.proposer == ZONE else 'random'}-{self.seed}-{self.round}.safetensors"


@dataclass(frozen=True, slots=True)
class Collection:
    """What came of it.

    Attributes:
        file: of the episodes.
        attempts, judged: task -> how often it was tried, and judged done.
        balance: of the attempts (``TaskStatistics.balance``).
        success: share that the environment says succeeded; None where it does not say.
        agreement: share of episodes judged as the environment says.
        unreadable: share of a model's answers that could not be read.
    """

    file: str
    attempts: dict[str, int]
    judged: dict[str, int]
    balance: float
    success: float | None
    agreement: float | None
    unreadable: float


@dataclass(frozen=True, slots=True)
class Autonomous:
    """Collected episodes: what was judged done, and what the environment says (-1: nothing)."""

    demos: Demonstrations
    judged: NDArray[np.bool_]
    truth: NDArray[np.int8]

    def save(self, path: Path) -> None:
        """Write them to a file."""
        from safetensors.numpy import save_file

        [(part, observations)] = self.demos.observations.items()
        arrays = {
            "observations": observations,
            "actions": self.demos.actions,
            "lengths": self.demos.lengths,
            "judged": self.judged,
            "truth": self.truth,
        }
        about = json.dumps({"part": part, "instructions": self.demos.instructions})
        whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_file(whole, path, metadata={"about": about})

    @classmethod
    def load(cls, path: Path) -> Autonomous:
        """What ``save`` wrote."""
        from safetensors import safe_open

        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = json.loads(file.metadata()["about"])
        observations = {about["part"]: arrays["observations"]}
        demos = Demonstrations.laid(about["instructions"], observations, arrays["actions"], arrays["lengths"])
        return cls(demos, arrays["judged"], arrays["truth"])

    def labels(self, error: float, rng: np.random.Generator) -> NDArray[np.bool_]:
        """[E] what counts as done for a detector of that error; below 0 as it was judged.

        Raises:
            InputError: the environment does not say what was done, of which errors are made.
        """
        if error < 0:
            return self.judged
        if (self.truth < 0).any():
            raise InputError("errors", error, "none: the environment does not say what succeeded")
        return (self.truth == 1) != (rng.random(len(self.truth)) < error)

    def trajectories(self) -> list[Trajectory]:
        """One by one; ``success`` is as it was judged."""
        made: list[Trajectory] = []
        [(part, observations)] = self.demos.observations.items()
        ends = np.cumsum(self.demos.lengths)
        for e, end in enumerate(ends):
            length = int(self.demos.lengths[e])
            rows = slice(self.demos.first[e], self.demos.last[e] + 1)
            actions = self.demos.actions[end - length : end]
            seen = {part: observations[rows]}
            judged = bool(self.judged[e])
            made.append(Trajectory(self.demos.instructions[e], seen, actions, np.zeros(length), judged))
        return made


def scored(
    outcomes: Mapping[Job, Outcome], rounds: int, collections: Mapping[CollectJob, Collection]
) -> ArmScores:
    """Scores: success before and after all rounds, gains, what errors of the detector cost, balance."""
    scores = ArmScores()
    before = {job: outcome for job, outcome in outcomes.items() if job.round == 0}
    after = {job: outcome for job, outcome in outcomes.items() if job.round == rounds}
    for job, outcome in before.items():
        scores.add(f"{job.arm}, before", outcome.success, metric=SUCCESS, seed=job.seed)
    of = {(job.arm, job.seed): np.array(outcome.success) for job, outcome in before.items()}
    curves: dict[tuple[str, int], list[tuple[float, NDArray[np.float64]]]] = {}
    for job, outcome in after.items():
        values, key = np.array(outcome.success), (job.arm, job.seed)
        if job.error < 0:
            scores.add(f"{job.arm}, after", values, metric=SUCCESS, seed=job.seed)
            scores.add(job.arm, values - of[key], metric=GAIN, seed=job.seed)
        else:
            scores.add(f"{job.arm}, error {job.error:g}", values, metric=SUCCESS, seed=job.seed)
            curves.setdefault(key, []).append((job.error, values))
    for (arm, seed), points in curves.items():
        x, y = np.array([error for error, _ in points]), np.stack([values for _, values in points])
        if len(x) > 1:  # the least squares slope of each case, turned round
            slope = ((x - x.mean()) @ (y - y.mean(0))) / ((x - x.mean()) ** 2).sum()
            scores.add(arm, -slope, metric=LOST, seed=seed)
    for collect, collection in collections.items():
        if collect.round == 1:
            scores.add(collect.proposer, [collection.balance], metric=BALANCE, seed=collect.seed)
    return scores


def figures(scores: ArmScores, jobs: Mapping[Job, Outcome], errors: Sequence[float]) -> list[Figure]:
    """What the page shows."""
    arms = [f"{arm}, {when}" for arm in (LCBC, SOAR) for when in ("before", "after")]
    bars = scores.bars("Success in new episodes", [SUCCESS], arms=arms, unit="share of episodes")
    shown: list[Figure] = [bars]
    shown.append(scores.table("Gain: after less before", [GAIN]))
    if scores.arms(LOST):
        shown.append(_error_curves(scores, errors))
    if RANDOM in scores.arms(BALANCE):
        shown.append(scores.table("How evenly tasks were tried", [BALANCE]))
    losses = {
        f"{arm}, {'before' if not number else f'round {number}'}": mean_curve(
            [o.losses for job, o in jobs.items() if (job.arm, job.round) == (arm, number) and job.error < 0]
        )
        for arm, number in dict.fromkeys((job.arm, job.round) for job in jobs)
    }
    return [*shown, Curves("Training: loss", "step", "-log pi(a | s, .)", losses)]


def _error_curves(scores: ArmScores, errors: Sequence[float]) -> Figure:
    series = {}
    for arm in (LCBC, SOAR):
        named = {error: f"{arm}, error {error:g}" for error in sorted(errors)}
        series[arm] = scores.curves("", named, [SUCCESS]).series[SUCCESS]
    return Curves("A detector that errs", "share of wrong labels", "success after", series)


def summary(collections: Mapping[CollectJob, Collection]) -> dict[str, float | None]:
    """Means over the seeds and rounds of SOAR's proposer."""
    kept = [each for job, each in collections.items() if job.proposer == ZONE]
    attempts = sum(sum(each.attempts.values()) for each in kept)
    said = [(each.success, each.agreement) for each in kept if each.success is not None]
    success, agreement = np.array(said, dtype=float).mean(0).tolist() if said else (None, None)
    return {
        "success while collecting": success,
        "judged as the environment says": agreement,
        "judged done": sum(sum(each.judged.values()) for each in kept) / attempts,
        "tasks that were tried": float(np.mean([len(each.attempts) for each in kept])),
    }


def notes_on(lab: Lab, collections: Mapping[CollectJob, Collection], wanted: Sequence[str]) -> list[str]:
    """What a reader must know of the episodes, and of tasks that were ``wanted``."""
    notes = []
    if not lab.commands:
        notes.append(f"{lab.envs[0]} takes no commanded instruction: it was reset until it asked for a task.")
    if out := [task for task in wanted if task not in lab.tasks]:
        notes.append(f"{len(out)} tasks are left out: it did not ask for them in 100 resets ({out[0]!r}, …).")
    if any(each.success is None for each in collections.values()):
        said = "The environment does not say what succeeded: successes are those the detector saw"
        notes.append(f"{said}, in the test, too, and there is no curve over its errors.")
    if unreadable := np.mean([each.unreadable for each in collections.values()]):
        notes.append(f"{unreadable:.0%} of the detector's answers could not be read; they count as no.")
    return notes


def task_rows(collections: Mapping[CollectJob, Collection]) -> dict[str, dict[str, int]]:
    """Task -> how often it was tried and judged done, over all seeds and rounds of the proposer."""
    rows: dict[str, dict[str, int]] = {}
    for job, each in collections.items():
        for task, count in each.attempts.items() if job.proposer == ZONE else ():
            row = rows.setdefault(task, {"attempts": 0, "judged done": 0})
            row["attempts"] += count
            row["judged done"] += each.judged.get(task, 0)
    return dict(sorted(rows.items()))
