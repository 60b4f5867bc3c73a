"""Rule types: how the composer draws their arguments and words them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from biddable.tasks.compose.bases import Base

T = TypeVar("T")
Args = dict[str, Any]
Relation = str

AT_LEAST: Relation = "at least"
LESS_THAN: Relation = "less than"
NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ORDINALS = ("", "first", "second", "third", "fourth", "fifth")
TIMES = ("never", "once", "twice", *(f"{word} times" for word in NUMBER_WORDS[3:]))


@dataclass(slots=True)
class Draw:
    """The state of a draw: the generator, the request, and its keywords not yet taken by a rule."""

    rng: np.random.Generator
    base: Base
    _used: set[str] = field(default_factory=set)

    def integer(self, low: int, high: int) -> int:
        """An integer of ``low`` to ``high``, both included."""
        return int(self.rng.integers(low, high + 1))

    def choice(self, options: Sequence[T]) -> T:
        """One of ``options``, all equally likely."""
        return options[self.integer(0, len(options) - 1)]

    def relation(self) -> Relation:
        """One of the two relations of IFEval."""
        return self.choice((AT_LEAST, LESS_THAN))

    def keywords(self, count: int) -> list[str]:
        """Up to ``count`` keywords of the request that no other rule of the prompt has taken; never none.

        Two are left for the others, as there are three rules that draw keywords.
        """
        free = [word for word in self.base.keywords if word not in self._used]
        limit = max(1, min(count, len(free) - 2))
        taken = [str(word) for word in self.rng.permutation(free)[:limit]]
        self._used.update(taken)
        return taken


@dataclass(frozen=True, slots=True)
class Wordings:
    """Templates of one rule: whole sentences with ``{fields}``. ``test`` is kept for the test split."""

    train: tuple[str, ...]
    test: tuple[str, ...]

    def of(self, split: str) -> tuple[str, ...]:
        """The templates that a split may use; validation shares those of training."""
        return self.test if split == "test" else self.train


def no_fields(args: Args) -> dict[str, str]:
    """No fields, for wordings without any."""
    return {}


def only(args: Args) -> str:
    """The variant of a rule that is worded in one way."""
    return "any"


def anywhere(base: Base) -> bool:
    """For rules that suit every request."""
    return True


def in_genres(*genres: str) -> Callable[[Base], bool]:
    """For rules that suit a few genres only."""
    return lambda base: base.genre in genres


def not_in_genres(*genres: str) -> Callable[[Base], bool]:
    """For rules that suit all genres but a few."""
    return lambda base: base.genre not in genres


@dataclass(frozen=True, slots=True)
class RuleType:
    """One of the rule types.

    Args:
        id: IFEval's name.
        sample: draws the checker's arguments.
        wordings: variant -> templates; most rules have the one variant ``any``.
        variant: which variant the arguments call for ("less than" reads otherwise than "at least").
        fields: what the templates' fields are filled with.
        fits: whether the rule suits a base request.
        below: the wording refers to the request, which then stands first, as a paragraph of its own.
    """

    id: str
    sample: Callable[[Draw], Args]
    wordings: Mapping[str, Wordings]
    variant: Callable[[Args], str] = only
    fields: Callable[[Args], Mapping[str, str]] = no_fields
    fits: Callable[[Base], bool] = anywhere
    below: bool = False

    @property
    def name(self) -> str:
        """The id without its group."""
        return self.id.partition(":")[2]

    def templates(self, args: Args, split: str) -> tuple[str, ...]:
        """The wordings that a split may use for these arguments."""
        return self.wordings[self.variant(args)].of(split)

    def word(self, template: str, args: Args) -> str:
        """The rule as a sentence."""
        return template.format_map(self.fields(args))


def quoted_list(words: Sequence[str], conjunction: str) -> str:
    """``"a", "b" and "c"``."""
    quoted = [f'"{word}"' for word in words]
    return f" {conjunction} ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))


def counted(count: int, noun: str) -> str:
    """``one bullet point``, ``three bullet points``, ``12 bullet points``."""
    number = NUMBER_WORDS[count] if count < len(NUMBER_WORDS) else str(count)
    return f"{number} {noun}" if count == 1 else f"{number} {noun}s"
