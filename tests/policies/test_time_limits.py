"""A time limit is no end: what would have followed counts, as in Gymnasium and Stable-Baselines3.

The environments pay for going on, and are cut off after a few steps: values of cut-off episodes would be too
low, and a learner that takes the cut for an end learns another policy.
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from biddable.policies.dqn import DQN, DQNConfig
from biddable.policies.networks import MLP
from biddable.policies.ppo import PPO, PPOConfig
from biddable.policies.vec_env import VecEnv

STATE = torch.ones(1, 2)


class Forever(gym.Env):
    """One state, a reward of 1 a step, no end; only the limit cuts it off."""

    observation_space = gym.spaces.Box(-1, 1, (2,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, limit: int):
        self.limit = limit

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return {"state": np.ones(2, np.float32)}, {}

    def step(self, action):
        self.steps += 1
        return {"state": np.ones(2, np.float32)}, 1.0, False, self.steps >= self.limit, {}


class CashOut(Forever):
    """Action 0 pays 1 and ends it; action 1 pays 0.1 and goes on, which is worth 0.1 / (1 - gamma)."""

    def step(self, action):
        obs, _, _, truncated, info = super().step(action)
        return (obs, 1.0, True, False, info) if action == 0 else (obs, 0.1, False, truncated, info)


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.actor = MLP(2, 2, hidden=(32,), gain=0.01, activation="tanh")
        self.critic = MLP(2, 1, hidden=(32,), activation="tanh")

    def forward(self, state):
        return self.actor(state), self.critic(state)[:, 0]


class Values(MLP):
    def forward(self, *parts):
        return super().forward(parts[0])


def trained_ppo(env, limit: int, frames: int, **changes) -> tuple[float, float]:
    """The value of the state, and the probability of going on."""
    envs = VecEnv([env(limit) for _ in range(8)], lambda obs: (obs["state"],), 0)
    config = PPOConfig(num_envs=8, num_steps=64, lr=3e-3, normalize_advantages=True, **changes)
    ppo = PPO(ActorCritic(), envs, config, 0)
    ppo.train(frames)
    with torch.no_grad():
        logits, values = ppo.network(STATE)
    return values.item(), logits.softmax(-1)[0, 1].item()


def test_ppo_values_what_follows_a_cut() -> None:
    value, _ = trained_ppo(Forever, 10, 30_000, gamma=0.9)
    assert value == pytest.approx(10, rel=0.1), "1 / (1 - gamma); rewards up to the cut make 3.9 on average"


def test_ppo_goes_on_where_going_on_is_worth_more() -> None:
    assert trained_ppo(CashOut, 5, 20_000, gamma=0.99)[1] > 0.9


def test_dqn_values_what_follows_a_cut() -> None:
    torch.manual_seed(0)
    network = Values(2, 2, hidden=(32,))
    everything = np.ones(2, np.float32)
    envs = VecEnv([Forever(5) for _ in range(4)], lambda obs: (obs["state"], everything), 0)
    config = DQNConfig(gamma=0.9, train_frequency=2, target_update_interval=100, alpha=0.0, double=False)
    DQN(network, envs, config, 0).train(8_000)
    with torch.no_grad():
        assert network(STATE)[0].numpy() == pytest.approx([10, 10], rel=0.1), "7.65 with the cut as an end"
