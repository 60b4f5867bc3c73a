"""How an episode begins and is rewarded: dense reward, and two curricula that need an oracle."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from biddable.envs.forms import FormEnv
from biddable.envs.pages import PageEnv, dom_potential
from biddable.errors import InputError
from biddable.policies.web.features import Sizes, action_at

MASTERED = 0.8
"""Success rate of the latest episodes above which goal simulation takes one step more."""
RECENT = 100


class Curriculum:
    """Decides how each episode begins; the environments of a vector env share one.

    This base class is no curriculum: the empty page and the whole instruction.
    """

    def reset(self, env: Any, seed: int | None) -> dict[str, Any]:
        """The first observation of an episode."""
        return env.reset(seed=seed)[0]

    def on_episode_end(self, success: bool) -> None:
        """Called when an episode is done, with whether it succeeded."""

    def advance(self, fraction_done: float) -> None:
        """Called during training with the share of it that is done, from 0 to 1."""


@dataclass
class WarmStart(Curriculum):
    """An oracle takes each of its actions, except sending the form, with a probability before the episode.

    The probability falls linearly from ``initial_probability`` to 0 over the share ``fraction`` of training.

    Raises:
        InputError: ``initial_probability`` or ``fraction`` is not a number from 0 to 1.
    """

    initial_probability: float = 0.9
    fraction: float = 0.6
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("initial_probability", "fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(name, getattr(self, name), "a number from 0 to 1")
        self.probability = self.initial_probability
        self._rng = np.random.default_rng(self.seed)

    def reset(self, env: PageEnv, seed: int | None) -> dict[str, Any]:
        """See ``Curriculum``. The oracle's actions are no steps of the episode."""
        obs, _ = env.reset(seed=seed)
        for action in env.oracle()[:-1]:
            if self._rng.random() < self.probability:
                obs = env.step(action)[0]
        env.begin_here()
        return obs

    def advance(self, fraction_done: float) -> None:
        """See ``Curriculum``."""
        self.probability = (
            self.initial_probability * max(0.0, 1 - fraction_done / self.fraction) if self.fraction else 0.0
        )


class GoalSimulation(Curriculum):
    """Sub-instructions: the page that an oracle reaches in ``steps`` steps, and only the fields that it used.

    When more than ``MASTERED`` of the latest ``RECENT`` episodes succeeded, ``steps`` grows by 1.

    Attributes:
        steps: the oracle's steps now, at least 1.
    """

    def __init__(self, seed: int = 0):
        self.steps = 1
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self._rng = np.random.default_rng(seed)

    def reset(self, env: FormEnv, seed: int | None) -> dict[str, Any]:
        """See ``Curriculum``."""
        env.reset(seed=seed)
        actions, fields = env.oracle()[:-1], env.fields
        used = sorted(self._rng.permutation(len(fields))[: self.steps].tolist())
        for place in used:
            env.step(actions[place])
        reads = {element.ref: element.value for element in env.dom}
        goal = {actions[place].ref: reads[actions[place].ref] for place in used}
        options = {"fields": [fields[place] for place in used], "order": env.order, "goal": goal}
        return env.reset(options=options)[0]

    def on_episode_end(self, success: bool) -> None:
        """See ``Curriculum``."""
        self._recent.append(success)
        if len(self._recent) == RECENT and np.mean(self._recent) > MASTERED:
            self.steps += 1
            self._recent.clear()


class Practice:
    """A page for a learner: actions by number, a curriculum, and optionally potential-based reward.

    Dense reward adds gamma * potential(next page) - potential(page) to the reward of each step.

    Args:
        env: the page.
        sizes: of the page, which give actions their numbers.
        curriculum: see ``Curriculum``.
        gamma: the discount, for dense reward; None for sparse reward.
    """

    def __init__(self, env: PageEnv, sizes: Sizes, curriculum: Curriculum, gamma: float | None = None):
        self.env, self.sizes, self.curriculum, self.gamma = env, sizes, curriculum, gamma
        self._potential = 0.0

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """See ``gymnasium.Env``."""
        obs = self.curriculum.reset(self.env, seed)
        self._potential = self._measure()
        return obs, {"success": False}

    def step(self, place: int) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """See ``gymnasium.Env``."""
        action = action_at(place, self.env.dom, self.sizes)
        obs, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            self.curriculum.on_episode_end(info["success"])
        if self.gamma is not None:
            before, self._potential = self._potential, self._measure()
            reward += self.gamma * self._potential - before
        return obs, reward, terminated, truncated, info

    def _measure(self) -> float:
        """The potential; 0 for sparse reward, and where nothing has to be filled in."""
        wanted = self.gamma is not None and self.env.goal
        return dom_potential(self.env.dom, self.env.goal) if wanted else 0.0
