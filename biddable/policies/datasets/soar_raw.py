"""SOAR-Data as its robots log it: a folder for each trajectory, with arrays, texts and a video.

    TRAJECTORY/actions.npy           [T, 7] or [T - 1, 7]: xyz, rpy, gripper
    TRAJECTORY/eef_poses.npy         [T, 7] where the hand was
    TRAJECTORY/trajectory.mp4        T pictures; goals.mp4 the sub-goal of each
    TRAJECTORY/language_task.txt     what was commanded; success.txt: True or False, as the detector said
    TRAJECTORY/{object_list,task_list,robot_id,time}.txt

Folders may lie in others. Source: https://github.com/rail-berkeley/soar (the logger and the readme of the raw
data). Its RLDS form is read as any other: ``success`` and ``has_language`` are in ``meta``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from biddable.errors import FileError
from biddable.policies.datasets.base import (
    ActionSpec,
    Array,
    DatasetSpec,
    Episode,
    Parts,
    assembled,
    reading,
)
from biddable.policies.datasets.recorded import REPEATED
from biddable.policies.datasets.video import INSTALL, all_frames, frame_shape
from biddable.types import Trajectory

ACTIONS, TASK = "actions.npy", "language_task.txt"
_POSES, _SUCCESS = "eef_poses.npy", "success.txt"
_VIDEOS = {"image": "trajectory.mp4", "goal": "goals.mp4"}
_NOTES = ("object_list", "task_list", "robot_id", "time")


def soar_folders(path: Path) -> list[Path]:
    """The folders of trajectories in a folder, or it itself; sorted by their paths."""
    return sorted(file.parent for file in path.rglob(ACTIONS) if (file.parent / TASK).is_file())


class SoarSource:
    """Reads the trajectories of a folder.

    ``state`` is where the hand was, ``image`` what the camera saw, ``goal`` the sub-goal of the moment. Where
    there are as many actions as observations the last one stands twice (``meta["last_observation"]``).

    Raises:
        FileError: no trajectory, or one whose files are not whole.
        InputError: ``parts`` that it has not.
    """

    def __init__(self, folder: Path, instruction: str | None, parts: Sequence[str] | None):
        self._root, self._instruction, self._folders = folder, instruction, soar_folders(folder)
        if not self._folders:
            raise FileError(folder, f"holds no trajectory of SOAR's: a folder with {ACTIONS} and {TASK}")
        first = self._folders[0]
        shapes: dict[str, tuple[tuple[int, ...], str]] = {}
        if (first / _POSES).is_file():
            shapes["state"] = (_array(first / _POSES).shape[1:], "float32")
        for name, video in _VIDEOS.items():
            if (first / video).is_file():
                shapes[name] = (frame_shape(first / video), "uint8")
        self._parts = Parts(shapes, parts, folder)
        self.spec = DatasetSpec(
            "soar",
            "",
            self._parts.described(),
            ActionSpec("box", _array(first / ACTIONS).shape[1:]),
            episodes=len(self._folders),
            rewards=False,
        )

    def read(self, index: int) -> Trajectory:
        """See ``Source.read``."""
        folder = self._folders[index]
        name = f"episode {index} ({folder.name})"
        actions = _array(folder / ACTIONS)
        columns: dict[str, Any] = {}
        for part in self._parts.read:
            video = _VIDEOS.get(part)
            columns[part] = (
                _array(folder / _POSES).astype(np.float32)
                if video is None
                else all_frames(folder / video, name)
            )
        steps = len(next(iter(columns.values()))) if columns else len(actions) + 1
        place = folder.relative_to(self._root).as_posix()  # folders in others have the same names
        meta: dict[str, Any] = {"episode": index, "source": folder.name if place == "." else place}
        if steps == len(actions):
            columns = {part: np.concatenate([values, values[-1:]]) for part, values in columns.items()}
            meta |= REPEATED
        meta |= {note: text for note in _NOTES if (text := _text(folder / f"{note}.txt"))}
        told = _text(folder / _SUCCESS).lower()
        if told not in ("", "true", "false", "1", "0"):
            raise FileError(folder / _SUCCESS, f"{name}: says {told[:40]!r}, expected True or False")
        task = _text(folder / TASK)
        success = told in ("true", "1") if told else None
        wordings = (task,) if task else ()
        episode = Episode(folder, name, columns, actions, None, success, wordings=wordings, meta=meta)
        return assembled(episode, self._instruction, self._parts)


def _array(path: Path) -> Array:
    """An array of numbers [T, size]. Raises FileError: none, or one that is a pickle."""
    if not path.is_file():
        raise FileError(path, "no such file")
    with reading(path, "the array", INSTALL):
        values: Array = np.load(path, allow_pickle=False)
        if values.ndim != 2 or values.dtype.kind not in "fiu" or len(values) < 1:
            raise ValueError(f"{values.dtype} of shape {list(values.shape)}, expected numbers [steps, size]")
        return values


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    with reading(path, "the text", INSTALL):
        return " ".join(path.read_text("utf-8").split())
