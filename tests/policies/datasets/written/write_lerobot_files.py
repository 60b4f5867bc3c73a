"""Writes a small LeRobot data set with LeRobot itself: lerobot 0.4.4, format v3.0.

In an environment of its own (LeRobot's pins do not fit beside ours):

    pip install torch==2.13.0 numpy pillow av pyarrow datasets pandas torchvision
    pip install --no-deps lerobot==0.4.4
    python write_lerobot_files.py FOLDER

What else LeRobot imports at its start (jsonlines, say) is named by its ImportError.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

# A torchvision built for CUDA beside a torch for the CPU lacks these two, which nothing here calls.
_ops = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    try:
        torch._C._dispatch_has_kernel_for_dispatch_key(f"torchvision::{_name}", "Meta")
    except RuntimeError:
        _ops.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from lerobot.datasets.lerobot_dataset import LeRobotDataset  # noqa: E402

HWC = ["height", "width", "channels"]
TASKS = [(5, "push the cube"), (8, "lift the cube"), (6, "push the cube")]
FEATURES = {
    "observation.state": {"dtype": "float32", "shape": (3,), "names": ["x", "y", "grip"]},
    "observation.images.top": {
        "dtype": "video",
        "shape": (64, 96, 3),
        "names": HWC,
    },
    "observation.images.wrist": {
        "dtype": "image",
        "shape": (48, 48, 3),
        "names": HWC,
    },
    "action": {"dtype": "float32", "shape": (2,), "names": ["dx", "dy"]},
    "next.reward": {"dtype": "float32", "shape": (1,), "names": None},
    "next.done": {"dtype": "bool", "shape": (1,), "names": None},
    "next.success": {"dtype": "bool", "shape": (1,), "names": None},
}


def main(folder: Path) -> None:
    """Three episodes of 5, 8 and 6 frames; frame t of episode e is filled with 10 * e + t in red."""
    made = LeRobotDataset.create(
        "tests/small", fps=10, features=FEATURES, root=folder, use_videos=True, image_writer_threads=2
    )
    for episode, (length, task) in enumerate(TASKS):
        for t in range(length):
            number = 10 * episode + t
            top = np.zeros((64, 96, 3), np.uint8)
            top[..., 0] = 8 * number
            made.add_frame(
                {
                    "observation.state": np.array([episode, t, number], np.float32),
                    "observation.images.top": top,
                    "observation.images.wrist": np.full((48, 48, 3), number, np.uint8),
                    "action": np.array([t, -t], np.float32),
                    "next.reward": np.array([float(t == length - 1)], np.float32),
                    "next.done": np.array([t == length - 1]),
                    "next.success": np.array([t == length - 1 and episode != 1]),
                    "task": task,
                }
            )
        made.save_episode()
    made.finalize()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
