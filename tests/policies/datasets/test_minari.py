"""Minari's data sets, as Minari writes them: spaces of all kinds, other people's conventions, damage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("minari", reason='minari is not installed: pip install "biddable[envs]"')

import minari
from gymnasium import spaces

from biddable.envs.base import instruction_space, make_env
from biddable.errors import FileError, InputError
from biddable.policies.base import ScriptedPolicy
from biddable.policies.cloning import CloningConfig, clone
from biddable.policies.datasets import read_trajectories
from biddable.policies.datasets.recording import record
from biddable.policies.datasets.write_minari import write_minari
from biddable.types import Trajectory
from tests.policies.datasets.test_recording import straight

FORMATS = ("hdf5", "arrow", "parquet")


def written(
    monkeypatch: Any,
    root: Path,
    observations: Any,
    space: Any,
    rewards: Sequence[float],
    infos: Any = None,
    form: str = "hdf5",
    actions: Any = None,
    action_space: Any = None,
    truncated: bool = False,
    **options: Any,
) -> Path:
    """A data set of one episode, as Minari writes it."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(root))
    count = len(rewards)
    last = [False] * (count - 1)
    buffer = minari.data_collector.EpisodeBuffer(
        observations=observations,
        actions=np.arange(count) if actions is None else actions,
        rewards=list(rewards),
        terminations=[*last, not truncated],
        truncations=[*last, truncated],
        infos=infos,
    )
    minari.create_dataset_from_buffers(
        "theirs-v0",
        [buffer],
        observation_space=space,
        action_space=action_space or spaces.Discrete(9),
        data_format=form,
        **options,
    )
    return root / "theirs-v0"


@pytest.fixture(scope="module")
def reach(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demos") / "reach-v0"
    return record(folder, "mujoco:Reach2D", ScriptedPolicy(straight), range(20))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("form", FORMATS)
def test_arrays_are_states(form, monkeypatch, tmp_path) -> None:
    states = np.arange(8.0).reshape(4, 2)
    space = spaces.Box(-9, 9, (2,), np.float64)
    folder = written(monkeypatch, tmp_path, states, space, [0.0, 0.0, 1.0], form=form)
    trajectories = read_trajectories(folder)
    assert trajectories.spec.observations == {"state": ((2,), "float64")}
    assert str(trajectories.spec.action) == "one of 9 choices"
    with pytest.raises(InputError, match="what was to be done, which this episode does not say"):
        trajectories[0]
    (episode,) = read_trajectories(folder, instruction="reach the door")
    assert (episode.instruction, episode.success, episode.meta) == ("reach the door", True, {"episode": 0})
    assert np.array_equal(episode.observations["state"], states), "the last one is there, too"
    assert episode.actions.tolist() == [0, 1, 2]
    assert episode.rewards.tolist() == [0.0, 0.0, 1.0]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("form", FORMATS)
def test_spaces_of_all_kinds(form, monkeypatch, tmp_path) -> None:
    observations = {
        "grid": np.arange(3 * 40 * 35 * 3).astype(np.uint8).reshape(3, 40, 35, 3),
        "pair": (np.arange(3), np.arange(6, dtype=np.float32).reshape(3, 2)),
        "mission": ["go left", "go left", "go right"],
        "notes": ["a", "b", "c"],
        "flags": np.array([[0, 1], [1, 1], [0, 0]], np.int8),
        "several": np.array([[0, 2], [1, 1], [0, 0]]),
    }
    space = spaces.Dict(
        {
            "grid": spaces.Box(0, 255, (40, 35, 3), np.uint8),
            "pair": spaces.Tuple([spaces.Discrete(3), spaces.Box(-9, 9, (2,), np.float32)]),
            "mission": instruction_space(),
            "notes": instruction_space(),
            "flags": spaces.MultiBinary(2),
            "several": spaces.MultiDiscrete([2, 3]),
        }
    )
    actions = {"arm": np.ones((2, 2), np.float32), "hand": np.array([0, 1])}
    action_space = spaces.Dict({"arm": spaces.Box(-1, 1, (2,), np.float32), "hand": spaces.Discrete(2)})
    folder = written(
        monkeypatch,
        tmp_path,
        observations,
        space,
        [0.0, 0.0],
        form=form,
        actions=actions,
        action_space=action_space,
        jpeg_encoding=False,
    )
    data = read_trajectories(folder)
    (episode,) = data
    seen = episode.observations
    assert seen.keys() == {
        "grid",
        "pair.0",
        "pair.1",
        "instruction",
        "notes",
        "flags",
        "several",
        "state",
    }
    assert data.spec.observations == {
        name: (values.shape[1:], str(values.dtype)) if name != "notes" else ((), "str")
        for name, values in seen.items()
        if name != "instruction"
    }
    assert np.array_equal(seen["grid"], observations["grid"])
    assert (seen["pair.0"].tolist(), seen["notes"]) == ([0, 1, 2], ("a", "b", "c"))
    assert (episode.instruction, seen["instruction"][2]) == ("go left", "go right"), "it changes on the way"
    order = sorted(["pair.0", "pair.1", "flags", "several"], key=list(seen).index)
    assert seen["state"].shape == (3, 3 + 2 + 2 + 2)
    one_hot = order.index("pair.0")
    before = sum({"pair.1": 2, "flags": 2, "several": 2}[name] for name in order[:one_hot])
    assert seen["state"][1, before : before + 3].tolist() == [0, 1, 0], "a choice is zeros with a one"
    assert episode.actions[1]["arm"].tolist() == [1, 1]
    assert episode.actions[1]["hand"] == 1
    assert str(data.spec.action) == "neither numbers nor choices"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("form", FORMATS)
def test_pictures_as_minari_stores_them(form, monkeypatch, tmp_path) -> None:
    shade = np.linspace(0, 250, 40).astype(np.uint8)
    pictures = np.stack([np.full((64, 64, 3), value, np.uint8) for value in shade])
    pictures[3:, :32] = 77  # so that the files are of different lengths
    space = spaces.Box(0, 255, (64, 64, 3), np.uint8)
    folder = written(monkeypatch, tmp_path, pictures, space, [0.0] * 39, form=form)
    (episode,) = read_trajectories(folder, instruction="look")
    theirs = next(iter(minari.MinariDataset(folder / "data").iterate_episodes()))
    assert np.array_equal(episode.observations["image"], theirs.observations)
    other = read_trajectories(folder, instruction="look", parts=["image"], limit=1)
    assert np.array_equal(other[0].observations["image"][7], theirs.observations[7])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("form", FORMATS)
def test_goals(form, monkeypatch, tmp_path) -> None:
    space = spaces.Dict(
        {
            "achieved_goal": spaces.Box(-9, 9, (2,), np.float64),
            "desired_goal": spaces.Box(-9, 9, (2,), np.float64),
            "observation": spaces.Box(-9, 9, (3,), np.float64),
        }
    )
    rng = np.random.default_rng(0)
    seen = {name: rng.normal(size=(5, *part.shape)) for name, part in space.items()}
    infos = {"success": [False, False, True, True, False]}
    folder = written(monkeypatch, tmp_path, seen, space, [0.0, 1, 1, 0], infos, form, truncated=True)
    (episode,) = read_trajectories(folder, instruction="go")
    assert episode.observations.keys() == {*seen, "state"}
    both = np.concatenate([seen["observation"], seen["desired_goal"]], axis=1).astype(np.float32)
    assert np.array_equal(episode.observations["state"], both)
    assert (episode.success, episode.terminated, episode.truncated) == (False, False, True), "the last one"
    data = read_trajectories(folder, instruction="go", parts=["state"])
    assert data.spec.observations == {"state": ((5,), "float32")}
    assert data[0].observations.keys() == {"state"}
    with pytest.raises(InputError, match=r"parts is 'pixels', expected parts of the observations: achieved"):
        read_trajectories(folder, parts=["pixels"])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("rewards", "infos", "success"),
    [
        ([0.0, 0.9], None, True),
        ([0.5, 0.9], None, None),
        ([0.0, 0.0], None, None),
        ([0.0, 0.9], {"success": [True, True, False]}, False),
        ([0.0, 0.0], {"is_success": [False, True]}, True),
    ],
)
def test_successes(form, monkeypatch, tmp_path, rewards, infos, success) -> None:
    space = spaces.Dict({"direction": spaces.Discrete(4), "mission": instruction_space()})
    observations = {"direction": np.array([0, 3, 2]), "mission": ["go to the key"] * 3}
    if infos and form != "hdf5":  # there the infos stand beside the observations
        infos = {name: [*([False] * (3 - len(values))), *values] for name, values in infos.items()}
    (episode,) = read_trajectories(written(monkeypatch, tmp_path, observations, space, rewards, infos, form))
    assert (episode.instruction, episode.success) == ("go to the key", success)
    assert episode.observations["state"].tolist() == np.eye(4)[[0, 3, 2]].tolist()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_a_policy_learns_from_is_what_the_environment_shows(monkeypatch, tmp_path) -> None:
    """FrozenLake shows one number; both our environment and the reader make the same state of it."""
    played = gym.make("FrozenLake-v1", is_slippery=False)
    places = [played.reset(seed=0)[0], *(played.step(action)[0] for action in (1, 1, 2))]
    folder = written(
        monkeypatch,
        tmp_path,
        np.array(places),
        played.observation_space,
        [0.0] * 3,
        actions=np.array([1, 1, 2]),
        action_space=played.action_space,
    )
    (episode,) = read_trajectories(folder, instruction="cross the lake")
    env = make_env("gym:FrozenLake-v1", is_slippery=False)
    obs, _ = env.reset(seed=0)
    for t, action in enumerate(episode.actions):
        assert np.array_equal(episode.observations["state"][t], obs["state"])
        assert episode.observations["observation"][t] == obs["observation"]
        obs, *_ = env.step(int(action))
    assert np.array_equal(episode.observations["state"][-1], obs["state"])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_spaces_and_no_environment(monkeypatch, tmp_path) -> None:
    """Minari before 0.5 named only the environment, which Minari makes to know its spaces."""
    states = {"place": np.arange(6.0).reshape(3, 2), "way": np.array([0, 1, 2])}
    space = spaces.Dict({"place": spaces.Box(-9, 9, (2,), np.float64), "way": spaces.Discrete(4)})
    folder = written(monkeypatch, tmp_path, states, space, [0.0, 0.0])
    evil = gym.envs.registration.EnvSpec(
        "test/Evil-v0", "pathlib:Path.mkdir", kwargs={"self": str(tmp_path / "made")}
    )
    change(
        folder / "data" / "metadata.json",
        observation_space=None,
        action_space=None,
        env_spec=evil.to_json(),
        minari_version="0.4.3",
    )
    data = read_trajectories(folder, instruction="go")
    assert (str(data.spec.action), data.spec.version) == ("one choice", "0.4.3")
    assert data[0].observations["place"].tolist() == states["place"].tolist()
    assert not (tmp_path / "made").exists()


def test_a_clone_of_what_was_read_does_as_it_was_shown(reach) -> None:
    data = read_trajectories(reach)
    states = np.concatenate([each.observations["state"][:-1] for each in data])
    actions = np.concatenate([each.actions for each in data])
    ensemble = clone(states, actions, CloningConfig(members=2, hidden=64, epochs=40), seed=0)
    assert np.abs(ensemble.predictions(states).mean(0) - actions).mean() < 0.1


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
        (lambda data: truncate(data / "1" / "metadata.json"), r"1/metadata.json:\d+: not JSON"),
        (lambda data: (data / "1" / "part-0.parquet").unlink(), "episode 1 cannot be read: there is no"),
        (lambda data: truncate(data / "metadata.json"), r"data/metadata.json:\d+: not JSON: "),
        (lambda data: (data / "metadata.json").unlink(), "no data set that is read"),
        (lambda data: change(data / "metadata.json", total_episodes=3), "episode 2 cannot be read: "),
        (lambda data: change(data / "metadata.json", total_episodes=0), "a data set without episodes"),
        (
            lambda data: change(data / "metadata.json", total_episodes="two"),
            r"total_steps are \['two', \d+\]",
        ),
        (lambda data: change(data / "metadata.json", data_format="tape"), "data_format is 'tape'"),
        (lambda data: change(data / "metadata.json", minari_version="9.0"), "'9.0'; 0.4 and 0.5 are read"),
        (lambda data: change(data / "1" / "metadata.json", total_steps=99), "of its 99 steps are there"),
        (lambda data: change(data / "metadata.json", action_space="{"), "action_space|not JSON"),
        (lambda data: change(data / "metadata.json", observation_space='{"type": "Graph"}'), "'Graph'"),
        (
            lambda data: change(data / "metadata.json", observation_space='{"type": "Discrete", "n": "x"}'),
            "the observation space cannot be read: ",
        ),
        (
            lambda data: change(data / "metadata.json", action_space='{"type": "Discrete", "n": []}'),
            "the action space cannot be read: ",
        ),
        (other_shape, "episode 0 cannot be read: "),
    ],
)
def test_damage_is_one_line_that_says_where(damage, message, tmp_path) -> None:
    folder = record(tmp_path / "reach-v0", "mujoco:Reach2D", ScriptedPolicy(straight), [1, 2])
    damage(folder / "data")
    with pytest.raises(FileError, match=message) as caught:
        list(read_trajectories(folder))
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_hdf5(monkeypatch, tmp_path) -> None:
    h5py = pytest.importorskip("h5py")
    states = {"state": np.arange(8.0).reshape(4, 2)}
    space = spaces.Dict({"state": spaces.Box(-9, 9, (2,), np.float64)})
    folder = written(monkeypatch, tmp_path, states, space, [0.0, 0.0, 1.0])
    main = folder / "data" / "main_data.hdf5"
    with h5py.File(main, "r+") as file:  # as many observations as actions (Minari's issue 199)
        seen = file["episode_0/observations"]
        values = seen["state"][:-1]
        del seen["state"]
        seen["state"] = values
    with pytest.raises(FileError, match="episode 0: observation 'state': there 3 times, expected 4, for 3"):
        read_trajectories(folder, instruction="go")[0]
    truncate(main)
    with pytest.raises(FileError, match=r"main_data.hdf5: no HDF5 file that can be read: "):
        read_trajectories(folder, instruction="go")[0]


@pytest.mark.parametrize("form", FORMATS)
def test_an_action_that_is_no_number(form, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("biddable.policies.datasets.write_minari.check_whole", lambda *_: None)
    good = Trajectory(
        "go", {"state": np.zeros((3, 2), np.float32)}, np.zeros((2, 2), np.float32), np.zeros(2)
    )
    bad = Trajectory("go", good.observations, np.array([[0, 0], [np.nan, 1]], np.float32), np.zeros(2))
    folder = write_minari([good, bad], tmp_path / "nan-v0", data_format=form)
    data = read_trajectories(folder)
    assert len(data[0]) == 2
    with pytest.raises(FileError, match=r"episode 1: action of step 1 is \[nan, 1.0\], expected finite"):
        data[1]


def test_an_episode_in_many_files_is_read_in_their_order(tmp_path) -> None:
    import pyarrow.parquet as pq

    seen = {"state": np.arange(12, dtype=np.float32)[:, None]}
    done = Trajectory("go", seen, np.arange(11, dtype=np.float32)[:, None], np.zeros(11))
    folder = write_minari([done], tmp_path / "many-v0")
    (file,) = (folder / "data/0").glob("*.parquet")
    table = pq.read_table(file)
    file.unlink()
    for row in range(len(table)):
        pq.write_table(table.slice(row, 1), folder / f"data/0/part-{row}.parquet")
    (read,) = read_trajectories(folder)
    assert read.observations["state"][:, 0].tolist() == list(range(12))
    assert read.actions[:, 0].tolist() == list(range(11))
