"""Environments side by side while learning: one that breaks costs its episode and nothing else."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from biddable.errors import BiddableError, InputError
from biddable.policies.vec_env import ATTEMPTS, VecEnv


class Counting:
    """Ends each episode after three steps; breaks, or shows or pays something odd, when it is told to."""

    def __init__(self, breaks=(), odd=(), nan=()):
        self.breaks, self.odd, self.nan = set(breaks), set(odd), set(nan)
        self.total = self.steps = 0

    def reset(self, *, seed=None):
        self.steps = 0
        return {"number": np.zeros(2)}, {}

    def step(self, action):
        self.total += 1
        self.steps += 1
        if self.total in self.breaks:
            raise RuntimeError("the simulator\n fell over")
        obs = {"number": np.full(3 if self.total in self.odd else 2, self.steps)}
        reward = float("nan") if self.total in self.nan else 1.0
        return obs, reward, self.steps == 3, False, {"success": True}


def vec_env(*envs) -> VecEnv:
    return VecEnv(envs, lambda obs: (obs["number"],), seed=0)


def step(envs: VecEnv):
    return envs.step(np.zeros(len(envs.envs), dtype=np.int64))


def test_one_that_breaks_begins_again_and_the_others_go_on(caplog) -> None:
    envs = vec_env(Counting(breaks=[2]), Counting())
    step(envs)
    with caplog.at_level(logging.WARNING):
        rewards, done = step(envs)
    assert (rewards.tolist(), done.tolist()) == ([0, 1], [True, False])
    assert envs.obs[0].tolist() == [[0, 0], [2, 2]]
    assert [record.getMessage() for record in caplog.records] == [
        "the environment broke, another episode is begun: RuntimeError: the simulator fell over"
    ]
    assert len(envs.latest_episodes) == 0, "it is not counted"
    for _ in range(3):
        step(envs)
    assert list(envs.latest_episodes) == [(True, 3), (True, 3)]


def test_one_that_breaks_before_any_episode_has_ended_leaves_progress_whole() -> None:
    envs = vec_env(Counting(breaks=[1]))
    step(envs)
    assert (envs.progress(1, 0.0).success, envs.progress(1, 0.0).length) == (0, 0)


def test_one_that_keeps_breaking_is_given_up() -> None:
    envs = vec_env(Counting(breaks=range(1, ATTEMPTS + 1)))
    for _ in range(ATTEMPTS - 1):
        step(envs)
    with pytest.raises(BiddableError, match="broke 3 times in a row, at last with RuntimeError"):
        step(envs)
    now_and_then = vec_env(Counting(breaks=[1, 3, 5, 7]))
    for _ in range(8):
        step(now_and_then)


def test_one_that_cannot_begin_again_is_given_up(monkeypatch) -> None:
    envs = vec_env(Counting(breaks=[1]))
    monkeypatch.setattr(envs.envs[0], "reset", lambda: 1 / 0)
    with pytest.raises(BiddableError, match="at last with ZeroDivisionError"):
        step(envs)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (Counting(odd=[1]), r"features is \(3,\), expected the shape \(2,\), as before"),
        (Counting(nan=[1]), "reward is .*nan.*, expected a number"),
    ],
)
def test_what_cannot_be_learned_from_is_one_line(env, message) -> None:
    with pytest.raises(InputError, match=message):
        step(vec_env(env))
