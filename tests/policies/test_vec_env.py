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
        rewards, terminated, truncated = step(envs)
    assert (rewards.tolist(), terminated.tolist(), truncated.tolist()) == ([0, 1], [False] * 2, [True, False])
    assert envs.next_obs[0].tolist() == [[1, 1], [2, 2]], "where it last stood"
    assert envs.obs[0].tolist() == [[0, 0], [2, 2]]
    assert [record.getMessage() for record in caplog.records] == [
        "the environment broke, another episode is begun: RuntimeError: the simulator fell over"
    ]
    assert len(envs.latest_episodes) == 0, "it is not counted"
    for _ in range(3):
        step(envs)
    assert list(envs.latest_episodes) == [(True, 3, 3.0), (True, 3, 3.0)]


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
    monkeypatch.setattr(envs.envs[0], "reset", lambda **_: 1 / 0)
    with pytest.raises(BiddableError, match="at last with ZeroDivisionError"):
        step(envs)
    with pytest.raises(BiddableError, match="broke 3 times in a row, at last with ZeroDivisionError"):
        vec_env(envs.envs[0])


class Cut(Counting):
    """Is cut off after two steps, and says nothing of success."""

    def step(self, action):
        obs, reward, _, _, _ = super().step(action)
        return obs, reward, False, self.steps == 2, {}


def test_what_is_cut_off_is_told_from_what_ends_and_its_last_observation_is_kept() -> None:
    envs = vec_env(Cut(), Counting())
    for _ in range(2):
        rewards, terminated, truncated = step(envs)
    assert (rewards.tolist(), terminated.tolist(), truncated.tolist()) == ([1, 1], [False] * 2, [True, False])
    assert envs.obs[0].tolist() == [[0, 0], [2, 2]]
    assert envs.next_obs[0].tolist() == [[2, 2], [2, 2]]
    _, terminated, truncated = step(envs)
    assert (terminated.tolist(), truncated.tolist()) == ([False, True], [False, False])
    assert envs.next_obs[0].tolist() == [[1, 1], [3, 3]]


def test_success_is_optional_and_no_episode_is_lost_without_it() -> None:
    envs = vec_env(Cut(), Cut())
    for _ in range(4):
        rewards, *_ = step(envs)
        assert rewards.tolist() == [1, 1]
    assert list(envs.latest_episodes) == [(None, 2, 2.0)] * 4
    progress = envs.progress(8, 0.0)
    assert (progress.success, progress.length, progress.episode_return) == (0.0, 2.0, 2.0)


class Old(Counting):
    def step(self, action):
        obs, reward, done, _, info = super().step(action)
        return obs, reward, done, info


class Older(Counting):
    def reset(self, *, seed=None):
        return super().reset()[0]


def test_environments_of_the_old_kind_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="what step returned is '4 values', expected 5 of them: obs, reward"):
        step(vec_env(Old()))
    with pytest.raises(InputError, match="what reset returned is 'dict', expected 2 of them"):
        vec_env(Older())
    with pytest.raises(InputError, match="envs is 'none', expected at least one"):
        vec_env()


class Unseen(Counting):
    """Its sensor fails."""

    def step(self, action):
        obs, *rest = super().step(action)
        return {"number": obs["number"] * np.nan}, *rest


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (Counting(odd=[1]), r"features is \(3,\), expected the shape \(2,\), as before"),
        (Counting(nan=[1]), "reward is .*nan.*, expected a number"),
        (Unseen(), "observation is 'a number that is not finite', expected finite numbers"),
    ],
)
def test_what_cannot_be_learned_from_is_one_line(env, message) -> None:
    with pytest.raises(InputError, match=message):
        step(vec_env(env))
