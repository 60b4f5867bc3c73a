"""Reading whatever lies there: which format, lazily, and whether it fits an environment."""

from __future__ import annotations

import pickle
import shutil
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biddable.errors import FileError, InputError, RunError
from biddable.policies.base import ScriptedPolicy, rollouts
from biddable.policies.batches import Demonstrations
from biddable.policies.datasets import check_actions, read_trajectories, readable
from biddable.policies.datasets.base import Trajectories
from biddable.policies.datasets.write_lerobot import write_lerobot
from biddable.policies.datasets.write_minari import write_minari
from biddable.types import Trajectory

pytest.importorskip("minari", reason='minari is not installed: pip install "biddable[envs]"')
pytest.importorskip("h5py", reason='h5py is not installed: pip install "biddable[envs]"')

from gymnasium import spaces

WRITTEN = Path(__file__).parent / "written"
LEROBOT = WRITTEN / "lerobot-v3"
ROBOMIMIC = WRITTEN / "robomimic.hdf5"


def length(data: Trajectories) -> int:
    return len(data[1])


@pytest.mark.parametrize(
    ("place", "format"),
    [(LEROBOT, "lerobot"), (ROBOMIMIC, "robomimic"), (WRITTEN / "rlds", "rlds")],
)
def test_the_format_is_found_out_and_can_be_said(place, format) -> None:
    assert read_trajectories(place).spec.format == format
    where = place / "1.0.0" if format == "rlds" else place
    assert read_trajectories(where, format=format).spec.format == format


def test_a_slice_reads_nothing(tmp_path) -> None:
    folder = Path(shutil.copytree(LEROBOT, tmp_path / "set"))
    data = read_trajectories(folder, parts=["state"], limit=2)
    assert (len(data), data.spec.episodes, data.spec.steps) == (2, 2, None)
    shutil.rmtree(folder / "data")
    later = data[1:]
    assert (len(later), repr(later)) == (1, f"Trajectories({str(folder)!r}, lerobot, 1 episodes)")
    with pytest.raises(FileError, match="no such file"):
        later[0]
    with pytest.raises(IndexError):
        read_trajectories(ROBOMIMIC)[3]
    assert [each.meta["episode"] for each in read_trajectories(ROBOMIMIC)[::-1]] == [2, 1, 0]
    assert len(read_trajectories(ROBOMIMIC, limit=9)) == 3


@pytest.mark.parametrize("place", [LEROBOT, ROBOMIMIC, WRITTEN / "rlds"])
def test_other_processes_read_it_too(place) -> None:
    """As data loaders do: sent there, or there by a fork with its files open."""
    parts = None if place != LEROBOT else ["state"]
    data = read_trajectories(place, parts=parts)
    here = length(data)
    again = pickle.loads(pickle.dumps(data))
    assert length(again) == here
    with get_context("fork").Pool(2) as pool:
        assert pool.map(length, [data] * 2) == [here] * 2


def test_what_is_no_data_set_is_one_line(tmp_path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    pickles = tmp_path / "pickles"
    pickles.mkdir()
    (pickles / "demos.pkl").write_bytes(b"")
    several = tmp_path / "several"
    several.mkdir()
    for name in "ab":
        shutil.copy(ROBOMIMIC, several / f"{name}.hdf5")
    for path, message in [
        (tmp_path / "none", "no such file or folder"),
        (empty, r"no data set that is read: Minari \(a folder with data/metadata.json\), LeRobot"),
        (pickles, "demos.pkl may hold a pickle, which runs programs when it is read: it is not read; Minari"),
        (pickles / "demos.pkl", "demos.pkl may hold a pickle"),
        (several, "holds 2 HDF5 files; name one of them: a.hdf5"),
    ]:
        with pytest.raises(FileError, match=message):
            read_trajectories(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"instruction": " "}, "instruction is ' ', expected what was to be done, in words"),
        ({"format": "zarr"}, "format is 'zarr', expected one of auto, minari, lerobot, robomimic, rlds"),
        ({"parts": "state"}, "parts is 'state', expected names"),
        ({"parts": []}, r"parts is \[\], expected names"),
        ({"limit": -1}, "limit is -1"),
    ],
)
def test_what_is_asked_wrongly(options, message) -> None:
    with pytest.raises(InputError, match=message):
        read_trajectories(LEROBOT, **options)


def plain(number: int, **fields: Any) -> Trajectory:
    actions = np.full((3, 2), number, np.float32)
    state = {"state": np.zeros((4, 2), np.float32)}
    return Trajectory(
        f"task {number}", **{"observations": state, "actions": actions, "rewards": np.ones(3), **fields}
    )


def test_one_bad_episode_ends_the_reading_of_no_other(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("biddable.policies.datasets.write_minari.check_whole", lambda *_: None)
    bad = plain(1, actions=np.full((3, 2), np.nan, np.float32))
    data = read_trajectories(write_minari([plain(0), bad, plain(2)], tmp_path / "some-v0"))
    whole, problems = readable(data)
    assert [each.instruction for each in whole] == ["task 0", "task 2"]
    assert problems == [
        f"{tmp_path / 'some-v0'}: episode 1: action of step 0 is [nan, nan], expected finite numbers"
    ]
    with pytest.raises(FileError, match="episode 1: action of step 0"):
        readable(data[1:2])


class Env:
    def __init__(self, space: Any):
        self.action_space = space


def test_actions_of_another_space(tmp_path) -> None:
    box = spaces.Box(-1, 1, (2,), np.float32)
    data = read_trajectories(write_minari([plain(0)], tmp_path / "box-v0", env=None))
    check_actions(data, Env(box))
    check_actions(data, box)
    check_actions([plain(0)], box)
    for space, theirs in [
        (spaces.Box(-1, 1, (3,), np.float32), "3 numbers from -1 to 1"),
        (spaces.Discrete(4), "one of 4 choices"),
        (spaces.MultiDiscrete([2, 3]), r"choices of \[2, 3\]"),
        (spaces.Dict({"arm": box}), "neither numbers nor choices"),
    ]:
        with pytest.raises(InputError, match=f"action is '2 numbers', expected the environment's: {theirs}"):
            check_actions(data, Env(space))
    limited = write_minari(
        [plain(0)], tmp_path / "limited-v0", env=_Spaces(spaces.Box(-2, 2, (2,), np.float32))
    )
    with pytest.raises(
        InputError, match="2 numbers from -2 to 2', expected the environment's: 2 numbers from -1"
    ):
        check_actions(read_trajectories(limited), box)
    choices = [plain(0, actions=np.array([0, 2, 1]))]
    counted = read_trajectories(write_minari(choices, tmp_path / "choices-v0"))
    assert str(counted.spec.action) == "one of 3 choices"
    check_actions(counted, spaces.Discrete(3))
    with pytest.raises(InputError, match="one of 3 choices', expected the environment's: one of 4 choices"):
        check_actions(counted, spaces.Discrete(4))


def test_actions_in_other_units(tmp_path, monkeypatch) -> None:
    box = spaces.Box(-1, 1, (2,), np.float32)
    some = plain(0, actions=np.array([[0, 1.2], [0, 0.5], [0, -0.9]], np.float32))
    check_actions([some], box)
    degrees = plain(0, actions=np.array([[0, 90], [1, 45], [0.5, -30]], np.float32))
    message = "number 1 of the data set's actions is 'from -30 to 90', expected in .* units, from -1 to 1"
    with pytest.raises(InputError, match=message):
        check_actions([degrees], box)
    with pytest.raises(InputError, match=message):
        check_actions(read_trajectories(write_lerobot([degrees], tmp_path / "degrees", 10)), box)
    monkeypatch.setattr("biddable.policies.datasets.write_minari.check_whole", lambda *_: None)
    bad = plain(1, actions=np.full((3, 2), np.nan, np.float32))
    with pytest.raises(InputError, match=message):
        check_actions(read_trajectories(write_minari([bad, degrees], tmp_path / "bad-v0")), box)


class _Spaces:
    def __init__(self, action_space: Any):
        self.action_space = action_space
        self.observation_space = spaces.Dict({"state": spaces.Box(-9, 9, (2,), np.float32)})


def test_rollouts_are_written_and_read(tmp_path) -> None:
    from biddable.envs.base import make_env

    env = make_env("mujoco:Reach2D")
    episodes = rollouts([env], ScriptedPolicy(lambda obs: np.zeros(2, np.float32)), [3, 4])
    folder = write_minari(episodes, tmp_path / "still-v0", env=env, algorithm="none")
    for ours, theirs in zip(episodes, read_trajectories(folder), strict=True):
        assert theirs.instruction == ours.instruction
        assert (theirs.success, theirs.truncated) == (ours.success, ours.truncated)
        assert theirs.meta["seed"] == ours.meta["seed"]
        for name, values in ours.observations.items():
            assert np.array_equal(theirs.observations[name], values)
        assert np.array_equal(theirs.actions, ours.actions)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"actions": np.full((3, 2), np.nan)}, r"trajectories\[0\].actions\[0\] is \[nan, nan\]"),
        ({"rewards": np.array([0, np.inf, 0])}, r"trajectories\[0\].rewards\[1\] is inf, expected finite"),
        ({"rewards": np.zeros(2)}, "rewards is '2 of them', expected 3, one for each action"),
        ({"observations": {"state": np.zeros((3, 2))}}, "state is '3 observations', expected 4, one more"),
        ({"actions": np.zeros((0, 2))}, r"trajectories\[0\] is 'no steps', expected at least one"),
    ],
)
def test_nothing_is_written_that_could_not_be_read(fields, message, tmp_path) -> None:
    for write in (
        lambda: write_minari([plain(0, **fields)], tmp_path / "a-v0"),
        lambda: write_lerobot([plain(0, **fields)], tmp_path / "a", 10),
    ):
        with pytest.raises(InputError, match=message):
            write()
    assert list(tmp_path.iterdir()) == []


def test_demonstrations_have_one_observation_more_than_actions() -> None:
    short = plain(1, observations={"state": np.zeros((3, 2), np.float32)})
    with pytest.raises(InputError, match=r"demonstrations\[1\].state is '3 observations', expected 4"):
        Demonstrations.of([plain(0), short])
    stepless = plain(0, actions=np.zeros((0, 2)), observations={"state": np.zeros((1, 2))})
    with pytest.raises(InputError, match="demonstrations is '1 without a step', expected at least one"):
        Demonstrations.of([stepless])


def test_what_cannot_be_written_leaves_nothing(tmp_path) -> None:
    for trajectories, name, message in [
        ([], "a-v0", "trajectories is 'none'"),
        ([plain(0)], "a", "a name that ends in a version"),
        ([plain(0, actions=({},) * 3)], "a-v0", r"trajectories\[0\].actions is {}"),
        ([plain(0), plain(1, observations={"state": np.zeros((4, 3))})], "a-v0", r"trajectories\[1\].observ"),
        ([plain(0), plain(1, observations={"pose": np.zeros((4, 2))})], "a-v0", r"\['state'\] is None"),
    ]:
        with pytest.raises(InputError, match=message):
            write_minari(trajectories, tmp_path / name)
        assert list(tmp_path.iterdir()) == []
    few = type("Few", (), {"observation_space": _Spaces(None).observation_space})
    few.action_space = spaces.Discrete(3)
    with pytest.raises(InputError, match=r"trajectories\[0\].actions is 7, expected one of Discrete\(3\)"):
        write_minari([plain(0, actions=np.array([0, 7, 1]))], tmp_path / "a-v0", env=few)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a-v0").mkdir()
    with pytest.raises(RunError, match="holds something already"):
        write_minari([plain(0)], tmp_path / "a-v0")
