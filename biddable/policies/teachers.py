"""Teachers: the oracle, a surrogate that errs as often as a language model, and a language model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Protocol, TypeGuard

import numpy as np
from minigrid.core.world_object import WorldObj
from minigrid.minigrid_env import MiniGridEnv

from biddable.envs.minigrid_subgoals import (
    ENCODINGS,
    Cell,
    Encoding,
    Subgoal,
    kind_of,
    objects,
    oracle_subgoals,
)
from biddable.errors import InputError
from biddable.models.base import LanguageModel
from biddable.types import user


class Teacher(Protocol):
    """Proposes subgoals for a level as it is after its reset."""

    def propose(self, level: MiniGridEnv) -> list[Subgoal]:
        """The subgoals, in order."""


class OracleTeacher:
    """The oracle's subgoals."""

    def propose(self, level: MiniGridEnv) -> list[Subgoal]:
        """See ``Teacher.propose``."""
        return oracle_subgoals(level)


@dataclass
class SurrogateTeacher:
    """The oracle, with each subgoal replaced with probability 1 - accuracy: the paper's stand-in for a model.

    Attributes:
        accuracy: from 0 to 1; one for all subgoals (a number, or a sequence of one), or one for each.
        encoding: ``relative`` errors are cells nearby; others are other objects.
        mean, std: of the distance of a wrong cell, in cells (Manhattan).
        seed: decides the errors.
        official: as the paper's code draws cells: always to the right.
    """

    accuracy: float | Sequence[float]
    encoding: Encoding = "relative"
    mean: float = 1.0
    std: float = 1.0
    seed: int = 0
    official: bool = False

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            InputError: an accuracy that is no number from 0 to 1 nor a flat sequence of such, an unknown
                encoding, a mean that is no number, or a std below 0.
        """
        self.accuracy = _shares(self.accuracy)
        if self.encoding not in ENCODINGS:
            raise InputError("encoding", self.encoding, "one of " + ", ".join(ENCODINGS))
        if not _is_number(self.mean) or not math.isfinite(self.mean):
            raise InputError("mean", self.mean, "a finite number")
        if not _is_number(self.std) or not 0 <= self.std < math.inf:
            raise InputError("std", self.std, "a finite number of at least 0")
        self._rng = np.random.default_rng(self.seed)

    def propose(self, level: MiniGridEnv) -> list[Subgoal]:
        """See ``Teacher.propose``.

        Raises:
            InputError: the number of accuracies is neither one nor that of the subgoals.
        """
        right = oracle_subgoals(level)
        shares = _shares(self.accuracy)
        if len(shares) == 1:
            shares *= len(right)
        if len(shares) != len(right):
            raise InputError("accuracy", len(shares), f"1 or {len(right)} shares, as there are subgoals")
        # With accuracy 1 nothing is ever replaced: the draw is below 1.
        return [
            subgoal if self._rng.random() < share else self._wrong(subgoal, level)
            for subgoal, share in zip(right, shares, strict=True)
        ]

    def _wrong(self, subgoal: Subgoal, level: MiniGridEnv) -> Subgoal:
        if self.encoding == "relative":
            return Subgoal(self._elsewhere(subgoal.position, level), subgoal.kind)
        others = [(cell, thing) for cell, thing in _mistaken_for(level) if cell != subgoal.position]
        if not others:
            return subgoal
        cell, thing = others[int(self._rng.integers(len(others)))]
        return Subgoal(cell, kind_of(thing))

    def _elsewhere(self, cell: Cell, level: MiniGridEnv) -> Cell:
        """A cell at the drawn distance from ``cell``, or as near to that distance as the grid has."""
        distance = max(1, int(self._rng.normal(self.mean, self.std)))
        if self.official:
            return min(cell[0] + distance, level.width - 1), cell[1]
        for reach in range(distance, 0, -1):
            around = [
                there
                for dx in range(-reach, reach + 1)
                for dy in {reach - abs(dx), abs(dx) - reach}
                if 0 <= (there := (cell[0] + dx, cell[1] + dy))[0] < level.width
                and 0 <= there[1] < level.height
            ]
            if around:
                return around[int(self._rng.integers(len(around)))]
        return cell


def _shares(accuracy: float | Sequence[float]) -> list[float]:
    """The accuracies as a list; a number becomes a list of one."""
    try:
        given: list[object] = [accuracy] if isinstance(accuracy, Real) else list(accuracy)  # type: ignore[arg-type]
    except TypeError:  # nothing that can be gone through
        given = []
    shares = [float(share) for share in given if _is_number(share) and 0 <= share <= 1]
    if not given or len(shares) != len(given):
        raise InputError("accuracy", accuracy, "a share from 0 to 1 for all, or a flat list of one for each")
    return shares


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


def _mistaken_for(level: MiniGridEnv) -> list[tuple[Cell, WorldObj]]:
    """What a wrong subgoal may be: doors, where the official code draws only these, else any object."""
    everything = list(objects(level))
    doors = [(cell, thing) for cell, thing in everything if thing.type == "door"]
    return list(doors if type(level).__name__ in ("KeyCorridorEnv", "MultiRoomEnv") else everything)


class LMTeacher:
    """A language model that picks the next subgoal, again and again, from the objects that are left.

    The level is described in words, and the candidate with the highest mean log-probability per token after
    that description is picked: the answer is always one of the objects.
    """

    def __init__(self, model: LanguageModel):
        self._model = model

    def propose(self, level: MiniGridEnv) -> list[Subgoal]:
        """See ``Teacher.propose``; as many subgoals as the oracle has, or as there are objects."""
        return self.propose_many([level])[0]

    def propose_many(self, levels: Sequence[MiniGridEnv]) -> list[list[Subgoal]]:
        """Subgoals of several levels, with one batch of scores for each place in the order."""
        left = [[Subgoal(cell, kind_of(thing)) for cell, thing in objects(level)] for level in levels]
        wanted = [
            min(len(oracle_subgoals(level)), len(candidates))
            for level, candidates in zip(levels, left, strict=True)
        ]
        chosen: list[list[Subgoal]] = [[] for _ in levels]
        for place in range(max(wanted, default=0)):
            asked = [i for i in range(len(levels)) if place < wanted[i]]
            chats = [user(_question(levels[i], left[i], chosen[i])) for i in asked for _ in left[i]]
            words = [_words(subgoal) for i in asked for subgoal in left[i]]
            scores = iter(self._model.score(chats, words))
            for i in asked:
                per_token = [(s := next(scores)).total / len(s.logprobs) for _ in left[i]]
                chosen[i].append(left[i].pop(int(np.argmax(per_token))))
        return chosen


def _question(level: MiniGridEnv, left: Sequence[Subgoal], chosen: Sequence[Subgoal]) -> str:
    things = ", ".join(f"the {_words(subgoal)} at {subgoal.position}" for subgoal in [*chosen, *left])
    visited = ", then ".join(f"the {_words(subgoal)}" for subgoal in chosen)
    so_far = f"So far you have been to {visited}. " if chosen else ""
    x, y = level.agent_pos
    return (
        f"You are at ({x}, {y}) in a grid of rooms with {things}. Your task: {level.mission}. A locked "
        f"door needs a key, and a box may hold one. {so_far}Which one do you go to next? Answer with its "
        "name only."
    )


def _words(subgoal: Subgoal) -> str:
    return subgoal.kind.replace("_", " ")


def accuracy(proposed: Sequence[Subgoal], right: Sequence[Subgoal]) -> float:
    """Share of the right subgoals that stand at their places in what was proposed."""
    hits = [a.position == b.position for a, b in zip(proposed, right, strict=False)]
    return sum(hits) / len(right)
