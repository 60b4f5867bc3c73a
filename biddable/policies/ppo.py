"""Proximal policy optimisation (Schulman et al. 2017), for discrete actions and small networks.

    environments side by side -> a stretch of steps -> advantages (GAE) -> a few epochs of clipped updates

What a step costs here is mostly the environments and calls into torch, so everything is kept in arrays that
are allocated once, observations are turned into features where they arise, and a whole stretch goes through
the network in one call per step and one per batch.
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
from biddable.policies.lanes import Lanes, Progress
from biddable.policies.optimizer import Adam

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOConfig:
    """The algorithm's numbers."""

    envs: int = 16
    """Environments side by side."""
    steps: int = 128
    """Steps of each between two updates."""
    epochs: int = 4
    """How often each step is learned from."""
    batch_size: int = 256
    """Steps in a batch."""
    gamma: float = 0.99
    """Discount."""
    gae_lambda: float = 0.95
    """Trade-off between bias and variance of advantages."""
    lr: float = 1e-4
    """Adam's learning rate."""
    eps: float = 1e-8
    """Adam's epsilon."""
    clip: float = 0.2
    """How far the probability of an action may move, as a ratio."""
    entropy: float = 5e-4
    """Weight of the entropy."""
    value: float = 0.5
    """Weight of the value's error."""
    max_grad_norm: float = 0.5
    """Gradients with a larger norm are scaled down to it."""
    normalize: bool = False
    """Whether advantages are brought to mean 0 and spread 1 in each batch."""

    def __post_init__(self) -> None:
        at_least_one(self, "envs", "steps", "epochs", "batch_size")
        shares(self, "gamma", "gae_lambda")
        above_zero(self, "lr", "eps", "clip", "max_grad_norm")


class PPO:
    """A training under way.

    Args:
        network: gives logits [N, actions] and values [N] for features, each [N, ...].
        lanes: where it acts.
        config: see ``PPOConfig``.
        seed: decides the actions drawn and the order of batches.
    """

    def __init__(self, network: nn.Module, lanes: Lanes, config: PPOConfig, seed: int):
        self.network, self.lanes, self.config = network, lanes, config
        self.frames = 0
        self._rng = np.random.default_rng(seed)
        self._optimizer = Adam(network, lr=config.lr, eps=config.eps, max_norm=config.max_grad_norm)
        size = (config.steps, len(lanes.envs))
        self._seen = [np.empty((*size, *part.shape[1:]), dtype=np.float32) for part in lanes.seen]
        self._actions, self._over = np.empty(size, dtype=np.int64), np.empty(size, dtype=bool)
        self._logprobs, self._rewards = (np.empty(size, dtype=np.float32) for _ in range(2))
        self._values = np.empty((size[0] + 1, size[1]), dtype=np.float32)

    def train(self, frames: int, on_update: Callable[[Progress], bool | None] = lambda _: None) -> None:
        """Go on until ``frames`` have been seen in all, or ``on_update`` says True.

        Raises:
            BiddableError: the network's output is no longer finite.
        """
        start = time.perf_counter()
        while self.frames < frames:
            self._collect()
            self._update()
            if on_update(self.lanes.progress(self.frames, start)):
                break

    @torch.no_grad()
    def _collect(self) -> None:
        """A stretch of steps with the network as it is."""
        self.network.eval()
        lanes = np.arange(len(self.lanes.envs))
        for t in range(self.config.steps):
            for store, part in zip(self._seen, self.lanes.seen, strict=True):
                store[t] = part
            logits, values = self.network(*(torch.from_numpy(store[t]) for store in self._seen))
            logprobs = log_softmax(logits.numpy())
            if not np.isfinite(logprobs).all():
                raise BiddableError(f"the policy is no longer finite after {self.frames} frames; lower lr")
            actions = draw(logprobs, self._rng)
            self._values[t], self._actions[t], self._logprobs[t] = values, actions, logprobs[lanes, actions]
            self._rewards[t], self._over[t] = self.lanes.step(actions)
        self._values[-1] = self.network(*map(torch.from_numpy, self.lanes.seen))[1]
        self.frames += self._actions.size

    def _update(self) -> None:
        self.network.train()
        config = self.config
        advantages = gae(self._rewards, self._values, self._over, config.gamma, config.gae_lambda)
        returns = (advantages + self._values[:-1]).reshape(-1)
        seen = [store.reshape(-1, *store.shape[2:]) for store in self._seen]
        actions, logprobs = self._actions.reshape(-1), self._logprobs.reshape(-1)
        advantages = advantages.reshape(-1)
        for _ in range(config.epochs):
            order = self._rng.permutation(len(actions))
            for batch in np.split(order, range(config.batch_size, len(order), config.batch_size)):
                logits, values = self.network(*(torch.from_numpy(part.take(batch, 0)) for part in seen))
                gradients = ppo_gradients(
                    logits.detach().numpy(), values.detach().numpy(),
                    actions[batch], logprobs[batch], advantages[batch], returns[batch], config,
                )  # fmt: skip
                torch.autograd.backward((logits, values), list(map(torch.from_numpy, gradients)))
                self._optimizer.step()


def log_softmax(logits: Array) -> Array:
    """[N, actions] logarithms of probabilities."""
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def draw(logprobs: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """[N] an action for each row, drawn by its probabilities: if each waits by its rate, which is first."""
    waits = rng.standard_exponential(logprobs.shape, dtype=np.float32)
    return (logprobs - np.log(waits)).argmax(1)


def gae(rewards: Array, values: Array, over: NDArray[np.bool_], gamma: float, lam: float) -> Array:
    """Generalised advantage estimates (Schulman et al. 2016, eq. 16).

    Args:
        rewards: [T, lanes] of each step.
        values: [T + 1, lanes] of what was seen before each step, and after the last.
        over: [T, lanes] whether the step ended its episode: nothing after it counts.
        gamma: discount.
        lam: 0 for one-step differences, 1 for whole returns.

    Returns:
        [T, lanes].
    """
    goes_on = 1.0 - over
    differences = rewards + gamma * values[1:] * goes_on - values[:-1]
    out = np.empty_like(differences, dtype=np.float32)
    following = np.zeros(rewards.shape[1:], dtype=np.float32)
    for t in reversed(range(len(rewards))):
        following = differences[t] + gamma * lam * goes_on[t] * following
        out[t] = following
    return out


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

    The loss is a mean over value * (V - R)^2 - min(r A, clip(r) A) - entropy * H (Schulman et al. 2017,
    eqs. 7 and 9), with r the ratio of an action's probability to what it was and H the entropy. Its gradient
    is short enough to be written down, and several times faster so than by autograd.

    Args:
        logits: [N, actions] now.
        values: [N] now.
        actions: [N] that were taken.
        old_logprobs: [N] of them, when they were taken.
        advantages: [N].
        returns: [N] what the values should have been.
        config: weights and clipping.
    """
    if config.normalize:
        advantages = (advantages - advantages.mean()) / (advantages.std(ddof=1) + 1e-8)
    rows, count = np.arange(len(actions)), np.float32(len(actions))
    logprobs = log_softmax(logits)
    probs = np.exp(logprobs)
    ratio = np.exp(logprobs[rows, actions] - old_logprobs)
    # Beyond the clip nothing is gained by going further: there the gradient is 0.
    beyond = np.where(advantages > 0, ratio > 1 + config.clip, ratio < 1 - config.clip)
    gain = np.where(beyond, np.float32(0), ratio * advantages)  # by the logarithm of the action's probability
    entropy = -(probs * logprobs).sum(1, keepdims=True)
    by_logits = probs * (gain[:, None] + config.entropy * (logprobs + entropy))
    by_logits[rows, actions] -= gain
    return by_logits / count, 2 * config.value * (values - returns) / count
