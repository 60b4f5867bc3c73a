"""PPO: its formulas by hand, and that it learns what can be learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from biddable.errors import BiddableError, InputError
from biddable.policies.heads import Categorical
from biddable.policies.networks import GridActorCritic
from biddable.policies.ppo import PPO, PPOConfig, gae, ppo_loss
from biddable.policies.vec_env import VecEnv


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)[:, None]


def test_advantages_by_hand() -> None:
    rewards, values = column(1, 0, 2), column(0.5, 1.0, 0.0, 4.0)
    done = column(0, 0, 0).astype(bool)
    # Differences with gamma .5: 1 + .5*1 - .5 = 1; 0 + 0 - 1 = -1; 2 + 2 - 0 = 4. Each looks on by .5 * .8.
    third, second = 4.0, -1 + 0.4 * 4.0
    assert gae(rewards, values, done, 0.5, 0.8)[:, 0] == pytest.approx([1 + 0.4 * second, second, third])


def test_nothing_is_carried_over_the_end_of_an_episode() -> None:
    rewards, values = column(1, 0, 2), column(0.5, 1.0, 0.0, 4.0)
    done = column(0, 1, 0).astype(bool)
    # The second step ends its episode: 0 - 1, whatever comes after.
    assert gae(rewards, values, done, 0.5, 0.8)[:, 0] == pytest.approx([1 + 0.4 * -1, -1, 4])


def test_with_lambda_one_they_are_returns_less_values() -> None:
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(6, 2)).astype(np.float32), rng.normal(size=(7, 2)).astype(np.float32)
    actual = gae(rewards, values, np.zeros((6, 2), dtype=bool), 0.9, 1.0)
    expected = sum(0.9**t * rewards[t] for t in range(6)) + 0.9**6 * values[6] - values[0]
    assert actual[0] == pytest.approx(expected, abs=1e-5)


def test_the_loss_by_hand() -> None:
    config = PPOConfig(clip_range=0.2, value_coef=0.5, entropy_coef=0.1)
    logits = torch.log(torch.tensor([[0.6, 0.4], [0.3, 0.7]]))
    actions, old = torch.tensor([0, 1]), torch.log(torch.tensor([0.4, 0.8]))
    advantages = torch.tensor([2.0, -1.0])
    # Ratios 1.5, cut to 1.2 as the advantage is positive, and .875, within the bounds.
    gain = (1.2 * 2 - 0.875) / 2
    entropy = -sum(p * np.log(p) for p in (0.6, 0.4, 0.3, 0.7)) / 2
    error = ((1.0 - 0.5) ** 2 + (0.0 - 2.0) ** 2) / 2
    values, returns = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 2.0])
    actual = ppo_loss(Categorical(2), logits, values, actions, old, advantages, returns, config)
    assert actual.item() == pytest.approx(0.5 * error - gain - 0.1 * entropy, abs=1e-6)


def test_beyond_the_clip_there_is_no_gradient_but_back_there_is() -> None:
    for advantage, moves in ((1.0, False), (-1.0, True)):
        logits = torch.log(torch.tensor([[0.9, 0.1]])).requires_grad_()
        zeros, old = torch.zeros(1), torch.log(torch.tensor([0.5]))
        advantages = torch.full((1,), advantage)
        config = PPOConfig(entropy_coef=0.0)
        ppo_loss(Categorical(2), logits, zeros, torch.tensor([0]), old, advantages, zeros, config).backward()
        assert bool(logits.grad.abs().max() > 1e-3) is moves


def test_a_batch_of_one_is_not_standardised() -> None:
    ones, config = torch.ones(1), PPOConfig(normalize_advantages=True)
    loss = ppo_loss(Categorical(2), torch.zeros(1, 2), ones, torch.tensor([0]), -ones, ones, ones, config)
    assert torch.isfinite(loss)
    ppo = learning(num_envs=1, num_steps=33, batch_size=32, normalize_advantages=True)
    ppo.train(66)
    assert all(torch.isfinite(weight).all() for weight in ppo.network.parameters())


class Signs:
    """Two actions, of which the sign of a number says which one pays; eight steps an episode."""

    action_space = spaces.Discrete(2)

    def __init__(self):
        self._rng = np.random.default_rng(0)

    def reset(self, *, seed=None):
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._left, self._right = 8, 0
        return self._draw(), {}

    def step(self, action: int):
        hit = action == (self._number > 0)
        self._left -= 1
        self._right += hit
        done = not self._left
        return self._draw(), float(hit), done, False, {"success": done and self._right == 8}

    def _draw(self):
        self._number = self._rng.normal()
        return {"number": np.array([self._number], dtype=np.float32)}


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.actor, self.critic = nn.Linear(1, 16), nn.Linear(16, 2), nn.Linear(16, 1)

    def forward(self, number):
        hidden = self.body(number).tanh()
        return self.actor(hidden), self.critic(hidden)[:, 0]


def learning(**changes) -> PPO:
    config = PPOConfig(**{"num_envs": 4, "num_steps": 32, "batch_size": 32, "lr": 1e-2, **changes})
    envs = VecEnv([Signs() for _ in range(config.num_envs)], lambda obs: (obs["number"],), seed=0)
    return PPO(Small(), envs, config, seed=0)


def test_it_learns() -> None:
    success_rates = []
    ppo = learning()
    ppo.train(10_000, lambda progress: success_rates.append(progress.success) or progress.success > 0.8)
    assert success_rates[0] < 0.2
    assert success_rates[-1] > 0.8
    assert ppo.frames < 10_000, "it was told to stop"


def test_the_same_seed_learns_the_same() -> None:
    weights = []
    for _ in range(2):
        ppo = learning()
        ppo.train(1000)
        weights.append(ppo.network.actor.weight.detach().clone())
    assert torch.equal(*weights)


def test_a_policy_that_is_no_longer_finite_stops_it() -> None:
    ppo = learning()
    ppo.network.actor.weight.data.fill_(float("nan"))
    with pytest.raises(BiddableError, match="no longer finite after 0 frames; lower lr"):
        ppo.train(1000)


def test_the_network_for_grids_has_its_sizes() -> None:
    network = GridActorCritic(5, 7)
    logits, values = network(torch.zeros(3, 7, 7, 3), torch.zeros(3, 5))
    assert (logits.shape, values.shape) == ((3, 7), (3,))
    sizes = [tuple(weight.shape) for weight, _ in network.layers.parts()]
    assert sizes == [(27, 32), (288, 32), (288, 32), (32 + 5, 256), (256, 7 + 1)]
    assert logits.abs().max() < 0.1, "it has preferences before it has learned"


@pytest.mark.parametrize(
    ("field", "value"), [("num_envs", 0), ("gamma", 1.1), ("lr", 0.0), ("clip_range", -1.0)]
)
def test_settings_out_of_range(field, value) -> None:
    with pytest.raises(InputError, match=f"{field} is"):
        PPOConfig(**{field: value})
