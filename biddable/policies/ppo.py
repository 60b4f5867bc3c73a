"""Proximal policy optimisation (Schulman et al. 2017), for discrete actions and small networks.

    vector env -> a rollout of num_steps -> advantages (GAE) -> epochs of clipped updates over batches

Most of a step's time goes to the environments and to calls into torch, so rollouts stand in arrays that are
allocated once, and the network is called once per step (all environments) and once per batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from biddable.errors import BiddableError
from biddable.policies.checks import above_zero, at_least_one, shares
from biddable.policies.optimizer import Adam
from biddable.policies.vec_env import Progress, VecEnv

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOConfig:
    """Hyperparameters of PPO."""

    num_envs: int = 16
    """Environments that step together."""
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
    """Whether advantages are standardised (mean 0, standard deviation 1) in each batch."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_envs", "num_steps", "epochs", "batch_size")
        shares(self, "gamma", "gae_lambda")
        above_zero(self, "lr", "eps", "clip_range", "max_grad_norm")


class PPO:
    """PPO's training loop and its state.

    Args:
        network: gives logits [N, actions] and values [N] for features, each [N, ...].
        envs: the vector environment it acts in.
        config: see ``PPOConfig``.
        seed: decides the actions drawn and the order of batches.

    Attributes:
        frames: environment steps so far, over all environments.
    """

    def __init__(self, network: nn.Module, envs: VecEnv, config: PPOConfig, seed: int):
        self.network, self.envs, self.config = network, envs, config
        self.frames = 0
        self._rng = np.random.default_rng(seed)
        self._optimizer = Adam(network, lr=config.lr, eps=config.eps, max_norm=config.max_grad_norm)
        size = (config.num_steps, envs.num_envs)
        self._obs = [np.empty((*size, *part.shape[1:]), dtype=np.float32) for part in envs.obs]
        self._actions, self._done = np.empty(size, dtype=np.int64), np.empty(size, dtype=bool)
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
        rows = np.arange(self.envs.num_envs)
        for t in range(self.config.num_steps):
            for store, part in zip(self._obs, self.envs.obs, strict=True):
                store[t] = part
            logits, values = self.network(*(torch.from_numpy(store[t]) for store in self._obs))
            logprobs = log_softmax(logits.numpy())
            if not np.isfinite(logprobs).all():
                raise BiddableError(f"the policy is no longer finite after {self.frames} frames; lower lr")
            actions = sample_actions(logprobs, self._rng)
            self._values[t], self._actions[t], self._logprobs[t] = values, actions, logprobs[rows, actions]
            self._rewards[t], self._done[t] = self.envs.step(actions)
        self._values[-1] = self.network(*map(torch.from_numpy, self.envs.obs))[1]
        self.frames += self._actions.size

    def _update(self) -> None:
        self.network.train()
        config = self.config
        advantages = gae(self._rewards, self._values, self._done, config.gamma, config.gae_lambda)
        returns = (advantages + self._values[:-1]).reshape(-1)
        obs = [store.reshape(-1, *store.shape[2:]) for store in self._obs]
        actions, logprobs = self._actions.reshape(-1), self._logprobs.reshape(-1)
        advantages = advantages.reshape(-1)
        for _ in range(config.epochs):
            order = self._rng.permutation(len(actions))
            for batch in np.split(order, range(config.batch_size, len(order), config.batch_size)):
                logits, values = self.network(*(torch.from_numpy(part.take(batch, 0)) for part in obs))
                gradients = ppo_gradients(
                    logits.detach().numpy(), values.detach().numpy(),
                    actions[batch], logprobs[batch], advantages[batch], returns[batch], config,
                )  # fmt: skip
                torch.autograd.backward((logits, values), list(map(torch.from_numpy, gradients)))
                self._optimizer.step()


def log_softmax(logits: Array) -> Array:
    """[N, actions] log-probabilities of logits [N, actions]."""
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def sample_actions(logprobs: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """[N] an action for each row of log-probabilities [N, actions], drawn by exponential races."""
    waits = rng.standard_exponential(logprobs.shape, dtype=np.float32)
    return (logprobs - np.log(waits)).argmax(1)


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


def ppo_gradients(
    logits: Array,
    values: Array,
    actions: NDArray[np.int64],
    old_logprobs: Array,
    advantages: Array,
    returns: Array,
    config: PPOConfig,
) -> tuple[Array, Array]:
    """Gradients of the loss by logits [N, actions] and values [N].

    The loss is the mean of value_coef * (V - R)^2 - min(r A, clip(r) A) - entropy_coef * H (Schulman et al.
    2017, eqs. 7 and 9), with r the ratio of new to old probability of the action and H the entropy. Written
    out it is several times faster than by autograd.

    Args:
        logits: [N, actions] now.
        values: [N] now.
        actions: [N] taken in the rollout.
        old_logprobs: [N] their log-probabilities in the rollout.
        advantages: [N].
        returns: [N] targets of the values.
        config: coefficients and the clipping range.
    """
    if config.normalize_advantages:
        advantages = (advantages - advantages.mean()) / (advantages.std(ddof=1) + 1e-8)
    rows, count = np.arange(len(actions)), np.float32(len(actions))
    logprobs = log_softmax(logits)
    probs = np.exp(logprobs)
    ratio = np.exp(logprobs[rows, actions] - old_logprobs)
    # Beyond the clipping range the objective is constant: the gradient is 0.
    beyond = np.where(advantages > 0, ratio > 1 + config.clip_range, ratio < 1 - config.clip_range)
    gain = np.where(beyond, np.float32(0), ratio * advantages)  # by the logarithm of the action's probability
    entropy = -(probs * logprobs).sum(1, keepdims=True)
    by_logits = probs * (gain[:, None] + config.entropy_coef * (logprobs + entropy))
    by_logits[rows, actions] -= gain
    return by_logits / count, 2 * config.value_coef * (values - returns) / count
