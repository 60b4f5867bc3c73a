"""Recording Minari data sets: number for number, through kills; what fails or is lost is counted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("minari", reason='minari is not installed: pip install "biddable[envs]"')

import minari
from gymnasium import spaces

from biddable import registry
from biddable.envs.base import instruction_space, make_env
from biddable.errors import BiddableError, FileError, InputError, MissingDependency, RunError
from biddable.policies.base import ScriptedPolicy
from biddable.policies.datasets import read_trajectories
from biddable.policies.datasets.recording import RECORDING, record
from biddable.types import Trajectory

GO_TO = "minigrid:BabyAI-GoToLocal-v0"


def straight(obs: dict[str, Any]) -> np.ndarray:
    """To the goal of Reach2D, in 64-bit numbers."""
    left = obs["state"][2:4].astype(np.float64) - obs["state"][:2]
    return left / max(0.1, float(np.linalg.norm(left)))


def bot(env: Any):
    from biddable.envs.minigrid import Bot

    planner = Bot(env)
    return lambda obs: planner.act()


def oracle(env: Any):
    actions = iter(env.oracle())
    return lambda obs: next(actions)


def same(actual: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return actual.keys() == expected.keys() and all(same(actual[key], expected[key]) for key in expected)
    if isinstance(expected, np.ndarray):
        return actual.dtype == expected.dtype and np.array_equal(actual, expected)
    return actual == expected


def check_by_doing_it_again(id: str, episodes: Sequence[Trajectory], seeds: list[int]) -> None:
    """What was done, done in a new environment, shows and earns what was read."""
    env = make_env(id)
    assert [episode.meta["seed"] for episode in episodes] == seeds
    for episode in episodes:
        obs, info = env.reset(seed=episode.meta["seed"])
        assert episode.instruction == obs["instruction"]
        done = False
        for t, action in enumerate(episode.actions):
            assert not done
            assert same(episode.observation(t), obs)
            obs, reward, terminated, truncated, info = env.step(action)
            assert episode.rewards[t] == float(reward)
            done = terminated or truncated
        assert done
        assert same(episode.observation(len(episode)), obs), "what is seen last is there, too"
        assert (episode.terminated, episode.truncated) == (terminated, truncated)
        assert episode.success == info["success"]
    env.close()


@pytest.mark.parametrize(
    ("id", "by"),
    [(GO_TO, bot), ("mujoco:Reach2D", ScriptedPolicy(straight)), ("form:long", oracle)],
    ids=["BabyAI", "Reach2D", "pages"],
)
def test_what_is_read_is_what_was_done(id, by, tmp_path, monkeypatch) -> None:
    seeds = [3, 1, 4, 15]
    monkeypatch.chdir(tmp_path)
    assert record("done-v0", id, by, seeds) == Path("done-v0")
    episodes = read_trajectories("done-v0")
    check_by_doing_it_again(id, episodes, seeds)
    assert all(episode.success for episode in episodes)
    assert [path.name for path in tmp_path.iterdir()] == ["done-v0"], "nothing else is left"


class Pictures(gym.Env):
    """Noise to look at: what JPEG would spoil."""

    action_space = spaces.Discrete(3)
    observation_space = spaces.Dict(
        {"screen": spaces.Box(0, 255, (40, 50, 3), np.uint8), "instruction": instruction_space()}
    )

    def __init__(self, name: str, height: int = 40, good: int = 0):
        self.height, self.good = height, good

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        return self._look(), {}

    def step(self, action: int):
        return self._look(), 0.0, action == self.good, False, {"success": action == self.good}

    def _look(self) -> dict[str, Any]:
        screen = self.np_random.integers(0, 256, (self.height, 50, 3), dtype=np.uint8)
        return {"screen": screen, "instruction": "press 0"}


@pytest.fixture
def pictures(monkeypatch) -> None:
    monkeypatch.setattr(registry, "find", lambda kind, name: Pictures)


def test_pictures_lose_nothing(pictures, tmp_path) -> None:
    presses = iter([2, 1, 0, 0])
    record(tmp_path / "pictures-v0", "test:pictures", ScriptedPolicy(lambda obs: next(presses)), [5, 6])
    check_by_doing_it_again("test:pictures", read_trajectories(tmp_path / "pictures-v0"), [5, 6])


def test_an_observation_that_its_space_has_not_is_one_line(pictures, tmp_path) -> None:
    with pytest.raises(InputError) as caught:
        record(tmp_path / "odd-v0", "test:pictures", ScriptedPolicy(lambda obs: 0), [0], height=41)
    expected = "'uint8 of shape (41, 50, 3)', expected uint8 of shape (40, 50, 3)"
    assert str(caught.value) == f"observation['screen'] is {expected}"
    for action, actual in ((np.zeros(2), r"float64 of shape \(2,\)"), (0.5, r"float64 of shape \(\)")):
        with pytest.raises(InputError, match=f"action is '{actual}', expected int64 of shape"):
            record(
                tmp_path / "odd-v1", "test:pictures", ScriptedPolicy(lambda obs, action=action: action), [0]
            )
    with pytest.raises(InputError, match="env is 'minigrid'"):
        record(tmp_path / "odd-v2", "minigrid", bot, [0])
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys, time
from tests.policies.datasets.test_recording import straight
from biddable.policies.datasets.recording import record
def by(env):
    steps = iter(range(10**6))
    def act(seen):
        if len(list(folder.parent.glob(".*/whole/data/[0-9]*"))) == 7 and next(steps) == 5:
            time.sleep(600)
        return straight(seen)
    return act
from collections.abc import Sequence
from pathlib import Path
folder = Path(sys.argv[1])
record(folder, "mujoco:Reach2D", by, range(12))
"""


def test_killed_in_the_middle_of_an_episode_it_goes_on_with_that_one(tmp_path) -> None:
    folder = tmp_path / "reach-v0"
    done = tmp_path / ".reach-v0.recording" / "whole" / "data"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], cwd=Path(__file__).parents[3])
    deadline = time.monotonic() + 60
    while not (done / "6").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    with pytest.raises(RunError, match="in use by process"):
        record(folder, "mujoco:Reach2D", ScriptedPolicy(straight), range(12))
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert not folder.exists()
    for half in (tmp_path / ".reach-v0.recording", done.parent):
        with pytest.raises(FileError, match=r"no data set that is read|no such file"):
            read_trajectories(half)
    before = {path.name: path.stat().st_mtime_ns for path in done.rglob("*.parquet")}
    played = []

    def counting(env):
        played.append(env)
        return straight

    with pytest.raises(RunError, match=r"seeds\[0\] was 0, is now 1"):
        record(folder, "mujoco:Reach2D", counting, range(1, 13))
    record(folder, "mujoco:Reach2D", counting, range(12))
    assert len(played) == 5
    after = {path.name: path.stat().st_mtime_ns for path in folder.rglob("[0-6]/*.parquet")}
    assert before.items() <= after.items()
    assert [path.name for path in tmp_path.iterdir()] == ["reach-v0"]

    record(tmp_path / "whole-v0", "mujoco:Reach2D", ScriptedPolicy(straight), range(12))
    for actual, expected in zip(
        read_trajectories(folder), read_trajectories(tmp_path / "whole-v0"), strict=True
    ):
        assert actual.meta == expected.meta
        assert np.array_equal(actual.actions, expected.actions)
        assert np.array_equal(actual.rewards, expected.rewards)


def test_who_raises_loses_his_episode_and_no_other(tmp_path, caplog) -> None:
    def by(env):
        if env.unwrapped.np_random.random() < 0.5:
            raise ValueError("no hands")
        return straight

    record(tmp_path / "some-v0", "mujoco:Reach2D", by, range(12))
    told = json.loads((tmp_path / "some-v0" / RECORDING).read_text())
    lost = told["lost_seeds"]
    assert 0 < len(lost) < 12
    assert told["lost"] == {"ValueError: no hands": len(lost)}
    assert (told["played"], told["recorded"]) == (12, 12 - len(lost))
    assert f"{len(lost)} of 12 episodes are lost: ValueError: no hands" in caplog.text
    check_by_doing_it_again(
        "mujoco:Reach2D",
        read_trajectories(tmp_path / "some-v0"),
        [seed for seed in range(12) if seed not in lost],
    )


def test_where_all_are_lost_the_first_reason_is_raised(tmp_path) -> None:
    def by(env):
        raise ValueError("no hands")

    with pytest.raises(BiddableError, match=r"^ValueError: no hands$"):
        record(tmp_path / "none-v0", "mujoco:Reach2D", by, range(3))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failures", ["keep", "drop"])
def test_failed_demonstrations_are_told(pictures, failures, tmp_path, caplog) -> None:
    presses = iter([0, 0, 1, 0, 2])
    policy = ScriptedPolicy(lambda obs: next(presses))
    folder = tmp_path / "pressed-v0"
    record(folder, "test:pictures", policy, [1, 2, 3], failures=failures, max_episode_steps=2, good=2)
    episodes = read_trajectories(folder)
    assert [(each.meta["seed"], each.success) for each in episodes] == (
        [(1, False), (2, False), (3, True)] if failures == "keep" else [(3, True)]
    )
    told = json.loads((folder / RECORDING).read_text())
    assert (told["failed"], told["recorded"]) == (2, len(episodes))
    assert "2 of 3 demonstrations did not do what was asked; they are" in caplog.text


def test_nobody_can_leave_out_what_nobody_tells(tmp_path) -> None:
    with pytest.raises(InputError, match=r"failures is 'drop', expected keep: the environment does not say"):
        record(tmp_path / "pole-v0", "gym:CartPole-v1", ScriptedPolicy(lambda obs: 1), [1], failures="drop")
    record(tmp_path / "pole-v0", "gym:CartPole-v1", ScriptedPolicy(lambda obs: 1), [1])
    (episode,) = read_trajectories(tmp_path / "pole-v0")
    assert (episode.success, episode.terminated) == (None, True)


def test_an_environment_of_ones_own(tmp_path) -> None:
    made = gym.make("CartPole-v1")
    for number, env in enumerate([made, lambda: gym.make("CartPole-v1")]):
        folder = (
            record(
                tmp_path / f"pole-v{number}", env, ScriptedPolicy(lambda obs: 1), [4], instruction="balance"
            )
            if number
            else record(tmp_path / "pole-v0", env, ScriptedPolicy(lambda obs: 1), [4])
        )
        (episode,) = read_trajectories(folder)
        assert episode.instruction == ("balance" if number else "cart pole")
        assert np.array_equal(episode.observations["state"][0], made.reset(seed=4)[0])


def test_the_bot_ends_where_it_would_go_round_in_circles(tmp_path, caplog) -> None:
    level = "minigrid:BabyAI-UnlockToUnlock-v0"
    record(tmp_path / "bot-v0", level, bot, [3, 4])
    assert len(read_trajectories(tmp_path / "bot-v0")) == 1
    assert "1 of 2 episodes are lost: BabyAI's bot finds no way in BabyAI-UnlockToUnlock-v0" in caplog.text


@pytest.fixture(scope="module")
def reach(tmp_path_factory) -> Path:
    return record(
        tmp_path_factory.mktemp("demos") / "reach-v0", "mujoco:Reach2D", ScriptedPolicy(straight), range(60)
    )


def test_the_same_call_again_does_nothing_and_another_is_refused(reach) -> None:
    def fail(env):
        raise AssertionError("nothing is to be played")

    assert record(reach, "mujoco:Reach2D", fail, range(60)) == reach
    with pytest.raises(RunError, match="reach-v0: env was 'mujoco:Reach2D', is now 'mujoco:PointMass'"):
        record(reach, "mujoco:PointMass", fail, range(60))


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path) -> None:
    folder = tmp_path / "reach-v0"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="holds something else than a recording; use another folder"):
        record(folder, "mujoco:Reach2D", ScriptedPolicy(straight), [1])
    assert [path.name for path in tmp_path.rglob("*")] == ["reach-v0", "notes.txt"]


@pytest.mark.parametrize("name", ["reach", "reach-v", "re ach-v0", "-v0"])
def test_a_name_that_minari_would_not_find(name, tmp_path) -> None:
    with pytest.raises(InputError, match="a name that ends in a version"):
        record(tmp_path / name, "mujoco:Reach2D", ScriptedPolicy(straight), [1])
    for seeds in ("12", [0.5], [-1]):
        with pytest.raises(InputError, match="expected integers of at least 0"):
            record(tmp_path / "reach-v0", "mujoco:Reach2D", ScriptedPolicy(straight), seeds)
    with pytest.raises(InputError, match=r"options is .*expected values that JSON has: object cannot be"):
        record(tmp_path / "reach-v0", "mujoco:Reach2D", ScriptedPolicy(straight), [1], success=object())
    with pytest.raises(InputError, match="seeds is"):
        record(tmp_path / "reach-v0", "mujoco:Reach2D", ScriptedPolicy(straight), [])
    assert list(tmp_path.iterdir()) == []


def test_minari_itself_finds_it_and_makes_its_environment(reach, monkeypatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(reach.parent))
    dataset = minari.load_dataset("reach-v0")
    steps = sum(len(episode) for episode in read_trajectories(reach))
    assert (dataset.total_episodes, dataset.total_steps) == (60, steps)
    first = dataset[0]
    assert len(first.observations["state"]) == len(first.actions) + 1, "the last thing seen is there too"
    env = dataset.recover_environment()
    obs, _ = env.reset(seed=0)
    assert np.array_equal(obs["state"], first.observations["state"][0])


def test_home_and_environment_stay_as_they_were(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    before = dict(os.environ)
    record(tmp_path / "reach-v0", "mujoco:Reach2D", ScriptedPolicy(straight), [1])
    read_trajectories(tmp_path / "reach-v0")
    assert dict(os.environ) == before
    assert not (tmp_path / "home").exists()


def test_without_minari_it_says_what_to_install(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependency) as caught:
        record(tmp_path / "x-v0", GO_TO, bot, [1])
    assert str(caught.value) == 'minari is not installed; install it with: pip install "biddable[envs]"'


def test_minari_is_imported_only_when_used() -> None:
    code = "import sys, biddable.policies.datasets.recording; assert 'minari' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
