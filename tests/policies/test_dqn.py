"""Deep Q-learning: the tree of priorities, targets by hand, masks, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from biddable.errors import BiddableError, InputError
from biddable.policies.dqn import DQN, DQNConfig, greedy, masked, td_targets
from biddable.policies.replay import Replay, SumTree
from biddable.policies.vec_env import VecEnv


def test_a_tree_finds_what_a_running_sum_finds() -> None:
    rng = np.random.default_rng(0)
    for capacity in (1, 2, 5, 8, 100):
        tree, plain = SumTree(capacity), np.zeros(capacity)
        for _ in range(5):
            places = rng.integers(capacity, size=7)
            values = rng.random(7) * (rng.random(7) < 0.7)
            tree.set(places, values)
            plain[places] = values
            assert tree.total == pytest.approx(plain.sum())
            if plain.sum() == 0:
                continue
            sums = rng.random(50) * plain.sum() * (1 - 1e-9)
            expected = np.searchsorted(plain.cumsum(), sums, side="right")
            assert tree.find(sums).tolist() == expected.tolist()
        assert tree[np.arange(capacity)].tolist() == plain.tolist()


def test_what_has_no_priority_is_never_drawn() -> None:
    tree = SumTree(6)
    tree.set(np.array([1, 4]), np.array([1.0, 3.0]))
    assert set(tree.find(np.array([0.0, 0.999, 1.0, 3.999999, 4.0]))) == {1, 4}


def some(values: list[float]) -> tuple[np.ndarray, ...]:
    return np.array(values, dtype=np.float32)[:, None], np.ones((len(values), 2), dtype=np.float32)


def filled(alpha: float, capacity: int = 4) -> Replay:
    replay = Replay(capacity, [part[0] for part in some([0])], alpha=alpha, seed=0)
    for value in range(6):
        obs, next_obs = some([value]), some([value + 1])
        replay.add(
            obs, np.array([value % 2]), np.array([value / 10], np.float32), next_obs, np.array([value == 5])
        )
    return replay


def test_the_oldest_are_overwritten_and_the_rest_is_whole() -> None:
    replay = filled(0.6)
    obs, actions, rewards, next_obs, done = replay.take(np.arange(4))
    assert replay.size == 4
    assert obs[0][:, 0].tolist() == [4, 5, 2, 3]
    assert next_obs[0][:, 0].tolist() == [5, 6, 3, 4]
    assert actions.tolist() == [0, 1, 0, 1]
    assert rewards.tolist() == pytest.approx([0.4, 0.5, 0.2, 0.3])
    assert done.tolist() == [False, True, False, False]


def test_draws_follow_errors_and_weights_make_up_for_it() -> None:
    replay = filled(1.0)
    replay.update_priorities(np.arange(4), np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32))
    counts = np.zeros(4)
    for _ in range(500):
        places, weights = replay.sample(8, beta=1.0)
        counts += np.bincount(places, minlength=4)
    assert counts / counts.sum() == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.02)
    expected = np.array([0.101, 0.201, 0.301, 0.401])[places] ** -1.0
    assert weights == pytest.approx(expected / expected.max(), rel=1e-5)
    uniform = filled(0.0)
    uniform.update_priorities(np.arange(4), np.array([0.1, 0.2, 0.3, 9.0], dtype=np.float32))
    assert uniform.sample(8, beta=0.5)[1].tolist() == [1.0] * 8


class Table(nn.Module):
    """Values that are the same whatever is seen."""

    def __init__(self, *values: float):
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values))

    def forward(self, number, mask):
        return self.values.expand(len(number), -1)


def test_targets_by_hand() -> None:
    network, target = Table(1.0, 2.0), Table(10.0, 5.0)
    rewards, done = np.array([0.5, 0.5, 0.5], dtype=np.float32), np.array([False, True, False])
    next_obs = [np.zeros((3, 1), np.float32), np.array([[1, 1], [1, 1], [1, 0]], np.float32)]
    # Double: the network prefers the second, worth 5; plain: the target's best is worth 10. Only the first
    # can be done in the third.
    actual = td_targets(network, target, rewards, next_obs, done, 0.9)
    assert actual.tolist() == pytest.approx([0.5 + 4.5, 0.5, 0.5 + 9.0])
    assert td_targets(target, target, rewards, next_obs, done, 0.9).tolist() == pytest.approx([9.5, 0.5, 9.5])


def test_what_cannot_be_done_is_not_done() -> None:
    values = np.array([[3.0, 2.0, -1e5]])
    assert masked(values, np.array([[False, True, True]])).argmax() == 1
    assert masked(values, np.array([[False, False, True]])).argmax() == 2
    obs = np.zeros((1, 1), np.float32), np.zeros((1, 2), np.float32)
    with pytest.raises(InputError, match="at least one that can be taken"):
        greedy(Table(1.0, 2.0), obs)


class Steps:
    """A number must be counted down by choosing one of three; one choice is forbidden, and so never taken."""

    def reset(self, *, seed=None):
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._at, self._left = 0, 6
        return self._look(), {}

    def step(self, action: int):
        assert action != self._forbidden, "the mask was not heeded"
        self._left -= 1
        self._at += action == self._wanted
        done = self._at == 3 or not self._left
        success = self._at == 3
        return self._look(), float(success) if done else 0.0, done, False, {"success": success}

    def _look(self):
        self._wanted, self._forbidden = self._rng.permutation(3)[:2]
        return {"wanted": self._wanted, "forbidden": self._forbidden, "at": self._at}


def look(obs) -> tuple[np.ndarray, np.ndarray]:
    mask = np.ones(3, dtype=np.float32)
    mask[obs["forbidden"]] = 0
    return np.concatenate([np.eye(3)[obs["wanted"]], [obs["at"] / 3]]).astype(np.float32), mask


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))

    def forward(self, obs, mask):
        return self.layers(obs)


def learning(**changes) -> DQN:
    config = DQNConfig(**{"learning_starts": 100, "target_update_interval": 50, "gamma": 0.8, **changes})
    return DQN(Small(), VecEnv([Steps() for _ in range(4)], look, seed=0), config, seed=0)


@pytest.mark.parametrize("changes", [{}, {"alpha": 0.0, "double": False}])
def test_it_learns(changes) -> None:
    dqn = learning(**changes)
    start = []
    dqn.train(
        8000,
        lambda p: start.append(p.success) if len(dqn.envs.latest_episodes) == 100 and not start else None,
    )
    assert start[0] < 0.8
    assert np.mean([success for success, *_ in dqn.envs.latest_episodes]) > 0.95


def test_the_same_seed_learns_the_same() -> None:
    weights = []
    for _ in range(2):
        dqn = learning()
        dqn.train(600)
        weights.append(dqn.network.layers[0].weight.detach().clone())
    assert torch.equal(*weights)


class Weighted:
    """Notes what is done; the mask weighs three actions 0, 1 and 3."""

    def __init__(self):
        self.done = []

    def reset(self, *, seed=None):
        return {}, {}

    def step(self, action: int):
        self.done.append(action)
        return {}, 0.0, False, False, {"success": False}


def test_random_actions_are_drawn_as_the_mask_weighs_them() -> None:
    env = Weighted()
    mask = np.array([0, 1, 3], dtype=np.float32)
    envs = VecEnv([env], lambda _: (np.zeros(4, dtype=np.float32), mask), seed=0)
    DQN(Small(), envs, DQNConfig(final_epsilon=1.0, learning_starts=10_000), seed=0).train(4000)
    shares = np.bincount(env.done, minlength=3) / len(env.done)
    assert shares == pytest.approx([0, 0.25, 0.75], abs=0.03)


def test_random_actions_fade_out_in_a_line() -> None:
    config = DQNConfig(final_epsilon=0.1, exploration_fraction=0.5)
    assert [config.epsilon_at(frame, 100) for frame in (0, 25, 50, 100)] == pytest.approx([1, 0.55, 0.1, 0.1])


def test_values_that_are_no_longer_finite_stop_it() -> None:
    dqn = learning()
    dqn.network.layers[2].weight.data.fill_(float("inf"))
    with pytest.raises(BiddableError, match="no longer finite after"):
        dqn.train(600)


@pytest.mark.parametrize(
    ("field", "value"),
    [("gamma", 1.5), ("final_epsilon", -0.1), ("buffer_size", 0), ("lr", 0.0), ("max_grad_norm", 0.0)],
)
def test_settings_out_of_range(field, value) -> None:
    with pytest.raises(InputError, match=f"{field} is"):
        DQNConfig(**{field: value})
    with pytest.raises(InputError, match="alpha is 2"):
        Replay(4, [np.zeros(1)], alpha=2, seed=0)
    with pytest.raises(InputError, match="capacity is 0"):
        SumTree(0)
