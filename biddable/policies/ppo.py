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
from torch import Tensor, nn

from biddable.errors import BiddableError
from biddable.policies.checks import above_zero, at_least_one, shares
from biddable.policies.lanes import Lanes, Progress
from biddable.policies.optimizer import Adam


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
        self._generator = torch.Generator().manual_seed(seed)
        self._optimizer = Adam(network, lr=config.lr, eps=config.eps, max_norm=config.max_grad_norm)
        size = (config.steps, len(lanes.envs))
        self._seen = [torch.empty(*size, *part.shape[1:]) for part in lanes.seen]
        self._actions = torch.empty(size, dtype=torch.long)
        self._logprobs, self._values = torch.empty(size), torch.empty(size[0] + 1, size[1])
        self._rewards, self._over = np.empty(size, dtype=np.float32), np.empty(size, dtype=bool)

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
        for t in range(self.config.steps):
            for store, part in zip(self._seen, self.lanes.seen, strict=True):
                store[t] = torch.from_numpy(part)
            logits, self._values[t] = self.network(*(store[t] for store in self._seen))
            logprobs = logits.log_softmax(-1)
            if not np.isfinite(logprobs.numpy()).all():
                raise BiddableError(f"the policy is no longer finite after {self.frames} frames; lower lr")
            actions = torch.multinomial(logprobs.exp(), 1, generator=self._generator)
            self._actions[t], self._logprobs[t] = actions[:, 0], logprobs.gather(1, actions)[:, 0]
            self._rewards[t], self._over[t] = self.lanes.step(actions[:, 0].numpy())
        last = [torch.from_numpy(part) for part in self.lanes.seen]
        self._values[-1] = self.network(*last)[1]
        self.frames += self._actions.numel()

    def _update(self) -> None:
        self.network.train()
        config = self.config
        values = self._values.numpy()
        advantages = torch.from_numpy(
            gae(self._rewards, values, self._over, config.gamma, config.gae_lambda)
        ).flatten()
        returns = advantages + self._values[:-1].flatten()
        seen = [store.flatten(0, 1) for store in self._seen]
        actions, logprobs = self._actions.flatten(), self._logprobs.flatten()
        for _ in range(config.epochs):
            for batch in torch.randperm(len(actions), generator=self._generator).split(config.batch_size):
                logits, value = self.network(*(part[batch] for part in seen))
                loss = ppo_loss(
                    logits, value, actions[batch], logprobs[batch], advantages[batch], returns[batch], config
                )
                loss.backward()
                self._optimizer.step()


def gae(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    over: NDArray[np.bool_],
    gamma: float,
    lam: float,
) -> NDArray[np.float32]:
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


def ppo_loss(
    logits: Tensor,
    value: Tensor,
    actions: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    returns: Tensor,
    config: PPOConfig,
) -> Tensor:
    """The clipped objective, the value's squared error and the entropy, as one number to lower.

    Args:
        logits: [N, actions] now.
        value: [N] now.
        actions: [N] that were taken.
        old_logprobs: [N] of them, when they were taken.
        advantages: [N].
        returns: [N] what the values should have been.
        config: weights and clipping.
    """
    if config.normalize:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    logprobs = logits.log_softmax(-1)
    ratio = (logprobs.gather(1, actions[:, None])[:, 0] - old_logprobs).exp()
    clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
    gain = torch.minimum(ratio * advantages, clipped * advantages).mean()
    entropy = -(logprobs.exp() * logprobs).sum(-1).mean()
    return config.value * (value - returns).square().mean() - gain - config.entropy * entropy
