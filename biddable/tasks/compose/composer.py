"""Composing verifiable tasks: a base request, rules, and their checks."""

from __future__ import annotations

import difflib
import functools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, count, islice

import numpy as np

from biddable.errors import InputError
from biddable.tasks.compose.bases import SPLITS, Base, Split, bases_of
from biddable.tasks.compose.conflicts import (
    BULLETS,
    FIRST_WORD,
    PARAGRAPHS,
    SECTIONS,
    SENTENCES,
    TWO_RESPONSES,
    WORDS,
    compatible,
)
from biddable.tasks.compose.prompt import join
from biddable.tasks.compose.rule import Draw, Wordings
from biddable.tasks.compose.rules import RULES
from biddable.types import Check, Task, user

Types = tuple[str, ...]

DEFAULT_WEIGHTS = (0.5, 0.35, 0.15)
"""How often a prompt has one, two or three rules (IFEval: 0.56, 0.33, 0.11)."""

BRIEF = Wordings(
    train=(
        "Answer in two sentences at most.",
        "Use one or two sentences.",
        "Two sentences at the most.",
        "Answer in no more than two sentences.",
    ),
    test=("Do it in one or two sentences.", "Your answer should have two sentences at most."),
)
"""What a request for a short answer ends with."""

SET_LENGTH = frozenset({SENTENCES, WORDS, PARAGRAPHS, FIRST_WORD, BULLETS, SECTIONS, TWO_RESPONSES})
"""Rule types that say how long an answer has to be, or that two sentences cannot meet."""

ATTEMPTS = 50
"""How often other rules are tried before a task repeats the request and the rules of an earlier one."""


class Composer:
    """An endless, repeatable supply of tasks from one split.

    Rule types (alone, in pairs and so on) and requests take turns, so that even a small sample covers
    them evenly. Training and validation share their wordings; the test split has its own requests,
    wordings and layouts.

    Args:
        split: whose requests and wordings to use.
        types: the rule types to draw from (default: all).
        exclude_types: types to hold out of those.
        rules: the smallest and the largest number of rules in a prompt. The largest is an upper
            limit: it is lowered where no more types can be combined.
        weights: how often each number of rules in the range is drawn, relative to the others. The
            default goes by ``DEFAULT_WEIGHTS``; ranges beyond three rules need their own.
        brief: ask for short answers as well, so that experiments on a few CPU cores get whole ones.
        seed: fixes everything. Task ``i`` does not depend on how many are drawn.

    Raises:
        InputError: unknown split or type, no type left, a range or weights that cannot be met.
    """

    def __init__(
        self,
        split: Split = "train",
        *,
        types: Sequence[str] | None = None,
        exclude_types: Sequence[str] = (),
        rules: tuple[int, int] = (1, 3),
        weights: Sequence[float] | None = None,
        brief: bool = False,
        seed: int = 0,
    ):
        self.split: Split = split
        self.brief = brief
        self._bases = {base.id: base for base in bases_of(split)}
        self.types = _selected(types, exclude_types)
        self.seed = _at_least("seed", seed, 0)
        sizes = _weights_by_size(rules, weights)
        self._reach = {rule_type: self._largest_with(rule_type, max(sizes)) for rule_type in self.types}
        largest = max(self._reach.values())
        if rules[0] > largest:
            raise InputError(
                "rules", rules, f"a range from {largest} or less: no more of these types combine"
            )
        self._sizes = {size: weight for size, weight in sizes.items() if size <= largest}

    def sample(self, n: int) -> list[Task]:
        """The first ``n`` tasks.

        Raises:
            InputError: ``n`` is not an integer of at least 1.
        """
        return list(islice(self, _at_least("n", n, 1)))

    def __iter__(self) -> Iterator[Task]:
        type_uses: defaultdict[int, Counter[str]] = defaultdict(Counter)
        base_uses: Counter[str] = Counter()
        used: set[tuple[str, frozenset[str]]] = set()
        for i in count():
            rng = np.random.default_rng([self.seed, SPLITS.index(self.split), i])
            size = self._draw_size(rng)
            for attempt in range(ATTEMPTS):
                # The rarest type may have no new request left, so later attempts start from any.
                types = self._draw_types(size, type_uses[size] if attempt == 0 else Counter(), rng)
                bases = [base.id for base in _suited(self.split, frozenset(types))]
                fresh = [base for base in bases if (base, frozenset(types)) not in used]
                if fresh:
                    break
            base = _least_used(fresh or bases, base_uses, rng)
            type_uses[size].update(types)
            base_uses[base] += 1
            used.add((base, frozenset(types)))
            number = f"{self.seed}-{i:05d}"
            yield compose(self._bases[base], types, self.split, rng, number=number, brief=self.brief)

    def _draw_size(self, rng: np.random.Generator) -> int:
        weights = np.array([*self._sizes.values()])
        return int(rng.choice([*self._sizes], p=weights / weights.sum()))

    def _draw_types(self, size: int, uses: Counter[str], rng: np.random.Generator) -> Types:
        first = _least_used(
            [rule_type for rule_type in self.types if self._reach[rule_type] >= size], uses, rng
        )
        types = self._grown((first,), size, [str(rule_type) for rule_type in rng.permutation(self.types)])
        assert types is not None  # by what _reach says
        return tuple(str(rule_type) for rule_type in rng.permutation(types))

    def _grown(self, chosen: Types, size: int, others: Sequence[str]) -> Types | None:
        """``chosen`` filled up to ``size`` compatible types, preferring the first of ``others``."""
        if len(chosen) == size:
            return chosen
        others = [rule_type for rule_type in others if compatible(rule_type, chosen[-1])]
        for i, rule_type in enumerate(others):
            if len(others) - i < size - len(chosen):
                break
            more = (*chosen, rule_type)
            if _suited(self.split, frozenset(more)) and (grown := self._grown(more, size, others[i + 1 :])):
                return grown
        return None

    def _largest_with(self, rule_type: str, limit: int) -> int:
        """The most types, up to ``limit``, that combine with each other and with ``rule_type``."""
        return next(n for n in range(limit, 0, -1) if self._grown((rule_type,), n, self.types))


def sample_verifiable_prompt(
    types: Sequence[str], rng: np.random.Generator, *, split: Split = "train"
) -> Task:
    """One task with exactly these rule types, in this order, on a request drawn from the split.

    Raises:
        InputError: an unknown type, none at all, two that conflict, or no request that suits them all.
    """
    chosen = _selected(types, ())
    for first, second in combinations(types, 2):
        if not compatible(first, second):
            raise InputError("types", list(types), f"types that combine; {first} and {second} do not")
    suited = _suited(split, frozenset(chosen))
    if not suited:
        raise InputError("types", list(types), "types that suit one and the same request")
    number = f"{int(rng.integers(1 << 32)):08x}"
    return compose(suited[int(rng.integers(len(suited)))], chosen, split, rng, number=number)


def compose(
    base: Base, types: Types, split: Split, rng: np.random.Generator, *, number: str, brief: bool = False
) -> Task:
    """A task from one request and compatible rule types; ``number`` makes its id unique.

    With ``brief`` the request asks for a short answer, unless a rule says how long it has to be.
    """
    if brief and SET_LENGTH.isdisjoint(types):
        hint = Draw(rng, base).choice(BRIEF.of(split))
        base = replace(base, text=f"{base.text} {hint}")
    draw = Draw(rng, base)
    rules = [RULES[rule_type] for rule_type in types]
    checks = tuple(Check(rule.id, rule.sample(draw)) for rule in rules)
    wordings = [
        draw.choice(rule.templates(check.args, split)) for rule, check in zip(rules, checks, strict=True)
    ]
    sentences = [
        rule.word(wording, check.args) for rule, wording, check in zip(rules, wordings, checks, strict=True)
    ]
    prompt = join(base.text, sentences, split, rng, below=any(rule.below for rule in rules))
    return Task(
        id="-".join((split, number, base.id, "+".join(rule.name for rule in rules))),
        prompt=user(prompt),
        checks=checks,
        meta={"base": base.id, "genre": base.genre, "split": split, "wordings": wordings},
    )


@functools.cache
def _suited(split: Split, types: frozenset[str]) -> tuple[Base, ...]:
    """The requests that all the rule types suit."""
    return tuple(base for base in bases_of(split) if all(RULES[rule_type].fits(base) for rule_type in types))


def _selected(types: Sequence[str] | None, excluded: Sequence[str]) -> Types:
    for field, named in (("types", types or ()), ("exclude_types", excluded)):
        for rule_type in named:
            if rule_type not in RULES:
                near = difflib.get_close_matches(str(rule_type), RULES, n=3, cutoff=0.4) or RULES
                raise InputError(field, rule_type, "one of " + ", ".join(near))
    selected = tuple(
        dict.fromkeys(
            rule_type for rule_type in (RULES if types is None else types) if rule_type not in excluded
        )
    )
    if not selected:
        raise InputError("types", list(types or ()), "at least one rule type that is not excluded")
    return selected


def _weights_by_size(rules: tuple[int, int], weights: Sequence[float] | None) -> dict[int, float]:
    low, high = rules
    if not 1 <= low <= high:
        raise InputError("rules", rules, "two integers, 1 <= smallest <= largest")
    if weights is None:
        weights = DEFAULT_WEIGHTS[low - 1 : high]
    if len(weights) != high - low + 1 or min(weights) < 0 or sum(weights) <= 0:
        raise InputError(
            "weights",
            list(weights),
            f"{high - low + 1} numbers, none negative and not all zero, for {low} to {high} rules",
        )
    return dict(zip(range(low, high + 1), weights, strict=True))


def _at_least(field: str, value: int, minimum: int) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < minimum:
        raise InputError(field, value, f"an integer of at least {minimum}")
    return value


def _least_used(options: Sequence[str], uses: Counter[str], rng: np.random.Generator) -> str:
    fewest = min(uses[option] for option in options)
    rarest = [option for option in options if uses[option] == fewest]
    return rarest[int(rng.integers(len(rarest)))]
