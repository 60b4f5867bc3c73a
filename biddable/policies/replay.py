"""A replay buffer, drawn from uniformly or by priority (Schaul et al., ICLR 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError

BLOCK = 32


class SumTree:
    """Numbers from which places are drawn in proportion; changes and draws are vectorised.

    It has two levels, the numbers and the sums of blocks of 32: a search is a cumulative sum over the sums
    and one over a block, with fewer calls into numpy than a binary tree's levels need.

    Args:
        capacity: how many numbers, at least 1.
    """

    def __init__(self, capacity: int):
        if capacity < 1:
            raise InputError("capacity", capacity, "an integer of at least 1")
        self._blocks = np.zeros((-(-capacity // BLOCK), BLOCK))
        self._leaves = self._blocks.reshape(-1)
        self._sums = np.zeros(len(self._blocks))

    @property
    def total(self) -> float:
        """The sum of all."""
        return float(self._sums.sum())

    def __getitem__(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._leaves[places]

    def set(self, places: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Change the numbers at ``places``; of a place that comes twice, the last counts."""
        self._leaves[places] = values
        changed = places // BLOCK
        self._sums[changed] = self._blocks[changed].sum(1)

    def find(self, sums: NDArray[np.float64]) -> NDArray[np.int64]:
        """The place at which the running sum first exceeds each of ``sums``, from 0 to below ``total``."""
        running = self._sums.cumsum()
        blocks = running.searchsorted(np.minimum(sums, _just_below(running[-1])), side="right")
        left = sums - (running[blocks] - self._sums[blocks])
        within = self._blocks[blocks].cumsum(1)
        # By rounding, more may be left than the block holds: the place is then its last number above 0.
        left = np.minimum(left, _just_below(within[:, -1]))
        return blocks * BLOCK + (within > left[:, None]).argmax(1)


def _just_below(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.nextafter(numbers, 0)


class Replay:
    """A replay buffer of the latest transitions, in arrays that are allocated once.

    Args:
        capacity: transitions kept; after that the oldest are overwritten.
        example: features of one observation, for shapes and types.
        alpha: 0 to draw uniformly, up to 1 to draw in proportion to the error.
        seed: of the draws.
    """

    def __init__(self, capacity: int, example: Sequence[NDArray[Any]], *, alpha: float, seed: int):
        if not 0 <= alpha <= 1:
            raise InputError("alpha", alpha, "a number from 0 to 1")
        self._tree = SumTree(capacity)
        self._rng = np.random.default_rng(seed)
        self._alpha, self._highest = alpha, 1.0
        self.capacity, self.size, self._next = capacity, 0, 0
        self._obs, self._next_obs = (
            [np.empty((capacity, *part.shape), dtype=part.dtype) for part in example] for _ in range(2)
        )
        self._actions = np.empty(capacity, dtype=np.int64)
        self._rewards = np.empty(capacity, dtype=np.float32)
        self._terminated = np.empty(capacity, dtype=bool)

    def add(
        self,
        obs: Sequence[NDArray[Any]],
        actions: NDArray[np.int64],
        rewards: NDArray[np.float32],
        next_obs: Sequence[NDArray[Any]],
        terminated: NDArray[np.bool_],
    ) -> None:
        """Add a transition of each environment, with the highest priority so far.

        Args:
            obs, next_obs: features [num_envs, ...] before and after the step.
            actions, rewards, terminated: [num_envs].
        """
        places = (self._next + np.arange(len(actions))) % self.capacity
        for store, part in zip((*self._obs, *self._next_obs), (*obs, *next_obs), strict=True):
            store[places] = part
        self._actions[places], self._rewards[places], self._terminated[places] = actions, rewards, terminated
        if self._alpha:
            self._tree.set(places, np.full(len(places), self._highest))
        self._next = int(places[-1] + 1) % self.capacity
        self.size = min(self.size + len(actions), self.capacity)

    def sample(self, count: int, beta: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Draw ``count`` transitions: their places and importance weights, each [count].

        Draws are stratified: one from each of ``count`` equal parts of the sum of priorities. Weights correct
        for priorities, in full with ``beta`` 1, and are scaled so that the largest is 1. With ``alpha`` 0
        draws are independent and weights are 1.
        """
        if not self._alpha:
            return self._rng.integers(self.size, size=count), np.ones(count, dtype=np.float32)
        total = self._tree.total
        places = self._tree.find((np.arange(count) + self._rng.random(count)) * (total / count))
        weights = (self._tree[places] * (self.size / total)) ** -beta
        return places, (weights / weights.max()).astype(np.float32)

    def take(
        self, places: NDArray[np.int64]
    ) -> tuple[list[NDArray[Any]], NDArray[Any], NDArray[Any], list[NDArray[Any]], NDArray[Any]]:
        """The transitions at ``places``: obs, actions, rewards, next_obs, terminated."""
        obs, next_obs = (
            [store.take(places, 0) for store in stores] for stores in (self._obs, self._next_obs)
        )
        return obs, self._actions[places], self._rewards[places], next_obs, self._terminated[places]

    def update_priorities(self, places: NDArray[np.int64], errors: NDArray[np.float32]) -> None:
        """Set the priorities of transitions from their TD errors [N]."""
        if not self._alpha:
            return
        priorities = (np.abs(errors).astype(np.float64) + 1e-3) ** self._alpha
        self._tree.set(places, priorities)
        self._highest = max(self._highest, float(priorities.max()))
