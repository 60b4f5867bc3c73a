"""SOAR-Data: the folders that its robots log, and its RLDS form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason='PyAV is not installed: pip install "biddable[robots]"')

from biddable.errors import FileError
from biddable.policies.datasets import read_trajectories
from biddable.policies.datasets.video import write_video

from .test_rlds import described, example, framed, tensor


def logged(folder: Path, task: str, success: str, *, steps: int = 4, actions: int = 0) -> Path:
    """A trajectory as the logger leaves it; pictures of one grey that grows."""
    folder.mkdir(parents=True)
    np.save(folder / "actions.npy", np.arange((actions or steps) * 7, dtype=np.float64).reshape(-1, 7))
    np.save(folder / "eef_poses.npy", np.arange(steps * 7, dtype=np.float64).reshape(-1, 7))
    for name in ("trajectory", "goals"):
        pictures = np.stack([np.full((32, 48, 3), 40 * t + 20, np.uint8) for t in range(steps)])
        write_video(folder / f"{name}.mp4", pictures, 5, "libx264")
    (folder / "language_task.txt").write_text(f"{task}\n")
    (folder / "success.txt").write_text(success)
    (folder / "object_list.txt").write_text("blue bowl\nmushroom\n")
    (folder / "robot_id.txt").write_text("3")
    return folder


def test_folders_of_trajectories_are_read(tmp_path) -> None:
    logged(tmp_path / "scene" / "traj2", "move the mushroom", "False", actions=3)
    logged(tmp_path / "scene" / "traj1", "put the mushroom in the bowl", "True")
    data = read_trajectories(tmp_path)
    assert (data.spec.format, len(data)) == ("soar", 2)
    assert data.spec.observations == {
        "state": ((7,), "float32"),
        "image": ((32, 48, 3), "uint8"),
        "goal": ((32, 48, 3), "uint8"),
    }
    first, second = data
    assert (first.instruction, first.success) == ("put the mushroom in the bowl", True)
    assert first.meta["robot_id"] == "3"
    assert [each.meta["source"] for each in data] == ["scene/traj1", "scene/traj2"]
    assert first.meta["object_list"] == "blue bowl mushroom"
    assert first.meta["last_observation"] == "repeated"
    assert first.actions.shape == (4, 7)
    assert first.observations["state"][:, 0].tolist() == [0, 7, 14, 21, 21]
    shades = first.observations["image"].mean((1, 2, 3))
    assert shades == pytest.approx([20, 60, 100, 140, 140], abs=4)
    assert (second.instruction, second.success) == ("move the mushroom", False)
    assert second.observations["goal"].shape == (4, 32, 48, 3)
    assert len(second) == 3
    assert "last_observation" not in second.meta
    (alone,) = read_trajectories(tmp_path / "scene" / "traj1", parts=["state"])
    assert alone.observations.keys() == {"state"}
    assert alone.meta["source"] == "traj1"


def _missing(folder: Path) -> None:
    (folder / "eef_poses.npy").unlink()


def _cut(folder: Path) -> None:
    path = folder / "trajectory.mp4"
    path.write_bytes(path.read_bytes()[:200])


def _pickled(folder: Path) -> None:
    np.save(folder / "actions.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def _strange(folder: Path) -> None:
    (folder / "success.txt").write_text("perhaps")


def _long(folder: Path) -> None:
    np.save(folder / "actions.npy", np.zeros((9, 7)))


def _flat(folder: Path) -> None:
    np.save(folder / "actions.npy", np.zeros(9))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_missing, "eef_poses.npy: no such file"),
        (_cut, "the video of episode 1 (traj2) cannot be read"),
        (_pickled, "actions.npy: the array cannot be read: Object arrays cannot be loaded"),
        (_strange, "success.txt: episode 1 (traj2): says 'perhaps', expected True or False"),
        (_long, "episode 1 (traj2): observation 'state': there 4 times, expected 10, for 9 actions"),
        (_flat, "float64 of shape [9], expected numbers [steps, size]"),
    ],
)
def test_damage_is_one_line_and_leaves_the_others(damage, message, tmp_path) -> None:
    for i in (1, 2):
        logged(tmp_path / f"traj{i}", "move the mushroom", "True")
    damage(tmp_path / "traj2")
    data = read_trajectories(tmp_path)
    assert len(data[0]) == 4
    with pytest.raises(FileError) as caught:
        data[1]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_trajectory_is_one_line(tmp_path) -> None:
    with pytest.raises(FileError, match="holds no trajectory of SOAR's"):
        read_trajectories(tmp_path, format="soar")
    (tmp_path / "language_task.txt").write_text("go")
    with pytest.raises(FileError, match="no data set that is read"):
        read_trajectories(tmp_path)


def test_its_rlds_form_is_read(tmp_path) -> None:
    """The schema of ``soar_dataset`` 1.0.0, with pictures of two pixels."""
    text: dict = {"text": {}}
    number = {"tensor": {"dtype": "bool", "shape": {}, "encoding": "none"}}
    steps = {
        "observation": {"image_0": tensor("uint8", 1, 2, 3), "state": tensor("float32", 7)},
        "goal": tensor("uint8", 1, 2, 3),
        "action": tensor("float32", 7),
        "is_first": number,
        "is_last": number,
        "language_instruction": text,
    }
    metadata = {"file_path": text, "object_list": text, "robot_id": text, "success": number}
    inner = {
        "steps": {"sequence": {"feature": described(steps)}},
        "episode_metadata": described(metadata),
    }
    folder = tmp_path / "soar_dataset" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "features.json").write_text(json.dumps({"featuresDict": {"features": inner}}))
    names = ("success", "failure")
    splits = [{"name": name, "shardLengths": ["1"]} for name in names]
    info = {"name": "soar_dataset", "version": "1.0.0", "splits": splits}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    for name in names:
        record = {
            "steps/observation/image_0": [*range(18)],
            "steps/observation/state": [float(i) for i in range(21)],
            "steps/goal": [*range(18)],
            "steps/action": [1.0] * 14 + [0.0] * 7,
            "steps/is_first": [1, 0, 0],
            "steps/is_last": [0, 0, 1],
            "steps/language_instruction": [b"move the mushroom"] * 3,
            "episode_metadata/file_path": [b"somewhere"],
            "episode_metadata/object_list": [b"bowl"],
            "episode_metadata/robot_id": [b"3"],
            "episode_metadata/success": [int(name == "success")],
        }
        file = folder / f"soar_dataset-{name}.tfrecord-00000-of-00001"
        file.write_bytes(framed(example(record)))
    data = read_trajectories(tmp_path / "soar_dataset")
    assert data.spec.format == "rlds"
    assert [each.meta["split"] for each in data] == ["success", "failure"]
    for each in data:
        assert each.instruction == "move the mushroom"
        assert each.actions.shape == (2, 7)
        assert each.observations["state"].shape == (3, 7)
        assert each.observations["image_0"].shape == (3, 1, 2, 3)
        assert each.success == (each.meta["split"] == "success")
