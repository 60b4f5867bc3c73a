"""Trying a policy out: every episode once, in order, whatever ends when and whatever breaks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from biddable.errors import BiddableError, InputError
from biddable.policies.base import ATTEMPTS, ScriptedPolicy, returns, rollout_stage, rollouts, successes
from biddable.runs.codec import jsonable
from biddable.runs.run import Run

WAIT = ScriptedPolicy(lambda obs: 1)


class Countdown:
    """An environment whose episode lasts as many steps as its seed says; odd ones succeed.

    ``faults`` is shared: what is raised, by (seed, steps done), as often as it says.
    """

    def __init__(self, faults: dict[tuple[int, int], int] | None = None):
        self.faults = {} if faults is None else faults
        self.closed = False

    def reset(self, *, seed: int):
        self.left = self.seed = seed
        return {"instruction": f"wait {seed}", "left": self.left}, {}

    def step(self, action: int):
        here = (self.seed, self.seed - self.left)
        if self.faults.get(here, 0):
            self.faults[here] -= 1
            raise OSError("the cable\nis loose")
        self.left -= action
        done = self.left <= 0
        info = {"success": done and self.seed % 2 == 1}
        return {"instruction": "", "left": self.left}, float(done), done, False, info

    def close(self):
        self.closed = True


def test_more_episodes_than_environments_and_the_other_way_round() -> None:
    seeds = [5, 1, 3, 2, 7, 4]
    for count in (1, 2, 4, 9):
        episodes = rollouts([Countdown() for _ in range(count)], WAIT, seeds)
        assert [episode.meta["seed"] for episode in episodes] == seeds
        assert [len(episode) for episode in episodes] == seeds
        assert [episode.instruction for episode in episodes] == [f"wait {seed}" for seed in seeds]
        assert successes(episodes).tolist() == [seed % 2 for seed in seeds]
    assert rollouts([Countdown()], WAIT, []) == []


def test_an_episode_holds_one_observation_more_than_actions() -> None:
    (episode,) = rollouts([Countdown()], WAIT, [3])
    assert episode.observations["left"].tolist() == [3, 2, 1, 0]
    assert episode.observations["instruction"] == ("wait 3", "", "", "")
    assert (episode.actions.tolist(), episode.rewards.tolist()) == ([1, 1, 1], [0.0, 0.0, 1.0])
    assert (episode.terminated, episode.truncated, episode.success) == (True, False, True)
    assert episode.observation(1) == {"left": 2, "instruction": ""}


class Silent(Countdown):
    """Says nothing of success, or says it as Stable-Baselines3 does; is cut off."""

    def __init__(self, key: str = ""):
        super().__init__()
        self.key = key

    def step(self, action: int):
        obs, reward, done, _, info = super().step(action)
        return obs, reward, False, done, {self.key: float(info["success"])} if self.key else {}


def test_success_may_be_missing_or_be_called_is_success() -> None:
    (silent,) = rollouts([Silent()], WAIT, [3])
    assert (silent.success, silent.terminated, silent.truncated) == (None, False, True)
    with pytest.raises(InputError, match=r"episodes\[0\].success is None, expected True or False"):
        successes([silent])
    assert returns([silent]).tolist() == [1.0]
    assert successes(rollouts([Silent("is_success")], WAIT, [3, 4])).tolist() == [1, 0]


def test_what_is_no_dictionary_is_refused_with_a_way_out() -> None:
    env = gym.make("CartPole-v1")
    with pytest.raises(InputError, match=r"observation is 'ndarray', expected a dictionary .*make_env"):
        rollouts([env], WAIT, [0])


def test_one_batch_a_step() -> None:
    sizes = []

    class Counting:
        def act(self, observations):
            sizes.append(len(observations))
            return np.ones(len(observations), dtype=int)

    rollouts([Countdown() for _ in range(3)], Counting(), [2, 2, 4])
    assert sizes == [3, 3, 1, 1]


@pytest.mark.parametrize("threads", [False, True])
def test_an_environment_that_breaks_costs_no_episode(threads, caplog) -> None:
    seeds = [5, 1, 3, 2, 7, 4]
    faults = {(5, 2): 1, (7, 0): ATTEMPTS - 1, (4, 3): 1}
    whole = rollouts([Countdown() for _ in range(2)], WAIT, seeds)
    episodes = rollouts([Countdown(faults) for _ in range(2)], WAIT, seeds, threads=threads)
    assert jsonable(episodes) == jsonable(whole)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4
    assert (
        "episode of seed 5, step 2: the environment broke, the episode is begun again: "
        "OSError: the cable is loose" in said
    )


def test_one_that_is_past_use_is_made_anew_and_closed() -> None:
    class Dead(Countdown):
        def reset(self, *, seed: int):
            raise RuntimeError("gone")

    given, made = Dead(), []

    def make() -> Countdown:
        made.append(Countdown())
        return made[-1]

    episodes = rollouts([given, Countdown()], WAIT, [2, 3, 1], make=make)
    assert [len(episode) for episode in episodes] == [2, 3, 1]
    assert [env.closed for env in (given, *made)] == [True, True]


def test_one_that_breaks_again_and_again_is_given_up() -> None:
    with pytest.raises(BiddableError) as caught:
        rollouts([Countdown({(3, 1): ATTEMPTS})], WAIT, [3])
    assert str(caught.value) == (
        "episode of seed 3, step 1: the environment broke 3 times, at last with OSError: the cable is loose"
    )


def test_threads_step_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)

    class Waiting(Countdown):
        def step(self, action: int):
            together.wait()
            return super().step(action)

    episodes = rollouts([Waiting() for _ in range(3)], WAIT, [2, 2, 2], threads=True)
    assert [len(episode) for episode in episodes] == [2, 2, 2]


class Picky(Countdown):
    """Declares what it shows, and takes nothing but 1."""

    observation_space = gym.spaces.Dict({"left": gym.spaces.Box(0, 9, (2,))})
    shown = np.zeros(2)

    def reset(self, *, seed: int):
        super().reset(seed=seed)
        return {"instruction": "wait", "left": np.zeros(2)}, {}

    def step(self, action: int):
        if action != 1:
            raise InputError("action", action, "1")
        _, *rest = super().step(action)
        return {"instruction": "wait", "left": self.shown}, *rest


def test_what_is_wrong_with_an_action_or_observation_is_one_line() -> None:
    class TooFew:
        def act(self, observations):
            return [1]

    with pytest.raises(InputError, match="actions is '1 of them', expected 2, one for each observation"):
        rollouts([Countdown(), Countdown()], TooFew(), [1, 2])
    nothing = ScriptedPolicy(lambda obs: np.nan)
    with pytest.raises(InputError, match="episode of seed 3, step 0: action is nan, expected 1"):
        rollouts([Picky()], nothing, [3])
    env = Picky()
    env.shown = np.zeros(3)
    expected = (
        r"episode of seed 3, step 0: observation\['left'\] is \(3,\), expected an array of shape \(2,\)"
    )
    with pytest.raises(InputError, match=expected):
        rollouts([env], WAIT, [3])


def test_without_an_instruction_it_is_no_environment_of_ours(monkeypatch) -> None:
    monkeypatch.setattr(Countdown, "reset", lambda self, seed: ({"left": seed}, {}))
    with pytest.raises(InputError, match=r"observation is \['left'\], expected a dictionary with the text"):
        rollouts([Countdown()], WAIT, [3])


class Noted(Countdown):
    """Notes which episodes are begun, and ends its process in the fifth step of 9 where it is ``deadly``."""

    def __init__(self, begun: list[int], deadly: bool = False):
        super().__init__()
        self.begun, self.deadly = begun, deadly

    def reset(self, *, seed: int):
        self.begun.append(seed)
        return super().reset(seed=seed)

    def step(self, action: int):
        if self.deadly and (self.seed, self.left) == (9, 4):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


def tried(folder: Path, envs: list[Countdown]) -> list[int]:
    """How long episodes are, as a stage."""
    with Run.open(folder, "tried", {}, 0) as run:
        return rollout_stage(run, "test", envs, WAIT, [2, 1, 9, 3], lambda e: len(e), int)


def test_a_run_that_stops_goes_on_without_the_episodes_that_had_ended(tmp_path) -> None:
    with pytest.raises(BiddableError, match="episode of seed 9, step 5"):
        tried(tmp_path / "run", [Countdown({(9, 5): ATTEMPTS}) for _ in range(2)])
    begun: list[int] = []
    assert tried(tmp_path / "run", [Noted(begun), Noted(begun)]) == [2, 1, 9, 3]
    assert begun == [9]


def test_so_does_one_that_is_killed(tmp_path) -> None:
    envs = [Noted([], deadly=True), Noted([], deadly=True)]
    process = multiprocessing.get_context("fork").Process(target=tried, args=(tmp_path / "run", envs))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    begun: list[int] = []
    assert tried(tmp_path / "run", [Noted(begun)]) == [2, 1, 9, 3]
    assert begun == [9], "the others had ended, one of them after it had begun"
