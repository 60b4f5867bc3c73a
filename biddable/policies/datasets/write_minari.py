"""Writing Minari data sets, by Minari itself: trajectories of any origin."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from biddable.envs.web import TupleOf
from biddable.errors import InputError, MissingDependency, RunError
from biddable.policies.datasets.base import Trajectories, check_whole
from biddable.policies.datasets.pages import numbers
from biddable.runs.codec import jsonable
from biddable.runs.files import make_folder, replacing, storing
from biddable.types import Trajectory

if TYPE_CHECKING:
    from minari.data_collector import EpisodeBuffer

DataFormat = Literal["parquet", "arrow", "hdf5"]
SMALLEST: DataFormat = "parquet"
"""Of Minari's three: 15 episodes of BossLevel take 0.08 MB, in Arrow 0.37, in HDF5 0.83."""
INSTALL = 'pip install "biddable[envs]"'
NAME = re.compile(r"[-\w]+-v\d+")

_SPEC = re.compile(r"[^-\w:./]")


def write_minari(
    trajectories: Sequence[Trajectory],
    folder: str | Path,
    *,
    env: Any = None,
    algorithm: str = "",
    data_format: DataFormat = SMALLEST,
) -> Path:
    """Write trajectories as a Minari data set, whole or not at all.

    The instruction becomes a part of the observations, ``success`` (where it is known) an info of every step,
    the last of which counts. Of ``meta``, Minari has a place for the ``seed`` alone. Pictures are stored
    without loss, and what Minari has no columns for (the elements of a page) as JSON.

    Args:
        trajectories: read one after the other.
        folder: where to; its name is the data set's and ends in a version: ``demos/reach-v0``.
        env: the environment whose spaces they are of; without it, the spaces are made from the trajectories.
        algorithm: name of what acted, for the data set's metadata.
        data_format: how Minari stores them.

    Returns:
        ``folder``.

    Raises:
        InputError: a name without a version, no trajectories, values that their space has not, or what could
            not be read again (an action that is no number).
        RunError: something stands there.
        MissingDependency: Minari is not installed.
        StorageError: the disk is full, permission is missing …
    """
    folder = Path(folder)
    check_name(folder)
    if folder.exists():
        raise RunError(f"{folder}: holds something already; use another folder")
    if not len(trajectories):
        raise InputError("trajectories", "none", "at least one")
    observation, action = _spaces(trajectories) if env is None else (env.observation_space, env.action_space)
    observation = _instructed(storable(observation))
    with storing(folder), replacing(folder) as whole:
        make_folder(whole / "data")
        storage = new_storage(whole / "data", folder.name, observation, action, None, algorithm, data_format)
        for place, each in enumerate(trajectories):
            storage.update_episodes([_buffer(each, place, observation, action)])
    return folder


def check_name(folder: Path) -> None:
    """Raise InputError or MissingDependency unless Minari is there and would find a data set of this name."""
    if not NAME.fullmatch(folder.name):
        raise InputError("folder", str(folder), "a name that ends in a version, such as reach-v0")
    from importlib.util import find_spec

    if find_spec("minari") is None:
        raise MissingDependency("minari", INSTALL)


def new_storage(
    folder: Path,
    name: str,
    observation: Any,
    action: Any,
    made: dict[str, Any] | None,
    algorithm: str,
    data_format: DataFormat = SMALLEST,
) -> Any:
    """Minari's storage of a new data set in an empty folder.

    Args:
        folder: where to.
        name: the data set's.
        observation, action: the spaces.
        made: arguments of ``make_env``, so that Minari's ``recover_environment`` makes the environment.
        algorithm: what acts.
        data_format: how it is stored.
    """
    import minari
    from gymnasium.envs.registration import EnvSpec
    from minari.dataset.minari_storage import MinariStorage

    spec = None
    if made is not None:
        spec = EnvSpec(_SPEC.sub("-", made["env"]), "biddable.envs.base:make_env", kwargs=made)
    storage = MinariStorage.new(
        folder.absolute(), observation, action, spec, data_format=data_format, jpeg_encoding=False
    )
    about = {"dataset_id": name, "minari_version": minari.__version__}
    storage.update_metadata({**about, "algorithm_name": algorithm})
    return storage


def storable(space: Any) -> Any:
    """The space as Minari has columns for it: parts of any length, as pages have, become texts of JSON.

    Raises:
        InputError: a space that is not stored.
    """
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        return spaces.Dict({name: storable(part) for name, part in space.items()})
    if isinstance(space, spaces.Tuple):
        return spaces.Tuple([storable(part) for part in space])
    if isinstance(space, (spaces.Sequence, TupleOf)):
        return spaces.Text(max_length=2**20, min_length=0)
    numeric = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
    if not isinstance(space, (spaces.Text, *numeric)):
        raise InputError("space", space, "a Dict or a Tuple of arrays, numbers, texts and sequences")
    return space


def column(space: Any, values: Sequence[Any], name: str) -> Any:
    """``values`` of one space as Minari takes them: arrays and lists, in dictionaries as the space has them.

    Raises:
        InputError: one of them is not of the space's shape, not a number of its kind, or none of its choices.
    """
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        missing = [key for key in space if any(key not in value for value in values)]
        if missing:
            raise InputError(f"{name}[{missing[0]!r}]", None, "a value, as the space has it")
        return {
            key: column(part, [value[key] for value in values], f"{name}[{key!r}]")
            for key, part in space.items()
        }
    if isinstance(space, spaces.Tuple):
        return tuple(
            column(part, [value[i] for value in values], f"{name}[{i}]") for i, part in enumerate(space)
        )
    if isinstance(space, spaces.Text):  # or what is stored as one
        return [value if isinstance(value, str) else json.dumps(jsonable(value)) for value in values]
    for value in values:
        array = np.asarray(value)
        if array.shape != space.shape or not np.can_cast(array.dtype, space.dtype, "same_kind"):
            actual = f"{array.dtype} of shape {array.shape}"
            raise InputError(name, actual, f"{space.dtype} of shape {space.shape}")
        if not isinstance(space, spaces.Box) and not space.contains(array.astype(space.dtype)):
            raise InputError(name, array.tolist(), f"one of {space}")
    return np.asarray(values, dtype=space.dtype)


def _instructed(space: Any) -> Any:
    """With the instruction among the parts."""
    from gymnasium import spaces

    from biddable.envs.base import instruction_space

    parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {"state": space}
    return spaces.Dict({"instruction": instruction_space(), **parts})


def _buffer(trajectory: Trajectory, place: int, observation: Any, action: Any) -> EpisodeBuffer:
    from minari.data_collector import EpisodeBuffer

    steps, where = len(trajectory), f"trajectories[{place}]"
    check_whole(trajectory, where)
    seen = [trajectory.observation(t) for t in range(steps + 1)]
    seed, success = trajectory.meta.get("seed"), trajectory.success
    last = np.arange(steps) == steps - 1
    return EpisodeBuffer(
        id=place,
        seed=int(seed) if isinstance(seed, (int, np.integer)) else None,
        observations=column(observation, seen, f"{where}.observations"),
        actions=column(action, [numbers(each) for each in trajectory.actions], f"{where}.actions"),
        rewards=[float(reward) for reward in trajectory.rewards],
        terminations=(last & trajectory.terminated).tolist(),
        truncations=(last & trajectory.truncated).tolist(),
        infos=None if success is None else {"success": [False] * steps + [bool(success)]},
    )


def _spaces(trajectories: Sequence[Trajectory]) -> tuple[Any, Any]:
    """The spaces of what the first trajectory holds; choices are counted in all of them."""
    from gymnasium import spaces

    first = trajectories[0]
    check_whole(first, "trajectories[0]")
    parts = {name: _space(values, name) for name, values in first.observations.items()}
    actions = first.actions
    if not isinstance(actions, np.ndarray):
        raise InputError("trajectories[0].actions", actions[0], "an array of numbers or choices, or an env")
    spec = trajectories.spec.action if isinstance(trajectories, Trajectories) else None
    if actions.dtype.kind == "f" or actions.ndim > 1:
        known = spec is not None and len(spec.low) == actions[0].size
        limits = (
            [np.reshape(np.array(each, actions.dtype), actions.shape[1:]) for each in (spec.low, spec.high)]
            if spec is not None and known
            else None
        )
        return spaces.Dict(parts), _box(actions, limits)
    if spec is not None and spec.choices:
        return spaces.Dict(parts), spaces.Discrete(spec.choices[0], start=spec.start)
    for place, each in enumerate(trajectories):
        check_whole(each, f"trajectories[{place}]")
    least = min(0, min(int(np.min(each.actions)) for each in trajectories))
    most = max(int(np.max(each.actions)) for each in trajectories)
    return spaces.Dict(parts), spaces.Discrete(most + 1 - least, start=least)


def _space(values: Any, name: str) -> Any:
    from gymnasium import spaces

    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return _box(values, None)
    return spaces.Text(max_length=2**20, min_length=0)


def _box(values: np.ndarray[Any, Any], limits: list[Any] | None) -> Any:
    """The space of an array's rows; without limits, of all numbers of its type."""
    from gymnasium import spaces

    kind = values.dtype
    if kind.kind == "b":
        return spaces.MultiBinary(values.shape[1:] or 1)
    if limits is None:
        info = np.iinfo(kind) if kind.kind in "iu" else None
        limits = [-np.inf, np.inf] if info is None else [info.min, info.max]
    low, high = limits
    return spaces.Box(low, high, shape=values.shape[1:], dtype=kind.type)
