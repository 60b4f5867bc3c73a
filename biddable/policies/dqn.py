"""Deep Q-learning: double (van Hasselt et al., AAAI 2016), with prioritised replay, over masked actions.

    environments side by side -> epsilon-greedy actions -> replay -> batches by priority -> Q towards targets

The last of an observation's features is the mask of what can be done there: a page has as many actions as it
has elements and fields. It is 0 for what cannot be done, else how likely a random action is to be that one.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from biddable.errors import BiddableError, InputError
from biddable.policies.checks import above_zero, at_least_one, shares
from biddable.policies.lanes import Lanes, Progress
from biddable.policies.optimizer import Adam
from biddable.policies.replay import Replay

FORBIDDEN = -999_999.0
"""The value of what cannot be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DQNConfig:
    """The algorithm's numbers."""

    gamma: float = 0.99
    """Discount."""
    lr: float = 1e-3
    """Adam's learning rate."""
    batch_size: int = 64
    """Transitions in a batch."""
    replay: int = 20_000
    """Transitions that are kept."""
    warm_up: int = 500
    """Frames before the first update."""
    every: int = 4
    """Frames for each update."""
    target_every: int = 200
    """Updates between two copies of the network to the target."""
    epsilon: float = 0.05
    """Share of random actions in the end; at first all are."""
    explore: float = 0.5
    """Share of the frames over which the share of random actions falls, in a line."""
    alpha: float = 0.6
    """How much priorities count when transitions are drawn; 0 draws uniformly."""
    beta: float = 0.4
    """How much is made up for that at first; in the end all of it."""
    double: bool = True
    """Whether the network chooses the action whose value the target gives."""
    max_grad_norm: float = 10.0
    """Gradients with a larger norm are scaled down to it."""

    def __post_init__(self) -> None:
        at_least_one(self, "batch_size", "replay", "every", "target_every")
        shares(self, "gamma", "epsilon", "explore", "alpha", "beta")
        above_zero(self, "lr")

    def epsilon_at(self, frame: int, frames: int) -> float:
        """Share of random actions at a frame."""
        done = min(1.0, frame / max(1.0, self.explore * frames))
        return 1 + (self.epsilon - 1) * done


class DQN:
    """A training under way.

    Args:
        network: gives values [N, actions] for features, each [N, ...]; the last is the mask [N, actions].
        lanes: where it acts.
        config: see ``DQNConfig``.
        seed: decides random actions and draws from the replay.
    """

    def __init__(self, network: nn.Module, lanes: Lanes, config: DQNConfig, seed: int):
        self.network, self.lanes, self.config = network, lanes, config
        self.target = copy.deepcopy(network).requires_grad_(False)
        self.replay = Replay(config.replay, [part[0] for part in lanes.seen], alpha=config.alpha, seed=seed)
        self.frames = self.updates = 0
        self._rng = np.random.default_rng(seed)
        self._optimizer = Adam(network, lr=config.lr, max_norm=config.max_grad_norm)

    def train(self, frames: int, on_step: Callable[[Progress], bool | None] = lambda _: None) -> None:
        """Go on until ``frames`` have been seen in all, or ``on_step`` says True.

        Raises:
            InputError: an observation in which nothing can be done.
            BiddableError: values are no longer finite.
        """
        start, owed = time.perf_counter(), 0.0
        while self.frames < frames:
            self._act(self.config.epsilon_at(self.frames, frames))
            if self.frames >= self.config.warm_up:
                owed += len(self.lanes.envs) / self.config.every
                while owed >= 1:
                    owed -= 1
                    self._update(self.frames / frames)
            if on_step(self.lanes.progress(self.frames, start)):
                break

    def _act(self, epsilon: float) -> None:
        seen = tuple(part.copy() for part in self.lanes.seen)
        actions = greedy(self.network, seen)
        explore = self._rng.random(len(actions)) < epsilon
        if explore.any():
            # Of what can be done, what comes first by chance: each at a rate that is its weight in the mask.
            weights = seen[-1][explore]
            waits = np.full(weights.shape, np.inf)
            np.divide(self._rng.exponential(size=weights.shape), weights, out=waits, where=weights > 0)
            actions[explore] = waits.argmin(1)
        rewards, over = self.lanes.step(actions)
        # Where an episode is over, what "follows" is the next one's start: it is not looked at.
        self.replay.add(seen, actions, rewards, self.lanes.seen, over)
        self.frames += len(actions)

    def _update(self, progress: float) -> None:
        config = self.config
        beta = config.beta + (1 - config.beta) * progress
        places, weights = self.replay.sample(config.batch_size, beta)
        seen, actions, rewards, then, over = self.replay.take(places)
        values = self.network(*map(torch.from_numpy, seen))
        goals = targets(
            self.network if config.double else self.target, self.target, rewards, then, over, config.gamma
        )
        rows = np.arange(len(actions))
        errors = goals - values.detach().numpy()[rows, actions]
        if not np.isfinite(errors).all():
            raise BiddableError(f"values are no longer finite after {self.frames} frames; lower lr")
        # The gradient of Huber's loss (threshold 1), weighted, as a mean over the batch.
        gradient = np.zeros(values.shape, dtype=np.float32)
        gradient[rows, actions] = weights * np.maximum(np.minimum(errors, 1), -1) / -len(rows)
        values.backward(torch.from_numpy(gradient))
        self._optimizer.step()
        self.replay.correct(places, errors)
        self.updates += 1
        if self.updates % config.target_every == 0:
            self.target.load_state_dict(self.network.state_dict())


@torch.no_grad()
def targets(
    chooser: nn.Module,
    target: nn.Module,
    rewards: NDArray[np.float32],
    then: list[NDArray[Any]],
    over: NDArray[np.bool_],
    gamma: float,
) -> NDArray[np.float32]:
    """[N] what values should be: the reward, and the discounted value of the best that can follow.

    Args:
        chooser: says which action is best; the network itself in double Q-learning.
        target: says what it is worth.
        rewards: [N].
        then: features of what followed, the mask the last.
        over: [N] nothing followed.
        gamma: discount.
    """
    following = [torch.from_numpy(part) for part in then]
    values = target(*following).numpy()
    choosing = values if chooser is target else chooser(*following).numpy()
    best = masked(choosing, then[-1] > 0).argmax(1)
    worth = values[np.arange(len(best)), best]
    worth[over] = 0
    return rewards + np.float32(gamma) * worth


@torch.no_grad()
def greedy(network: nn.Module, seen: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """[N] the best action that can be taken in each observation.

    Raises:
        InputError: nothing can be done in one of them.
    """
    possible = seen[-1] > 0
    if not possible.any(1).all():
        raise InputError("mask", "no action at all", "at least one that can be taken")
    return masked(network(*map(torch.from_numpy, seen)).numpy(), possible).argmax(1)


def masked(values: NDArray[np.float32], possible: NDArray[np.bool_]) -> NDArray[np.float32]:
    """``values`` with one below any other for what is not ``possible``, of the same shape."""
    return np.where(possible, values, np.float32(FORBIDDEN))
