"""Proximal policy optimisation (Schulman et al. 2017), for discrete and continuous actions.

    vector env -> a rollout of num_steps -> advantages (GAE) -> epochs of clipped updates over batches

Most of a step's time goes to the environments and to calls into torch, so rollouts stand in arrays that are
allocated once, and the network is called once per step (all environments) and once per batch. The network may
stand on a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from biddable.errors import BiddableError
from biddable.policies.checks import above_zero, at_least_one, shares
from biddable.policies.heads import Head, head_for
from biddable.policies.optimizer import optimizer_for
from biddable.policies.vec_env import Progress, VecEnv

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOConfig:
    """Hyperparameters of PPO."""

    num_envs: int = 16
    """Environments that step together, for whoever makes the vector environment."""
    num_steps: int = 128
    """Steps of each environment in a rollout, between two updates."""
    epochs: int = 4
    """Passes over a rollout."""
    batch_size: int = 256
    """Steps in a batch."""
    gamma: float = 0.99
    """Discount."""
    gae_lambda: float = 0.95
    """Lambda of generalised advantage estimation: 0 is one-step, 1 whole returns."""
    lr: float = 1e-4
    """Adam's learning rate."""
    eps: float = 1e-8
    """Adam's epsilon."""
    clip_range: float = 0.2
    """Epsilon of the clipped objective: ratios of probabilities beyond 1 +- this gain nothing."""
    entropy_coef: float = 5e-4
    """Weight of the entropy bonus in the loss."""
    value_coef: float = 0.5
    """Weight of the squared error of values in the loss."""
    max_grad_norm: float = 0.5
    """Gradients with a larger norm are scaled down to it."""
    normalize_advantages: bool = False
    """Whether advantages are standardised (mean 0, standard deviation 1) in each batch of two or more."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_envs", "num_steps", "epochs", "batch_size")
        shares(self, "gamma", "gae_lambda")
        above_zero(self, "lr", "eps", "clip_range", "max_grad_norm")


class PPO:
    """PPO's training loop and its state.

    Args:
        network: gives outputs [N, head.outputs] and values [N] for features, each [N, ...].
        envs: the vector environment it acts in; it says how many there are, whatever ``config.num_envs`` is.
        config: see ``PPOConfig``.
        seed: decides the actions drawn and the order of batches.
        head: what the outputs say about actions; without it, what suits the action space (``head_for``).

    Attributes:
        frames: environment steps so far, over all environments.
    """

    def __init__(
        self, network: nn.Module, envs: VecEnv, config: PPOConfig, seed: int, *, head: Head | None = None
    ):
        self.network, self.envs, self.config = network, envs, config
        self.head = head or head_for(envs.envs[0].action_space)
        self.frames = 0
        self._rng = np.random.default_rng(seed)
        self._optimizer = optimizer_for(network, lr=config.lr, eps=config.eps, max_norm=config.max_grad_norm)
        self._device = next(network.parameters()).device
        size = (config.num_steps, envs.num_envs)
        self._obs = [np.empty((*size, *part.shape[1:]), dtype=np.float32) for part in envs.obs]
        self._actions: NDArray[np.generic] | None = None  # [num_steps, num_envs] or [..., action size]
        self._done = np.empty(size, dtype=bool)
        self._logprobs, self._rewards = (np.empty(size, dtype=np.float32) for _ in range(2))
        self._values = np.empty((size[0] + 1, size[1]), dtype=np.float32)

    def train(self, frames: int, on_update: Callable[[Progress], bool | None] = lambda _: None) -> None:
        """Train until ``frames`` environment steps in all, or until ``on_update`` returns True.

        Raises:
            BiddableError: the network's output is no longer finite.
        """
        start = time.perf_counter()
        while self.frames < frames:
            self._collect()
            self._update()
            if on_update(self.envs.progress(self.frames, start)):
                break

    @torch.no_grad()
    def _collect(self) -> None:
        """Fill the arrays with a rollout of the current network."""
        self.network.eval()
        for t in range(self.config.num_steps):
            for store, part in zip(self._obs, self.envs.obs, strict=True):
                store[t] = part
            outputs, values = self.network(*(self._tensor(store[t]) for store in self._obs))
            if not torch.isfinite(outputs).all():
                raise BiddableError(f"the policy is no longer finite after {self.frames} frames; lower lr")
            actions = self.head.sample(outputs, self._rng)
            if self._actions is None:
                self._actions = np.empty((*self._done.shape, *actions.shape[1:]), dtype=actions.dtype)
            self._values[t], self._actions[t] = values.cpu(), actions
            self._logprobs[t] = self.head.log_prob(outputs, self._tensor(actions)).cpu()
            rewards, terminated, truncated = self.envs.step(self.head.to_env(actions))
            if truncated.any():
                # Only cut off: what would have followed is worth what the last observation is.
                final = self.network(*(self._tensor(part[truncated]) for part in self.envs.next_obs))[1]
                rewards[truncated] += self.config.gamma * final.cpu().numpy()
            self._rewards[t], self._done[t] = rewards, terminated | truncated
        self._values[-1] = self.network(*map(self._tensor, self.envs.obs))[1].cpu()
        self.frames += self._done.size

    def _update(self) -> None:
        config = self.config
        advantages = gae(self._rewards, self._values, self._done, config.gamma, config.gae_lambda)
        returns = advantages + self._values[:-1]
        assert self._actions is not None
        columns = (self._actions, self._logprobs, advantages, returns)
        # [num_steps, num_envs, ...] -> [num_steps x num_envs, ...]
        obs, rollout = (
            [self._tensor(part.reshape(-1, *part.shape[2:])) for part in parts]
            for parts in (self._obs, columns)
        )
        self.network.train()
        for _ in range(config.epochs):
            order = torch.from_numpy(self._rng.permutation(self._done.size)).to(self._device)
            for batch in order.split(config.batch_size):
                outputs, values = self.network(*(part[batch] for part in obs))
                actions, old, gains, targets = (part[batch] for part in rollout)
                loss = ppo_loss(self.head, outputs, values, actions, old, gains, targets, config)
                loss.backward()
                self._optimizer.step()

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def gae(rewards: Array, values: Array, done: NDArray[np.bool_], gamma: float, lam: float) -> Array:
    """Generalised advantage estimates (Schulman et al. 2016, eq. 16).

    Args:
        rewards: [T, num_envs] of each step.
        values: [T + 1, num_envs] of the observation before each step, and of the one after the last.
        done: [T, num_envs] whether the step ended its episode: nothing after it counts.
        gamma: discount.
        lam: 0 for one-step differences, 1 for whole returns.

    Returns:
        [T, num_envs] advantages.
    """
    not_done = 1.0 - done
    deltas = rewards + gamma * values[1:] * not_done - values[:-1]
    advantages = np.empty_like(deltas, dtype=np.float32)
    last_advantage = np.zeros(rewards.shape[1:], dtype=np.float32)
    for t in reversed(range(len(rewards))):
        last_advantage = deltas[t] + gamma * lam * not_done[t] * last_advantage
        advantages[t] = last_advantage
    return advantages


def ppo_loss(
    head: Head,
    outputs: Tensor,
    values: Tensor,
    actions: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    returns: Tensor,
    config: PPOConfig,
) -> Tensor:
    """The clipped objective, the error of the values and the entropy bonus (Schulman et al. 2017, eqs. 7 and
    9).

    Args:
        head: what outputs say about actions.
        outputs: [N, head.outputs] now.
        values: [N] now.
        actions: [N, ...] taken in the rollout.
        old_logprobs: [N] their log-probabilities in the rollout.
        advantages: [N].
        returns: [N] targets of the values.
        config: coefficients and the clipping range.
    """
    if config.normalize_advantages and len(advantages) > 1:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    ratio = (head.log_prob(outputs, actions) - old_logprobs).exp()  # [N]
    clipped = ratio.clamp(1 - config.clip_range, 1 + config.clip_range)
    policy_loss = -torch.minimum(ratio * advantages, clipped * advantages).mean()
    value_loss = (values - returns).square().mean()
    entropy = head.entropy(outputs).mean()
    return policy_loss + config.value_coef * value_loss - config.entropy_coef * entropy
