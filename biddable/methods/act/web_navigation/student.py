"""One network: DQN on pages under a curriculum, tried out on whole instructions."""

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
from biddable.policies.lanes import Lanes, Progress

CURVE_POINTS = 20
CURVE_CASES = 20
SIZES = Sizes(elements=48, fields=7)


class Navigator:
    """A network as a policy: the best action on each page."""

    def __init__(self, network: QWeb, sizes: Sizes = SIZES):
        self.network, self.sizes = network, sizes

    @classmethod
    def load(cls, path: str | Path, *, shallow: bool = True) -> Navigator:
        """The policy of a weights file."""
        network = QWeb(shallow=shallow)
        network.load_state_dict(load_file(path))
        return cls(network)

    def act(self, observations: Sequence[dict[str, Any]]) -> list[WebAction]:
        """See ``Policy.act``. Elements beyond what the network takes are not seen."""
        seen = [featurize(one, self.sizes, truncate=True) for one in observations]
        places = greedy(self.network, tuple(np.stack(parts) for parts in zip(*seen, strict=True)))
        return [
            action_at(place, one["dom"], self.sizes)
            for place, one in zip(places.tolist(), observations, strict=True)
        ]


def train_students(folder: Path, jobs: list[Job]) -> list[Outcome]:
    """One after another; a function that a worker process can be sent. Weights are left in ``folder``."""
    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    return [train_student(job, folder) for job in jobs]


def train_student(job: Job, folder: Path) -> Outcome:
    """Train and try out."""
    curriculum, config = _curriculum(job), DQNConfig(**job.dqn)
    gamma = config.gamma if job.arm.dense else None
    envs = [Practice(make_env(_page(job, i)), SIZES, curriculum, gamma) for i in range(job.envs)]
    torch.manual_seed(job.draw)
    network = QWeb(shallow=job.arm.shallow)
    lanes = Lanes(envs, partial(featurize, sizes=SIZES), job.draw)
    curve, every = [(0, 0.0)], max(1, job.frames // CURVE_POINTS)
    trial = [make_env(_page(job, i)) for i in range(job.envs)]

    def note(progress: Progress) -> None:
        curriculum.advance(progress.frames / job.frames)
        if progress.frames >= curve[-1][0] + every:
            found = rollouts(trial, Navigator(network), range(CURVE_CASES))
            curve.append((progress.frames, float(successes(found).mean())))

    DQN(network, lanes, config, job.draw).train(job.frames, note)
    reached = [frames for frames, success in curve if success >= job.threshold]
    cases = range(TEST_SEED, TEST_SEED + job.cases)
    unseen = [make_env(_page(job, i), split="held-out") for i in range(job.envs)]
    weights = f"{job.arm.name.replace(' ', '-')}-{job.seed}.safetensors"
    save_file(network.state_dict(), folder / weights)
    return Outcome(
        arm=job.arm.name,
        seed=job.seed,
        frames=reached[0] if reached else job.frames,
        reached=bool(reached),
        curve=curve,
        success=successes(rollouts(unseen, Navigator(network), cases)).tolist(),
        seen_success=successes(rollouts(trial, Navigator(network), cases)).tolist(),
        weights=weights,
        inet=_inet_metrics(curriculum, job),
    )


def _page(job: Job, lane: int) -> str:
    return job.arm.pages[lane % len(job.arm.pages)]


def _curriculum(job: Job) -> Curriculum:
    match job.arm.curriculum:
        case "warm start":
            return WarmStart(*job.warm_start, seed=job.draw)
        case "goal simulation":
            return GoalSimulation(job.draw)
        case "meta-trainer":
            env = make_env(job.arm.pages[0], seed=job.draw)
            inet = INET(SIZES, job.draw)
            inet.train(env, INETConfig(updates=job.inet_updates))
            return MetaTrainer(inet, env.all_values(), job.draw)
    return Curriculum()


def _inet_metrics(curriculum: Curriculum, job: Job) -> list[float]:
    """Right fields, right instructions, on values never seen; instructions refused while practising."""
    if not isinstance(curriculum, MetaTrainer):
        return []
    env = make_env(job.arm.pages[0], seed=TEST_SEED, split="held-out")
    return [*curriculum.inet.accuracy(env, job.cases), curriculum.refused / max(1, curriculum.drawn)]
