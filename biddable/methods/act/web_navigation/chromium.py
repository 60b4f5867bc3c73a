"""Scores of the trained policy and of a random one on MiniWoB++ in a real browser."""

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

MAX_STEPS = 12
FIRST_SEED = 50_000


@dataclass(frozen=True, slots=True)
class Trial:
    """A policy on a task; ``weights`` is a file's name, or empty for the random policy."""

    task: str
    weights: str
    seed: int
    cases: int


class RandomPolicy:
    """Draws among the actions that can be taken, with the mask's weights, as a learner explores."""

    def __init__(self, seed: int, sizes: Sizes = SIZES):
        self._rng, self._sizes = np.random.default_rng(seed), sizes

    def act(self, observations: Sequence[dict[str, Any]]) -> list[WebAction]:
        """See ``Policy.act``."""
        masks = [featurize(obs, self._sizes, truncate=True)[-1] for obs in observations]
        return [
            action_at(int(self._rng.choice(len(mask), p=mask / mask.sum())), obs["dom"], self._sizes)
            for mask, obs in zip(masks, observations, strict=True)
        ]


def evaluate_in_browser(folder: Path, trials: list[Trial]) -> list[list[float]]:
    """Success in each case, 0 or 1, for each trial; every trial of a task has the same cases."""
    scores = []
    for trial in trials:
        seeds = range(FIRST_SEED, FIRST_SEED + trial.cases)
        with closing(MiniWoBEnv(trial.task, max_steps=MAX_STEPS)) as env:
            scores.append(successes(rollouts([env], _policy(folder, trial), seeds)).tolist())
    return scores


def clips(folder: Path, weights: str, tasks: Sequence[str]) -> list[Clip]:
    """Clips of the policy in the browser, an episode of each task."""
    policy, recorded = Navigator.load(folder / weights), []
    for task in tasks:
        with closing(MiniWoBEnv(task, max_steps=MAX_STEPS, screenshots=True)) as env:
            recorded.append(clip(env, policy, FIRST_SEED, task))
    return recorded


def _policy(folder: Path, trial: Trial) -> Policy:
    return Navigator.load(folder / trial.weights) if trial.weights else RandomPolicy(trial.seed)
