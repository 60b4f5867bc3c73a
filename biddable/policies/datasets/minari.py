"""Minari's data sets, in HDF5, Arrow and Parquet.

The files alone are read: neither Minari nor the environment that a data set names is needed or made.

Source: Minari's format, https://minari.farama.org, versions 0.4 and 0.5.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from biddable.errors import FileError
from biddable.policies.datasets import pictures
from biddable.policies.datasets.base import (
    TEXTS,
    ActionSpec,
    Array,
    DatasetSpec,
    Episode,
    Parts,
    assembled,
    reading,
)
from biddable.policies.datasets.hdf5 import Hdf5File
from biddable.policies.datasets.pages import paged
from biddable.policies.datasets.spaces import Leaf, leaves
from biddable.runs.files import parse_json, read_json
from biddable.types import Trajectory

FORMATS = ("hdf5", "arrow", "parquet")
MAIN_FILE = "main_data.hdf5"
METADATA = "metadata.json"
OURS = "config.json"
"""In the folder of a data set that ``record`` made."""
SUCCESS = ("success", "is_success")

_NUMBERS = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
_VERSION = re.compile(r"0\.[45]\.\d+")


class MinariSource:
    """Reads the episodes of one data set.

    Raises:
        FileError: another version, a format that is not read, or a description that is not whole.
        InputError: ``parts`` that it has not.
    """

    def __init__(self, folder: Path, instruction: str | None, parts: Sequence[str] | None):
        self._folder, self._instruction = folder, instruction
        self._data = folder / "data" if (folder / "data" / METADATA).is_file() else folder
        path = self._data / METADATA
        about = read_json(path)
        if not isinstance(about, dict):
            raise FileError(path, "not the description of a Minari data set")
        version = about.get("minari_version", "")
        if not (isinstance(version, str) and _VERSION.fullmatch(version)):
            raise FileError(path, f"minari_version is {version!r}; 0.4 and 0.5 are read")
        form = about.get("data_format", "hdf5")
        if form not in FORMATS:
            raise FileError(path, f"data_format is {form!r}, expected one of {', '.join(FORMATS)}")
        counts = [about.get(name) for name in ("total_episodes", "total_steps")]
        if not all(isinstance(count, int) and count >= 0 for count in counts):
            raise FileError(path, f"total_episodes and total_steps are {counts}, expected integers")
        if not counts[0]:
            raise FileError(folder, "a data set without episodes")
        self._store: _Store = (_Hdf5 if form == "hdf5" else _Columns)(self._data, form)
        self._observation, self._action = (
            self._leaves(about, name, path) for name in ("observation", "action")
        )
        jpeg = about.get("jpeg_encoding", True)
        columns = (("observations", self._observation), ("actions", self._action))
        self._encoded = {
            (column, leaf.path)
            for column, parts_of in columns
            for leaf in parts_of
            if jpeg and leaf.is_picture
        }
        leaves_of = {leaf.name: leaf for leaf in self._observation}
        shapes = {name: (leaf.shape, leaf.dtype) for name, leaf in leaves_of.items() if name not in TEXTS}
        with reading(path, "the observation space"):
            choices = {
                name: (int(leaf.described["n"]), int(leaf.described.get("start", 0)))
                for name, leaf in leaves_of.items()
                if leaf.type == "Discrete"
            }
        self._ours = (folder / OURS).is_file()
        self._parts = Parts(shapes, parts, folder, choices, state=not self._ours)
        self._wanted = [leaf for name, leaf in leaves_of.items() if name in TEXTS or name in self._parts.read]
        single = len(self._action) == 1 and not self._action[0].path
        with reading(path, "the action space"):
            action = self._action[0].action() if single else ActionSpec("other")
        self.spec = DatasetSpec(
            "minari",
            version,
            self._parts.described(),
            action,
            episodes=counts[0],
            steps=counts[1],
        )

    def read(self, index: int) -> Trajectory:
        """See ``Source.read``."""
        with reading(self._folder, f"episode {index}"):
            raw = self._store.open(index, self._wanted)
            total = raw.steps()
            rewards = raw.column("rewards")
            if total is not None and len(rewards) != total:
                raise ValueError(f"{len(rewards)} of its {total} steps are there")
            told = (raw.info(name) for name in SUCCESS)
            success = next((each for each in told if each is not None), None)
            seed = raw.seed()
            episode = Episode(
                self._folder,
                f"episode {index}",
                {leaf.name: self._values(raw, "observations", leaf) for leaf in self._wanted},
                self._actions(raw),
                rewards,
                success,
                bool(raw.column("terminations")[-1]) if len(rewards) else False,
                bool(raw.column("truncations")[-1]) if len(rewards) else False,
                meta={"episode": index} | ({} if seed is None else {"seed": seed}),
            )
            trajectory = assembled(episode, self._instruction, self._parts)
            return paged(trajectory) if self._ours else trajectory

    def _leaves(self, about: dict[str, Any], name: str, path: Path) -> list[Leaf]:
        text = about.get(f"{name}_space")
        with reading(path, f"the {name} space"):
            if text is None:
                return self._store.inferred(f"{name}s")
            described = parse_json(text.encode(), path, first_line=1) if isinstance(text, str) else text
            return list(leaves(described))

    def _values(self, raw: _Raw, column: str, leaf: Leaf) -> Any:
        if leaf.is_text:
            return raw.texts(column, leaf)
        if (column, leaf.path) in self._encoded:
            encoded = raw.encoded(column, leaf)
            values = pictures.decoded(encoded)
        else:
            values = raw.values(column, leaf)
        if values.shape[1:] != leaf.shape:
            raise ValueError(f"{column} {leaf.name!r} is of shape {values.shape[1:]}, expected {leaf.shape}")
        return values

    def _actions(self, raw: _Raw) -> Any:
        if len(self._action) == 1 and not self._action[0].path:
            return self._values(raw, "actions", self._action[0])
        columns = [(leaf.path, self._values(raw, "actions", leaf)) for leaf in self._action]
        count = len(columns[0][1])
        return tuple(_nested([(path, values[t]) for path, values in columns]) for t in range(count))


def _nested(columns: list[tuple[tuple[str | int, ...], Any]]) -> Any:
    """A dictionary or a tuple of the values at their paths."""
    if len(columns) == 1 and not columns[0][0]:
        return columns[0][1]
    inner: dict[str | int, list[Any]] = {}
    for path, value in columns:
        inner.setdefault(path[0], []).append((path[1:], value))
    parts = {key: _nested(values) for key, values in inner.items()}
    return tuple(parts.values()) if all(isinstance(key, int) for key in parts) else parts


class _Raw(Protocol):
    """One episode as a file holds it."""

    def column(self, name: str) -> Array: ...
    def values(self, name: str, leaf: Leaf) -> Array: ...
    def texts(self, name: str, leaf: Leaf) -> tuple[str, ...]: ...
    def encoded(self, name: str, leaf: Leaf) -> Sequence[bytes]: ...
    def info(self, name: str) -> bool | None: ...
    def steps(self) -> int | None: ...
    def seed(self) -> int | None: ...


class _Store(Protocol):
    """Where the episodes of a data set are."""

    def open(self, index: int, wanted: Sequence[Leaf]) -> _Raw: ...
    def inferred(self, name: str) -> list[Leaf]: ...


class _Hdf5:
    """Minari's ``main_data.hdf5``."""

    def __init__(self, data: Path, form: str):
        self._file = Hdf5File(data / MAIN_FILE)

    def open(self, index: int, wanted: Sequence[Leaf]) -> _Hdf5Episode:
        import h5py

        return _Hdf5Episode(h5py.h5g.open(self._file.open().id, f"episode_{index}".encode()))

    def inferred(self, name: str) -> list[Leaf]:
        return list(_inferred(self._file.open()[f"episode_0/{name}"], ()))


class _Hdf5Episode:
    """The calls below h5py's objects: making one of those takes longer than reading the numbers."""

    def __init__(self, group: Any):
        self._group = group

    def column(self, name: str) -> Array:
        return self._array(name, "float64" if name == "rewards" else "int8")

    def values(self, name: str, leaf: Leaf) -> Array:
        return self._array(_hdf5_path(name, leaf), leaf.dtype)

    def texts(self, name: str, leaf: Leaf) -> tuple[str, ...]:
        values = self._array(_hdf5_path(name, leaf))
        return tuple(value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist())

    def encoded(self, name: str, leaf: Leaf) -> Sequence[bytes]:
        return [np.asarray(row, np.uint8).tobytes() for row in self._array(_hdf5_path(name, leaf))]

    def info(self, name: str) -> bool | None:
        if b"infos" not in self._group or f"infos/{name}".encode() not in self._group:
            return None
        return bool(self._array(f"infos/{name}", "int8")[-1])

    def steps(self) -> int | None:
        return self._attribute(b"total_steps")

    def seed(self) -> int | None:
        return self._attribute(b"seed")

    def _attribute(self, name: bytes) -> int | None:
        import h5py

        if not h5py.h5a.exists(self._group, name):
            return None
        value = np.empty((), np.int64)
        h5py.h5a.open(self._group, name).read(value, mtype=h5py.h5t.NATIVE_INT64)
        return int(value)

    def _array(self, path: str, dtype: str | None = None) -> Array:
        """A whole column; where its type is known, asking for it is spared."""
        import h5py

        dataset = h5py.h5d.open(self._group, path.encode())
        values = np.empty(dataset.shape, dtype or dataset.dtype)
        memory = _memory_types().get(dtype) if dtype else None
        dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values, mtype=memory)
        return values


@cache
def _memory_types() -> dict[str, Any]:
    """HDF5's types of numpy's, made once."""
    import h5py

    return {name: h5py.h5t.py_create(np.dtype(name)) for name in _NUMBERS}


def _hdf5_path(name: str, leaf: Leaf) -> str:
    steps = (f"_index_{step}" if isinstance(step, int) else step for step in leaf.path)
    return "/".join((name, *steps))


def _inferred(node: Any, path: tuple[str | int, ...]) -> Iterator[Leaf]:
    """The spaces of a data set that does not describe them (Minari before 0.5), from its first episode."""
    import h5py

    if isinstance(node, h5py.Group):
        for key in node:
            match = re.fullmatch(r"_index_(\d+)", key)
            yield from _inferred(node[key], (*path, int(match[1]) if match else key))
        return
    shape = node.shape[1:]
    if node.dtype.kind in "OS":
        yield Leaf(path, "Text", (), "str", {})
        return
    unlimited = {"low": [-np.inf], "high": [np.inf]}
    discrete = node.dtype.kind in "iu" and not shape
    yield Leaf(path, "Integers" if discrete else "Box", shape, str(node.dtype), unlimited)


class _Columns:
    """A folder for each episode, with its columns in Arrow or Parquet files."""

    def __init__(self, data: Path, form: str):
        self._data, self._form = data, form

    def open(self, index: int, wanted: Sequence[Leaf]) -> _ColumnsEpisode:
        folder = os.path.join(self._data, str(index))
        names = [name for name in os.listdir(folder) if name.endswith(self._form)]
        files = sorted(names, key=lambda name: (len(name), name))  # part-2 before part-10
        if not files:
            raise ValueError(f"there is no {index}/part-0.{self._form}")
        files = [os.path.join(folder, name) for name in files]
        return _ColumnsEpisode(folder, files, self._form, wanted)

    def inferred(self, name: str) -> list[Leaf]:
        raise FileError(self._data / METADATA, "does not describe the dataset's observations and actions")


class _ColumnsEpisode:
    """One row for each observation; in the last one, actions and rewards are padding."""

    def __init__(self, folder: str, files: list[str], form: str, wanted: Sequence[Leaf]):
        import pyarrow as pa

        tables = []
        for file in files:
            if form == "parquet":
                import pyarrow.parquet as pq

                # Without ahead-of-time reading, which hands each column to a thread and waits.
                with pq.ParquetFile(pa.memory_map(file), pre_buffer=False) as opened:
                    seen = [".".join(("observations", *map(str, leaf.path))) for leaf in wanted]
                    infos = [f"infos.{name}" for name in SUCCESS]
                    columns = [*seen, "actions", "rewards", "terminations", "truncations", *infos]
                    tables.append(opened.read(columns=columns, use_threads=False))
            else:
                with pa.OSFile(file) as opened:
                    tables.append(pa.ipc.open_file(opened).read_all())
        self._table = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
        about = read_json(os.path.join(folder, METADATA))
        self._about = about if isinstance(about, dict) else {}

    def column(self, name: str) -> Array:
        return self._field(name, ()).to_numpy(zero_copy_only=False)[:-1]

    def values(self, name: str, leaf: Leaf) -> Array:
        values = self._trimmed(name, leaf)
        if leaf.shape or leaf.type != "Discrete":
            count = len(values)
            flat = np.array(values.flatten().to_numpy(zero_copy_only=False))
            return flat.reshape(count, *leaf.shape)
        return np.array(values.to_numpy(zero_copy_only=False))

    def texts(self, name: str, leaf: Leaf) -> tuple[str, ...]:
        return tuple(self._trimmed(name, leaf).to_pylist())

    def encoded(self, name: str, leaf: Leaf) -> Sequence[bytes]:
        return self._trimmed(name, leaf).to_pylist()

    def info(self, name: str) -> bool | None:
        schema = self._table.schema
        if "infos" not in schema.names or schema.field("infos").type.get_field_index(name) < 0:
            return None
        return bool(self._field("infos", (name,))[-1].as_py())

    def steps(self) -> int | None:
        return self._about.get("total_steps")

    def seed(self) -> int | None:
        seed = self._about.get("seed")
        return None if seed is None else int(seed)

    def _trimmed(self, name: str, leaf: Leaf) -> Any:
        values = self._field(name, leaf.path)
        return values[:-1] if name == "actions" else values

    def _field(self, name: str, path: tuple[str | int, ...]) -> Any:
        values = self._table.column(name)
        values = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
        for step in path:
            values = values.field(str(step))
        return values
