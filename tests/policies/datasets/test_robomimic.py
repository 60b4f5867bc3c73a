"""robomimic's files: one that robomimic reads and marked, languages, damage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biddable.errors import FileError
from biddable.policies.datasets import read_trajectories

h5py = pytest.importorskip("h5py", reason='h5py is not installed: pip install "biddable[envs]"')

WRITTEN = Path(__file__).parent / "written" / "robomimic.hdf5"
"""By h5py, checked by robomimic 0.3.0 (``write_robomimic_file.py``)."""


def test_what_robomimic_reads() -> None:
    data = read_trajectories(WRITTEN)
    assert (data.spec.format, data.spec.steps, str(data.spec.action)) == ("robomimic", 12, "2 numbers")
    for number, (episode, length) in enumerate(zip(data, (4, 3, 5), strict=True)):
        assert (episode.instruction, episode.success, episode.terminated) == ("lift the cube", True, True)
        assert episode.observations["object"].tolist() == [[number, t] for t in range(length + 1)]
        assert episode.observations["state"].dtype == np.float32
        assert episode.observations["agentview_image"][:, 0, 0, 0].tolist() == list(range(length + 1))
        assert episode.actions[:, 0].tolist() == [t / 10 for t in range(length)]
        assert episode.meta["demo"] == f"demo_{number}"
        assert episode.meta["split"] == ("valid" if number == 2 else "train")
    assert data[0].meta["masks"] == ("20_percent_train",)
    assert "last_observation" not in data[0].meta


@pytest.mark.parametrize(
    ("attributes", "instruction", "wordings"),
    [
        ({"problem_info": json.dumps({"language_instruction": ['"open', "it"]})}, "open", ("it",)),
        ({"env_args": json.dumps({"env_kwargs": {"language": "close it"}})}, "close it", None),
        ({"language_instruction": b"push"}, "push", None),
    ],
)
def test_where_others_say_what_was_to_be_done(attributes, instruction, wordings, tmp_path) -> None:
    path = Path(shutil.copy(WRITTEN, tmp_path / "demo.hdf5"))
    with h5py.File(path, "r+") as file:
        del file["data"].attrs["env_args"]
        for name, value in attributes.items():
            file["data"].attrs[name] = value
        file["data/demo_1"].attrs["ep_meta"] = json.dumps({"lang": "the drawer"})
    data = read_trajectories(tmp_path)
    assert data[0].instruction == instruction
    assert data[0].meta.get("wordings") == wordings
    assert data[1].instruction == "the drawer"


@pytest.mark.parametrize(
    ("rewards", "dones", "told", "success", "terminated", "truncated"),
    [
        ([0, 0, 0, 0], [0, 0, 0, 1], None, None, False, True),  # done at the end of each episode
        ([0, 0, 1, 1], [0, 0, 1, 1], None, None, True, False),  # and at states of success
        ([0, 0, 0, 1], [0, 0, 0, 1], None, True, True, False),
        ([0, 0, 0, 1], [0, 0, 0, 0], None, None, False, False),
        ([0, 0, 0, 1], [0, 0, 0, 1], False, False, False, True),  # what the file says of success counts
        ([0, 0, 0, 0], [0, 0, 0, 1], True, True, True, False),
        ([[0], [0], [0], [1]], [0, 0, 0, 1], None, True, True, False),  # each a vector of one
        ([0.1, 0.3, 0.6, 0.8], [0, 0, 0, 1], None, None, False, True),  # a dense reward is no word of success
        ([1, 1, 1, 1], [0, 0, 0, 1], None, None, False, True),  # nor is one for each step
        ([0, 1, 0, 1], [0, 0, 0, 1], None, None, False, True),
    ],
)
def test_how_a_demonstration_ended(rewards, dones, told, success, terminated, truncated, tmp_path) -> None:
    path = Path(shutil.copy(WRITTEN, tmp_path / "demo.hdf5"))
    with h5py.File(path, "r+") as file:
        demo = file["data/demo_0"]
        for name, values in (("rewards", rewards), ("dones", dones)):
            del demo[name]
            demo[name] = values
        if told is not None:
            demo.attrs["success"] = told
    episode = read_trajectories(path)[0]
    assert (episode.success, episode.terminated, episode.truncated) == (success, terminated, truncated)
    assert isinstance(episode.terminated, bool)


def without(*names: str) -> Any:
    def damage(file: Any) -> None:
        for name in names:
            del file[name]

    return damage


def nan(file: Any) -> None:
    file["data/demo_1/actions"][2, 0] = np.inf


def short(file: Any) -> None:
    values = file["data/demo_1/obs/object"][:-1]
    del file["data/demo_1/obs/object"]
    file["data/demo_1/obs/object"] = values


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (nan, r"episode 1 \(demo_1\): action of step 2 is \[inf, -0.2"),
        (short, r"episode 1 \(demo_1\) cannot be read: obs/object is there 2 times, expected 3"),
        (without("data/demo_1/actions"), r"episode 1 \(demo_1\) cannot be read"),
        (without("data/demo_0/obs"), "no observations"),
        (without("data/demo_0", "data/demo_1", "data/demo_2"), "holds no demonstrations"),
        (without("data"), "the file cannot be read"),
        (lambda file: file["data"].attrs.__setitem__("total", "many"), "the file cannot be read: "),
        (lambda file: file["data/demo_1"].attrs.__setitem__("num_samples", 9), "3 of its 9 steps are there"),
    ],
)
def test_damage_is_one_line_that_says_where(damage, message, tmp_path) -> None:
    path = Path(shutil.copy(WRITTEN, tmp_path / "demo.hdf5"))
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(FileError, match=message) as caught:
        list(read_trajectories(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cut_short(tmp_path) -> None:
    path = tmp_path / "demo.hdf5"
    path.write_bytes(WRITTEN.read_bytes()[:20_000])
    with pytest.raises(FileError, match="no HDF5 file that can be read"):
        read_trajectories(path)


def test_without_next_obs_the_last_stands_twice(tmp_path) -> None:
    path = Path(shutil.copy(WRITTEN, tmp_path / "demo.hdf5"))
    with h5py.File(path, "r+") as file:
        del file["data/demo_0/next_obs"]
        del file["mask"]
    (episode,) = read_trajectories(path, parts=["object"], limit=1)
    assert episode.observations["object"].tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [0, 3]]
    assert episode.meta == {"episode": 0, "demo": "demo_0", "last_observation": "repeated"}
