"""robomimic's HDF5 files, as LIBERO and RoboCasa have them too.

Source: https://robomimic.github.io/docs/datasets/overview.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from biddable.errors import FileError
from biddable.policies.datasets.base import (
    ActionSpec,
    DatasetSpec,
    Episode,
    Parts,
    assembled,
    how_ended,
    reading,
)
from biddable.policies.datasets.hdf5 import Hdf5File
from biddable.policies.datasets.recorded import REPEATED
from biddable.types import Trajectory

SPLITS = ("train", "valid", "test")
"""The filter keys that become ``meta["split"]``; the others stand in ``meta["masks"]``."""
LANGUAGE = ("language_instruction", "lang", "language", "problem_info", "ep_meta", "env_kwargs")
"""Where an instruction may stand in the attributes; those of JSON are looked into."""

_DEMO = re.compile(r"demo_?(\d+)")


class RobomimicSource:
    """Reads the demonstrations of one file.

    Raises:
        FileError: no HDF5 file, or one without demonstrations.
        InputError: ``parts`` that it has not.
    """

    def __init__(self, path: Path, instruction: str | None, parts: Sequence[str] | None):
        self._path, self._instruction = path, instruction
        self._file = Hdf5File(path)
        with reading(path, "the file"):
            data = self._file.open()["data"]
            numbered = [(int(match[1]), name) for name in data if (match := _DEMO.fullmatch(name))]
            self._demos = [name for _, name in sorted(numbered)]
            if not self._demos:
                raise FileError(path, "holds no demonstrations (data/demo_0)")
            self._masks = self._filter_keys()
            self._wordings = _language(dict(data.attrs))
            first = data[self._demos[0]]
            if "obs" not in first:
                problem = "no observations (obs): robomimic's dataset_states_to_obs adds them"
                raise FileError(path, problem)
            seen = {
                name: (first["obs"][name].shape[1:], str(first["obs"][name].dtype)) for name in first["obs"]
            }
            action = first["actions"]
            env = _json(data.attrs.get("env_args"))
            kind = ActionSpec("box", action.shape[1:])
            if action.dtype.kind in "iu":
                kind = ActionSpec("multi" if action.ndim > 1 else "discrete", action.shape[1:])
            total = int(data.attrs["total"]) if "total" in data.attrs else None
        self._parts = Parts(seen, parts, path)
        self.spec = DatasetSpec(
            "robomimic",
            str(env.get("env_version") or "") if isinstance(env, dict) else "",
            self._parts.described(),
            kind,
            episodes=len(self._demos),
            steps=total,
            rewards="rewards" in first,
        )

    def read(self, index: int) -> Trajectory:
        """See ``Source.read``."""
        name = self._demos[index]
        with reading(self._path, f"episode {index} ({name})"):
            demo = self._file.open()["data"][name]
            actions = demo["actions"][()]
            told = demo.attrs.get("num_samples")
            if told is not None and int(told) != len(actions):
                raise ValueError(f"{len(actions)} of its {int(told)} steps are there")
            columns, repeated = {}, False
            for part in self._parts.read:
                values = demo["obs"][part][()]
                if len(values) != len(actions):
                    raise ValueError(f"obs/{part} is there {len(values)} times, expected {len(actions)}")
                after = demo["next_obs"][part] if "next_obs" in demo and part in demo["next_obs"] else None
                if after is not None and len(after) != len(actions):
                    raise ValueError(f"next_obs/{part} is there {len(after)} times, expected {len(actions)}")
                repeated = repeated or after is None
                columns[part] = np.concatenate([values, values[-1:] if after is None else after[-1:]])
            masks = [key for key, demos in self._masks.items() if name in demos]
            splits = [key for key in SPLITS if key in masks]
            others = tuple(key for key in masks if key not in SPLITS)
            success = demo.attrs.get("success")
            rewards = demo["rewards"][()] if "rewards" in demo else None
            success = None if success is None else bool(success)
            done = bool(demo["dones"][-1]) if "dones" in demo and len(demo["dones"]) else False
            terminated, truncated = how_ended(done, success, rewards)
            episode = Episode(
                self._path,
                f"episode {index} ({name})",
                columns,
                actions,
                rewards,
                success,
                terminated=terminated,
                truncated=truncated,
                wordings=_language(dict(demo.attrs)) or self._wordings,
                meta={"episode": index, "demo": name}
                | ({"split": splits[0]} if splits else {})
                | ({"masks": others} if others else {})
                | (REPEATED if repeated else {}),
            )
            return assembled(episode, self._instruction, self._parts)

    def _filter_keys(self) -> dict[str, set[str]]:
        """Name of each named subset -> its demonstrations."""
        file = self._file.open()
        if "mask" not in file:
            return {}
        return {
            key: {each.decode() if isinstance(each, bytes) else str(each) for each in demos[()]}
            for key, demos in file["mask"].items()
        }


def _language(attributes: dict[str, Any]) -> list[str]:
    """What is to be done, as attributes say it, in all wordings."""
    described = _json(attributes.get("env_args"))
    nested = [described] if isinstance(described, dict) else []
    texts: list[str] = []
    for about in (attributes, *nested):
        for key in LANGUAGE:
            value = _json(about.get(key))
            if isinstance(value, dict):
                texts += _language({name: each for name, each in value.items() if name != "env_args"})
            elif isinstance(value, (list, tuple, np.ndarray)):
                texts += [_text(each) for each in value]
            elif value is not None:
                texts.append(_text(value))
    return [text for text in dict.fromkeys(texts) if text.strip()]


def _text(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.strip().strip('"')


def _json(value: Any) -> Any:
    """A JSON object or array as what it says; anything else as it is."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    if not (isinstance(text, str) and text.lstrip()[:1] in {"{", "["}):
        return value
    try:
        return json.loads(text)
    except ValueError:
        return value
