"""Training of a network: DQN on pages under a curriculum, scored on whole instructions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from biddable.envs.base import make_env
from biddable.envs.web import WebAction
from biddable.methods.act.web_navigation.curricula import (
    Curriculum,
    GoalSimulation,
    Practice,
    WarmStart,
)
from biddable.methods.act.web_navigation.features import Sizes, action_at, featurize
from biddable.methods.act.web_navigation.inet import INET, INETConfig, MetaTrainer
from biddable.methods.act.web_navigation.jobs import TEST_SEED, Job, Outcome
from biddable.methods.act.web_navigation.qweb import QWeb
from biddable.policies.base import rollouts, successes
from biddable.policies.dqn import DQN, DQNConfig, greedy
from biddable.policies.vec_env import Progress, VecEnv

CURVE_POINTS = 20
CURVE_CASES = 20
SIZES = Sizes(elements=48, fields=7)


class Navigator:
    """A network as a policy: the action with the highest value on each page."""

    def __init__(self, network: QWeb, sizes: Sizes = SIZES):
        self.network, self.sizes = network, sizes

    @classmethod
    def load(cls, path: str | Path, *, shallow: bool = True) -> Navigator:
        """The policy of a weights file."""
        network = QWeb(shallow=shallow)
        network.load_state_dict(load_file(path))
        return cls(network)

    def act(self, observations: Sequence[dict[str, Any]]) -> list[WebAction]:
        """See ``Policy.act``. Elements and fields beyond ``sizes`` are left out."""
        inputs = [featurize(obs, self.sizes, truncate=True) for obs in observations]
        places = greedy(self.network, tuple(np.stack(parts) for parts in zip(*inputs, strict=True)))
        return [
            action_at(place, obs["dom"], self.sizes)
            for place, obs in zip(places.tolist(), observations, strict=True)
        ]


def train_students(folder: Path, jobs: list[Job]) -> list[Outcome]:
    """Train networks one after another, in a worker process. Weights are written to ``folder``."""
    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    return [train_student(job, folder) for job in jobs]


def train_student(job: Job, folder: Path) -> Outcome:
    """Train a network, then score it on values of the training and on held-out ones."""
    curriculum, config = _curriculum(job), DQNConfig(**job.dqn)
    gamma = config.gamma if job.arm.dense else None
    pages = [Practice(make_env(_page(job, i)), SIZES, curriculum, gamma) for i in range(job.num_envs)]
    torch.manual_seed(job.rng_seed)
    network = QWeb(shallow=job.arm.shallow)
    envs = VecEnv(pages, partial(featurize, sizes=SIZES), job.rng_seed)
    curve, curve_every = [(0, 0.0)], max(1, job.frames // CURVE_POINTS)
    train_pages = [make_env(_page(job, i)) for i in range(job.num_envs)]

    def note(progress: Progress) -> None:
        curriculum.advance(progress.frames / job.frames)
        if progress.frames >= curve[-1][0] + curve_every:
            episodes = rollouts(train_pages, Navigator(network), range(CURVE_CASES))
            curve.append((progress.frames, float(successes(episodes).mean())))

    DQN(network, envs, config, job.rng_seed).train(job.frames, note)
    reached = [frames for frames, success in curve if success >= job.threshold]
    cases = range(TEST_SEED, TEST_SEED + job.cases)
    test_pages = [make_env(_page(job, i), split="held-out") for i in range(job.num_envs)]
    weights = f"{job.arm.name.replace(' ', '-')}-{job.seed}.safetensors"
    save_file(network.state_dict(), folder / weights)
    return Outcome(
        arm=job.arm.name,
        seed=job.seed,
        frames=reached[0] if reached else job.frames,
        reached=bool(reached),
        curve=curve,
        success=successes(rollouts(test_pages, Navigator(network), cases)).tolist(),
        train_success=successes(rollouts(train_pages, Navigator(network), cases)).tolist(),
        weights=weights,
        inet=_inet_metrics(curriculum, job),
    )


def _page(job: Job, index: int) -> str:
    return job.arm.pages[index % len(job.arm.pages)]


def _curriculum(job: Job) -> Curriculum:
    match job.arm.curriculum:
        case "warm start":
            return WarmStart(*job.warm_start, seed=job.rng_seed)
        case "goal simulation":
            return GoalSimulation(job.rng_seed)
        case "meta-trainer":
            env = make_env(job.arm.pages[0], seed=job.rng_seed)
            inet = INET(SIZES, job.rng_seed)
            inet.train(env, INETConfig(updates=job.inet_updates))
            return MetaTrainer(inet, env.all_values(), job.rng_seed)
    return Curriculum()


def _inet_metrics(curriculum: Curriculum, job: Job) -> list[float]:
    """Shares of right fields and right instructions, on held-out values, and of instructions refused."""
    if not isinstance(curriculum, MetaTrainer):
        return []
    env = make_env(job.arm.pages[0], seed=TEST_SEED, split="held-out")
    return [*curriculum.inet.accuracy(env, job.cases), curriculum.refused / max(1, curriculum.drawn)]
