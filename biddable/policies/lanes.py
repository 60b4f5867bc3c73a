"""Environments side by side, for whoever learns in them: what is seen, in arrays that are allocated once."""

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
"""How often in a row an environment may break before it is given up."""

_log = logging.getLogger(__name__)


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

    An environment that raises costs its episode, which ends there without reward and is not counted; the
    others go on.

    Args:
        envs: Gymnasium environments; ``info["success"]`` is read at the end of an episode.
        features: see ``Features``.
        seed: the first episode of each environment is drawn from it, and all later ones follow.

    Raises:
        InputError: environments show things of different shapes.
    """

    def __init__(self, envs: Sequence[Any], features: Features, seed: int):
        self.envs, self._features = envs, features
        seeds = np.random.SeedSequence(seed).generate_state(len(envs))
        first = [features(env.reset(seed=int(s))[0]) for env, s in zip(envs, seeds, strict=True)]
        self.seen = tuple(np.empty((len(envs), *np.shape(part)), dtype=np.float32) for part in first[0])
        for i, parts in enumerate(first):
            self._show(i, parts)
        self._lengths = np.zeros(len(envs), dtype=int)
        self._broken = np.zeros(len(envs), dtype=int)
        self.ended: deque[tuple[bool, int]] = deque(maxlen=RECENT)
        self._means = (0.0, 0.0)

    def step(self, actions: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Act in all; rewards and whether episodes ended. ``seen`` is then what follows.

        Raises:
            InputError: an observation of another shape than before, or a reward that is no number.
            BiddableError: an environment raised ``ATTEMPTS`` times in a row.
        """
        rewards, over = np.empty(len(actions), dtype=np.float32), np.empty(len(actions), dtype=bool)
        self._lengths += 1
        for i, (env, action) in enumerate(zip(self.envs, actions.tolist(), strict=True)):
            try:
                seen, rewards[i], ended, cut, info = env.step(action)
                over[i] = ended or cut
                if over[i]:
                    self.ended.append((bool(info["success"]), int(self._lengths[i])))
                    self._lengths[i] = 0
                    seen, _ = env.reset()
                self._broken[i] = 0
            except BiddableError:
                raise
            except Exception as error:  # whatever a simulator raises
                seen, rewards[i], over[i] = self._again(i, error), 0.0, True
            self._show(i, self._features(seen))
        if not np.isfinite(rewards).all():
            raise InputError("reward", rewards[~np.isfinite(rewards)][0], "a number")
        if over.any() and self.ended:
            self._means = tuple(np.mean(self.ended, axis=0).tolist())
        return rewards, over

    def _show(self, i: int, parts: Sequence[NDArray[Any]]) -> None:
        for store, part in zip(self.seen, parts, strict=True):
            if np.shape(part) != store.shape[1:]:
                raise InputError("features", np.shape(part), f"the shape {store.shape[1:]}, as before")
            store[i] = part

    def _again(self, i: int, error: Exception) -> dict[str, Any]:
        """The start of another episode after one that broke."""
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
            except Exception as again:
                error = again

    def progress(self, frames: int, start: float) -> Progress:
        """How far a training has come that began at ``start``, by ``time.perf_counter``."""
        return Progress(frames, *self._means, time.perf_counter() - start)
