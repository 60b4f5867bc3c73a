"""RLDS data sets as TensorFlow Datasets stores them: TFRecord files beside ``features.json``.

RLDS says that the last step of an episode is an observation without an action. Many robot data sets (Open
X-Embodiment) have an action and a reward there all the same. So the last step is only an observation where
its action and its reward are all 0; otherwise it is a step like the others, its observation stands there
twice, and ``meta["last_observation"]`` is "repeated".

Sources: https://github.com/google-research/rlds; TensorFlow Datasets' format, https://www.tensorflow.org/datasets.
"""

from __future__ import annotations

import logging
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from biddable.errors import FileError
from biddable.policies.datasets import pictures, tfrecord
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
from biddable.policies.datasets.recorded import REPEATED
from biddable.runs.files import read_json
from biddable.types import Trajectory

FEATURES, INFO = "features.json", "dataset_info.json"

_STEPS, _OBSERVATION, _ACTION = "steps/", "steps/observation/", "steps/action"
_WORDING = re.compile(r"language_instruction_\d+")
_SUCCESS, _WHOLE = ("episode_metadata.success", "success"), (bool, int, np.bool_, np.integer)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A feature without parts.

    Attributes:
        key: its name in the ``tf.Example``.
        kind: "tensor", "image", "text" or "class".
        shape, dtype: of its value in one step.
        encoding: of a tensor: "none", "bytes" or "zlib".
        classes: of a class, how many there are.
    """

    key: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    encoding: str = "none"
    classes: int = 0


@dataclass(slots=True)
class _Shard:
    """A file, the split it is of, and where its records begin once that is known."""

    path: Path
    split: str
    count: int
    offsets: list[int] | None = None


class RldsSource:
    """Reads the episodes of one data set; those of all splits, one split after the other.

    Raises:
        FileError: a description that is not whole, or records in another format than TFRecord.
        InputError: ``parts`` that it has not.
    """

    def __init__(self, folder: Path, instruction: str | None, parts: Sequence[str] | None):
        self._folder, self._instruction = folder, instruction
        described = folder / FEATURES
        content = read_json(described)
        with reading(described, "the description"):
            leaves = {leaf.key: leaf for leaf in _leaves(content, "", described)}
            if not any(key.startswith(_STEPS) for key in leaves):
                raise FileError(described, "describes no steps: it is no RLDS data set")
        self._actions = [leaf for key, leaf in leaves.items() if f"{key}/".startswith(f"{_ACTION}/")]
        if not self._actions:
            raise FileError(described, "describes no steps/action")
        self._scalars = {name: leaves.get(_STEPS + name) for name in ("reward", "is_terminal", "is_last")}
        named = _observations(leaves)
        is_told = {name: name in TEXTS or bool(_WORDING.fullmatch(name)) for name in named}
        shapes = {
            name: (leaf.shape, "str" if leaf.kind == "text" else leaf.dtype)
            for name, leaf in named.items()
            if not is_told[name]
        }
        classes = {name: (named[name].classes, 0) for name in shapes if named[name].classes}
        self._parts = Parts(shapes, parts, folder, classes)
        self._wanted = {
            name: leaf for name, leaf in named.items() if is_told[name] or name in self._parts.read
        }
        self._metadata = [leaf for key, leaf in leaves.items() if not key.startswith(_STEPS)]
        self._keys = {leaf.key for leaf in (*self._wanted.values(), *self._actions, *self._metadata)}
        self._keys |= {leaf.key for leaf in self._scalars.values() if leaf}
        self._shards = _shards(folder)
        self.spec = DatasetSpec(
            "rlds",
            str(read_json(folder / INFO).get("version", "")),
            self._parts.described(),
            _action_spec(self._actions),
            episodes=sum(shard.count for shard in self._shards),
            rewards=self._scalars["reward"] is not None,
        )
        if not self.spec.episodes:
            raise FileError(folder, "a data set without episodes")

    def read(self, index: int) -> Trajectory:
        """See ``Source.read``."""
        name, shard, number = f"episode {index}", self._shards[0], index
        for shard in self._shards:
            if number < shard.count:
                break
            number -= shard.count
        with reading(shard.path, name):
            if shard.offsets is None:
                shard.offsets = tfrecord.offsets(shard.path)
            if number >= len(shard.offsets):
                problem = f"{name}: {len(shard.offsets)} of its {shard.count} records are there"
                raise FileError(shard.path, problem)
            try:
                content = tfrecord.record(shard.path, shard.offsets[number], number)
            except FileError as error:
                raise FileError(shard.path, f"{name}: {str(error).removeprefix(f'{shard.path}: ')}") from None
            return self._trajectory(tfrecord.example(content, self._keys), shard, name, index)

    def _trajectory(
        self, raw: Mapping[str, tfrecord.Values], shard: _Shard, name: str, index: int
    ) -> Trajectory:
        actions = _joined([_column(leaf, raw) for leaf in self._actions])
        scalars = {key: _column(leaf, raw) for key, leaf in self._scalars.items() if leaf}
        columns = {key: _column(leaf, raw, key in TEXTS) for key, leaf in self._wanted.items()}
        count = len(actions)
        for key, values in (*columns.items(), *scalars.items()):
            if len(values) != count:
                raise ValueError(f"{key!r} is there {len(values)} times, expected {count}, once a step")
        rewards = scalars.get("reward")
        meta: dict[str, Any] = {"episode": index, "split": shard.split}
        meta |= {leaf.key.replace("/", "."): _single(leaf, raw) for leaf in self._metadata}
        closing = count > 1 and not np.any(actions[-1]) and (rewards is None or not rewards[-1])
        if closing:
            actions, rewards = actions[:-1], None if rewards is None else rewards[:-1]
        else:
            columns = {
                key: (*values, values[-1])
                if isinstance(values, tuple)
                else np.concatenate([values, values[-1:]])
                for key, values in columns.items()
            }
            meta |= REPEATED
        wordings = [columns.pop(key)[0] for key in list(columns) if _WORDING.fullmatch(key)]
        terminal = scalars.get("is_terminal")
        terminated = bool(terminal is not None and terminal[-1])
        episode = Episode(
            shard.path,
            name,
            columns,
            actions,
            rewards,
            next((bool(meta[key]) for key in _SUCCESS if isinstance(meta.get(key), _WHOLE)), None),
            terminated=terminated,
            truncated="is_last" in scalars and bool(scalars["is_last"][-1]) and not terminated,
            wordings=wordings,
            meta=meta,
        )
        return assembled(episode, self._instruction, self._parts)


def _leaves(node: Any, key: str, path: Path) -> Iterator[_Leaf]:
    """The features without parts, with the names that they have in a ``tf.Example``."""
    if "featuresDict" in node:
        for name, part in node["featuresDict"]["features"].items():
            yield from _leaves(part, f"{key}/{name}" if key else name, path)
    elif "sequence" in node:
        length, inner = int(node["sequence"].get("length", -1)), node["sequence"]["feature"]
        for leaf in _leaves(inner, key, path):
            if key == "steps" or key == "":
                yield leaf
            elif length >= 0 and leaf.kind == "tensor":
                yield _Leaf(leaf.key, leaf.kind, (length, *leaf.shape), leaf.dtype, leaf.encoding)
            else:
                _log.warning("%s: %s is a list of any length, which is not read", path, leaf.key)
    elif "tensor" in node:
        about = node["tensor"]
        shape = tuple(int(n) for n in about.get("shape", {}).get("dimensions", ()))
        kind = "text" if about["dtype"] in {"string", "object", "bytes", "str"} else "tensor"
        if any(n < 0 for n in shape):
            _log.warning("%s: %s is of any shape, which is not read", path, key)
        else:
            yield _Leaf(key, kind, shape, about["dtype"], about.get("encoding", "none"))
    elif "image" in node:
        shape = tuple(int(n) for n in node["image"]["shape"]["dimensions"])
        yield _Leaf(key, "image", shape, node["image"].get("dtype", "uint8"))
    elif "text" in node:
        yield _Leaf(key, "text", (), "str")
    elif "classLabel" in node:
        yield _Leaf(key, "class", (), "int64", classes=int(node["classLabel"].get("numClasses", 0)))
    elif "boundingBox" in node:
        yield _Leaf(key, "tensor", (4,), "float32")
    else:
        kind = node.get("pythonClassName", node.get("type", "unknown"))
        _log.warning(
            "%s: %s is a %s, which is not read", path, key or "the whole", str(kind).rpartition(".")[2]
        )


def _observations(leaves: Mapping[str, _Leaf]) -> dict[str, _Leaf]:
    """Name of each part of an observation -> its feature; texts beside the observation count as parts."""
    named = {}
    for key, leaf in leaves.items():
        name = key.removeprefix(_OBSERVATION if key.startswith(_OBSERVATION) else _STEPS).replace("/", ".")
        if key == "steps/observation":
            named["state"] = leaf
        elif key.startswith(_OBSERVATION) or (
            key.startswith(_STEPS) and (name in TEXTS or _WORDING.fullmatch(name))
        ):
            named[name] = leaf
    return named


def _action_spec(actions: Sequence[_Leaf]) -> ActionSpec:
    if len(actions) == 1 and (actions[0].kind == "class" or np.dtype(actions[0].dtype).kind in "iu"):
        leaf = actions[0]
        choices = (leaf.classes,) if leaf.classes else ()
        return ActionSpec("multi" if leaf.shape else "discrete", leaf.shape, choices=choices)
    if any(leaf.kind not in {"tensor", "class"} for leaf in actions):
        return ActionSpec("other")
    names = []
    for leaf in actions if len(actions) > 1 else ():
        name, size = leaf.key.removeprefix(f"{_ACTION}/"), math.prod(leaf.shape)
        names += [f"{name}[{i}]" for i in range(size)] if leaf.shape else [name]
    shape = (len(names),) if names else actions[0].shape
    return ActionSpec("box", shape, names=tuple(names))


def _joined(columns: list[Any]) -> Any:
    """One column; of actions in parts, their numbers side by side."""
    if len(columns) == 1:
        return columns[0]
    return np.concatenate([np.reshape(each, (len(each), -1)).astype(np.float32) for each in columns], axis=1)


def _column(leaf: _Leaf, raw: Mapping[str, tfrecord.Values], as_text: bool = False) -> Any:
    """The values of all steps."""
    values = raw.get(leaf.key)
    if values is None or not len(values):
        raise ValueError(f"{leaf.key} is missing")
    if leaf.kind == "image":
        return _pictures(leaf, values)
    if leaf.kind == "text":
        return tuple(bytes(value).decode(errors="replace") for value in values)
    if leaf.encoding != "none":
        unpack = zlib.decompress if leaf.encoding == "zlib" else bytes
        flat: Array = np.concatenate([np.frombuffer(unpack(value), leaf.dtype) for value in values])
    else:
        flat = np.asarray(values).astype(leaf.dtype)
    column = flat.reshape(-1, *leaf.shape)
    if as_text:  # Language-Table: the bytes of a text, and zeros up to the end
        return tuple(bytes(row.astype(np.uint8)).rstrip(b"\0").decode(errors="replace") for row in column)
    return column


def _pictures(leaf: _Leaf, values: tfrecord.Values) -> Array:
    decoded = pictures.decoded([bytes(value) for value in values])
    wanted = leaf.shape[:-1] if leaf.shape[-1:] == (1,) else leaf.shape
    if decoded.shape[1:] != wanted and not any(n < 0 for n in leaf.shape):
        raise ValueError(f"{leaf.key} is of shape {decoded.shape[1:]}, expected {leaf.shape}")
    return decoded.reshape(len(decoded), *leaf.shape) if wanted != leaf.shape else decoded


def _single(leaf: _Leaf, raw: Mapping[str, tfrecord.Values]) -> Any:
    """What is said once of an episode."""
    values = raw.get(leaf.key)
    if values is None or not len(values):
        return None
    if isinstance(values, list):
        return values[0].decode(errors="replace")
    return values.tolist() if len(values) > 1 else values.tolist()[0]


def _shards(folder: Path) -> list[_Shard]:
    """The files of all splits, as ``dataset_info.json`` lists them."""
    path = folder / INFO
    about = read_json(path)
    with reading(path, "the list of files"):
        form = about.get("fileFormat", "tfrecord")
        if form != "tfrecord":
            raise FileError(path, f"fileFormat is {form!r}; tfrecord is read")
        shards = []
        for split in about["splits"]:
            lengths = [int(length) for length in split["shardLengths"]]
            template = split.get("filepathTemplate") or "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
            for place, count in enumerate(lengths):
                name = template
                for key, value in {
                    "DATASET": about["name"],
                    "SPLIT": split["name"],
                    "FILEFORMAT": form,
                    "SHARD_X_OF_Y": f"{place:05d}-of-{len(lengths):05d}",
                    "SHARD_INDEX": f"{place:05d}",
                    "NUM_SHARDS": f"{len(lengths):05d}",
                }.items():
                    name = name.replace(f"{{{key}}}", value)
                shards.append(_Shard(folder / name, split["name"], count))
        return shards
