"""LeRobot's data sets, versions 2.0, 2.1 and 3.0: frames in Parquet, pictures in MP4.

A LeRobot data set has one observation for each action. What is seen after the last action is not in it: the
last observation stands there twice, and ``meta["last_observation"]`` is "repeated".

Source: the format of LeRobotDataset, https://github.com/huggingface/lerobot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from biddable.errors import FileError
from biddable.policies.datasets import pictures, video
from biddable.policies.datasets.base import (
    TEXTS,
    ActionSpec,
    Array,
    DatasetSpec,
    Episode,
    Parts,
    assembled,
    how_ended,
    reading,
)
from biddable.policies.datasets.recorded import REPEATED
from biddable.runs.files import read_json, read_jsonl
from biddable.types import Trajectory

INFO = "meta/info.json"
VERSIONS = ("v2.0", "v2.1", "v3.0")
ACTION, TASK, EPISODE, FRAME, TIME = "action", "task_index", "episode_index", "frame_index", "timestamp"
PREFIX = "observation."
ENDS = ("done", "terminated", "truncated", "success")
"""What may say of a frame, after ``next.``, how the episode ended there."""


@dataclass(frozen=True, slots=True)
class _Feature:
    """One column of the data set: a part of the observations."""

    key: str
    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an episode stands.

    Attributes:
        file: its Parquet file.
        length: how many frames it has.
        tasks: what was to be done, in all wordings.
        videos: name of a feature -> its video and the second at which the episode begins there.
    """

    file: Path
    length: int
    tasks: tuple[str, ...]
    videos: dict[str, tuple[Path, float]]


class LeRobotSource:
    """Reads the episodes of one data set.

    Raises:
        FileError: another version, or a description that is not whole.
        InputError: ``parts`` that it has not.
    """

    def __init__(self, folder: Path, instruction: str | None, parts: Sequence[str] | None):
        self._folder, self._instruction = folder, instruction
        path = folder / INFO
        self._info = read_json(path)
        version = self._info.get("codebase_version") if isinstance(self._info, dict) else None
        if version not in VERSIONS:
            raise FileError(path, f"codebase_version is {version!r}; {', '.join(VERSIONS)} are read")
        with reading(path, "the description"):
            self._fps = float(self._info["fps"])
            features = self._info["features"]
            seen = [_feature(key, about) for key, about in features.items()]
            self._columns = set(features)
            if ACTION not in features:
                raise FileError(path, f"features are {', '.join(features)}, expected one named {ACTION!r}")
            action = _action(features[ACTION])
            # One choice is a number, and no vector of one.
            self._action_shape = () if action.kind == "discrete" else tuple(features[ACTION]["shape"])
        parts_of = [each for each in seen if each.key.startswith(PREFIX) or each.name in TEXTS]
        shapes = {each.name: (each.shape, _type(each)) for each in parts_of if each.name not in TEXTS}
        self._parts = Parts(shapes, parts, folder)
        self._wanted = [each for each in parts_of if each.name in TEXTS or each.name in self._parts.read]
        self._tasks = _tasks(folder, version)
        self._places = _places_3(folder, self._info) if version == "v3.0" else _places_2(folder, self._info)
        if not self._places:
            raise FileError(folder, "a data set without episodes")
        if len(self._places) != self._info.get("total_episodes"):
            problem = (
                f"total_episodes is {self._info.get('total_episodes')!r}, but {len(self._places)} are listed"
            )
            raise FileError(path, problem)
        self._open: tuple[Path, Any] | None = None
        self.spec = DatasetSpec(
            "lerobot",
            version,
            self._parts.described(),
            action,
            self._fps,
            len(self._places),
            sum(place.length for place in self._places),
            "next.reward" in features,
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": None}

    def read(self, index: int) -> Trajectory:
        """See ``Source.read``."""
        place, name = self._places[index], f"episode {index}"
        with reading(place.file, name):
            rows = self._rows(place, index)
            times = rows[TIME].to_numpy() if TIME in self._columns else np.arange(place.length) / self._fps
            columns = {each.name: self._values(each, rows, place, times, name) for each in self._wanted}
            tasks = self._tasks_of(rows, place)
            if tasks:
                columns["instruction"] = tasks
            varies = len(set(tasks)) > 1
            rewards = _array(rows["next.reward"], ()) if self.spec.rewards else None
            done, terminated, truncated, success = (
                bool(_array(rows[f"next.{name}"], ())[-1]) if f"next.{name}" in self._columns else None
                for name in ENDS
            )
            terminated, truncated = how_ended(bool(done), success, rewards, terminated, truncated)
            episode = Episode(
                self._folder,
                name,
                {key: _repeated(values) for key, values in columns.items()},
                _array(rows[ACTION], self._action_shape),
                rewards,
                success,
                terminated=terminated,
                truncated=truncated,
                wordings=() if varies else place.tasks,
                meta={"episode": index} | REPEATED,
            )
            return assembled(episode, self._instruction, self._parts)

    def _rows(self, place: _Place, index: int) -> dict[str, Any]:
        """The episode's columns, whole."""
        table = self._table(place.file)
        where = table[EPISODE].to_numpy() == index
        rows = np.flatnonzero(where)
        frames = table[FRAME].to_numpy()[rows] if FRAME in self._columns else np.arange(len(rows))
        missing = sorted(set(range(place.length)) - set(frames.tolist()))
        if missing:
            raise FileError(place.file, f"episode {index}, frame {missing[0]}: it is missing")
        if len(rows) != place.length or np.any(np.diff(rows) != 1) or np.any(np.diff(frames) != 1):
            problem = f"episode {index}: {len(rows)} frames, expected {place.length} in order"
            raise FileError(place.file, problem)
        part = table.slice(int(rows[0]), place.length)
        return {name: part[name].combine_chunks() for name in part.column_names}

    def _table(self, file: Path) -> Any:
        """The columns of a file that are needed; the last one is kept, for it may hold many episodes."""
        import pyarrow.parquet as pq

        if self._open is None or self._open[0] != file:
            if not file.is_file():
                raise FileError(file, "no such file")
            known = {each.key for each in self._wanted if each.dtype != "video"}
            known |= {ACTION, TASK, EPISODE, FRAME, TIME}
            known |= {f"next.{name}" for name in ("reward", *ENDS)}
            read = pq.ParquetFile(file)
            self._open = file, read.read(columns=[name for name in read.schema_arrow.names if name in known])
        return self._open[1]

    def _values(self, feature: _Feature, rows: dict[str, Any], place: _Place, times: Array, name: str) -> Any:
        if feature.dtype == "string":
            return tuple(rows[feature.key].to_pylist())
        if feature.dtype == "video":
            path, start = place.videos[feature.key]
            return video.frames(path, start + times.astype(np.float64), f"{name}, {feature.name}")
        if feature.dtype == "image":
            contents = rows[feature.key].field("bytes").to_pylist()
            if None in contents:
                frame = contents.index(None)
                raise ValueError(
                    f"frame {frame} of {feature.name}: the picture is in a file of its own, not here"
                )
            return pictures.decoded(contents)
        return _array(rows[feature.key], feature.shape)

    def _tasks_of(self, rows: dict[str, Any], place: _Place) -> tuple[str, ...]:
        """What was to be done in each frame."""
        if TASK not in rows:
            return place.tasks[:1] * place.length
        indices = np.ravel(_array(rows[TASK], ())).tolist()
        unknown = [task for task in indices if task not in self._tasks]
        if unknown:
            raise ValueError(f"task_index is {unknown[0]}, which meta/tasks does not list")
        return tuple(self._tasks[task] for task in indices)


def _feature(key: str, about: dict[str, Any]) -> _Feature:
    shape = tuple(about["shape"])
    if about["dtype"] in {"video", "image"}:
        names = about.get("names") or []
        if names and str(names[0]).startswith("channel") and len(shape) == 3:
            shape = (*shape[1:], shape[0])
    elif shape == (1,):
        shape = ()
    return _Feature(key, key.removeprefix(PREFIX), about["dtype"], shape)


def _type(feature: _Feature) -> str:
    if feature.dtype == "string":
        return "str"
    return "uint8" if feature.dtype in {"video", "image"} else feature.dtype


def _action(about: dict[str, Any]) -> ActionSpec:
    shape, names = tuple(about["shape"]), about.get("names")
    if isinstance(names, dict):  # {"motors": [...]} or {"0": "x", ...}
        inner: Any = next(iter(names.values()), [])
        names = inner if isinstance(inner, list) else list(names.values())
    flat = tuple(str(name) for name in names) if isinstance(names, list) else ()
    if np.issubdtype(np.dtype(about["dtype"]), np.integer):
        return ActionSpec("discrete" if shape in {(), (1,)} else "multi", () if shape == (1,) else shape)
    return ActionSpec("box", shape, names=flat if len(flat) == int(np.prod(shape)) else ())


def _array(values: Any, shape: tuple[int, ...]) -> Array:
    """[T, *shape] the numbers of a column of lists, of lists of lists or of numbers."""
    import pyarrow as pa

    count = len(values)
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    while pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
        if values.null_count:
            raise ValueError("a row is missing")
        if pa.types.is_list(values.type) and len(values) and np.ptp(values.value_lengths().to_numpy()):
            raise ValueError("rows of several lengths")  # flat, they would move into one another
        values = values.flatten()
    if values.null_count:
        raise ValueError("a number is missing")
    numbers = np.array(values.to_numpy(zero_copy_only=False))
    if shape == (1,) and len(numbers) == count:
        return numbers.reshape(count, 1)
    return numbers.reshape(count, *shape)


def _repeated(values: Any) -> Any:
    """With the last one twice."""
    return (*values, values[-1]) if isinstance(values, tuple) else np.concatenate([values, values[-1:]])


def _tasks(folder: Path, version: str) -> dict[int, str]:
    """Number of a task -> what is to be done."""
    if version != "v3.0":
        path = folder / "meta" / "tasks.jsonl"
        with reading(path, "the tasks"):
            return {int(row["task_index"]): str(row["task"]) for _, row in read_jsonl(path)}
    path = folder / "meta" / "tasks.parquet"
    if not path.is_file():
        raise FileError(path, "no such file")
    with reading(path, "the tasks"):
        import pyarrow.parquet as pq

        table = pq.ParquetFile(path).read()
        texts = next(name for name in table.column_names if name != TASK)
        return dict(zip(table[TASK].to_pylist(), map(str, table[texts].to_pylist()), strict=True))


def _places_2(folder: Path, info: dict[str, Any]) -> list[_Place]:
    """A file for each episode, and one for each of its videos."""
    path = folder / "meta" / "episodes.jsonl"
    places = []
    with reading(path, "the list of episodes"):
        rows = sorted((row for _, row in read_jsonl(path)), key=lambda row: row["episode_index"])
        for place, row in enumerate(rows):
            number = int(row["episode_index"])
            if number != place:
                raise ValueError(f"episode {place} is not listed")
            chunk = number // int(info.get("chunks_size", 1000))
            names = {"episode_chunk": chunk, "episode_index": number}
            videos = {
                key: (folder / info["video_path"].format(video_key=key, **names), 0.0)
                for key, about in info["features"].items()
                if about["dtype"] == "video"
            }
            file = folder / info["data_path"].format(**names)
            places.append(_Place(file, int(row["length"]), tuple(row.get("tasks", ())), videos))
    return places


def _places_3(folder: Path, info: dict[str, Any]) -> list[_Place]:
    """Many episodes in a file, and in a video one after the other."""
    files = sorted((folder / "meta" / "episodes").glob("*/*.parquet"))
    if not files:
        raise FileError(folder / "meta" / "episodes", "no such files: chunk-000/file-000.parquet")
    with reading(folder / "meta" / "episodes", "the list of episodes"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = []
        for file in files:
            opened = pq.ParquetFile(file)
            names = [name for name in opened.schema_arrow.names if not name.startswith("stats/")]
            tables.append(opened.read(columns=names))
        rows = pa.concat_tables(tables, promote_options="default").to_pylist()
        cameras = [key for key, about in info["features"].items() if about["dtype"] == "video"]
        places = []
        for place, row in enumerate(sorted(rows, key=lambda row: row[EPISODE])):
            if row[EPISODE] != place:
                raise ValueError(f"episode {place} is not listed")
            videos = {
                key: (
                    folder
                    / info["video_path"].format(
                        video_key=key,
                        chunk_index=row[f"videos/{key}/chunk_index"],
                        file_index=row[f"videos/{key}/file_index"],
                    ),
                    float(row[f"videos/{key}/from_timestamp"]),
                )
                for key in cameras
            }
            at = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
            file = folder / info["data_path"].format(**at)
            places.append(_Place(file, int(row["length"]), tuple(row.get("tasks") or ()), videos))
    return places
