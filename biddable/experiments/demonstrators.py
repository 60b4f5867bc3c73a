"""Scripted demonstrators: each goes to the goal in its style, with noise on its actions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from biddable.envs.reach2d import STEP, Reach2DEnv
from biddable.experiments.demonstrator_styles import Style
from biddable.policies.base import Demonstrator, ScriptedPolicy, rollouts
from biddable.policies.compatibility import Demonstration

CLOSE = 0.05
TRIES = 20


def scripted_demonstrator(style: Style) -> Demonstrator:
    """The demonstrator of a style, without noise: observation -> action."""

    def act(observation: Mapping[str, np.ndarray]) -> np.ndarray:
        x, y, goal_x, goal_y = observation["state"][:4]
        left = np.array([goal_x - x, goal_y - y])
        if style == "straight":
            return left / max(STEP, float(np.linalg.norm(left)))
        first, second = (1, 0) if style == "up-right" else (0, 1)
        axis = first if abs(left[first]) > CLOSE else second
        move = np.zeros(2)
        move[axis] = np.clip(left[axis] / STEP, -1, 1)
        return move

    return act


def demonstrate(env: Reach2DEnv, style: Style, rng: np.random.Generator, *, noise: float) -> Demonstration:
    """A demonstration that succeeds; after a failure, another start is tried.

    Raises:
        RuntimeError: ``TRIES`` in a row failed, so that the style does not suit the task.
    """
    act = scripted_demonstrator(style)
    policy = ScriptedPolicy(lambda obs: np.clip(act(obs) + rng.normal(0, noise, 2), -1, 1))
    for _ in range(TRIES):
        (episode,) = rollouts([env], policy, [int(rng.integers(2**31))])
        if episode.success:
            states = episode.observations["state"][:-1]  # the last one is followed by no action
            return Demonstration(states, episode.actions.astype(np.float32), True, style)
    raise RuntimeError(f"{style} failed {TRIES} times in a row")
