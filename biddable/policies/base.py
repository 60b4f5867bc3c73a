"""What acts, and how it is tried out: all of its environments side by side, one batch a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from biddable.types import Episode, Step


@runtime_checkable
class Policy(Protocol):
    """Whatever chooses actions."""

    def act(self, observations: Sequence[dict[str, Any]]) -> Sequence[Any]:
        """One action for each observation; its ``instruction`` says what to do."""


def rollouts(envs: Sequence[Any], policy: Policy, seeds: Sequence[int]) -> list[Episode]:
    """One episode for each seed, in order, as many at a time as there are environments.

    Args:
        envs: Gymnasium environments of one kind.
        policy: asked once a step, for all environments together.
        seeds: which episodes; the same seed gives the same start.

    Returns:
        the episodes; ``meta`` holds the seed, and what the last ``info`` said.
    """
    episodes: list[Episode | None] = [None] * len(seeds)
    waiting = iter(range(len(seeds)))
    running = {env: _Attempt(index, env, seeds[index]) for env, index in zip(envs, waiting, strict=False)}
    while running:
        actions = policy.act([attempt.seen for attempt in running.values()])
        for (env, attempt), action in zip(list(running.items()), actions, strict=True):
            if attempt.step(action):
                episodes[attempt.index] = attempt.episode()
                following = next(waiting, None)
                if following is None:
                    del running[env]
                else:
                    running[env] = _Attempt(following, env, seeds[following])
    return [episode for episode in episodes if episode is not None]


def successes(episodes: Sequence[Episode]) -> NDArray[np.float64]:
    """[episodes] 1 where the instruction was followed."""
    return np.array([float(episode.success) for episode in episodes])


class _Attempt:
    def __init__(self, index: int, env: Any, seed: int):
        self.index, self.env, self.seed = index, env, seed
        self.seen, self.info = env.reset(seed=seed)
        self.instruction = str(self.seen["instruction"])
        self.steps: list[Step] = []

    def step(self, action: Any) -> bool:
        """Whether that was the last."""
        before = self.seen
        self.seen, reward, ended, cut, self.info = self.env.step(action)
        self.steps.append(Step(before, action, float(reward)))
        return bool(ended or cut)

    def episode(self) -> Episode:
        success = bool(self.info.get("success", False))
        return Episode(self.instruction, tuple(self.steps), success, {"seed": self.seed, **self.info})


Demonstrator = Callable[[dict[str, Any]], Any]


class Scripted:
    """A policy that asks a function for the action of each observation."""

    def __init__(self, demonstrator: Demonstrator):
        self._demonstrator = demonstrator

    def act(self, observations: Sequence[dict[str, Any]]) -> list[Any]:
        """See ``Policy.act``."""
        return [self._demonstrator(observation) for observation in observations]
