"""Environments side by side, for whoever learns in them: what is seen, in arrays that are allocated once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECENT = 100
"""Episodes over which success is averaged while training."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training has come; success and length are means over the latest episodes."""

    frames: int
    success: float
    length: float
    seconds: float


Features = Callable[[dict[str, Any]], tuple[NDArray[Any], ...]]
"""What the network sees of an observation: arrays of sizes that do not change."""


class Lanes:
    """Environments side by side, each started anew when its episode ends.

    Args:
        envs: Gymnasium environments; ``info["success"]`` is read at the end of an episode.
        features: see ``Features``.
        seed: the first episode of each environment is drawn from it, and all later ones follow.
    """

    def __init__(self, envs: Sequence[Any], features: Features, seed: int):
        self.envs, self._features = envs, features
        seeds = np.random.SeedSequence(seed).generate_state(len(envs))
        first = [features(env.reset(seed=int(s))[0]) for env, s in zip(envs, seeds, strict=True)]
        self.seen = tuple(np.stack(parts).astype(np.float32) for parts in zip(*first, strict=True))
        self._lengths = np.zeros(len(envs), dtype=int)
        self.ended: deque[tuple[bool, int]] = deque(maxlen=RECENT)
        self._means = (0.0, 0.0)

    def step(self, actions: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Act in all; rewards and whether episodes ended. ``seen`` is then what follows."""
        rewards, over = np.empty(len(actions), dtype=np.float32), np.empty(len(actions), dtype=bool)
        self._lengths += 1
        for i, (env, action) in enumerate(zip(self.envs, actions.tolist(), strict=True)):
            seen, rewards[i], ended, cut, info = env.step(action)
            over[i] = ended or cut
            if over[i]:
                self.ended.append((bool(info["success"]), int(self._lengths[i])))
                self._lengths[i] = 0
                seen, _ = env.reset()
            for store, part in zip(self.seen, self._features(seen), strict=True):
                store[i] = part
        if over.any():
            self._means = tuple(np.mean(self.ended, axis=0).tolist())
        return rewards, over

    def progress(self, frames: int, start: float) -> Progress:
        """How far a training has come that began at ``start``, by ``time.perf_counter``."""
        return Progress(frames, *self._means, time.perf_counter() - start)
