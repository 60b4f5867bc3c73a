"""A data set of trajectories: what is in it, and a sequence that reads each one when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from biddable.errors import BiddableError, FileError, InputError, MissingDependency
from biddable.types import Trajectory

Array = NDArray[Any]
ActionKind = Literal["box", "discrete", "multi", "other"]


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """What one action is.

    Attributes:
        kind: "box" (an array of numbers), "discrete" (one choice), "multi" (several choices), or "other"
            (a dictionary, a tuple, a text).
        shape: of the array; () of one choice.
        low, high: the numbers' limits, flat; empty where nobody says.
        choices: how many there are for each choice; empty where nobody says.
        start: the smallest choice.
        names: what each number is called, where the data set says.
    """

    kind: ActionKind
    shape: tuple[int, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    choices: tuple[int, ...] = ()
    start: int = 0
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.kind == "box":
            count = self.shape[0] if len(self.shape) == 1 else list(self.shape)
            return f"{count} numbers" + (f" from {_few(self.low)} to {_few(self.high)}" if self.low else "")
        if self.kind == "discrete":
            start = f" from {self.start}" if self.start else ""
            return f"one of {self.choices[0]} choices{start}" if self.choices else "one choice"
        if self.kind == "multi":
            return f"choices of {_few(self.choices)}" if self.choices else f"{list(self.shape)} choices"
        return "neither numbers nor choices"


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """What is in a data set.

    Attributes:
        format: "minari", "lerobot", "robomimic" or "rlds".
        version: the format's, as the data set says it; empty where it does not.
        observations: name of each part -> its shape and type ("float32", "str"); () is one number.
        action: what one action is.
        fps: steps a second; None where nobody says.
        episodes: how many there are.
        steps: of all episodes together; None where that is not known without reading them.
        rewards: whether rewards were recorded; where not, they are all 0.
    """

    format: str
    version: str
    observations: Shapes
    action: ActionSpec
    fps: float | None = None
    episodes: int = 0
    steps: int | None = None
    rewards: bool = True


class Source(Protocol):
    """What reads the episodes of a data set."""

    spec: DatasetSpec

    def read(self, index: int) -> Trajectory:
        """The episode at that place. Raises FileError: it is not whole."""


class Trajectories(Sequence[Trajectory]):
    """The trajectories of a data set, each read when it is asked for; a slice reads nothing.

    Attributes:
        path: where the data set is.
    """

    def __init__(self, path: Path, source: Source, places: range | None = None):
        self.path, self._source = path, source
        self._places = range(source.spec.episodes) if places is None else places

    @property
    def spec(self) -> DatasetSpec:
        """What is in it."""
        spec, count = self._source.spec, len(self)
        return replace(spec, episodes=count, steps=spec.steps if count == spec.episodes else None)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Trajectory: ...
    @overload
    def __getitem__(self, index: slice) -> Trajectories: ...
    def __getitem__(self, index: int | slice) -> Trajectory | Trajectories:
        """A trajectory, or a part of the data set. Raises FileError: the episode is not whole."""
        if isinstance(index, slice):
            return Trajectories(self.path, self._source, self._places[index])
        return self._source.read(self._places[index])

    def __repr__(self) -> str:
        return f"Trajectories({str(self.path)!r}, {self.spec.format}, {len(self)} episodes)"


@dataclass(slots=True)
class Episode:
    """What a reader takes from one episode, before ``assembled`` makes a trajectory of it.

    Attributes:
        path: the file it stands in.
        name: which one ("episode 3").
        observations: name of each part -> its T + 1 values.
        actions: T of them.
        rewards: [T]; None where none were recorded.
        wordings: what was to be done, as the data set says it, the one that counts first.
    """

    path: Path
    name: str
    observations: dict[str, Any]
    actions: Any
    rewards: Any = None
    success: bool | None = None
    terminated: bool = False
    truncated: bool = False
    wordings: Sequence[str] = ()
    meta: dict[str, Any] = field(default_factory=dict)

    def error(self, problem: str) -> FileError:
        """What is raised for a problem of this episode."""
        return FileError(self.path, f"{self.name}: {problem}")


TEXTS = ("instruction", "language_instruction", "natural_language_instruction", "mission", "utterance")
"""What an instruction is called in an observation; the first that is there counts."""
ACHIEVED = "achieved_goal"
"""The part of a goal dictionary that ``state`` leaves out: no policy is told what it will have done."""

Shapes = Mapping[str, tuple[tuple[int, ...], str]]
"""Name of each part of the observations -> its shape and type."""


class Parts:
    """Which parts of the observations are read, and which their ``state`` is made of.

    Observations without ``state`` get one, as ``envs.gymnasium`` makes it: their vectors and numbers side by
    side, in their order, those of ``observation`` first, without ``achieved_goal``; of one choice, zeros with
    a one.

    Args:
        shapes: all parts that the data set has, but for instructions.
        chosen: the parts that are wanted; None for all.
        path: the data set, for errors.
        choices: name of a part that is one choice -> how many there are, and the smallest.
        state: whether to make one; not where the environment that was recorded shows none.

    Raises:
        InputError: a wanted part that is not there.
    """

    def __init__(
        self,
        shapes: Shapes,
        chosen: Sequence[str] | None,
        path: Path,
        choices: Mapping[str, tuple[int, int]] | None = None,
        *,
        state: bool = True,
    ):
        self._shapes, self._choices = dict(shapes), dict(choices or {})
        single = len(shapes) == 1 and "image" not in shapes
        vectors = [
            name
            for name, (shape, dtype) in shapes.items()
            if dtype != "str" and name != ACHIEVED and (len(shape) < 2 or single)
        ]
        made = state and "state" not in shapes and bool(vectors)
        self._state = sorted(vectors, key=lambda name: name != "observation") if made else []
        names = [*shapes, *(["state"] if self._state else [])]
        for name in chosen or ():
            if name not in names:
                expected = f"parts of the observations: {', '.join(names) or 'none'}"
                raise InputError("parts", name, expected, where=str(path))
        self._chosen = names if chosen is None else list(chosen)
        self.read = [
            name
            for name in shapes
            if name in self._chosen or (name in self._state and "state" in self._chosen)
        ]
        """The parts that must be read."""

    def described(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and type of each part that a trajectory will have."""
        about = dict(self._shapes)
        if self._state:
            size = sum(self._choices.get(name, (math.prod(about[name][0]), 0))[0] for name in self._state)
            about["state"] = ((size,), "float32")
        return {name: about[name] for name in about if name in self._chosen}

    def finished(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """The wanted parts, of those that were read."""
        whole = dict(columns)
        if self._state and "state" in self._chosen:
            vectors = [self._vectors(name, whole[name]) for name in self._state]
            whole["state"] = np.concatenate(vectors, axis=1, dtype=np.float32)
        return {name: whole[name] for name in whole if name in self._chosen or name == "instruction"}

    def _vectors(self, name: str, values: Array) -> Array:
        if name not in self._choices:
            return values.reshape(len(values), -1)
        count, start = self._choices[name]
        return (np.asarray(values)[:, None] - start == np.arange(count)).astype(np.float32)


def assembled(episode: Episode, instruction: str | None, parts: Parts) -> Trajectory:
    """The trajectory of an episode, checked.

    Args:
        episode: what was read.
        instruction: what was to be done, where the episode does not say.
        parts: which parts of the observations to keep.

    Raises:
        FileError: a part or the rewards are there more or less often than steps, or a number that is none.
        InputError: nobody says what was to be done.
    """
    columns, steps = dict(episode.observations), len(episode.actions)
    if not steps:
        raise episode.error("it has no steps")
    rewards = np.zeros(steps) if episode.rewards is None else np.asarray(episode.rewards, np.float64)
    if rewards.size == len(rewards):  # some store each as a vector of one
        rewards = rewards.reshape(-1)
    for name, values, count in (
        *((f"observation {name!r}", values, steps + 1) for name, values in columns.items()),
        ("rewards", rewards, steps),
    ):
        if len(values) != count:
            raise episode.error(f"{name}: there {len(values)} times, expected {count}, for {steps} actions")
    _check_finite(episode, "action", episode.actions)
    _check_finite(episode, "reward", rewards)
    texts = [text.strip() for text in _wordings(episode, columns) if text.strip()]
    wordings = list(dict.fromkeys(texts or ([instruction] if instruction else [])))
    if not wordings:
        expected = "what was to be done, which this episode does not say"
        raise InputError("instruction", instruction, expected, where=f"{episode.path}: {episode.name}")
    success = episode.success
    if success is None and episode.terminated and rewarded_at_last(rewards):
        success = True
    return Trajectory(
        wordings[0],
        parts.finished(columns),
        episode.actions,
        rewards,
        success,
        episode.terminated,
        episode.truncated,
        episode.meta | ({"wordings": tuple(wordings[1:])} if len(wordings) > 1 else {}),
    )


def rewarded_at_last(rewards: Array) -> bool:
    """Whether rewards [T] are one, for the last step: so a sparse task says that it is done."""
    return bool(rewards[-1] > 0 and not rewards[:-1].any())


def how_ended(
    done: bool, success: bool | None, rewards: Any, ended: bool | None = None, cut: bool | None = None
) -> tuple[bool, bool]:
    """Whether an episode terminated, and whether it was cut off, by what a file says of its last step.

    LeRobot's ``next.done`` is true of every episode's last frame; robomimic's ``dones``, by ``done_mode``, at
    states of success, at the end, or at both. So ``done`` says that the episode ended; that its task did, a
    success says, or else rewards that are 0 until they are the same positive number to the end, as sparse
    ones are while a robot rests. A positive last one does not: robomimic has dense rewards, too. Flags of
    their own, ``ended`` and ``cut``, go first.
    """
    if ended is None:
        reached, values = bool(success), np.ravel(() if rewards is None else rewards)
        if success is None and len(values) and values[-1] > 0:
            sparse = {*values} <= {0, values[-1]} and not np.any(np.diff(values) < 0)
            reached = sparse and (len(values) == 1 or values[0] == 0)
        ended = bool(done and (reached if cut is None else not cut))
    return ended, bool(done if cut is None else cut) and not ended


def check_lengths(trajectory: Trajectory, where: str, parts: Sequence[str] | None = None) -> None:
    """Check that there is one observation more than actions.

    Otherwise the observations of the episodes after it would stand beside other actions than theirs.

    Args:
        trajectory: of any origin.
        where: what it is called in errors.
        parts: of the observations; None for all.

    Raises:
        InputError: a part is there more or less often.
    """
    for name in trajectory.observations if parts is None else parts:
        values = trajectory.observations[name]
        if not isinstance(values, Sized) or len(values) != len(trajectory) + 1:
            actual = f"{len(values)} observations" if isinstance(values, Sized) else values
            raise InputError(f"{where}.{name}", actual, f"{len(trajectory) + 1}, one more than actions")


def check_whole(trajectory: Trajectory, where: str) -> None:
    """Check a trajectory that is to be written, so that it can be read again.

    Raises:
        InputError: it has no step, or a part, rewards or numbers that it should not have.
    """
    if not len(trajectory):
        raise InputError(where, "no steps", "at least one")
    check_lengths(trajectory, where)
    if len(trajectory.rewards) != len(trajectory):
        expected = f"{len(trajectory)}, one for each action"
        raise InputError(f"{where}.rewards", f"{len(trajectory.rewards)} of them", expected)
    for name, values in (("actions", trajectory.actions), ("rewards", np.asarray(trajectory.rewards))):
        if isinstance(values, np.ndarray) and values.dtype.kind == "f" and not np.isfinite(values).all():
            step = int(np.argwhere(~np.isfinite(values))[0][0])
            raise InputError(f"{where}.{name}[{step}]", np.asarray(values[step]).tolist(), "finite numbers")


@contextmanager
def reading(path: Path, what: str, install: str = 'pip install "biddable[envs]"') -> Iterator[None]:
    """Turn whatever h5py, pyarrow and others raise for a file that is not whole into one line."""
    try:
        yield
    except BiddableError:
        raise
    except ImportError as error:
        raise MissingDependency(f"{error.name}, which reads {path},", install) from error
    except Exception as error:
        problem = " ".join(str(error).split()) or type(error).__name__
        raise FileError(path, f"{what} cannot be read: {problem}") from error


def readable(trajectories: Sequence[Trajectory]) -> tuple[list[Trajectory], list[str]]:
    """All trajectories that can be read, and of each of the others what is wrong with it, in one line.

    Raises:
        BiddableError: of none can it be said what it is; it is what is wrong with the first.
    """
    whole, problems, first = [], [], None
    for place in range(len(trajectories)):
        try:
            whole.append(trajectories[place])
        except BiddableError as error:
            first = first or error
            problems.append(str(error))
    if first is not None and not whole:
        raise first
    return whole, problems


def _check_finite(episode: Episode, what: str, values: Any) -> None:
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or np.isfinite(values).all():
        return
    step = int(np.argwhere(~np.isfinite(values))[0][0])
    shown = np.asarray(values[step]).tolist()
    raise episode.error(f"{what} of step {step} is {shown}, expected finite numbers")


def _wordings(episode: Episode, columns: dict[str, Any]) -> list[str]:
    """What was to be done, as the episode says it; a text that changes on the way stays in ``columns``."""
    found = [name for name in TEXTS if isinstance(columns.get(name), tuple)]
    texts = [columns.pop(name) for name in found]
    if texts and any(text != texts[0][0] for text in texts[0]):
        columns["instruction"] = texts[0]
    firsts = [next((str(text) for text in column if str(text).strip()), "") for column in texts]
    return [*firsts, *episode.wordings]


def _few(values: Sequence[float]) -> str:
    """Limits as a reader wants to see them: one number where all are the same."""
    if len(set(values)) == 1:
        return f"{values[0]:g}"
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"
