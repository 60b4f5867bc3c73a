"""The trained policy, and one that acts at random, on MiniWoB++ in a real browser."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from biddable.envs.miniwob import MiniWoBEnv
from biddable.envs.web import WebAction
from biddable.methods.act.web_navigation.features import Sizes, action_at, featurize
from biddable.methods.act.web_navigation.student import SIZES, Navigator
from biddable.policies.base import Policy, rollouts, successes
from biddable.policies.replays import clip
from biddable.runs.figures import Clip

MOST_STEPS = 12
FIRST_SEED = 50_000


@dataclass(frozen=True, slots=True)
class Trial:
    """A policy on a task: the weights' file in the folder, or none to act at random."""

    task: str
    weights: str
    seed: int
    cases: int


class AtRandom:
    """Any action that the policy could choose, as a learner does that explores."""

    def __init__(self, seed: int, sizes: Sizes = SIZES):
        self._rng, self._sizes = np.random.default_rng(seed), sizes

    def act(self, observations: Sequence[dict[str, Any]]) -> list[WebAction]:
        """See ``Policy.act``."""
        masks = [featurize(one, self._sizes, truncate=True)[-1] for one in observations]
        return [
            action_at(int(self._rng.choice(len(mask), p=mask / mask.sum())), one["dom"], self._sizes)
            for mask, one in zip(masks, observations, strict=True)
        ]


def try_in_browser(folder: Path, trials: list[Trial]) -> list[list[float]]:
    """1 for each success, case by case; every trial of a task has the same cases."""
    found = []
    for trial in trials:
        seeds = range(FIRST_SEED, FIRST_SEED + trial.cases)
        with closing(MiniWoBEnv(trial.task, max_steps=MOST_STEPS)) as env:
            found.append(successes(rollouts([env], _policy(folder, trial), seeds)).tolist())
    return found


def clips(folder: Path, weights: str, tasks: Sequence[str]) -> list[Clip]:
    """The policy at work in the browser, an episode of each task."""
    policy, made = Navigator.load(folder / weights), []
    for task in tasks:
        with closing(MiniWoBEnv(task, max_steps=MOST_STEPS, screenshots=True)) as env:
            made.append(clip(env, policy, FIRST_SEED, task))
    return made


def _policy(folder: Path, trial: Trial) -> Policy:
    return Navigator.load(folder / trial.weights) if trial.weights else AtRandom(trial.seed)
