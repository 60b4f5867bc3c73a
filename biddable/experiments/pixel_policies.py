"""What comes of encoders and few-shot policies from pictures: probes, successes, scores, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biddable.errors import InputError
from biddable.experiments.pixel_demos import STATE, TARGET_SEED, PixelDemos
from biddable.experiments.scores import ArmScores
from biddable.runs.figures import Curves, Figure, mean_curve

if TYPE_CHECKING:
    from biddable.policies.base import Policy

TEST_SEED = 2 * TARGET_SEED
ERROR, SUCCESS, PROBE = "action error", "success", "state from features, R2"


@dataclass(frozen=True, slots=True)
class Job:
    """An arm with its number: of the encoder, or of the few-shot seed."""

    arm: str
    number: int
    rng_seed: int

    @property
    def name(self) -> str:
        """Of an encoder's folder."""
        return f"{self.arm}-{self.number}"

    @property
    def policy(self) -> str:
        """Of a policy's folder."""
        return f"policy-{self.name}"


@dataclass(frozen=True, slots=True)
class Learned:
    """(step, mean loss) of a pre-training; R2 of a linear map from features to states, where known."""

    losses: list[tuple[int, float]]
    probe: float | None = None


@dataclass(frozen=True, slots=True)
class Tested:
    """Of a policy the action error of each held-out demonstration, and its successes."""

    errors: list[float]
    success: list[float]


def probe(encoder: Any, data: PixelDemos) -> float | None:
    """R2 of states in the test, predicted from features by least squares on what encoders learned from."""
    import torch

    from biddable.policies.pixels import features

    if STATE not in data.demos.observations:
        return None
    sides = []
    for places in (data.pretrain, [e for task in data.tasks for e in task.test]):
        seen = data.demos.taken(places).observations
        z = features(encoder, torch.from_numpy(seen[data.part])).numpy()
        sides.append((np.column_stack([z, np.ones(len(z))]), seen[STATE]))
    (x, y), (x_test, y_test) = sides
    rest = y_test - x_test @ np.linalg.lstsq(x, y, rcond=None)[0]
    return float(1 - (rest**2).sum() / ((y_test - y_test.mean(0)) ** 2).sum())


def check_env(name: str, path: Path, data: PixelDemos) -> None:
    """Look whether a policy of these data, which lie at ``path``, can act in an environment.

    Raises:
        InputError: no such environment, or other pictures or actions than the data's.
    """
    from biddable.envs.base import make_env, two_of
    from biddable.policies.datasets import check_actions, read_trajectories
    from biddable.policies.pixels import seen_as

    with closing(make_env(name)) as env:
        check_actions(read_trajectories(path, instruction="any"), env)
        obs, _ = two_of(env.reset(seed=TEST_SEED))
        try:
            seen_as(obs, data.part, data.demos.observations[data.part].shape[1:])
        except InputError as error:
            raise InputError("env", name, f"one that shows what the data do: {error}") from None


def successes_in(policy: Policy, name: str, cases: int) -> list[float]:
    """Whether a policy succeeds in an environment, of each episode; empty where the environment does not say.

    Episodes begin where no demonstration does, which are recorded with lower seeds.
    """
    from biddable.envs.base import make_env
    from biddable.policies.base import rollouts

    envs = [make_env(name) for _ in range(min(16, cases))]
    try:
        episodes = rollouts(envs, policy, range(TEST_SEED, TEST_SEED + cases))
    finally:
        for env in envs:
            env.close()
    return (
        [] if any(each.success is None for each in episodes) else [float(bool(e.success)) for e in episodes]
    )


def collected(data: PixelDemos, by_job: Mapping[Job, Tested]) -> ArmScores:
    """The scores of all arms.

    Where all seeds have the same new task, cases are its episodes; where each has its own, a seed has one
    score, the mean over its task's.
    """
    scores, shared = ArmScores(), len(data.tasks) == 1
    for job, tested in by_job.items():
        for metric, values in ((ERROR, tested.errors), (SUCCESS, tested.success)):
            if values:
                row = values if shared else float(np.mean(values))
                scores.add(job.arm, row, metric=metric, seed=job.number)
    sources = [data.demos.sources[e] for e in data.tasks[0].test]
    if shared and 1 < len({*sources}) < len(sources):
        scores.cluster(ERROR, sources)
    return scores


def figures(
    scores: ArmScores, arms: Sequence[str], learned: Mapping[Job, Learned], choices: bool
) -> list[Figure]:
    """What the page shows.

    Args:
        scores: of ``collected``.
        arms: in the order in which they are shown.
        learned: what came of pre-training.
        choices: whether an action is a choice.
    """
    names = dict.fromkeys(job.arm for job in learned)
    losses = {
        name: mean_curve([made.losses for job, made in learned.items() if job.arm == name]) for name in names
    }
    unit = "share of other actions" if choices else "mean squared error of held-out actions, lower is better"
    measured = [metric for metric in (SUCCESS, ERROR) if scores.arms(metric)]
    shown: list[Figure] = [scores.bars("Actions in the new task", (ERROR,), arms=arms, unit=unit)]
    if SUCCESS in measured:
        bars = scores.bars("Success in the new task", (SUCCESS,), arms=arms, unit="share of episodes")
        shown = [bars, *shown]
    note = "Objectives have other losses: compare one with itself alone."
    curves = Curves("Pre-training: loss", "step", "the objective's loss", losses, note=note)
    return [*shown, scores.table("All arms", measured, arms=arms), curves]
