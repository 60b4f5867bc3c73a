"""What somebody does next by the last action alone: a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError
from biddable.tasks.action_windows import Window
from biddable.tasks.actions import Action

Candidates = list[list[list[Action]]]
"""[windows][K][Z] actions."""


def require_sizes(k: int, ahead: int, temperature: float) -> None:
    """Raise InputError unless K and Z are at least 1 and the temperature is above 0."""
    for name, value in (("k", k), ("ahead", ahead)):
        if value < 1:
            raise InputError(name, value, "an integer of at least 1")
    if not temperature > 0:
        raise InputError("temperature", temperature, "a number above 0")


class Bigram:
    """The next action by the last one alone.

    p(a | b) = (n(b, a) + t(b) p(a)) / (n(b) + t(b)), with counts n, the number t of different actions that
    follow b, and p(a) by frequency (Witten and Bell 1991).

    Args:
        windows: to learn from, histories and futures.

    Raises:
        InputError: there is none.
    """

    def __init__(self, windows: Sequence[Window]):
        if not windows:
            raise InputError("windows", 0, "at least one")
        chains = [each.history + each.future for each in windows]
        self.actions = sorted({action for chain in chains for action in chain})
        place = {action: at for at, action in enumerate(self.actions)}
        self._place = place
        n = np.zeros((len(place), len(place)))
        for chain in chains:
            for last, action in pairwise(chain):
                n[place[last], place[action]] += 1
        unigram = np.bincount([place[action] for chain in chains for action in chain]).astype(float)
        self._unigram = unigram / unigram.sum()
        types = (n > 0).sum(1, keepdims=True)  # [A, 1]
        total = n.sum(1, keepdims=True) + types
        smoothed = (n + types * self._unigram) / np.maximum(total, 1)
        self._p = np.where(total > 0, smoothed, self._unigram)  # [A, A]

    def next(self, last: Action) -> NDArray[np.float64]:
        """[A], how likely each of ``actions`` comes next; by frequency after one that is not known."""
        return self._p[self._place[last]] if last in self._place else self._unigram

    def predict(
        self, windows: Sequence[Window], k: int, ahead: int, temperature: float, rng: np.random.Generator
    ) -> Candidates:
        """``k`` continuations of each history. Raises InputError: a number is too small."""
        require_sizes(k, ahead, temperature)

        def one(action: Action) -> list[Action]:
            drawn: list[Action] = []
            for _ in range(ahead):
                p = self.next(drawn[-1] if drawn else action) ** (1 / temperature)
                drawn.append(self.actions[int(rng.choice(len(p), p=p / p.sum()))])
            return drawn

        return [[one(window.history[-1]) for _ in range(k)] for window in windows]
