"""A vector environment for learners: several environments step together, observations stand in arrays."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biddable.errors import BiddableError, InputError, said

RECENT = 100
"""Episodes over which success is averaged while training."""


ATTEMPTS = 3
"""Failures of an environment in a row after which it is given up."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training has come.

    Attributes:
        frames: environment steps so far.
        success: share of the latest ``RECENT`` episodes that succeeded.
        length: mean number of steps of these episodes.
        seconds: since the training began.
    """

    frames: int
    success: float
    length: float
    seconds: float


Features = Callable[[dict[str, Any]], tuple[NDArray[Any], ...]]
"""Turns an observation into the network's inputs: arrays whose shapes do not change."""


class VecEnv:
    """Environments that step together; each is reset in the step that ends its episode.

    Reset within the step is what Stable-Baselines3's ``VecEnv`` does too: after a step with ``done``, ``obs``
    holds the first observation of the next episode. An environment that raises ends its episode there, with
    reward 0 and not counted among the latest; the others go on.

    Args:
        envs: Gymnasium environments; ``info["success"]`` is read at the end of an episode.
        features: see ``Features``.
        seed: the first episode of each environment is drawn from it, and all later ones follow.

    Raises:
        InputError: environments whose features differ in shape.

    Attributes:
        envs: the environments.
        obs: features of the current observations, float32 arrays [num_envs, ...], overwritten by each step.
        latest_episodes: (success, length) of the latest ``RECENT`` episodes.
    """

    def __init__(self, envs: Sequence[Any], features: Features, seed: int):
        self.envs, self._features = envs, features
        seeds = np.random.SeedSequence(seed).generate_state(len(envs))
        first_obs = [features(env.reset(seed=int(s))[0]) for env, s in zip(envs, seeds, strict=True)]
        self.obs = tuple(np.empty((len(envs), *np.shape(part)), dtype=np.float32) for part in first_obs[0])
        for i, parts in enumerate(first_obs):
            self._write(i, parts)
        self._lengths = np.zeros(len(envs), dtype=int)
        self._broken = np.zeros(len(envs), dtype=int)
        self.latest_episodes: deque[tuple[bool, int]] = deque(maxlen=RECENT)
        self._means = (0.0, 0.0)

    @property
    def num_envs(self) -> int:
        """Number of environments."""
        return len(self.envs)

    def step(self, actions: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Take an action in each environment; ``obs`` then holds what follows.

        Args:
            actions: [num_envs].

        Returns:
            rewards [num_envs], and done [num_envs]: whether the episode terminated or was truncated.

        Raises:
            InputError: an observation of another shape than before, or a reward that is no number.
            BiddableError: an environment raised ``ATTEMPTS`` times in a row.
        """
        rewards, done = np.empty(len(actions), dtype=np.float32), np.empty(len(actions), dtype=bool)
        self._lengths += 1
        for i, (env, action) in enumerate(zip(self.envs, actions.tolist(), strict=True)):
            try:
                obs, rewards[i], terminated, truncated, info = env.step(action)
                done[i] = terminated or truncated
                if done[i]:
                    self.latest_episodes.append((bool(info["success"]), int(self._lengths[i])))
                    self._lengths[i] = 0
                    obs, _ = env.reset()
                self._broken[i] = 0
            except BiddableError:
                raise
            except Exception as error:  # whatever a simulator raises
                obs, rewards[i], done[i] = self._restart(i, error), 0.0, True
            self._write(i, self._features(obs))
        if not np.isfinite(rewards).all():
            raise InputError("reward", rewards[~np.isfinite(rewards)][0], "a number")
        if done.any() and self.latest_episodes:
            self._means = tuple(np.mean(self.latest_episodes, axis=0).tolist())
        return rewards, done

    def _write(self, i: int, parts: Sequence[NDArray[Any]]) -> None:
        for store, part in zip(self.obs, parts, strict=True):
            if np.shape(part) != store.shape[1:]:
                raise InputError("features", np.shape(part), f"the shape {store.shape[1:]}, as before")
            store[i] = part

    def _restart(self, i: int, error: Exception) -> dict[str, Any]:
        """Reset an environment that raised; returns the first observation of the new episode."""
        self._lengths[i] = 0
        while True:
            self._broken[i] += 1
            what = said(error)
            if self._broken[i] == ATTEMPTS:
                problem = f"the environment broke {ATTEMPTS} times in a row, at last with {what}"
                raise BiddableError(problem) from error
            _log.warning("the environment broke, another episode is begun: %s", what)
            try:
                return self.envs[i].reset()[0]
            except BiddableError:
                raise
            except Exception as reset_error:
                error = reset_error

    def progress(self, frames: int, start: float) -> Progress:
        """The progress of a training that began at ``start`` (of ``time.perf_counter``)."""
        return Progress(frames, *self._means, time.perf_counter() - start)
