"""Memory of transitions, drawn from uniformly or by priority (Schaul et al., ICLR 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError

BLOCK = 32


class SumTree:
    """Numbers of which one is drawn in proportion to it; changes and draws are done many at a time.

    Two levels are enough: the numbers, and the sums of blocks of 32. To find a place, all sums are added up,
    and one block: fewer calls into numpy than the many levels of a binary tree need.

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
        # Rounding may leave more than the block holds: then its last number that is not 0 is meant.
        left = np.minimum(left, _just_below(within[:, -1]))
        return blocks * BLOCK + (within > left[:, None]).argmax(1)


def _just_below(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.nextafter(numbers, 0)


class Replay:
    """The latest transitions, in arrays that are allocated once.

    Args:
        capacity: how many are kept; then the oldest are overwritten.
        example: features of one observation, which say what sizes and types to keep.
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
        self._seen, self._then = (
            [np.empty((capacity, *part.shape), dtype=part.dtype) for part in example] for _ in range(2)
        )
        self._actions = np.empty(capacity, dtype=np.int64)
        self._rewards = np.empty(capacity, dtype=np.float32)
        self._over = np.empty(capacity, dtype=bool)

    def add(
        self,
        seen: Sequence[NDArray[Any]],
        actions: NDArray[np.int64],
        rewards: NDArray[np.float32],
        then: Sequence[NDArray[Any]],
        over: NDArray[np.bool_],
    ) -> None:
        """Keep transitions, one for each lane; a new one is as likely to be drawn as the likeliest so far."""
        places = (self._next + np.arange(len(actions))) % self.capacity
        for store, part in zip((*self._seen, *self._then), (*seen, *then), strict=True):
            store[places] = part
        self._actions[places], self._rewards[places], self._over[places] = actions, rewards, over
        if self._alpha:
            self._tree.set(places, np.full(len(places), self._highest))
        self._next = int(places[-1] + 1) % self.capacity
        self.size = min(self.size + len(actions), self.capacity)

    def sample(self, count: int, beta: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places of ``count`` transitions, one from each of as many equal parts of the sum, and weights.

        A weight makes up for being drawn more often than others, in full with ``beta`` 1; the largest is 1.
        With ``alpha`` 0 each draw is independent of the others, and weights are 1.
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
        """What was kept there: features, actions, rewards, what followed, whether it was over."""
        seen, then = ([store.take(places, 0) for store in stores] for stores in (self._seen, self._then))
        return seen, self._actions[places], self._rewards[places], then, self._over[places]

    def correct(self, places: NDArray[np.int64], errors: NDArray[np.float32]) -> None:
        """Set priorities by how wrong the values of those transitions were."""
        if not self._alpha:
            return
        priorities = (np.abs(errors).astype(np.float64) + 1e-3) ** self._alpha
        self._tree.set(places, priorities)
        self._highest = max(self._highest, float(priorities.max()))
