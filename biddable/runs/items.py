"""Answered items to read one by one, filtered by where they come from and by what came of them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from biddable.errors import InputError

RIGHT_OR_WRONG = ("right", "wrong")
SUITE_AND_GROUP = ("suite", "group")
KEPT_OR_DROPPED = ("kept", "dropped")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model said to an item.

    Attributes:
        text: its response, or the choice it took.
        correct: whether that is right; None where nothing could be read from it or nobody decided.
        score: a number given to it, higher is better; None where none was.
        notes: what is to be said of it: the rules it breaks, what was read from it, a critique.
    """

    text: str
    correct: bool | None = None
    score: float | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.score is not None and not math.isfinite(self.score):
            raise InputError("score", self.score, "a finite number")


@dataclass(frozen=True, slots=True)
class Item:
    """One task and the answers to it, by model; a model that was not asked is absent.

    ``group`` may be empty. ``references`` are the answers that are right, where they are known.
    """

    id: str
    suite: str
    group: str
    prompt: str
    references: tuple[str, ...] = ()
    answers: dict[str, Answer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Items:
    """Answered items to browse: by suite, by group, by outcome ("A right, B wrong"), by words in them.

    ``models`` orders the answers (the baseline first). Within a suite an id stands once. ``outcomes`` are the
    words for an answer that is correct and one that is not, ``places`` those for where an item comes from.
    """

    title: str
    models: tuple[str, ...]
    items: tuple[Item, ...]
    note: str = ""
    outcomes: tuple[str, str] = RIGHT_OR_WRONG
    places: tuple[str, str] = SUITE_AND_GROUP
    kind: Literal["items"] = "items"

    def __post_init__(self) -> None:
        for name, words in (("outcomes", self.outcomes), ("places", self.places)):
            if len(set(words)) < 2 or not all(words):
                raise InputError(name, words, "two words that differ")
        if len(set(self.models)) < len(self.models):
            raise InputError("models", self.models, "names that differ")
        for index, item in enumerate(self.items):
            if unknown := [model for model in item.answers if model not in self.models]:
                raise InputError(f"items[{index}].answers", unknown[0], "one of the models")
        counts = Counter((item.suite, item.id) for item in self.items)
        if twice := [name for (_, name), count in counts.items() if count > 1]:
            raise InputError("items.id", twice[0], "an id that stands once in its suite")


__all__ = ["KEPT_OR_DROPPED", "RIGHT_OR_WRONG", "SUITE_AND_GROUP", "Answer", "Item", "Items"]
