"""Students of a teacher of subgoals: PPO on a level; frames to success, and success without the teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from biddable.envs.base import make_env
from biddable.experiments.beacon_jobs import TEST_SEED, Job, Outcome
from biddable.policies.base import rollouts, successes
from biddable.policies.networks import GridActorCritic
from biddable.policies.ppo import PPO, PPOConfig
from biddable.policies.subgoal_env import SubgoalEnv
from biddable.policies.teachers import OracleTeacher, SurrogateTeacher, Teacher
from biddable.policies.vec_env import RECENT, Progress, VecEnv

CURVE_POINTS = 40


class Student:
    """A trained network as a policy that draws its actions."""

    def __init__(self, network: GridActorCritic, seed: int):
        self._network = network.eval()
        self._generator = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def act(self, observations: Sequence[dict[str, Any]]) -> list[int]:
        """See ``Policy.act``."""
        parts = zip(*map(features, observations), strict=True)
        logits, _ = self._network(*(Tensor(np.stack(part)) for part in parts))
        return torch.multinomial(logits.softmax(-1), 1, generator=self._generator)[:, 0].tolist()


def features(obs: dict[str, Any]) -> tuple[NDArray[Any], ...]:
    """The network's inputs of an observation: the image and the subgoal."""
    return obs["image"], obs["subgoal"]


def train_students(folder: Path, jobs: list[Job]) -> list[Outcome]:
    """Train students one after another, in a worker process. Weights are written to ``folder``."""
    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    outcomes = []
    for job in jobs:
        outcome, network = train_student(job)
        save_file(network.state_dict(), folder / _weights(job))
        outcomes.append(outcome)
    return outcomes


def load_student(job: Job, folder: Path, env: SubgoalEnv, seed: int) -> Student:
    """The trained student of a job, for ``env``; ``seed`` decides the actions it draws."""
    network = GridActorCritic(env.width, env.actions)
    network.load_state_dict(load_file(folder / _weights(job)))
    return Student(network, seed)


def _weights(job: Job) -> str:
    return f"{job.arm.name.replace(' ', '-')}-{job.seed}.safetensors"


def train_student(job: Job) -> tuple[Outcome, GridActorCritic]:
    """Train a student, then score it with its teacher and without."""
    num_envs = job.ppo["num_envs"]
    levels = [make_student_env(job, index) for index in range(num_envs)]
    torch.manual_seed(job.seed)
    network = GridActorCritic(levels[0].width, levels[0].actions)
    envs = VecEnv(levels, features, job.seed)
    curve: list[tuple[int, float]] = []
    reached: list[int] = []

    def note(progress: Progress) -> None:
        curve.append((progress.frames, progress.success))
        if not reached and len(envs.latest_episodes) == RECENT and progress.success >= job.threshold:
            reached.append(progress.frames)

    PPO(network, envs, PPOConfig(**job.ppo), job.seed).train(job.frames, note)
    every = max(1, len(curve) // CURVE_POINTS)
    outcome = Outcome(
        arm=job.arm.name,
        seed=job.seed,
        frames=reached[0] if reached else job.frames,
        reached=bool(reached),
        curve=curve[::every],
        with_teacher=_evaluate(network, levels, job),
        alone=_evaluate(network, [make_student_env(job, i, alone=True) for i in range(num_envs)], job),
    )
    return outcome, network


def make_student_env(job: Job, index: int, *, alone: bool = False) -> SubgoalEnv:
    """The level of the environment at ``index`` in a vector env; ``alone`` without a teacher."""
    pool: Mapping[str, NDArray[np.float32]] = {
        kind: np.array(vector, dtype=np.float32) for kind, vector in job.pool.items()
    }
    return SubgoalEnv(
        make_env(f"minigrid:{job.level}"),
        None if alone else _teacher(job, index),
        job.arm.encoding,
        alpha=job.arm.alpha,
        shown=job.arm.shown,
        pool=pool,
    )


def _teacher(job: Job, index: int) -> Teacher | None:
    arm = job.arm
    if not arm.accuracy:
        return None
    if set(arm.accuracy) == {1.0}:
        return OracleTeacher()
    seed = int(np.random.SeedSequence([job.seed, index]).generate_state(1)[0])
    return SurrogateTeacher(arm.accuracy, arm.encoding, arm.mean, arm.std, seed)


def _evaluate(network: GridActorCritic, envs: Sequence[SubgoalEnv], job: Job) -> list[float]:
    """Success in each test case, 0 or 1; the levels are the same for every arm and seed."""
    episodes = rollouts(envs, Student(network, job.seed), range(TEST_SEED, TEST_SEED + job.cases))
    return successes(episodes).tolist()
