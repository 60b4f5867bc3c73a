"""Writing LeRobot data sets, version 3.0: frames in Parquet, pictures in MP4 or as PNG in Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from biddable.errors import InputError, MissingDependency, RunError
from biddable.policies.datasets import pictures, video
from biddable.policies.datasets.base import Array, check_whole
from biddable.policies.datasets.lerobot import INFO, PREFIX
from biddable.runs.files import make_folder, replacing, storing, write_json
from biddable.types import Trajectory

Pictures = Literal["video", "image"]
CHUNK = 1000
"""Files in a folder."""
DATA_MB, VIDEO_MB = 100, 200
"""LeRobot's limits for a file of frames and for a video; ours hold one episode each."""
SAMPLED = 20
"""Pictures of an episode that the statistics are computed from."""

_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_INDICES = ("timestamp", "frame_index", "episode_index", "index", "task_index")


def write_lerobot(
    trajectories: Sequence[Trajectory],
    folder: str | Path,
    fps: int,
    *,
    pictures: Pictures = "video",
    codec: str = "libsvtav1",
    robot: str | None = None,
) -> Path:
    """Write trajectories as a LeRobot data set, whole or not at all.

    LeRobot has an observation for each action: what is seen after the last action is left out, and so is what
    stands in ``meta``. A part becomes ``observation.PART``, the instruction the task, rewards
    ``next.reward``, the end ``next.done`` (and ``next.truncated``, where it was cut off), success, where it
    is known, ``next.success``.

    Args:
        trajectories: read one after the other.
        folder: where to.
        fps: steps a second, whole ones, as LeRobot has them.
        pictures: parts of bytes [height, width, 3] as "video", which loses a little, or as "image", which
            loses nothing.
        codec: of the videos, one of PyAV's encoders; LeRobot's own choice is AV1.
        robot: its name.

    Returns:
        ``folder``.

    Raises:
        InputError: no trajectories, one whose parts or actions differ from those of the first, values that
            LeRobot has no columns for, or what could not be read again (an action that is no number).
        RunError: something stands there.
        MissingDependency: PyAV is not installed, which writes videos.
        StorageError: the disk is full, permission is missing …
    """
    folder = Path(folder)
    if fps < 1 or int(fps) != fps:
        raise InputError("fps", fps, "an integer of at least 1")
    if pictures not in ("video", "image"):
        raise InputError("pictures", pictures, "video or image")
    if not len(trajectories):
        raise InputError("trajectories", "none", "at least one")
    if folder.exists():
        raise RunError(f"{folder}: holds something already; use another folder")
    first = trajectories[0]
    check_whole(first, "trajectories[0]")
    features = _features(first, pictures)
    if any(each.dtype == "video" for each in features):
        try:
            import av  # noqa: F401
        except ImportError as error:
            raise MissingDependency("av, which writes videos,", video.INSTALL) from error
    with storing(folder), replacing(folder) as whole:
        _Writing(whole, int(fps), features, codec).write(trajectories, robot)
    return folder


@dataclass(slots=True)
class _Feature:
    """A column: its name, its type and shape as LeRobot has them, and its statistics so far."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    part: str = ""
    count: int = 0
    frames: int = 0
    total: Any = 0.0
    squares: Any = 0.0
    low: Any = field(default=np.inf)
    high: Any = field(default=-np.inf)

    @property
    def is_picture(self) -> bool:
        """Whether its values are pictures."""
        return self.dtype in {"video", "image"}

    def add(self, values: Array) -> None:
        """Count the values of an episode, [T, ...]; of pictures a share of them, each channel by itself."""
        self.frames += len(values)
        if self.is_picture:
            taken = values[:: max(1, len(values) // SAMPLED)] / 255.0
            values = taken.reshape(-1, taken.shape[-1])
        numbers = values.astype(np.float64)
        self.count += len(numbers)
        self.total, self.squares = self.total + numbers.sum(0), self.squares + (numbers**2).sum(0)
        self.low = np.minimum(self.low, numbers.min(0))
        self.high = np.maximum(self.high, numbers.max(0))

    def statistics(self) -> dict[str, Any]:
        """Least, greatest, mean and standard deviation, as LeRobot writes them."""
        mean = self.total / self.count
        std = np.sqrt(np.maximum(self.squares / self.count - mean**2, 0.0))
        numbers = {"min": self.low, "max": self.high, "mean": mean, "std": std}
        shape = (-1, 1, 1) if self.is_picture else self.shape
        return {name: np.reshape(each, shape).tolist() for name, each in numbers.items()} | {
            "count": [self.frames]
        }


class _Writing:
    """One data set being written."""

    def __init__(self, folder: Path, fps: int, features: Sequence[_Feature], codec: str):
        self._folder, self._fps, self._features, self._codec = folder, fps, features, codec
        self._tasks: dict[str, int] = {}
        self._frames = 0

    def write(self, trajectories: Sequence[Trajectory], robot: str | None) -> None:
        """Write frames and videos episode by episode, then what describes them."""
        rows = []
        with ExitStack() as open_files:
            writer: Any = None
            for place, each in enumerate(trajectories):
                columns = self._columns(each, place)
                table = self._table(columns, each, place)
                if writer is None:
                    writer = open_files.enter_context(self._parquet(table.schema))
                writer.write_table(table)
                rows.append(self._row(place, len(each), sorted(set(_tasks(each)))))
                for feature in self._features:
                    if feature.dtype == "video":
                        self._video(feature, columns[feature.key], place)
                self._frames += len(each)
        self._describe(rows, robot)

    def _columns(self, trajectory: Trajectory, place: int) -> dict[str, Any]:
        """Key of each feature -> its T values."""
        where, steps = f"trajectories[{place}]", len(trajectory)
        check_whole(trajectory, where)
        done = np.zeros(steps, np.bool_)
        done[-1] = True
        columns: dict[str, Any] = {
            "action": trajectory.actions,
            "next.reward": np.asarray(trajectory.rewards, np.float32),
            "next.done": done & (trajectory.terminated or trajectory.truncated),
            "next.truncated": done & (trajectory.truncated and not trajectory.terminated),
            "next.success": done & bool(trajectory.success),
        }
        told = any(each.key == "next.success" for each in self._features)
        if told != (trajectory.success is not None):
            raise InputError(
                f"{where}.success", trajectory.success, f"{'a bool' if told else None}, as in the first"
            )
        for feature in self._features:
            if feature.part:
                values = trajectory.observations.get(feature.part)
                columns[feature.key] = None if values is None else values[:-1]
            values = columns[feature.key]
            if feature.dtype == "string":
                continue
            shape = feature.shape[:0] if feature.shape == (1,) and np.ndim(values) == 1 else feature.shape
            kind = "uint8" if feature.is_picture else feature.dtype
            if not isinstance(values, np.ndarray) or values.shape[1:] != shape or values.dtype != kind:
                actual = f"{values.dtype} {values.shape[1:]}" if isinstance(values, np.ndarray) else values
                raise InputError(f"{where}'s {feature.key}", actual, f"{kind} {shape}, as in the first")
            feature.add(values)
        return columns

    def _table(self, columns: dict[str, Any], trajectory: Trajectory, place: int) -> Any:
        """An episode's rows."""
        import pyarrow as pa

        steps, tasks = len(trajectory), _tasks(trajectory)
        for task in tasks:
            self._tasks.setdefault(task, len(self._tasks))
        made = {each.key: _arrow(each, columns[each.key]) for each in self._features if each.dtype != "video"}
        frame = np.arange(steps)
        made |= {
            "timestamp": pa.array((frame / self._fps).astype(np.float32)),
            "frame_index": pa.array(frame),
            "episode_index": pa.array(np.full(steps, place)),
            "index": pa.array(frame + self._frames),
            "task_index": pa.array([self._tasks[task] for task in tasks], pa.int64()),
        }
        return pa.table(made)

    def _parquet(self, schema: Any) -> Any:
        import pyarrow.parquet as pq

        path = self._folder / _DATA.format(chunk_index=0, file_index=0)
        make_folder(path.parent)
        return pq.ParquetWriter(path, schema)

    def _row(self, place: int, steps: int, tasks: list[str]) -> dict[str, Any]:
        """What is listed of an episode."""
        row: dict[str, Any] = {
            "episode_index": place,
            "tasks": tasks,
            "length": steps,
            "data/chunk_index": 0,
            "data/file_index": 0,
            "dataset_from_index": self._frames,
            "dataset_to_index": self._frames + steps,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
        }
        for feature in self._features:
            if feature.dtype == "video":
                row |= {
                    f"videos/{feature.key}/chunk_index": place // CHUNK,
                    f"videos/{feature.key}/file_index": place % CHUNK,
                    f"videos/{feature.key}/from_timestamp": 0.0,
                    f"videos/{feature.key}/to_timestamp": steps / self._fps,
                }
        return row

    def _video(self, feature: _Feature, values: Array, place: int) -> None:
        at = {"chunk_index": place // CHUNK, "file_index": place % CHUNK}
        path = self._folder / _VIDEO.format(video_key=feature.key, **at)
        make_folder(path.parent)
        video.write_video(path, values, self._fps, self._codec)

    def _describe(self, rows: list[dict[str, Any]], robot: str | None) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        meta = self._folder / "meta"
        make_folder(meta / "episodes" / "chunk-000")
        pq.write_table(pa.Table.from_pylist(rows), meta / "episodes" / "chunk-000" / "file-000.parquet")
        _write_tasks(self._tasks, meta / "tasks.parquet")
        write_json(
            meta / "stats.json", {each.key: each.statistics() for each in self._features if each.count}
        )
        about = {
            "codebase_version": "v3.0",
            "robot_type": robot,
            "total_episodes": len(rows),
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": CHUNK,
            "data_files_size_in_mb": DATA_MB,
            "video_files_size_in_mb": VIDEO_MB,
            "fps": self._fps,
            "splits": {"train": f"0:{len(rows)}"},
            "data_path": _DATA,
            "video_path": _VIDEO,
            "features": dict(self._described()),
        }
        write_json(self._folder / INFO, about)

    def _described(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for each in self._features:
            names = ["height", "width", "channels"] if each.is_picture else None
            about: dict[str, Any] = {"dtype": each.dtype, "shape": list(each.shape), "names": names}
            if each.dtype == "video":
                height, width, channels = each.shape
                about["info"] = {
                    "video.height": height,
                    "video.width": width,
                    "video.codec": "av1" if "av1" in self._codec else self._codec,
                    "video.pix_fmt": "yuv420p",
                    "video.is_depth_map": False,
                    "video.fps": self._fps,
                    "video.channels": channels,
                    "has_audio": False,
                }
            yield each.key, about
        for name in _INDICES:
            yield name, {"dtype": "float32" if name == "timestamp" else "int64", "shape": [1], "names": None}


def _features(first: Trajectory, form: Pictures) -> list[_Feature]:
    """The columns that the first trajectory asks for."""
    features = []
    for part, values in first.observations.items():
        if part == "instruction":
            continue
        features.append(_feature(f"{PREFIX}{part}", values, form, part))
    features.append(_feature("action", first.actions, form))
    features.append(_Feature("next.reward", "float32", (1,)))
    features += [_Feature(f"next.{name}", "bool", (1,)) for name in ("done", "truncated")]
    if first.success is not None:
        features.append(_Feature("next.success", "bool", (1,)))
    return features


def _feature(key: str, values: Any, form: Pictures, part: str = "") -> _Feature:
    if isinstance(values, tuple) and all(isinstance(value, str) for value in values):
        return _Feature(key, "string", (1,), part)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise InputError(f"trajectories[0]'s {key}", values[0], "numbers of one shape, or texts")
    shape: tuple[int, ...] = values.shape[1:] or (1,)
    if values.dtype == np.uint8 and len(shape) == 3 and shape[-1] == 3 and part:
        if form == "video" and (shape[0] % 2 or shape[1] % 2):
            expected = 'even numbers of rows and columns for a video, or pictures="image"'
            raise InputError(f"trajectories[0]'s {key}", shape, expected)
        return _Feature(key, form, shape, part)
    return _Feature(key, str(values.dtype), shape, part)


def _tasks(trajectory: Trajectory) -> list[str]:
    """What is to be done in each frame."""
    texts = trajectory.observations.get("instruction")
    return [trajectory.instruction] * len(trajectory) if texts is None else [*texts[:-1]]


def _arrow(feature: _Feature, values: Any) -> Any:
    """The values of a feature as LeRobot's columns have them."""
    import pyarrow as pa

    if feature.dtype == "string":
        return pa.array(list(values), pa.string())
    if feature.dtype == "image":
        rows = [{"bytes": pictures.encoded(picture), "path": None} for picture in values]
        return pa.array(rows, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    kind = pa.from_numpy_dtype(values.dtype)
    if feature.shape == (1,):
        return pa.array(values.reshape(-1), kind)
    array = pa.array(values.reshape(-1), kind)
    for size in reversed(feature.shape):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array


def _write_tasks(tasks: dict[str, int], path: Path) -> None:
    """The tasks as pandas would write them, with the texts as the index."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [
        {
            "name": name,
            "field_name": field_name,
            "pandas_type": kind,
            "numpy_type": numpy_kind,
            "metadata": None,
        }
        for name, field_name, kind, numpy_kind in (
            ("task_index", "task_index", "int64", "int64"),
            (None, "__index_level_0__", "unicode", "object"),
        )
    ]
    about = {
        "index_columns": ["__index_level_0__"],
        "column_indexes": [],
        "columns": columns,
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), "__index_level_0__": list(tasks)})
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(about)}), path)
