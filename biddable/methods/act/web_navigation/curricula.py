"""How an episode begins, and what is paid on the way: dense reward and two curricula that need an oracle."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from biddable.envs.forms import FormEnv
from biddable.envs.pages import PageEnv, dom_potential
from biddable.errors import InputError
from biddable.methods.act.web_navigation.features import Sizes, action_at

MASTERED = 0.8
"""Success of the latest episodes at which the next step of a curriculum begins."""
RECENT = 100


class Curriculum:
    """Decides how each episode begins; environments side by side share one.

    This one is none: the empty page and the whole instruction.
    """

    def reset(self, env: Any, seed: int | None) -> dict[str, Any]:
        """The first observation of an episode."""
        return env.reset(seed=seed)[0]

    def ended(self, success: bool) -> None:
        """An episode is over."""

    def advance(self, share: float) -> None:
        """So much of the training has passed, from 0 to 1."""


@dataclass
class WarmStart(Curriculum):
    """An oracle does a part of the work first: each of its actions, but for sending, with a probability.

    That falls in a line from ``most`` to 0 over the share ``over`` of the training.

    Raises:
        InputError: ``most`` or ``over`` is not a number from 0 to 1.
    """

    most: float = 0.9
    over: float = 0.6
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("most", "over"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(name, getattr(self, name), "a number from 0 to 1")
        self.probability = self.most
        self._rng = np.random.default_rng(self.seed)

    def reset(self, env: PageEnv, seed: int | None) -> dict[str, Any]:
        """See ``Curriculum``. What the oracle does is no step of the episode."""
        seen, _ = env.reset(seed=seed)
        for action in env.oracle()[:-1]:
            if self._rng.random() < self.probability:
                seen = env.step(action)[0]
        env.begin_here()
        return seen

    def advance(self, share: float) -> None:
        """See ``Curriculum``."""
        self.probability = self.most * max(0.0, 1 - share / self.over) if self.over else 0.0


class GoalSimulation(Curriculum):
    """Sub-instructions: where an oracle came to in a few steps, and only the fields that it used.

    The steps are one more whenever most of the latest episodes succeeded.

    Attributes:
        steps: how many the oracle takes now, at least 1.
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

    def ended(self, success: bool) -> None:
        """See ``Curriculum``."""
        self._recent.append(success)
        if len(self._recent) == RECENT and np.mean(self._recent) > MASTERED:
            self.steps += 1
            self._recent.clear()


class Practice:
    """A page for a learner: actions by number, a curriculum, and reward by potential where it is dense.

    Then a step also earns ``gamma`` times the potential after it, less the potential before it.

    Args:
        env: the page.
        sizes: what numbers of actions mean.
        curriculum: see ``Curriculum``.
        gamma: the discount; None for sparse reward.
    """

    def __init__(self, env: PageEnv, sizes: Sizes, curriculum: Curriculum, gamma: float | None = None):
        self.env, self.sizes, self.curriculum, self.gamma = env, sizes, curriculum, gamma
        self._potential = 0.0

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """As Gymnasium's."""
        seen = self.curriculum.reset(self.env, seed)
        self._potential = self._measure()
        return seen, {"success": False}

    def step(self, place: int) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """As Gymnasium's."""
        action = action_at(place, self.env.dom, self.sizes)
        seen, reward, ended, cut, info = self.env.step(action)
        if ended or cut:
            self.curriculum.ended(info["success"])
        if self.gamma is not None:
            before, self._potential = self._potential, self._measure()
            reward += self.gamma * self._potential - before
        return seen, reward, ended, cut, info

    def _measure(self) -> float:
        """The potential; 0 where nothing has to be filled in."""
        wanted = self.gamma is not None and self.env.goal
        return dom_potential(self.env.dom, self.env.goal) if wanted else 0.0
