"""Writes a small RLDS data set with TensorFlow Datasets' features and serializer: tensorflow-datasets 4.9.10.

In an environment of its own, without TensorFlow:

    pip install --no-deps tensorflow-datasets==4.9.10
    pip install numpy pillow "etils[epath,etree,enp,edc]" absl-py dill immutabledict promise protobuf psutil \
        pyarrow requests simple_parsing tensorflow-metadata termcolor toml tqdm wrapt dm-tree google-crc32c
    python write_rlds_files.py FOLDER

TensorFlow Datasets leaves the frames of a TFRecord file to TensorFlow; they are written here, as
https://www.tensorflow.org/tutorials/load_data/tfrecord says, with Google's own CRC32C.
"""

from __future__ import annotations

import io
import json
import struct
import sys
from pathlib import Path

import google_crc32c
import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core import example_serializer

FEATURES = tfds.features.FeaturesDict(
    {
        "steps": tfds.features.Dataset(
            {
                "observation": {
                    "image": tfds.features.Image(shape=(40, 48, 3), encoding_format="jpeg"),
                    "depth": tfds.features.Image(shape=(8, 8, 3), encoding_format="png"),
                    "state": tfds.features.Tensor(shape=(3,), dtype=np.float32),
                    "gripper": tfds.features.Scalar(dtype=np.float64),
                },
                "action": tfds.features.Tensor(shape=(2,), dtype=np.float32),
                "reward": tfds.features.Scalar(dtype=np.float32),
                "discount": tfds.features.Scalar(dtype=np.float32),
                "is_first": tfds.features.Scalar(dtype=np.bool_),
                "is_last": tfds.features.Scalar(dtype=np.bool_),
                "is_terminal": tfds.features.Scalar(dtype=np.bool_),
                "language_instruction": tfds.features.Text(),
            }
        ),
        "episode_metadata": {"file_path": tfds.features.Text()},
    }
)


def picture(value: int, size: tuple[int, int], form: str) -> io.BytesIO:
    """An encoded picture of one shade; TensorFlow Datasets would ask TensorFlow to encode an array."""
    file = io.BytesIO()
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(file, form)
    file.seek(0)
    return file


def frame(content: bytes) -> bytes:
    """A record with its length and their checksums."""

    def masked(data: bytes) -> bytes:
        crc = google_crc32c.value(data)
        return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(content))
    return length + masked(length) + content + masked(content)


def episode(number: int, count: int, closing: bool) -> dict:
    """``count`` steps; with ``closing`` the last one is RLDS's: an observation without an action."""
    steps = []
    for t in range(count):
        last = t == count - 1
        acts = not (last and closing)
        steps.append(
            {
                "observation": {
                    "image": picture(10 * number + t, (40, 48), "JPEG"),
                    "depth": picture(t, (8, 8), "PNG"),
                    "state": np.array([number, t, -t], np.float32),
                    "gripper": np.float64(t / 2),
                },
                "action": np.array([t + 1, number], np.float32) * acts,
                "reward": np.float32(1.0 if acts and t == count - (2 if closing else 1) else 0.0),
                "discount": np.float32(1.0),
                "is_first": t == 0,
                "is_last": last,
                "is_terminal": last,
                "language_instruction": f"open drawer {number}",
            }
        )
    return {"steps": steps, "episode_metadata": {"file_path": f"episode-{number}"}}


def main(folder: Path) -> None:
    """A training split in two shards and one for validation; see ``episode`` for what is in them."""
    folder.mkdir(parents=True)
    serializer = example_serializer.ExampleSerializer(FEATURES.get_serialized_info())
    shards = {
        "small-train.tfrecord-00000-of-00002": [episode(0, 4, True), episode(1, 3, True)],
        "small-train.tfrecord-00001-of-00002": [episode(2, 5, False)],
        "small-val.tfrecord-00000-of-00001": [episode(3, 3, True)],
    }
    for name, episodes in shards.items():
        records = [serializer.serialize_example(FEATURES.encode_example(each)) for each in episodes]
        (folder / name).write_bytes(b"".join(frame(record) for record in records))
    FEATURES.save_config(folder)
    splits = [
        {"name": "train", "shardLengths": ["2", "1"], "filepathTemplate": TEMPLATE},
        {"name": "val", "shardLengths": ["1"], "filepathTemplate": TEMPLATE},
    ]
    about = {"name": "small", "version": "1.0.0", "fileFormat": "tfrecord", "splits": splits}
    (folder / "dataset_info.json").write_text(json.dumps(about, indent=2))


TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"

if __name__ == "__main__":
    main(Path(sys.argv[1]))
