"""Demonstrations whose motions have phrases: axes and words as users name them, reading, labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biddable.errors import BiddableError, InputError, said
from biddable.experiments.pixel_demos import FAILED
from biddable.policies.datasets import Trajectories, read_trajectories
from biddable.policies.datasets.recorded import recorded
from biddable.policies.motions import MotionVocabulary, Steps
from biddable.runs.files import write_atomic
from biddable.tasks.steps import Drop, Funnel
from biddable.types import Trajectory

FLAT, WORDS, ONEHOT, CLUSTER = "flat", "words", "onehot", "clusters"
"""A policy for each of the ``Variant``."""
TRUE = "words, true motion given"
ERROR, NAMED, FIRST = "action error", "motion named", "first motion named"
"""How far actions are off; whether the whole phrase is right, and whether its first motion is."""
Numbers = NDArray[np.float64]
Limits = tuple[list[float], list[float]]
"""The lowest and the highest of each number of an action."""
ACTION = "action"


class Axis(NamedTuple):
    """Where the position along an axis stands: a number of a part, or of the action, whose sums count."""

    name: str
    part: str
    place: int


def axes_of(listed: Sequence[str], part: str) -> list[Axis]:
    """Axes from ``NAME``, the number at its own place of ``part``, or ``NAME=PART.INDEX``.

    Raises:
        InputError: neither.
    """
    axes = []
    for place, text in enumerate(listed):
        name, equals, where = text.partition("=")
        owner, dot, index = where.rpartition(".")
        if equals and not (name and owner and dot and index.isdecimal()):
            raise InputError("axes", text, "NAME or NAME=PART.INDEX, such as x=state.0 or grip=action.6")
        axes.append(Axis(name.strip(), owner or part, int(index) if equals else place))
    return axes


def words_of(listed: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Axis -> what growing and falling is called, from ``AXIS=GROWS/FALLS``. Raises InputError: neither."""
    words = {}
    for text in listed:
        axis, equals, pair = text.partition("=")
        grows, slash, falls = pair.partition("/")
        if not (equals and slash and axis.strip() and grows.strip() and falls.strip()):
            raise InputError("words", text, "AXIS=GROWS/FALLS, such as y=move left/move right")
        words[axis.strip()] = (grows.strip().lower(), falls.strip().lower())
    return words


def positions_of(trajectory: Trajectory, axes: Sequence[Axis]) -> Numbers:
    """[T + 1, D] positions along axes; of actions, which are displacements, the sum so far.

    Raises:
        InputError: a part or a number that is not there.
    """
    columns = []
    for axis in axes:
        values = trajectory.actions if axis.part == ACTION else trajectory.observations.get(axis.part)
        if values is None:
            known = ", ".join([*sorted(trajectory.observations), ACTION])
            raise InputError("axes", axis.part, f"a part of the demonstrations: {known}")
        flat = np.asarray(values, dtype=np.float64)
        flat = flat.reshape(len(flat), -1)
        if axis.place >= flat.shape[1]:
            expected = f"a number from 0 to {flat.shape[1] - 1} of {axis.part}"
            raise InputError("axes", f"{axis.name}={axis.part}.{axis.place}", expected)
        column = flat[:, axis.place]
        columns.append(np.concatenate([[0], np.cumsum(column)]) if axis.part == ACTION else column)
    return np.stack(columns, 1)


def read_demonstrations(
    path: Path, axes: Sequence[Axis], parts: Sequence[str], instruction: str, horizon: int
) -> tuple[Funnel[Any], int]:
    """Demonstrations of the user's that can be learned from.

    An episode that cannot be read, is known to have failed, is no longer than the horizon, or has other
    numbers than the first is dropped and counted. Actions outside the limits that the data set states are
    cut off.

    Returns:
        the episodes, and how many actions were cut off.

    Raises:
        FileError, InputError, MissingDependency: as ``read_trajectories``; no episode can be learned from.
    """
    wanted = sorted({*parts, *(axis.part for axis in axes if axis.part != ACTION)})
    found: Trajectories = read_trajectories(path, instruction=instruction or None, parts=wanted)
    funnel: Funnel[Any] = Funnel({f"episode {i}": i for i in range(len(found))})
    funnel.apply("reading", [_read(found, i) for i in range(len(found))])
    checked: list[Any] = []
    shapes: tuple[int, int] | None = None
    for episode in funnel.rows:
        result = _checked(episode, axes, parts, horizon, shapes)
        if isinstance(result, Trajectory):
            shapes = shapes or (state_of(result, parts).shape[1], result.actions.shape[1])
        checked.append(result)
    funnel.apply("checking", checked)
    if not funnel.kept:
        first = funnel.dropped[0].why if funnel.dropped else Drop("it holds no episodes")
        what = f"{first.reason}. {first.detail}".strip(". ")
        raise InputError("data", str(path), f"an episode to learn from; of the first it is said: {what}")
    actions = np.concatenate([episode.actions for episode in funnel.rows])
    spec = found.spec.action
    low, high = (np.array(bound, dtype=np.float64) for bound in (spec.low, spec.high))
    if low.shape != actions.shape[1:] or not (np.isfinite(low).all() and np.isfinite(high).all()):
        return funnel, 0
    outside = int(((actions < low - 1e-6) | (actions > high + 1e-6)).any(1).sum())
    for name, episode in funnel.kept.items():
        funnel.kept[name] = replace(episode, actions=np.clip(episode.actions, low, high))
    return funnel, outside


def by_source(
    trajectories: Mapping[str, Trajectory], share: float, rng: np.random.Generator
) -> tuple[dict[str, Trajectory], dict[str, Trajectory]]:
    """To learn from, and held out; no source is in both. Raises InputError: fewer than two sources."""
    owner = {name: str(each.meta.get("source", name)) for name, each in trajectories.items()}
    sources = sorted({*owner.values()})
    if len(sources) < 2:
        raise InputError("data", f"{len(sources)} source of episodes", "at least 2, to hold one out")
    count = min(max(1, round(share * len(sources))), len(sources) - 1)
    held = {sources[i] for i in rng.permutation(len(sources))[:count]}
    parts = [
        {n: each for n, each in trajectories.items() if (owner[n] in held) == out} for out in (False, True)
    ]
    return parts[0], parts[1]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Demonstrations with a phrase for each step.

    Attributes:
        names: [E] of the episodes.
        steps: all steps, one episode after the other.
        episode: [N] the episode of each step.
        sources: [E] what episodes share that are not independent.
    """

    names: tuple[str, ...]
    steps: Steps
    episode: NDArray[np.int64]
    sources: tuple[str, ...]

    @classmethod
    def of(
        cls,
        trajectories: Mapping[str, Trajectory],
        vocabulary: MotionVocabulary,
        axes: Sequence[Axis],
        parts: Sequence[str],
    ) -> Labelled:
        """The labels of trajectories by their names."""
        episodes = list(trajectories.values())
        lengths = [len(each) for each in episodes]
        phrases = [phrase for each in episodes for phrase in vocabulary.label(positions_of(each, axes))]
        instructions = [each.instruction for each in episodes for _ in range(len(each))]
        states = np.concatenate([state_of(each, parts)[:-1] for each in episodes])
        actions = np.concatenate([np.asarray(each.actions, dtype=np.float32) for each in episodes])
        steps = Steps(states, instructions, phrases, actions)
        sources = tuple(str(each.meta.get("source", name)) for name, each in trajectories.items())
        return cls(tuple(trajectories), steps, np.repeat(np.arange(len(lengths)), lengths), sources)

    def means(self, values: Sequence[float] | Numbers) -> Numbers:
        """[E] the mean of each episode's steps."""
        return np.bincount(self.episode, values) / np.bincount(self.episode)

    def write(self, path: Path) -> None:
        """Write the phrases as JSON lines: episode, step, instruction, phrase."""
        first = np.concatenate([[0], np.cumsum(np.bincount(self.episode))])
        lines = [
            json.dumps(
                {
                    "episode": self.names[e],
                    "step": int(i - first[e]),
                    "instruction": self.steps.instructions[i],
                    "phrase": self.steps.phrases[i],
                },
                ensure_ascii=False,
            )
            for i, e in enumerate(self.episode)
        ]
        write_atomic(path, "".join(f"{line}\n" for line in lines).encode())


def unseen(labelled: Labelled, held: Labelled) -> str:
    """What share of held-out motions no demonstration to learn from shows, in a sentence."""
    known = {*labelled.steps.phrases}
    share = np.mean([phrase not in known for phrase in held.steps.phrases])
    return f"{share:.1%} of the held-out steps have a phrase that no demonstration to learn from has."


def fitting_corrections(typed: Funnel[Any], vocabulary: MotionVocabulary, size: int) -> Steps:
    """What a file of corrections says; rows that do not fit phrases, or states of that size, are dropped.

    Raises:
        InputError: none fits.
    """
    results: list[Any] = []
    for row in typed.rows:
        try:
            if len(row["state"]) != size:
                raise InputError("state", f"{len(row['state'])} numbers", f"{size}, as in the demonstrations")
            results.append({**row, "phrase": vocabulary.normal(row["phrase"])})
        except InputError as error:
            results.append(Drop("it does not fit the policy", str(error)))
    typed.apply("checking", results)
    if not typed.rows:
        first = typed.dropped[0]
        why = f"{first.id}: {first.why.reason}. {first.why.detail}"
        raise InputError("corrections", f"{len(typed.dropped)} that do not fit", f"one that does; {why}")
    states, texts, phrases = zip(
        *((row["state"], row["instruction"], row["phrase"]) for row in typed.rows), strict=True
    )
    return Steps(np.array(states, dtype=np.float32), texts, phrases)


def told(
    axes: Sequence[Axis], episodes: Funnel[Any], corrections: Funnel[Any] | None, outside: int
) -> list[str]:
    """What was read of a user's data, and left out or changed; ``outside``: how many actions were cut off."""
    read = ", ".join(f"{axis.name}={axis.part}.{axis.place}" for axis in axes)
    notes = [
        "No trials: success is not known of data alone; actions are held against demonstrations.",
        f"Motions were read off {read} (--axes says which numbers are which).",
    ]
    for what, funnel in (("episodes", episodes), ("corrections", corrections)):
        if funnel is not None and funnel.dropped:
            first = funnel.dropped[0]
            why = f"{first.id}: {first.why.reason}. {first.why.detail}".strip()
            notes.append(f"{len(funnel.dropped)} {what} were left out (artifacts/dropped); the first: {why}")
    if outside:
        notes.append(f"{outside} actions lay outside the data set's own limits and were cut off.")
    return notes


def _read(found: Trajectories, index: int) -> Any:
    try:
        return recorded(found[index])
    except BiddableError as error:
        return Drop("it cannot be read", said(error))


def _checked(
    episode: Trajectory,
    axes: Sequence[Axis],
    parts: Sequence[str],
    horizon: int,
    shapes: tuple[int, int] | None,
) -> Any:
    """The episode, its actions as an array [T, A]; or why it is dropped."""
    if episode.success is False:
        return FAILED
    actions = np.asarray(episode.actions)
    if actions.dtype.kind not in "fiub" or actions.ndim != 2:
        found = f"{actions.dtype} of shape {list(actions.shape)}"
        return Drop("its actions are not [T, A] numbers", found)
    if len(actions) <= horizon:
        return Drop("no longer than the horizon", f"{len(actions)} steps, horizon {horizon}")
    try:
        state, positions = state_of(episode, parts), positions_of(episode, axes)
    except InputError as error:
        return Drop("a part or a number is missing", str(error))
    if not (np.isfinite(state).all() and np.isfinite(positions).all() and np.isfinite(actions).all()):
        return Drop("a number that is not finite")
    sizes = (state.shape[1], actions.shape[1])
    if shapes is not None and sizes != shapes:
        told = f"{sizes[0]} in the state and {sizes[1]} in the action, where the first has {shapes}"
        return Drop("other numbers than the first episode", told)
    return replace(episode, actions=actions.astype(np.float32))


def limits_of(actions: NDArray[np.float32]) -> Limits:
    """The limits of what occurs; of a number that is always the same, half a unit around it."""
    low, high = actions.min(0).astype(np.float64), actions.max(0).astype(np.float64)
    flat = high - low < 1e-6
    return np.where(flat, low - 0.5, low).tolist(), np.where(flat, high + 0.5, high).tolist()


def state_of(trajectory: Trajectory, parts: Sequence[str]) -> NDArray[np.float32]:
    """[T + 1, S] parts side by side. Raises InputError: one that is not there or holds no numbers."""
    columns = []
    for name in parts:
        if name not in trajectory.observations:
            known = ", ".join(sorted(trajectory.observations)) or "none"
            raise InputError("parts", name, f"parts of the demonstrations: {known}")
        values = np.asarray(trajectory.observations[name])
        if values.dtype.kind not in "fiub":
            raise InputError(name, f"{values.dtype} of shape {list(values.shape)}", "numbers of one shape")
        columns.append(values.reshape(len(values), -1).astype(np.float32))
    return np.concatenate(columns, 1)
