"""Partly labelled demonstrations: a user's, read and checked, and as files that workers read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError, said
from biddable.policies.batches import Demonstrations
from biddable.policies.datasets import read_trajectories
from biddable.policies.datasets.base import ActionSpec
from biddable.runs.files import read_json, write_json
from biddable.tasks.steps import Drop, Funnel
from biddable.types import Trajectory

NOBODY_SAYS = "\x00 nobody says what was to be done"
"""Stands for the instruction of an episode that has none while it is read."""
PARTS = ("grid", "image")
"""Which part of an observation is looked at, where nobody says: the first that is there, or the only picture,
or ``state``."""
_ARRAYS, _ABOUT = "arrays.safetensors", "about.json"


@dataclass(frozen=True, slots=True)
class GoalData:
    """Demonstrations and what each is for; episodes are named by their places.

    Attributes:
        demos: all of them, with one part of the observations.
        labelled: [L] whose instructions are learned.
        unlabelled: [U] whose are not known, or not used.
        tests: name of a test -> its episodes, all with instructions.
        texts: instructions, each once; vectors: [texts, 384].
        wordings: of each episode, places in ``texts``; the first is what it is tested by.
        head: what makes the policy's head (``heads.head_of``).
        seeds: [E] of the environment, -1 where there is none.
        commanded: whether the environment is to be told the instructions of the tests: it draws others.
    """

    demos: Demonstrations
    labelled: NDArray[np.int64]
    unlabelled: NDArray[np.int64]
    tests: Mapping[str, NDArray[np.int64]]
    texts: tuple[str, ...]
    vectors: NDArray[np.float32]
    wordings: tuple[tuple[int, ...], ...]
    head: Mapping[str, Any]
    seeds: NDArray[np.int64]
    commanded: bool = False

    @property
    def part(self) -> str:
        """The part of the observations."""
        return next(iter(self.demos.observations))

    @property
    def observations(self) -> NDArray[Any]:
        """[N + E, ...] all of them."""
        return self.demos.observations[self.part]

    def with_labels(self, count: int) -> GoalData:
        """The same with the first so many labels; the others' instructions are not used.

        Raises:
            InputError: there are fewer.
        """
        if count > len(self.labelled):
            expected = f"at most {len(self.labelled)}: so many labelled demonstrations are to learn from"
            raise InputError("labels", count, expected)
        rest = np.concatenate([self.labelled[count:], self.unlabelled])
        return replace(self, labelled=self.labelled[:count], unlabelled=rest)

    def save(self, folder: Path) -> None:
        """Write it to a folder that is there."""
        from safetensors.numpy import save_file

        arrays = {
            "observations": self.observations,
            "actions": self.demos.actions,
            "lengths": self.demos.lengths,
            "vectors": self.vectors,
            "labelled": self.labelled,
            "unlabelled": self.unlabelled,
            "seeds": self.seeds,
            **{f"test.{name}": places for name, places in self.tests.items()},
        }
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / _ARRAYS)
        about = {
            "part": self.part,
            "tests": list(self.tests),
            "texts": self.texts,
            "wordings": self.wordings,
            "head": dict(self.head),
            "instructions": self.demos.instructions,
            "sources": self.demos.sources,
            "commanded": self.commanded,
        }
        write_json(folder / _ABOUT, about)

    @classmethod
    def load(cls, folder: Path) -> GoalData:
        """What ``save`` wrote."""
        from safetensors.numpy import load_file

        arrays, about = load_file(folder / _ARRAYS), read_json(folder / _ABOUT)
        assert isinstance(about, dict)
        lengths = arrays["lengths"]
        first = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]])
        episode = np.repeat(np.arange(len(lengths)), lengths)
        t = np.arange(len(episode)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        demos = Demonstrations(
            tuple(about["instructions"]),
            {about["part"]: arrays["observations"]},
            arrays["actions"],
            first,
            lengths,
            episode,
            first[episode] + t,
            tuple(about["sources"]),
        )
        return cls(
            demos,
            arrays["labelled"],
            arrays["unlabelled"],
            {name: arrays[f"test.{name}"] for name in about["tests"]},
            tuple(about["texts"]),
            arrays["vectors"],
            tuple(map(tuple, about["wordings"])),
            about["head"],
            arrays["seeds"],
            bool(about.get("commanded", False)),
        )


def assembled(
    labelled: Sequence[Trajectory],
    unlabelled: Sequence[Trajectory],
    tests: Mapping[str, Sequence[Trajectory]],
    part: str,
    head: Mapping[str, Any],
) -> GoalData:
    """The data of trajectories that were looked through, without the vectors of their instructions.

    Raises:
        InputError: fewer than two instructions among the labelled, so that nothing can be told apart.
    """
    told = {each.instruction for each in labelled}
    if len(told) < 2:
        expected = "demonstrations with at least 2 different instructions: with one there is no contrast"
        raise InputError(
            "labelled demonstrations", f"{len(labelled)} with {len(told)} instructions", expected
        )
    groups = [labelled, unlabelled, *tests.values()]
    demos = Demonstrations.of([each for group in groups for each in group], (part,))
    ends = np.cumsum([len(group) for group in groups])
    places = [np.arange(end - len(group), end) for group, end in zip(groups, ends, strict=True)]
    wordings: list[tuple[str, ...]] = []
    for i, group in enumerate(groups):
        for each in group:
            others = [text for text in each.meta.get("wordings", ()) if text != NOBODY_SAYS]
            wordings.append(() if i == 1 else tuple(dict.fromkeys([each.instruction, *others])))
    texts = tuple(dict.fromkeys(text for several in wordings for text in several))
    at = {text: i for i, text in enumerate(texts)}
    return GoalData(
        demos,
        places[0],
        places[1],
        dict(zip(tests, places[2:], strict=True)),
        texts,
        np.zeros((len(texts), 0), np.float32),
        tuple(tuple(at[text] for text in several) for several in wordings),
        head,
        np.array([int(each.meta.get("seed", -1)) for group in groups for each in group]),
    )


class Episode(Protocol):
    """A demonstration as it is kept in a run."""

    def trajectory(self) -> Trajectory:
        """The same as arrays."""


@dataclass(frozen=True, slots=True)
class SceneData:
    """Demonstrations in an environment of the library's, by what they are for.

    Attributes:
        labelled: whose instructions are used; none of them is unseen.
        unlabelled: whose are not; all kinds.
        unseen, seen: for the test, with unseen instructions and without.
        held_out: what makes an instruction unseen.
        left_out: episodes in which the demonstrator did not do what was asked.
        part: of the observations, what is looked at.
        head: what makes the policy's head.
        commanded: see ``GoalData``.
    """

    labelled: Sequence[Episode]
    unlabelled: Sequence[Episode]
    unseen: Sequence[Episode]
    seen: Sequence[Episode]
    held_out: tuple[str, ...]
    left_out: int
    part: str
    head: Mapping[str, Any]
    commanded: bool = False

    def data(self, unseen: str, seen: str) -> GoalData:
        """The same as arrays, without vectors; the tests have these names."""
        labelled, unlabelled, *tests = (
            [each.trajectory() for each in group]
            for group in (self.labelled, self.unlabelled, self.unseen, self.seen)
        )
        named = dict(zip((unseen, seen), tests, strict=True))
        return replace(assembled(labelled, unlabelled, named, self.part, self.head), commanded=self.commanded)

    def notes(self) -> list[str]:
        """What is to be said of them."""
        return [
            f"Never named in an instruction to learn from: {', '.join(self.held_out)}.",
            f"In {self.left_out} episodes the demonstrator did not do what was asked; they are left out.",
        ]


@dataclass(frozen=True, slots=True)
class OwnData:
    """A user's demonstrations: episodes with an instruction, and those without."""

    funnel: Funnel[Any]
    part: str
    action: ActionSpec

    @property
    def labelled(self) -> list[Trajectory]:
        """Those with an instruction; not those of which it is known that they did not do it."""
        return [each for each in self.funnel.rows if _is_labelled(each)]

    @property
    def unlabelled(self) -> list[Trajectory]:
        """The others."""
        rest = [each for each in self.funnel.rows if not _is_labelled(each)]
        return [replace(each, instruction=NOBODY_SAYS) for each in rest]

    def notes(self) -> list[str]:
        """What is to be said of them."""
        told = sum(each.instruction != NOBODY_SAYS for each in self.funnel.rows) - len(self.labelled)
        notes = [f"{told} episodes did not do what they say, and count as unlabelled."] if told else []
        if dropped := self.funnel.dropped:
            why = f"{dropped[0].id}: {dropped[0].why.detail}"
            notes.append(f"{len(dropped)} episodes were left out (artifacts/dropped); {why}")
        return notes


def _is_labelled(each: Trajectory) -> bool:
    return each.instruction != NOBODY_SAYS and each.success is not False


def read_own(data: Path, unlabelled: Path | None, part: str, pixels: int) -> OwnData:
    """Read a user's demonstrations; what cannot be learned from is dropped with its reason.

    Args:
        data: a data set; its episodes without an instruction count as unlabelled.
        unlabelled: another one, whose instructions are not looked at.
        part: of the observations; empty for the one that ``PARTS`` says.
        pixels: the longer side that pictures are scaled down to.

    Raises:
        FileError, InputError: see ``read_trajectories``; no such part, actions that are no vector and no
            choice, sets whose actions differ, or nothing that can be learned from.
    """
    sets = {"data": read_trajectories(data, instruction=NOBODY_SAYS)}
    if unlabelled is not None:
        if unlabelled.resolve() == data.resolve():
            expected = "other demonstrations than the data's, some of which are held out"
            raise InputError("unlabelled", str(unlabelled), expected)
        sets["unlabelled"] = read_trajectories(unlabelled, instruction=NOBODY_SAYS)
    chosen = _part(part, sets["data"].spec.observations, data)
    spec = sets["data"].spec.action
    if spec.kind not in ("box", "discrete") or len(spec.shape) > 1 or spec.start:
        raise InputError(
            "actions", str(spec), "one choice from 0 on, or a vector of numbers", where=str(data)
        )
    for others in (trajectories.spec.action for trajectories in sets.values()):
        if (others.kind, others.shape) != (spec.kind, spec.shape):
            raise InputError("actions", str(others), f"{spec}, as in the data", where=str(unlabelled))
    rows: dict[str, Any] = {}
    results: list[Any] = []
    shapes: dict[str, tuple[int, ...]] = {}
    for name, trajectories in sets.items():
        trajectories = read_trajectories(trajectories.path, instruction=NOBODY_SAYS, parts=(chosen,))
        for place in range(len(trajectories)):
            rows[f"{name} episode {place}"] = None
            each: Trajectory | Drop
            try:
                each = _checked(trajectories[place], chosen, spec, pixels, shapes)
            except (InputError, ValueError) as error:
                each = Drop("not as the others", said(error).removeprefix("InputError: "))
            except Exception as error:  # whatever a reader says of an episode that is not whole
                each = Drop("cannot be read", said(error))
            if name == "unlabelled" and not isinstance(each, Drop):
                each = replace(each, instruction=NOBODY_SAYS)
            results.append(each)
    funnel: Funnel[Any] = Funnel(rows)
    funnel.apply("reading", results)
    if not funnel.rows:
        why = funnel.dropped[0].why
        raise InputError("data", f"{len(results)} episodes", f"one that can be used; the first: {why.detail}")
    return OwnData(funnel, chosen, spec)


def _part(part: str, observations: Mapping[str, tuple[tuple[int, ...], str]], data: Path) -> str:
    """The part that is looked at. Raises InputError: no such part, or several that it could be."""
    pictures = [name for name, (shape, _) in observations.items() if len(shape) == 3]
    usual = [*(name for name in PARTS if name in observations), *pictures] or ["state"]
    if not part and len(pictures) > 1 and usual[0] not in PARTS:
        raise InputError("part", "none", f"one of the pictures {', '.join(pictures)}", where=str(data))
    chosen = part or usual[0]
    if chosen not in observations:
        known = ", ".join(observations) or "none at all"
        raise InputError("part", chosen, f"one of {known}", where=str(data))
    return chosen


def _checked(
    each: Trajectory, part: str, action: ActionSpec, pixels: int, shapes: dict[str, tuple[int, ...]]
) -> Trajectory:
    """An episode with one part, its pictures scaled. Raises InputError: not as those before it."""
    from biddable.policies.goal_networks import scaled

    values, actions = each.observations.get(part), np.asarray(each.actions)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
        raise InputError(part, type(values).__name__, "numbers of one shape")
    if values.dtype == np.uint8 and values.ndim == 4:
        values = scaled(values, pixels)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(part, "a number that is not finite", "finite numbers")
    if values.ndim == 2:
        values = values.astype(np.float32)
    if action.kind == "discrete":
        actions = actions.reshape(len(actions), -1)[:, 0].astype(np.int64)
        if actions.min() < 0 or (action.choices and actions.max() >= action.choices[0]):
            raise InputError("actions", [int(actions.min()), int(actions.max())], str(action))
    else:
        actions = actions.astype(np.float32)
    for name, array in ((part, values), ("action", actions)):
        shape = shapes.setdefault(name, array.shape[1:])
        if array.shape[1:] != shape:
            raise InputError(name, list(array.shape[1:]), f"{list(shape)}, as in the first episode")
    return replace(each, observations={part: values}, actions=actions)


def check_labels(labels: int, fewer: Sequence[int], texts: Sequence[str] = ()) -> None:
    """Look whether so many labels have a contrast; of ``texts``, their instructions, the first ones count.

    Raises:
        InputError: numbers that are not fewer, or labels that are all of one instruction.
    """
    if many := [count for count in fewer if not 1 < count < labels]:
        raise InputError("fewer_labels", many[0], f"from 2 to {labels - 1}: there are {labels} labels")
    for name, counts in (("labels", [labels]), ("fewer_labels", fewer)):
        for count in counts:
            if count < 2 or (texts and len({*texts[:count]}) < 2):
                expected = "more: so many, the first ones, have one instruction, and there is no contrast"
                raise InputError(name, count, expected)


def held_out(
    labelled: Sequence[Trajectory], share: float, by: str, rng: np.random.Generator
) -> tuple[list[Trajectory], list[Trajectory]]:
    """To learn from, and for the test: whole sources, or whole instructions, apart.

    Raises:
        InputError: fewer than three of them.
    """
    names = [
        each.instruction if by == "instructions" else str(each.meta.get("source", i))
        for i, each in enumerate(labelled)
    ]
    kinds = sorted({*names})
    if len(kinds) < 3:
        expected = f"at least 3 with an instruction, to hold some {by} out"
        raise InputError("data", f"{len(labelled)} labelled episodes of {len(kinds)} {by}", expected)
    count = min(max(1, round(share * len(kinds))), len(kinds) - 2)
    held = {kinds[i] for i in rng.permutation(len(kinds))[:count]}
    sides: tuple[list[Trajectory], list[Trajectory]] = ([], [])
    for name, each in zip(names, labelled, strict=True):
        wordings = each.meta.get("wordings", ())
        if by == "instructions" and name not in held and {*wordings} & held:
            wordings = tuple(text for text in wordings if text not in held)  # nor as another one's wording
            each = replace(each, meta={**each.meta, "wordings": wordings})
        sides[name in held].append(each)
    return sides
