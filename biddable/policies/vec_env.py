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

from biddable.envs.base import five_of, succeeded, two_of
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
        success: share of the latest ``RECENT`` episodes that succeeded, of those of which the environment
            says whether they did; 0 where it never says.
        length: mean number of steps of these episodes.
        seconds: since the training began.
        episode_return: mean sum of rewards of these episodes, not discounted.
    """

    frames: int
    success: float
    length: float
    seconds: float
    episode_return: float = 0.0


Features = Callable[[dict[str, Any]], tuple[NDArray[Any], ...]]
"""Turns an observation into the network's inputs: arrays whose shapes do not change."""
Parts = tuple[NDArray[np.float32], ...]


class VecEnv:
    """Environments that step together; each is reset in the step that ends its episode.

    Reset within the step is what Stable-Baselines3's ``VecEnv`` does too: after a step that ended an episode,
    ``obs`` holds the first observation of the next one, and ``next_obs`` the last one of the episode, which a
    learner needs where it was truncated. An environment that raises in a step ends its episode there,
    truncated, with reward 0, where it last stood, and not counted among the latest; the others go on. One
    that raises when it is to begin again is asked once more: the episode before it stays what it was.

    Args:
        envs: Gymnasium environments; of ``info`` the ``success`` or ``is_success`` is read at the end of an
            episode, where there is one.
        features: see ``Features``.
        seed: the first episode of each environment is drawn from it, and all later ones follow.

    Raises:
        InputError: no environment, some whose features differ in shape, or that are none of Gymnasium's.
        BiddableError: an environment raised ``ATTEMPTS`` times in a row.

    Attributes:
        envs: the environments.
        obs: features of the current observations, float32 arrays [num_envs, ...], overwritten by each step.
        latest_episodes: (success or None, length, sum of rewards) of the latest ``RECENT`` episodes.
    """

    def __init__(self, envs: Sequence[Any], features: Features, seed: int):
        self.envs, self._features = envs, features
        count = len(envs)
        if not count:
            raise InputError("envs", "none", "at least one environment")
        self._lengths, self._broken = np.zeros(count, dtype=int), np.zeros(count, dtype=int)
        self._returns = np.zeros(count)
        seeds = np.random.SeedSequence(seed).generate_state(count)
        first_obs = [features(self._first(i, int(s))) for i, s in enumerate(seeds)]
        self.obs: Parts = tuple(np.empty((count, *np.shape(part)), dtype=np.float32) for part in first_obs[0])
        for i, parts in enumerate(first_obs):
            self._write(i, parts)
        self._check_finite(self.obs)
        self._last: dict[int, Parts] = {}
        self.latest_episodes: deque[tuple[bool | None, int, float]] = deque(maxlen=RECENT)
        self._means = (0.0, 0.0, 0.0)

    @property
    def num_envs(self) -> int:
        """Number of environments."""
        return len(self.envs)

    @property
    def next_obs(self) -> Parts:
        """Features of what followed the latest actions: ``obs``, or the last of an episode that ended."""
        if not self._last:
            return self.obs
        whole = tuple(part.copy() for part in self.obs)
        for i, parts in self._last.items():
            for store, part in zip(whole, parts, strict=True):
                store[i] = part
        return whole

    def step(self, actions: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Take an action in each environment; ``obs`` and ``next_obs`` then hold what follows.

        Args:
            actions: [num_envs] of integers, or [num_envs, action size].

        Returns:
            rewards [num_envs]; terminated [num_envs]: nothing can follow; truncated [num_envs]: the episode
            was cut off, and its last observation is worth what would have followed.

        Raises:
            InputError: an observation of another shape than before, or a number in it or a reward that is
                none.
            BiddableError: an environment raised ``ATTEMPTS`` times in a row.
        """
        rewards = np.empty(len(actions), dtype=np.float32)
        terminated, truncated = (np.zeros(len(actions), dtype=bool) for _ in range(2))
        self._lengths += 1
        self._last = {}
        for i, (env, action) in enumerate(zip(self.envs, _single_actions(actions), strict=True)):
            try:
                obs, rewards[i], terminated[i], truncated[i], info = five_of(env.step(action))
            except BiddableError:
                raise
            except Exception as error:  # whatever a simulator raises
                self._last[i] = tuple(part[i].copy() for part in self.obs)
                rewards[i], terminated[i], truncated[i] = 0.0, False, True
                obs = self._restart(i, error)
            else:
                self._broken[i] = 0
                self._returns[i] += rewards[i]
                if terminated[i] or truncated[i]:
                    self._last[i] = self._checked(self._features(obs))
                    self._note(i, info)
                    obs = self._first(i, None)
            self._write(i, self._features(obs))
        if not np.isfinite(rewards).all():
            raise InputError("reward", rewards[~np.isfinite(rewards)][0], "a number")
        self._check_finite(self.obs)
        if self._last and self.latest_episodes:
            self._means = self._recent()
        # What terminated is not cut off as well: nothing can follow it.
        return rewards, terminated, truncated & ~terminated

    def _note(self, i: int, info: dict[str, Any]) -> None:
        """Count an episode that has ended."""
        self.latest_episodes.append((succeeded(info), int(self._lengths[i]), float(self._returns[i])))
        self._lengths[i], self._returns[i] = 0, 0.0

    def _recent(self) -> tuple[float, float, float]:
        """Means over the latest episodes: success, length, sum of rewards."""
        successes, lengths, returns = zip(*self.latest_episodes, strict=True)
        known = [success for success in successes if success is not None]
        return float(np.mean(known)) if known else 0.0, float(np.mean(lengths)), float(np.mean(returns))

    def _checked(self, parts: Sequence[NDArray[Any]]) -> Parts:
        for store, part in zip(self.obs, parts, strict=True):
            if np.shape(part) != store.shape[1:]:
                raise InputError("features", np.shape(part), f"the shape {store.shape[1:]}, as before")
        last = tuple(np.array(part, dtype=np.float32) for part in parts)
        self._check_finite(last)
        return last

    def _check_finite(self, parts: Parts) -> None:
        """A network may swallow a number that is none, and learn from it without a word."""
        if not all(np.isfinite(part).all() for part in parts):
            raise InputError("observation", "a number that is not finite", "finite numbers")

    def _write(self, i: int, parts: Sequence[NDArray[Any]]) -> None:
        for store, part in zip(self.obs, parts, strict=True):
            if np.shape(part) != store.shape[1:]:
                raise InputError("features", np.shape(part), f"the shape {store.shape[1:]}, as before")
            store[i] = part

    def _first(self, i: int, seed: int | None) -> dict[str, Any]:
        """Begin an episode; without a seed one that follows from those before."""
        try:
            return two_of(self.envs[i].reset(**({} if seed is None else {"seed": seed})))[0]
        except BiddableError:
            raise
        except Exception as error:  # whatever a simulator raises
            return self._restart(i, error)

    def _restart(self, i: int, error: Exception) -> dict[str, Any]:
        """Reset an environment that raised; returns the first observation of the new episode."""
        self._lengths[i], self._returns[i] = 0, 0.0
        while True:
            self._broken[i] += 1
            what = said(error)
            if self._broken[i] == ATTEMPTS:
                problem = f"the environment broke {ATTEMPTS} times in a row, at last with {what}"
                raise BiddableError(problem) from error
            _log.warning("the environment broke, another episode is begun: %s", what)
            try:
                return two_of(self.envs[i].reset())[0]
            except BiddableError:
                raise
            except Exception as reset_error:
                error = reset_error

    def progress(self, frames: int, start: float) -> Progress:
        """The progress of a training that began at ``start`` (of ``time.perf_counter``)."""
        success, length, total = self._means
        return Progress(frames, success, length, time.perf_counter() - start, total)


def _single_actions(actions: NDArray[Any]) -> Sequence[Any]:
    """One action for each environment: integers, or vectors."""
    return actions.tolist() if actions.ndim == 1 else list(actions)
