"""What a controlled experiment asks, how it is answered rightly and wrongly, and what is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from biddable.types import Preference, Task

Split = Literal["train", "validation", "held-out"]
Pairing = Literal["interfering", "refined"]
Scores = dict[str, float]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Exercise:
    """One of the two tasks of figure 4.

    Attributes:
        name: in the names of stages.
        tasks: every instruction of a split.
        demonstrate: a right answer.
        pair: a preference pair of either kind; the rejected side does not depend on the kind.
        measure: the scores of an answer, by name.
        max_tokens: longest answer.
    """

    name: str
    tasks: Callable[[Split], list[Task]]
    demonstrate: Callable[[Task, np.random.Generator], str]
    pair: Callable[[Task, Pairing, np.random.Generator], Preference]
    measure: Callable[[Task, str], Scores]
    max_tokens: int


def split(items: Sequence[Item] | Iterator[Item]) -> dict[Split, list[Item]]:
    """Items as 60, 10 and 30 % of ``items``, the same in every run."""
    listed = list(items)
    shuffled = [listed[i] for i in np.random.default_rng(0).permutation(len(listed))]
    first, second = round(0.6 * len(listed)), round(0.7 * len(listed))
    return {"train": shuffled[:first], "validation": shuffled[first:second], "held-out": shuffled[second:]}


def pick(pool: Sequence[str], rng: np.random.Generator) -> str:
    """One of ``pool``, all equally likely."""
    return pool[int(rng.integers(len(pool)))]
