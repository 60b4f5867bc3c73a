"""Demonstrations on disk, in Minari's format: recording what a policy does, reading what anybody did.

A dataset is a folder that holds ``data/metadata.json`` and, where we recorded it, one folder for each
episode; with the folder above it as ``MINARI_DATASETS_PATH``, Minari finds it under its name. Nothing is
fetched, and no environment is made because a dataset names one.

Source: Minari's format, https://minari.farama.org.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biddable.envs.base import make_env
from biddable.envs.web import KINDS, Element, Field, TupleOf, WebAction
from biddable.errors import BiddableError, FileError, InputError, MissingDependency, RunError
from biddable.policies.base import Demonstrator, Policy
from biddable.runs.codec import jsonable
from biddable.runs.files import make_folder, read_json, replacing, storing, write_json
from biddable.runs.folder import check_same, take_folder
from biddable.types import Episode, Step

if TYPE_CHECKING:
    from minari.data_collector import EpisodeBuffer

FORMAT = "parquet"
"""Of Minari's three the smallest: 15 episodes of BossLevel take 0.08 MB, in Arrow 0.37, in HDF5 0.83."""
TEXTS = ("instruction", "mission", "utterance")
"""What an instruction is called in an observation; the first that is there counts."""

_NAME = re.compile(r"[-\w]+-v\d+")
_SPEC = re.compile(r"[^-\w:.]")
_DATA, _METADATA, _CONFIG = "data", "metadata.json", "config.json"
_INSTALL = 'pip install "biddable[envs]"'


def record(
    folder: str | Path,
    env: str,
    by: Policy | Callable[[Any], Demonstrator],
    seeds: Sequence[int],
    *,
    algorithm: str = "",
    **options: Any,
) -> Path:
    """Record an episode for each seed as a Minari dataset, which appears once all are there.

    Until then each finished episode is kept in a hidden folder beside it, ``.NAME.recording``: the same call
    resumes after the last finished episode. A policy that draws at random then draws other actions.

    Pictures are stored without loss, and the elements and fields of a web page as JSON. Actions are rounded
    to the action space's type before they are taken, so what is recorded is what was done.

    Args:
        folder: where to; its name is the dataset's and ends in a version: ``demos/go-to-local-v0``.
        env: which environment (see ``make_env``).
        by: a policy; or, for an oracle that reads the environment's state, a function that is called with the
            environment after each reset and returns the function from observations to actions.
        seeds: which episodes; the same seed gives the same start.
        algorithm: name of what acts, for the dataset's metadata.
        options: keyword arguments of the environment's class.

    Returns:
        ``folder``. Where the same call has recorded it before, nothing is recorded.

    Raises:
        InputError: a name without a version, no seeds, or an observation or action that its space has not.
        RunError: another recording stands there, or another process is at it.
        MissingDependency: Minari is not installed.
        StorageError: the disk is full, permission is missing …
    """
    folder = Path(folder)
    if not _NAME.fullmatch(folder.name):
        raise InputError("folder", str(folder), "a name that ends in a version, such as reach-v0")
    if not len(seeds):
        raise InputError("seeds", list(seeds), "at least one")
    _need_minari()
    identity = {
        "env": env,
        "options": jsonable(options),
        "seeds": [int(seed) for seed in seeds],
        "algorithm": algorithm,
    }
    work = folder.with_name(f".{folder.name}.recording")
    if folder.exists():
        if not (folder / _CONFIG).is_file():
            raise RunError(f"{folder}: holds something else than a recording; use another folder")
        check_same(folder, identity)
    else:
        with closing(make_env(env, **options)) as made, take_folder(work, identity), storing(folder):
            try:
                _record(work / "whole", folder.name, made, by, identity)
            except BaseException:
                if not any((work / "whole" / _DATA).glob("[0-9]*")):  # nothing to go on with
                    shutil.rmtree(work, ignore_errors=True)
                raise
            (work / "whole").replace(folder)
    shutil.rmtree(work, ignore_errors=True)
    return folder


def read(folder: str | Path, instruction: str | None = None) -> list[Episode]:
    """All episodes of a Minari dataset, recorded by us or by others.

    An observation that is an array becomes ``{"state": …}``; its text stands under ``instruction``. An
    episode succeeded if its last ``success`` among the infos says so; in a dataset without, if its one reward
    is a positive one in the step that ended it.

    Args:
        folder: the dataset's, which holds ``data``.
        instruction: what was to be done, for a dataset whose observations hold no text.

    Returns:
        the episodes, in order; ``meta`` holds the ``seed`` where it is known.

    Raises:
        FileError: no Minari dataset, an empty one, one that does not describe its observations, or an episode
            that is missing, cut short, or of another shape than the dataset's.
        InputError: neither the dataset nor the call has an instruction.
        MissingDependency: Minari, or what the dataset's format needs, is not installed.
    """
    folder = Path(folder)
    _need_minari()
    with _reading(folder, "the dataset"):
        storage = _storage(folder)
        count = int(storage.total_episodes)
    episodes = []
    for index in range(count):
        with _reading(folder, f"episode {index}"):
            (metadata,) = storage.get_episode_metadata([index])
            (columns,) = storage.get_episodes([index])
            episodes.append(_episode(storage, columns, metadata, instruction))
    if not episodes:
        raise FileError(folder, "a dataset without episodes")
    return [_page(episode) for episode in episodes] if (folder / _CONFIG).is_file() else episodes


def pairs(episodes: Sequence[Episode]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What ``cloning.clone`` learns from: every step's state [N, state size] and action [N, action size].

    Raises:
        InputError: no steps, a step without a ``state``, or vectors of different sizes.
    """
    steps = [(f"episodes[{i}]", step) for i, episode in enumerate(episodes) for step in episode.steps]
    if not steps:
        raise InputError("episodes", "no steps", "at least one")
    columns: tuple[list[Any], list[Any]] = ([], [])
    for where, step in steps:
        for name, value, column in zip(("state", "action"), _pair(step, where), columns, strict=True):
            vector = np.asarray(value, dtype=np.float32)
            wanted = column[0].shape if column else vector.shape
            if vector.ndim != 1 or vector.shape != wanted:
                expected = f"{wanted}, as before" if vector.ndim == 1 else "a vector"
                raise InputError(f"{where}'s {name}", vector.shape, expected)
            column.append(vector)
    return np.stack(columns[0]), np.stack(columns[1])


def _record(
    whole: Path,
    name: str,
    env: Any,
    by: Policy | Callable[[Any], Demonstrator],
    identity: dict[str, Any],
) -> None:
    """Record the episodes that ``whole`` lacks, then write the dataset's metadata."""
    data = whole / _DATA
    make_folder(data)
    with TemporaryDirectory(dir=whole.parent.absolute()) as scratch:  # Minari takes no relative path
        storage = _new_storage(Path(scratch), name, env, identity)
        for index, seed in enumerate(identity["seeds"]):
            if (data / str(index)).exists():
                continue
            buffer = _play(env, by, index, seed)
            with replacing(data / str(index)) as episode:
                storage.update_episodes([buffer])
                Path(scratch, str(index)).rename(episode)
        about = read_json(Path(scratch, _METADATA))
    count = len(identity["seeds"])
    steps = sum(read_json(data / str(index) / _METADATA)["total_steps"] for index in range(count))
    size = round(sum(file.stat().st_size for file in data.rglob("*")) / 1e6, 1)
    write_json(whole / _CONFIG, identity)
    write_json(
        data / _METADATA, {**about, "total_episodes": count, "total_steps": steps, "dataset_size": size}
    )


def _new_storage(folder: Path, name: str, env: Any, identity: dict[str, Any]) -> Any:
    import minari
    from gymnasium.envs.registration import EnvSpec
    from minari.dataset.minari_storage import MinariStorage

    made = {"id": identity["env"], **identity["options"]}
    storage = MinariStorage.new(
        folder,
        _storable(env.observation_space),
        _storable(env.action_space),
        # So that Minari's `recover_environment` makes the one that was recorded.
        EnvSpec(_SPEC.sub("-", identity["env"]), "biddable.envs.base:make_env", kwargs=made),
        data_format=FORMAT,
        jpeg_encoding=False,
    )
    about = {"dataset_id": name, "minari_version": minari.__version__}
    storage.update_metadata({**about, "algorithm_name": identity["algorithm"]})
    return storage


def _play(env: Any, by: Policy | Callable[[Any], Demonstrator], index: int, seed: int) -> EpisodeBuffer:
    from minari.data_collector import EpisodeBuffer

    obs, _ = env.reset(seed=seed)
    act = (lambda obs: by.act([obs])[0]) if isinstance(by, Policy) else by(env)
    observations, actions, successes = [obs], [], [False]
    rewards: list[float] = []
    terminations, truncations = [False], [False]
    while not (terminations[-1] or truncations[-1]):
        (action,) = _column(env.action_space, [_numbers(act(obs))], "action")
        obs, reward, terminated, truncated, info = env.step(action)
        actions.append(action)
        observations.append(obs)
        rewards.append(float(reward))
        terminations.append(bool(terminated))
        truncations.append(bool(truncated))
        successes.append(bool(info.get("success", False)))
    return EpisodeBuffer(
        id=index,
        seed=seed,
        observations=_column(_storable(env.observation_space), observations, "observation"),
        actions=_column(env.action_space, actions, "action"),
        rewards=rewards,
        terminations=terminations[1:],
        truncations=truncations[1:],
        infos={"success": successes},
    )


def _storable(space: Any) -> Any:
    """The space as Minari has columns for it: parts of any length, as pages have, become texts of JSON."""
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        return spaces.Dict({name: _storable(part) for name, part in space.items()})
    if isinstance(space, (spaces.Sequence, TupleOf)):
        return spaces.Text(max_length=2**20, min_length=0)
    if not isinstance(space, (spaces.Text, *_numeric())):
        raise InputError("space", space, "a Dict of arrays, numbers, texts and sequences")
    return space


def _numeric() -> tuple[type, ...]:
    from gymnasium import spaces

    return (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


def _column(space: Any, values: Sequence[Any], name: str) -> Any:
    """``values`` of one space as Minari takes them: arrays and lists, in dictionaries as the space has them.

    Raises:
        InputError: one of them is not of the space's shape, or not a number of its kind.
    """
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        return {
            key: _column(part, [value[key] for value in values], f"{name}[{key!r}]")
            for key, part in space.items()
        }
    if isinstance(space, spaces.Text):  # or what is stored as one
        return [value if isinstance(value, str) else json.dumps(jsonable(value)) for value in values]
    for value in values:
        array = np.asarray(value)
        if array.shape != space.shape or not np.can_cast(array.dtype, space.dtype, "same_kind"):
            actual = f"{array.dtype} of shape {array.shape}"
            raise InputError(name, actual, f"{space.dtype} of shape {space.shape}")
    return np.asarray(values, dtype=space.dtype)


def _numbers(action: Any) -> Any:
    """An action on a page as three numbers (see ``WebAction.of``); others as they are."""
    return (KINDS.index(action.kind), action.ref, action.field) if isinstance(action, WebAction) else action


def _storage(folder: Path) -> Any:
    """What reads the dataset's episodes."""
    import minari

    path = folder / _DATA / _METADATA
    if not path.is_file():
        raise FileError(folder, "no Minari dataset: it holds no data/metadata.json")
    about = read_json(path)
    # Minari would import and make the environment that the file names, whatever that is, to get its spaces.
    if not (isinstance(about, dict) and {"observation_space", "action_space"} <= about.keys()):
        raise FileError(path, "does not describe the dataset's observations and actions")
    return minari.MinariDataset(folder / _DATA).storage


@contextmanager
def _reading(folder: Path, what: str) -> Iterator[None]:
    """Turn what Minari and its formats raise into one line."""
    try:
        yield
    except BiddableError:
        raise
    except ImportError as error:
        raise MissingDependency(f"what {folder} is stored with", _INSTALL) from error
    except Exception as error:  # whatever h5py, pyarrow and Minari raise for a file that is not whole
        problem = " ".join(str(error).split()) or type(error).__name__
        raise FileError(folder, f"{what} cannot be read: {problem}") from error


def _episode(
    storage: Any, columns: dict[str, Any], metadata: dict[str, Any], instruction: str | None
) -> Episode:
    rewards = [float(reward) for reward in columns["rewards"]]
    if len(rewards) != metadata.get("total_steps", len(rewards)):
        raise ValueError(f"{len(rewards)} of its {metadata['total_steps']} steps are there")
    observations = _rows(storage.observation_space, columns["observations"], len(rewards) + 1, "observation")
    actions = _rows(storage.action_space, columns["actions"], len(rewards), "action")
    observations = [_instructed(observation, instruction) for observation in observations]
    steps = tuple(map(Step, observations, actions, rewards))  # one observation more than actions
    seed = {"seed": int(metadata["seed"])} if metadata.get("seed") is not None else {}
    return Episode(observations[0]["instruction"], steps, _succeeded(columns, rewards), seed)


def _rows(space: Any, column: Any, count: int, name: str) -> list[Any]:
    """The ``count`` values of a column; raises ValueError if it has others, or they are of another shape."""
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        parts = {key: _rows(part, column[key], count, f"{name}[{key!r}]") for key, part in space.items()}
        return [dict(zip(parts, row, strict=True)) for row in zip(*parts.values(), strict=True)]
    if isinstance(space, spaces.Tuple):
        places = [_rows(part, column[i], count, f"{name}[{i}]") for i, part in enumerate(space)]
        return list(zip(*places, strict=True))
    shape = () if space.shape is None else space.shape
    if len(column) != count:
        raise ValueError(f"{name} is there {len(column)} times, expected {count}")
    if np.shape(column)[1:] != shape:
        raise ValueError(f"{name} is of shape {np.shape(column)[1:]}, expected {shape}")
    return list(column)


def _instructed(observation: Any, instruction: str | None) -> dict[str, Any]:
    """The observation as a policy sees it: a dictionary, with its text under ``instruction``."""
    obs = dict(observation) if isinstance(observation, dict) else {"state": observation}
    name = next((name for name in TEXTS if name in obs), None)
    if name is None and instruction is None:
        raise InputError("instruction", None, "what was to be done, which this dataset does not say")
    text = instruction if name is None else obs.pop(name)
    return {**obs, "instruction": text}


def _succeeded(columns: dict[str, Any], rewards: list[float]) -> bool:
    infos = columns.get("infos") or {}
    if "success" in infos:
        return bool(infos["success"][-1])
    terminated = len(rewards) > 0 and bool(columns["terminations"][-1])
    return terminated and rewards[-1] > 0 and not any(rewards[:-1])


def _page(episode: Episode) -> Episode:
    """With elements, fields and actions for those of a web page, which was recorded as JSON and numbers."""
    if not (episode.steps and {"dom", "fields"} <= episode.steps[0].observation.keys()):
        return episode
    steps = []
    for step in episode.steps:
        dom, fields = (json.loads(step.observation[name]) for name in ("dom", "fields"))
        obs = {
            **step.observation,
            "dom": tuple(Element(**element) for element in dom),
            "fields": tuple(Field(**field) for field in fields),
        }
        steps.append(Step(obs, WebAction.of(step.action), step.reward))
    return replace(episode, steps=tuple(steps))


def _pair(step: Step, where: str) -> tuple[Any, Any]:
    if not (isinstance(step.observation, dict) and "state" in step.observation):
        raise InputError(f"{where}'s observation", step.observation, "a dictionary with a state")
    return step.observation["state"], step.action


def _need_minari() -> None:
    if find_spec("minari") is None:
        raise MissingDependency("minari", _INSTALL)
