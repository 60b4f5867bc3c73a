"""RLDS: what TensorFlow Datasets serialized, the frames of TFRecord, other shapes of steps, damage."""

from __future__ import annotations

import json
import random
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biddable.errors import FileError
from biddable.policies.datasets import read_trajectories, tfrecord

pytest.importorskip("PIL", reason='pillow is not installed: pip install "biddable[envs]"')

WRITTEN = Path(__file__).parent / "written" / "rlds"
"""By TensorFlow Datasets 4.9.10 (``write_rlds_files.py`` says what is in it)."""
SHARD = "small-train.tfrecord-00000-of-00002"


def test_what_tensorflow_datasets_wrote() -> None:
    data = read_trajectories(WRITTEN)
    assert (data.spec.format, data.spec.version, len(data), data.spec.steps) == ("rlds", "1.0.0", 4, None)
    assert data.spec.observations == {
        "depth": ((8, 8, 3), "uint8"),
        "gripper": ((), "float64"),
        "image": ((40, 48, 3), "uint8"),
        "state": ((3,), "float32"),
    }
    for number, (episode, steps) in enumerate(zip(data, (3, 2, 5, 2), strict=True)):
        repeated = number == 2  # it has an action in its last step, too
        shown = [*range(steps), steps - 1 if repeated else steps]
        assert (episode.instruction, episode.success) == (f"open drawer {number}", True)
        assert (episode.terminated, episode.truncated) == (True, False)
        assert episode.actions.tolist() == [[t + 1, number] for t in range(steps)]
        assert episode.rewards.tolist() == [0.0] * (steps - 1) + [1.0]
        assert episode.observations["state"].tolist() == [[number, t, -t] for t in shown]
        assert episode.observations["gripper"].tolist() == [t / 2 for t in shown]
        assert episode.observations["image"][:, 9, 9, 1].tolist() == [10 * number + t for t in shown]
        assert episode.meta["split"] == ("val" if number == 3 else "train")
        assert episode.meta["episode_metadata.file_path"] == f"episode-{number}"
        assert ("last_observation" in episode.meta) == repeated
    (episode,) = read_trajectories(WRITTEN / "1.0.0", parts=["state"], limit=1)
    assert episode.observations.keys() == {"state"}


def test_crc_of_any_length() -> None:
    assert tfrecord.crc32c(b"123456789") == 0xE3069283
    assert tfrecord.crc32c(bytes(32)) == 0x8A9136AA
    for size in (0, 1, 255, 256, 257, 3000):
        data, crc = random.Random(size).randbytes(size), 0xFFFFFFFF
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
        assert tfrecord.crc32c(data) == crc ^ 0xFFFFFFFF


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def example(features: dict[str, Any]) -> bytes:
    """A ``tf.Example``."""
    entries = b""
    for name, values in features.items():
        if isinstance(values[0], bytes):
            kind, content = 1, b"".join(field(1, value) for value in values)
        elif isinstance(values[0], float):
            kind, content = 2, field(1, np.array(values, "<f4").tobytes())
        else:
            kind, content = 3, field(1, b"".join(varint(value) for value in values))
        entries += field(1, field(1, name.encode()) + field(2, field(kind, content)))
    return field(1, entries)


def framed(content: bytes) -> bytes:
    def masked(data: bytes) -> bytes:
        crc = tfrecord.crc32c(data)
        return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(content))
    return length + masked(length) + content + masked(content)


def tensor(dtype: str, *shape: int) -> dict[str, Any]:
    return {"tensor": {"dtype": dtype, "shape": {"dimensions": [str(n) for n in shape]}, "encoding": "none"}}


def described(features: dict[str, Any]) -> dict[str, Any]:
    """Dictionaries of features as ``features.json`` has them."""
    inner = {
        name: each if "tensor" in each or "text" in each else described(each)
        for name, each in features.items()
    }
    return {"featuresDict": {"features": inner}}


def written(folder: Path, steps: dict[str, Any], records: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True)
    whole = {"featuresDict": {"features": {"steps": {"sequence": {"feature": described(steps)}}}}}
    (folder / "features.json").write_text(json.dumps(whole))
    split = {"name": "train", "shardLengths": [str(len(records))]}
    (folder / "dataset_info.json").write_text(json.dumps({"name": "own", "splits": [split]}))
    content = b"".join(framed(example(each)) for each in records)
    (folder / "own-train.tfrecord-00000-of-00001").write_bytes(content)
    return folder


def test_actions_in_parts_and_a_text_of_numbers(tmp_path) -> None:
    """As RT-1's and Language-Table's data sets have them."""
    text = [*b"push the moon", 0, 0]
    folder = written(
        tmp_path / "own",
        {
            "observation": {"instruction": tensor("int32", 15), "xy": tensor("float32", 2)},
            "action": {"end": tensor("int32"), "move": tensor("float32", 2)},
            "is_terminal": tensor("bool"),
            "is_last": tensor("bool"),
        },
        [
            {
                "steps/observation/instruction": text * 3,
                "steps/observation/xy": [float(n) for n in range(6)],
                "steps/action/end": [0, 0, -1],
                "steps/action/move": [0.5, 1.0, 1.5, 2.0, 2.5, 3.0],
                "steps/is_terminal": [0, 0, 0],
                "steps/is_last": [0, 0, 1],
            }
        ],
    )
    data = read_trajectories(folder)
    assert data.spec.action.names == ("end", "move[0]", "move[1]")
    (episode,) = data
    assert episode.instruction == "push the moon"
    assert episode.actions.tolist() == [[0, 0.5, 1], [0, 1.5, 2], [-1, 2.5, 3]]
    assert (episode.terminated, episode.truncated) == (False, True)
    assert episode.observations["state"].tolist() == [[0, 1], [2, 3], [4, 5], [4, 5]]


def test_rewards_that_are_vectors_of_one(tmp_path) -> None:
    steps = {
        "observation": {"xy": tensor("float32", 2)},
        "action": tensor("float32", 1),
        "reward": tensor("float32", 1),
        "is_terminal": tensor("bool", 1),
        "language_instruction": {"text": {}},
    }
    record = {
        "steps/observation/xy": [float(n) for n in range(6)],
        "steps/action": [1.0, 2.0, 3.0],
        "steps/reward": [0.0, 0.0, 1.0],
        "steps/is_terminal": [0, 0, 1],
        "steps/language_instruction": [b"go"] * 3,
    }
    (episode,) = read_trajectories(written(tmp_path / "own", steps, [record]))
    assert episode.rewards.tolist() == [0, 0, 1]
    assert (episode.success, episode.terminated, episode.actions.shape) == (True, True, (3, 1))


def test_several_wordings_and_one_that_changes(tmp_path) -> None:
    folder = written(
        tmp_path / "own",
        {
            "observation": {"x": tensor("int64")},
            "action": tensor("int64"),
            "language_instruction": {"text": {}},
            "language_instruction_2": {"text": {}},
        },
        [
            {
                "steps/observation/x": [5, 6],
                "steps/action": [1, 2],
                "steps/language_instruction": [b"take it", change],
                "steps/language_instruction_2": [b"grasp it"] * 2,
            }
            for change in (b"take it", b"leave it")
        ],
    )
    data = read_trajectories(folder)
    assert str(data.spec.action) == "one choice"
    assert data[0].instruction == "take it"
    assert data[0].meta["wordings"] == ("grasp it",)
    assert "instruction" not in data[0].observations
    assert data[1].observations["instruction"] == ("take it", "leave it", "leave it")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(bytes(content))


def change(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: cut(f / SHARD), rf"{SHARD}: episode 1: record 1 is cut short"),
        (lambda f: flip(f / SHARD, 700), rf"{SHARD}: episode 0: record 0 is damaged: its checksum"),
        (lambda f: flip(f / SHARD, 2), "record 0 is damaged: the checksum of its length"),
        (lambda f: (f / SHARD).unlink(), rf"{SHARD}: no such file"),
        (lambda f: (f / "dataset_info.json").unlink(), r"dataset_info.json: no such file"),
        (lambda f: change(f / "dataset_info.json", fileFormat="array_record"), "'array_record'; tfrecord is"),
        (lambda f: change(f / "dataset_info.json", splits=[]), "a data set without episodes"),
        (lambda f: change(f / "features.json", featuresDict={"features": {}}), "no RLDS data set"),
    ],
)
def test_damage_is_one_line_that_says_where(damage, message, tmp_path) -> None:
    folder = Path(shutil.copytree(WRITTEN / "1.0.0", tmp_path / "small"))
    damage(folder)
    with pytest.raises(FileError, match=message) as caught:
        list(read_trajectories(folder))
    assert "\n" not in str(caught.value)


def test_one_damaged_episode_leaves_the_others(tmp_path) -> None:
    folder = Path(shutil.copytree(WRITTEN / "1.0.0", tmp_path / "small"))
    flip(folder / SHARD, 700)
    data = read_trajectories(folder)
    assert [len(data[i]) for i in (1, 2, 3)] == [2, 5, 2]


def test_an_episode_that_lacks_a_step_of_a_part(tmp_path) -> None:
    steps = {"observation": {"x": tensor("float32", 2)}, "action": tensor("float32", 1)}
    record = {"steps/observation/x": [1.0, 2.0], "steps/action": [1.0, 2.0]}
    folder = written(tmp_path / "own", steps, [record, {"steps/action": [1.0]}])
    for place, message in enumerate(["'x' is there 1 times, expected 2", "steps/observation/x is missing"]):
        with pytest.raises(FileError, match=f"episode {place} cannot be read: {message}"):
            read_trajectories(folder, instruction="go")[place]
