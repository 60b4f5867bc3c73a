"""Recording and reading Minari datasets: number for number, through kills; damage is named in a line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
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
from biddable.policies.base import ScriptedPolicy, rollouts, successes
from biddable.policies.cloning import CloningConfig, clone
from biddable.policies.demonstrations import pairs, read, record
from biddable.types import Episode, Step

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


def check_by_doing_it_again(id: str, episodes: list[Episode], seeds: list[int]) -> None:
    """What was done, done in a new environment, shows and earns what was read."""
    env = make_env(id)
    assert [episode.meta["seed"] for episode in episodes] == seeds
    for episode in episodes:
        obs, info = env.reset(seed=episode.meta["seed"])
        assert episode.instruction == obs["instruction"]
        done = False
        for step in episode.steps:
            assert not done
            assert same(step.observation, obs)
            obs, reward, terminated, truncated, info = env.step(step.action)
            assert step.reward == float(reward)
            done = terminated or truncated
        assert done
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
    episodes = read("done-v0")
    check_by_doing_it_again(id, episodes, seeds)
    assert all(episode.success for episode in episodes)
    assert [path.name for path in tmp_path.iterdir()] == ["done-v0"], "nothing else is left"


class Pictures(gym.Env):
    """Noise to look at: what JPEG would spoil."""

    action_space = spaces.Discrete(3)
    observation_space = spaces.Dict(
        {"screen": spaces.Box(0, 255, (40, 50, 3), np.uint8), "instruction": instruction_space()}
    )

    def __init__(self, name: str, height: int = 40):
        self.height = height

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        return self._look(), {}

    def step(self, action: int):
        return self._look(), 0.0, action == 0, False, {"success": action == 0}

    def _look(self) -> dict[str, Any]:
        screen = self.np_random.integers(0, 256, (self.height, 50, 3), dtype=np.uint8)
        return {"screen": screen, "instruction": "press 0"}


@pytest.fixture
def pictures(monkeypatch) -> None:
    monkeypatch.setattr(registry, "find", lambda kind, name: Pictures)


def test_pictures_lose_nothing(pictures, tmp_path) -> None:
    presses = iter([2, 1, 0, 0])
    record(tmp_path / "pictures-v0", "test:pictures", ScriptedPolicy(lambda obs: next(presses)), [5, 6])
    check_by_doing_it_again("test:pictures", read(tmp_path / "pictures-v0"), [5, 6])


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
from tests.policies.test_demonstrations import straight
from biddable.policies.demonstrations import record
def by(env):
    steps = iter(range(10**6))
    def act(seen):
        if len(list(folder.parent.glob(".*/whole/data/[0-9]*"))) == 7 and next(steps) == 5:
            time.sleep(600)
        return straight(seen)
    return act
from pathlib import Path
folder = Path(sys.argv[1])
record(folder, "mujoco:Reach2D", by, range(12))
"""


def test_killed_in_the_middle_of_an_episode_it_goes_on_with_that_one(tmp_path) -> None:
    folder = tmp_path / "reach-v0"
    done = tmp_path / ".reach-v0.recording" / "whole" / "data"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], cwd=Path(__file__).parents[2])
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
        with pytest.raises(FileError, match="no Minari dataset"):
            read(half)
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
    for actual, expected in zip(read(folder), read(tmp_path / "whole-v0"), strict=True):
        assert actual.meta == expected.meta
        assert [(step.action.tolist(), step.reward) for step in actual.steps] == [
            (step.action.tolist(), step.reward) for step in expected.steps
        ]


def test_an_episode_that_fails_leaves_those_before(tmp_path) -> None:
    calls = iter([straight, straight])
    with pytest.raises(StopIteration):
        record(tmp_path / "some-v0", "mujoco:Reach2D", lambda env: next(calls), range(4))
    assert not (tmp_path / "some-v0").exists()
    left = iter([straight, straight])
    record(tmp_path / "some-v0", "mujoco:Reach2D", lambda env: next(left), range(4))
    assert len(read(tmp_path / "some-v0")) == 4


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
    with pytest.raises(InputError, match="seeds is"):
        record(tmp_path / "reach-v0", "mujoco:Reach2D", ScriptedPolicy(straight), [])
    assert list(tmp_path.iterdir()) == []


def test_minari_itself_finds_it_and_makes_its_environment(reach, monkeypatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(reach.parent))
    dataset = minari.load_dataset("reach-v0")
    steps = sum(len(episode.steps) for episode in read(reach))
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
    read(tmp_path / "reach-v0")
    assert dict(os.environ) == before
    assert not (tmp_path / "home").exists()


def test_a_clone_of_what_was_read_does_as_it_was_shown(reach) -> None:
    states, actions = pairs(read(reach))
    assert states.shape == (len(actions), 4)
    ensemble = clone(states, actions, CloningConfig(members=2, hidden=64, epochs=40), seed=0)
    envs = [make_env("mujoco:Reach2D") for _ in range(10)]
    assert successes(rollouts(envs, ensemble, seeds=range(1000, 1020))).mean() >= 0.9


def test_what_cannot_be_cloned_is_one_line() -> None:
    def episode(*steps: Step) -> list[Episode]:
        return [Episode("go", steps, True)]

    good = Step({"state": np.zeros(3)}, np.zeros(2), 0.0)
    for episodes, message in [
        (episode(), "episodes is 'no steps'"),
        (episode(good, Step({"image": 0}, np.zeros(2), 0.0)), r"episodes\[0\]'s observation is"),
        (episode(good, Step({"state": np.zeros(4)}, np.zeros(2), 0.0)), r"state is \(4,\), expected \(3,\)"),
        (episode(Step({"state": np.zeros(3)}, 1, 0.0)), r"action is \(\), expected a vector"),
    ]:
        with pytest.raises(InputError, match=message):
            pairs(episodes)


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def change(path: Path, **fields: Any) -> None:
    about = {**json.loads(path.read_text()), **fields}
    path.write_text(json.dumps({name: value for name, value in about.items() if value is not None}))


def other_shape(data: Path) -> None:
    state = {"type": "Box", "dtype": "float32", "shape": [2], "low": [-1, -1], "high": [1, 1]}
    text = {"type": "Text", "max_length": 9, "min_length": 0, "charset": "abc"}
    space = json.dumps({"type": "Dict", "subspaces": {"state": state, "instruction": text}})
    change(data / "metadata.json", observation_space=space)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: truncate(data / "1" / "part-0.parquet"), "episode 1 cannot be read: "),
        (lambda data: truncate(data / "1" / "metadata.json"), "episode 1 cannot be read: "),
        (lambda data: (data / "1" / "part-0.parquet").unlink(), "episode 1 cannot be read: "),
        (lambda data: truncate(data / "metadata.json"), r"data/metadata.json:\d+: not JSON: "),
        (lambda data: (data / "metadata.json").unlink(), "no Minari dataset: it holds no data/metadata.json"),
        (lambda data: change(data / "metadata.json", total_episodes=3), "episode 2 cannot be read: "),
        (lambda data: change(data / "metadata.json", total_episodes=0), "a dataset without episodes"),
        (lambda data: change(data / "metadata.json", total_episodes="two"), "the dataset cannot be read: "),
        (lambda data: change(data / "metadata.json", data_format="tape"), "the dataset cannot be read: "),
        (lambda data: change(data / "metadata.json", minari_version="9.0"), "does not support"),
        (lambda data: change(data / "1" / "metadata.json", total_steps=99), "of its 99 steps are there"),
        (other_shape, r"episode 0 cannot be read: observation\['state'\] is there \d+ times, expected \d+"),
    ],
)
def test_damage_is_one_line_that_says_where(damage, message, tmp_path) -> None:
    folder = record(tmp_path / "reach-v0", "mujoco:Reach2D", ScriptedPolicy(straight), [1, 2])
    damage(folder / "data")
    with pytest.raises(FileError, match=message) as caught:
        read(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_environment_is_made_because_a_file_names_it(tmp_path) -> None:
    """Minari would call the entry point of a dataset that does not describe its spaces."""
    folder = record(tmp_path / "reach-v0", "mujoco:Reach2D", ScriptedPolicy(straight), [1])
    spec = gym.envs.registration.EnvSpec(
        "test/Evil-v0", "pathlib:Path.mkdir", kwargs={"self": str(tmp_path / "made")}
    )
    change(folder / "data" / "metadata.json", observation_space=None, env_spec=spec.to_json())
    with pytest.raises(FileError, match="does not describe the dataset's observations and actions"):
        read(folder)


def foreign(monkeypatch, root: Path, observations: Any, space: Any, rewards: list[float], infos=None) -> Path:
    """A dataset as Minari writes it by default, in HDF5."""
    pytest.importorskip("h5py", reason='h5py is not installed: pip install "biddable[envs]"')
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(root))
    count = len(rewards)
    buffer = minari.data_collector.EpisodeBuffer(
        observations=observations,
        actions=np.arange(count),
        rewards=rewards,
        terminations=[False] * (count - 1) + [True],
        truncations=[False] * count,
        infos=infos,
    )
    minari.create_dataset_from_buffers(
        "theirs-v0", [buffer], observation_space=space, action_space=spaces.Discrete(9), data_format="hdf5"
    )
    return root / "theirs-v0"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_somebody_elses_states(monkeypatch, tmp_path) -> None:
    states = np.arange(8.0).reshape(4, 2)
    folder = foreign(monkeypatch, tmp_path, states, spaces.Box(-9, 9, (2,), np.float64), [0.0, 0.0, 1.0])
    with pytest.raises(InputError, match="what was to be done, which this dataset does not say"):
        read(folder)
    (episode,) = read(folder, "reach the door")
    assert (episode.instruction, episode.success, episode.meta) == ("reach the door", True, {})
    assert [step.observation["state"].tolist() for step in episode.steps] == states[:-1].tolist()
    assert [(step.action, step.reward) for step in episode.steps] == [(0, 0.0), (1, 0.0), (2, 1.0)]
    truncate(folder / "data" / "main_data.hdf5")
    with pytest.raises(FileError, match="episode 0 cannot be read: "):
        read(folder, "reach the door")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("rewards", "infos", "success"),
    [
        ([0.0, 0.9], None, True),
        ([0.5, 0.9], None, False),
        ([0.0, 0.0], None, False),
        ([0.0, 0.9], {"success": [True, True, False]}, False),
        ([0.0, 0.0], {"success": [False, False, True]}, True),
    ],
)
def test_somebody_elses_missions_and_successes(monkeypatch, tmp_path, rewards, infos, success) -> None:
    space = spaces.Dict({"direction": spaces.Discrete(4), "mission": instruction_space()})
    observations = {"direction": np.array([0, 3, 2]), "mission": ["go to the key"] * 3}
    (episode,) = read(foreign(monkeypatch, tmp_path, observations, space, rewards, infos))
    assert (episode.instruction, episode.success) == ("go to the key", success)
    assert episode.steps[1].observation == {"direction": 3, "instruction": "go to the key"}


def test_without_minari_it_says_what_to_install(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("biddable.policies.demonstrations.find_spec", lambda name: None)
    expected = 'minari is not installed; install it with: pip install "biddable[envs]"'
    for call in (lambda: read(tmp_path), lambda: record(tmp_path / "x-v0", GO_TO, bot, [1])):
        with pytest.raises(MissingDependency) as caught:
            call()
        assert str(caught.value) == expected
    assert issubclass(MissingDependency, BiddableError)


def test_minari_is_imported_only_when_used() -> None:
    code = "import sys, biddable.policies.demonstrations; assert 'minari' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
