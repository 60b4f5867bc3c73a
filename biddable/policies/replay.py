"""Memory of transitions, drawn from uniformly or by priority (Schaul et al., ICLR 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError


class SumTree:
    """Numbers of which one is drawn in proportion to it; changes and draws are done many at a time.

    A binary tree in one array: node i has the children 2i and 2i + 1, leaves come last.

    Args:
        capacity: how many numbers, at least 1.
    """

    def __init__(self, capacity: int):
        if capacity < 1:
            raise InputError("capacity", capacity, "an integer of at least 1")
        self._first = 1 << (capacity - 1).bit_length()
        self._nodes = np.zeros(2 * self._first)

    @property
    def total(self) -> float:
        """The sum of all."""
        return float(self._nodes[1])

    def __getitem__(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._nodes[self._first + places]

    def set(self, places: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Change the numbers at ``places``; of a place that comes twice, the last counts."""
        nodes = self._first + np.asarray(places)
        self._nodes[nodes] = values
        while nodes[0] > 1:  # all leaves are equally deep
            nodes = np.unique(nodes // 2)
            self._nodes[nodes] = self._nodes[2 * nodes] + self._nodes[2 * nodes + 1]

    def find(self, sums: NDArray[np.float64]) -> NDArray[np.int64]:
        """The place at which the running sum first exceeds each of ``sums``, from 0 to below ``total``."""
        nodes, left = np.ones(len(sums), dtype=np.int64), np.array(sums, dtype=np.float64)
        while nodes[0] < self._first:
            nodes = 2 * nodes
            go_right = (left >= self._nodes[nodes]) & (self._nodes[nodes + 1] > 0)
            left = np.where(go_right, left - self._nodes[nodes], left)
            nodes += go_right
        return nodes - self._first


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
        self._tree.set(places, np.full(len(places), self._highest))
        self._next = int(places[-1] + 1) % self.capacity
        self.size = min(self.size + len(actions), self.capacity)

    def sample(self, count: int, beta: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places of ``count`` transitions, one from each of as many equal parts of the sum, and weights.

        A weight makes up for being drawn more often than others, in full with ``beta`` 1; the largest is 1.
        """
        parts = (np.arange(count) + self._rng.random(count)) / count
        places = self._tree.find(parts * self._tree.total)
        weights = (self._tree[places] * self.size / self._tree.total) ** -beta
        return places, (weights / weights.max()).astype(np.float32)

    def take(
        self, places: NDArray[np.int64]
    ) -> tuple[list[NDArray[Any]], NDArray[Any], NDArray[Any], list[NDArray[Any]], NDArray[Any]]:
        """What was kept there: features, actions, rewards, what followed, whether it was over."""
        seen, then = ([store[places] for store in stores] for stores in (self._seen, self._then))
        return seen, self._actions[places], self._rewards[places], then, self._over[places]

    def correct(self, places: NDArray[np.int64], errors: NDArray[np.float32]) -> None:
        """Set priorities by how wrong the values of those transitions were."""
        priorities = (np.abs(errors).astype(np.float64) + 1e-3) ** self._alpha
        self._tree.set(places, priorities)
        self._highest = max(self._highest, float(priorities.max()))
