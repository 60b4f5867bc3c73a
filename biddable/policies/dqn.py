"""Deep Q-learning: double (van Hasselt et al., AAAI 2016), with prioritised replay, over masked actions.

    vector env -> epsilon-greedy actions -> replay buffer -> batches by priority -> Q towards TD targets

The last of an observation's features is the mask of actions that can be taken there (a web page has as many
as it has elements and fields): 0 for impossible actions, else the weight with which a random action is drawn.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from biddable.errors import BiddableError, InputError
from biddable.policies.checks import above_zero, at_least_one, shares
from biddable.policies.optimizer import optimizer_for
from biddable.policies.replay import Replay
from biddable.policies.vec_env import Progress, VecEnv

FORBIDDEN = -999_999.0
"""The value of an action that cannot be taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DQNConfig:
    """Hyperparameters of DQN."""

    gamma: float = 0.99
    """Discount."""
    lr: float = 1e-3
    """Adam's learning rate."""
    batch_size: int = 64
    """Transitions in a batch."""
    buffer_size: int = 20_000
    """Transitions that the replay buffer holds."""
    learning_starts: int = 500
    """Environment steps before the first update."""
    train_frequency: int = 4
    """Environment steps for each update."""
    target_update_interval: int = 200
    """Updates after which the network is copied to the target network."""
    final_epsilon: float = 0.05
    """Share of random actions at the end of exploration; it falls to this from 1."""
    exploration_fraction: float = 0.5
    """Share of the training over which the share of random actions falls, linearly."""
    alpha: float = 0.6
    """Exponent of priorities in draws from the replay buffer (Schaul et al.'s alpha); 0 draws uniformly."""
    beta: float = 0.4
    """Exponent of importance weights at first (Schaul et al.'s beta); it rises to 1."""
    double: bool = True
    """Double Q-learning: the network selects the next action, the target network values it."""
    max_grad_norm: float = 10.0
    """Gradients with a larger norm are scaled down to it."""

    def __post_init__(self) -> None:
        at_least_one(self, "batch_size", "buffer_size", "train_frequency", "target_update_interval")
        shares(self, "gamma", "final_epsilon", "exploration_fraction", "alpha", "beta")
        above_zero(self, "lr", "max_grad_norm")

    def epsilon_at(self, frame: int, frames: int) -> float:
        """Share of random actions after ``frame`` of ``frames`` environment steps."""
        fraction = min(1.0, frame / max(1.0, self.exploration_fraction * frames))
        return 1 + (self.final_epsilon - 1) * fraction


class DQN:
    """DQN's training loop and its state.

    Args:
        network: gives values [N, actions] for features, each [N, ...]; the last is the mask [N, actions].
        envs: the vector environment it acts in.
        config: see ``DQNConfig``.
        seed: decides random actions and draws from the replay buffer.

    Attributes:
        frames: environment steps so far, over all environments.
        updates: optimizer steps so far.
    """

    def __init__(self, network: nn.Module, envs: VecEnv, config: DQNConfig, seed: int):
        self.network, self.envs, self.config = network, envs, config
        self.target = copy.deepcopy(network).requires_grad_(False)
        self.replay = Replay(
            config.buffer_size, [part[0] for part in envs.obs], alpha=config.alpha, seed=seed
        )
        self.frames = self.updates = 0
        self._rng = np.random.default_rng(seed)
        self._optimizer = optimizer_for(network, lr=config.lr, max_norm=config.max_grad_norm)
        self._device = next(network.parameters()).device

    def train(self, frames: int, on_step: Callable[[Progress], bool | None] = lambda _: None) -> None:
        """Train until ``frames`` environment steps in all, or until ``on_step`` returns True.

        Raises:
            InputError: an observation in which no action can be taken.
            BiddableError: values are no longer finite.
        """
        start, updates_due = time.perf_counter(), 0.0
        while self.frames < frames:
            self._act(self.config.epsilon_at(self.frames, frames))
            if self.frames >= self.config.learning_starts:
                updates_due += self.envs.num_envs / self.config.train_frequency
                while updates_due >= 1:
                    updates_due -= 1
                    self._update(self.frames / frames)
            if on_step(self.envs.progress(self.frames, start)):
                break

    def _act(self, epsilon: float) -> None:
        obs = tuple(part.copy() for part in self.envs.obs)
        actions = greedy(self.network, obs)
        random_rows = self._rng.random(len(actions)) < epsilon
        if random_rows.any():
            # Exponential races: an action wins in proportion to its weight in the mask.
            weights = obs[-1][random_rows]
            waits = np.full(weights.shape, np.inf)
            np.divide(self._rng.exponential(size=weights.shape), weights, out=waits, where=weights > 0)
            actions[random_rows] = waits.argmin(1)
        rewards, terminated, _ = self.envs.step(actions)
        # What was only cut off has a next observation, whose value counts; what terminated has none.
        self.replay.add(obs, actions, rewards, self.envs.next_obs, terminated)
        self.frames += len(actions)

    def _update(self, train_fraction: float) -> None:
        config = self.config
        beta = config.beta + (1 - config.beta) * train_fraction
        places, weights = self.replay.sample(config.batch_size, beta)
        obs, actions, rewards, next_obs, terminated = self.replay.take(places)
        chooser = self.network if config.double else self.target
        td_target = td_targets(chooser, self.target, rewards, next_obs, terminated, config.gamma)
        values = self.network(*_tensors(obs, self._device))  # [N, actions]
        value = values.gather(1, _tensors([actions], self._device)[0][:, None])[:, 0]
        loss, errors = dqn_loss(value, *_tensors([td_target, weights], self._device))
        if not np.isfinite(errors).all():
            raise BiddableError(f"values are no longer finite after {self.frames} frames; lower lr")
        loss.backward()
        self._optimizer.step()
        self.replay.update_priorities(places, errors)
        self.updates += 1
        if self.updates % config.target_update_interval == 0:
            self.target.load_state_dict(self.network.state_dict())


def dqn_loss(value: Tensor, td_target: Tensor, weights: Tensor) -> tuple[Tensor, NDArray[np.float32]]:
    """Huber's loss with threshold 1, weighted, as a mean over the batch; and the TD errors [N].

    Args:
        value: [N] of the actions taken.
        td_target: [N] what they should be.
        weights: [N] importance weights of the draws.
    """
    loss = (weights * F.smooth_l1_loss(value, td_target, reduction="none")).mean()
    return loss, (td_target - value.detach()).cpu().numpy()


def _tensors(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    return [torch.from_numpy(array).to(device) for array in arrays]


@torch.no_grad()
def td_targets(
    chooser: nn.Module,
    target: nn.Module,
    rewards: NDArray[np.float32],
    next_obs: list[NDArray[Any]],
    terminated: NDArray[np.bool_],
    gamma: float,
) -> NDArray[np.float32]:
    """[N] TD targets: the reward plus the discounted value of the best next action.

    Args:
        chooser: selects the next action; the network itself in double Q-learning.
        target: values it.
        rewards: [N].
        next_obs: features [N, ...] of the next observations, the mask last.
        terminated: [N] whether nothing could follow the step: then the target is the reward.
        gamma: discount.
    """
    next_parts = _tensors(next_obs, _device(target))
    values = target(*next_parts).cpu().numpy()
    choosing = values if chooser is target else chooser(*next_parts).cpu().numpy()
    best = masked(choosing, next_obs[-1] > 0).argmax(1)
    next_values = values[np.arange(len(best)), best]
    next_values[terminated] = 0
    return rewards + np.float32(gamma) * next_values


@torch.no_grad()
def greedy(network: nn.Module, obs: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """[N] the best action that can be taken in each observation.

    Raises:
        InputError: no action can be taken in one of them.
    """
    possible = obs[-1] > 0
    if not possible.any(1).all():
        raise InputError("mask", "no action at all", "at least one that can be taken")
    return masked(network(*_tensors(obs, _device(network))).cpu().numpy(), possible).argmax(1)


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def masked(values: NDArray[np.float32], possible: NDArray[np.bool_]) -> NDArray[np.float32]:
    """``values`` [N, actions] with ``FORBIDDEN`` where an action is not ``possible``."""
    return np.where(possible, values, np.float32(FORBIDDEN))
