"""Writes a small robomimic file, as robomimic's documentation has it, with robomimic 0.3.0 at hand.

robomimic writes the demonstrations themselves only beside a simulator (robosuite); they are written here in
the documented form. Its filter keys are robomimic's own, and its own ``SequenceDataset`` reads the file at
the end. In an environment of its own:

    pip install torch==2.13.0 numpy h5py tqdm psutil termcolor
    pip install --no-deps robomimic==0.3.0
    python write_robomimic_file.py FILE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import numpy as np
from robomimic.utils.dataset import SequenceDataset
from robomimic.utils.file_utils import create_hdf5_filter_key

LENGTHS = (4, 3, 5)


def main(path: Path) -> None:
    """Three demonstrations; the last two of a split each."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        kwargs = {
            "env_name": "Lift",
            "type": 1,
            "env_version": "1.4.1",
            "env_kwargs": {},
            "lang": "lift the cube",
        }
        data.attrs["env_args"] = json.dumps(kwargs, indent=4)
        data.attrs["total"] = sum(LENGTHS)
        for number, length in enumerate(LENGTHS):
            demo = data.create_group(f"demo_{number}")
            steps = np.arange(length + 1, dtype=np.float64)
            state = np.stack([np.full(length + 1, float(number)), steps], axis=1)
            pictures = np.full((length + 1, 36, 36, 3), 50 * number, np.uint8)
            pictures[:, 0, 0] = steps.astype(np.uint8)[:, None]
            for group, part in (("obs", slice(0, -1)), ("next_obs", slice(1, None))):
                demo.create_dataset(f"{group}/object", data=state[part])
                demo.create_dataset(f"{group}/agentview_image", data=pictures[part], compression="gzip")
            demo.create_dataset("actions", data=np.stack([steps[:-1] / 10, -steps[:-1] / 10], axis=1))
            demo.create_dataset("rewards", data=(steps[1:] == length).astype(np.float64))
            demo.create_dataset("dones", data=(steps[1:] == length).astype(np.int64))
            demo.create_dataset("states", data=state[:-1])
            demo.attrs["num_samples"] = length
            demo.attrs["model_file"] = "<mujoco/>"
    create_hdf5_filter_key(str(path), ["demo_0", "demo_1"], "train")
    create_hdf5_filter_key(str(path), ["demo_2"], "valid")
    create_hdf5_filter_key(str(path), ["demo_0"], "20_percent_train")
    whole = SequenceDataset(
        str(path),
        obs_keys=("object",),
        dataset_keys=("actions", "rewards", "dones"),
        filter_by_attribute="train",
    )
    assert len(whole) == sum(LENGTHS[:2])
    assert whole[5]["obs"]["object"].tolist() == [[1.0, 1.0]]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
