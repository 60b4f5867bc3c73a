"""Actions as a verb and a noun: the words that there are, and lists of actions as text.

::

    taxonomy = Taxonomy.from_json("taxonomy.json")
    parsed = parse_action_list("1. take the cup\\n2. poor water", taxonomy, length=4)
    parsed.actions            # (take, cup), (poor, water), (poor, water), (poor, water)
    parsed.counts             # {"items": 2, "of other than two words": 1, "unknown verbs": 1, …}

A word that is not known stays as it is, and never equals a known one: it is no frequent word instead.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from biddable.errors import FileError, InputError
from biddable.tasks.rows import read_values

Action = tuple[str, str]
"""A verb and a noun."""
Kind = Literal["verb", "noun"]
How = Literal["known", "synonym", "spelling", "unknown"]

LONGEST_ITEM = 4
"""An item of more words, of which none is known, is prose."""
CUTOFF = 90.0
"""From this similarity of spelling on, of 100, a word is taken for a known one (the paper's number)."""
LISTED = (
    "replies", "items", "items left out", "items cut off", "of other than two words", "synonyms",
    "by spelling", "unknown verbs", "unknown nouns", "actions repeated", "empty replies",
)  # fmt: skip
"""What is counted of replies, in this order."""

_ARTICLES = ("a", "an", "the")
_WORD = re.compile(r"[^\w'\-]+")
_ITEM = re.compile(r"[,;\n]|=>|->|(?:^|(?<=\s))\d+[.)](?=\s|$)")
_LEAD = re.compile(r"^[\W\d_]+")
_PREAMBLE = re.compile(r"^[^,;]*?:(?=\s)")


def normalise(word: str) -> str:
    """A word as it is compared and written: lower case, its parts joined by hyphens.

    EPIC-KITCHENS writes the thing before its kind (``pan:dust``): it becomes ``dust-pan``.
    """
    parts = [part for part in word.strip().lower().split(":") if part.strip()]
    joined = "-".join("-".join(part.replace("_", " ").split()) for part in reversed(parts))
    return _WORD.sub("", joined).strip("-'_")


@dataclass(frozen=True)
class Taxonomy:
    """The verbs and nouns that there are.

    Attributes:
        verbs, nouns: the word of each class with the other words for it. A word that two classes have is
            that of the class it is the word of, else of the first.
    """

    verbs: Mapping[str, tuple[str, ...]]
    nouns: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        for name, classes in (("verbs", self.verbs), ("nouns", self.nouns)):
            if not classes:
                raise InputError(name, "nothing", "at least one word")
            for word in classes:
                if not word or word != normalise(word):
                    expected = (
                        f"a word as it is compared: {normalise(word)!r}" if normalise(word) else "a word"
                    )
                    raise InputError(name, word, expected)

    @classmethod
    def of(cls, actions: Iterable[Action]) -> Taxonomy:
        """The words of actions, sorted, without synonyms. Raises InputError: there is none."""
        rows = list(actions)
        verbs, nouns = ({each[place]: () for each in sorted(rows)} for place in (0, 1))
        return cls(dict(sorted(verbs.items())), dict(sorted(nouns.items())))

    @classmethod
    def from_classes(cls, verbs: Sequence[Sequence[str]], nouns: Sequence[Sequence[str]]) -> Taxonomy:
        """Of classes, each the words for it, its own first. Raises InputError: two have one own word."""
        made: list[dict[str, tuple[str, ...]]] = []
        for name, classes in (("verbs", verbs), ("nouns", nouns)):
            words: dict[str, tuple[str, ...]] = {}
            for at, (own, *others) in enumerate(classes):
                word = normalise(own)
                if word in words:
                    raise InputError(
                        f"{name}[{at}]", own, f"another word than that of an earlier class ({word})"
                    )
                words[word] = tuple(dict.fromkeys(filter(None, map(normalise, others))))
            made.append(words)
        return cls(*made)

    @classmethod
    def from_json(cls, path: str | Path) -> Taxonomy:
        """Ego4D's file: ``verbs`` and ``nouns``, lists of entries such as ``put_(place,_leave)``.

        Raises:
            FileError: the file cannot be read, or is not as it should be.
        """
        rows = read_values(path)
        value = rows[0].value if len(rows) == 1 else None
        if not isinstance(value, dict):
            raise FileError(path, "expected an object with the lists verbs and nouns")
        kinds = []
        for name in ("verbs", "nouns"):
            entries = value.get(name)
            if not isinstance(entries, list) or not all(isinstance(each, str) for each in entries):
                raise FileError(path, f"{name}: expected a list of texts")
            kinds.append([_entry(each) for each in entries])
        try:
            return cls.from_classes(*kinds)
        except InputError as error:
            raise FileError(path, str(error)) from None

    def find(self, word: str, kind: Kind, cutoff: float = CUTOFF) -> tuple[str, How]:
        """The word of the class that a word means, and how it was found; an unknown word as it is."""
        key = normalise(word)
        words = self._words[kind]
        if found := words.get(key):
            return found, "known" if found == key else "synonym"
        if (found := self._near(key, kind, cutoff)) is not None:
            return found, "spelling"
        return key, "unknown"

    def knows(self, word: str, kind: Kind) -> bool:
        """Whether it is a word or a synonym."""
        return normalise(word) in self._words[kind]

    def label(self, action: Action) -> Action | None:
        """An action in the words of its classes; None where one of its words is neither word nor synonym."""
        verb, noun = (
            self._words[kind].get(normalise(word)) for kind, word in zip(_KINDS, action, strict=True)
        )
        return None if verb is None or noun is None else (verb, noun)

    def plain(self) -> dict[str, dict[str, list[str]]]:
        """As JSON holds it."""
        return {
            name: {word: list(others) for word, others in classes.items()}
            for name, classes in (("verbs", self.verbs), ("nouns", self.nouns))
        }

    @cached_property
    def _words(self) -> dict[str, dict[str, str]]:
        """Every word -> the word of its class."""
        tables = {}
        for kind, classes in zip(_KINDS, (self.verbs, self.nouns), strict=True):
            words = {word: word for word in classes}
            for word, others in classes.items():
                for other in others:
                    words.setdefault(other, word)
            tables[str(kind)] = words
        return tables

    @cached_property
    def _known_near(self) -> dict[tuple[str, str, float], str | None]:
        return {}

    def _near(self, key: str, kind: Kind, cutoff: float) -> str | None:
        """The class of the word that is spelled most like ``key``; a model writes the same words again."""
        if (key, kind, cutoff) not in self._known_near:
            from rapidfuzz import fuzz, process

            words = self._words[kind]
            best = process.extractOne(key, list(words), scorer=fuzz.ratio, score_cutoff=cutoff)
            self._known_near[key, kind, cutoff] = words[best[0]] if key and best else None
        return self._known_near[key, kind, cutoff]


_KINDS: tuple[Kind, Kind] = ("verb", "noun")


def _entry(text: str) -> list[str]:
    """``put_(place,_leave)`` -> put, place, leave."""
    own, _, others = text.partition("(")
    return [own.strip("_ "), *(each.strip("_ ") for each in re.split(r"[,/]", others.rstrip(") ")))]


def action_text(actions: Sequence[Action]) -> str:
    """``take cup, open fridge``."""
    return ", ".join(f"{verb} {noun}" for verb, noun in actions)


def read_actions(field: str, value: Any) -> tuple[Action, ...]:
    """Actions as a user writes them: a text with commas, or a list of texts or of pairs of texts.

    Raises:
        InputError: it is something else, or an action (named) is not exactly two words.
    """
    items = value
    if isinstance(value, str):
        items = [item for item in value.strip().strip("#").split(",") if item.strip()]
    if not isinstance(items, list | tuple):
        raise InputError(field, value, "actions: 'take cup, open fridge', or a list of them")
    actions = []
    for at, item in enumerate(items):
        words = item.split() if isinstance(item, str) else item
        pair = isinstance(words, list | tuple) and len(words) == 2
        if not pair or not all(isinstance(word, str) and normalise(word) for word in words):
            raise InputError(f"{field}[{at}]", item, "two words, a verb and a noun")
        actions.append((normalise(words[0]), normalise(words[1])))
    return tuple(actions)


@dataclass(frozen=True, slots=True)
class ParsedList:
    """What a text that lists actions says.

    Attributes:
        actions: exactly as many as were asked for; none where the text names no action.
        counts: how often what happened (``LISTED``); what never did is absent.
    """

    actions: tuple[Action, ...]
    counts: dict[str, int]


def parse_action_list(text: str, taxonomy: Taxonomy, length: int = 20, cutoff: float = CUTOFF) -> ParsedList:
    """The actions that a model wrote.

    Items are parted by commas, semicolons, ends of lines, arrows and numbers of a list; what stands before
    the first colon of the first item, an opening, is left off. An item of two words is a verb and a noun;
    of another, the words in it that are known are taken. Where there is none it is an action of unknown
    words, its first and its last, or, if it is long, prose that is left out. What is beyond ``length`` is
    cut off; a list that is too short goes on with its last action.

    Raises:
        InputError: ``length`` is below 1, or ``cutoff`` is not from 0 to 100.
    """
    if length < 1:
        raise InputError("length", length, "an integer of at least 1")
    if not 0 <= cutoff <= 100:
        raise InputError("cutoff", cutoff, "a number from 0 to 100")
    counts: Counter[str] = Counter(replies=1)
    actions: list[Action] = []
    for item in _items(text):
        counts["items"] += 1
        if len(actions) == length:
            counts["items cut off"] += 1
        elif (action := _action(item, taxonomy, cutoff, counts)) is not None:
            actions.append(action)
    if not actions:
        counts["empty replies"] += 1
        return ParsedList((), dict(counts))
    if missing := length - len(actions):
        counts["actions repeated"] += missing
        actions += [actions[-1]] * missing
    return ParsedList(tuple(actions), dict(counts))


def _items(text: str) -> list[list[str]]:
    """The words of each item that has any."""
    plain = _PREAMBLE.sub("", text.strip().lower(), count=1)
    items = (
        [each for word in _LEAD.sub("", item).split() if (each := normalise(word))]
        for item in _ITEM.split(plain)
    )
    return [words for words in items if words]


def _action(words: Sequence[str], taxonomy: Taxonomy, cutoff: float, counts: Counter[str]) -> Action | None:
    """The action that an item names, counting what was done to read it."""
    if len(words) != 2:
        counts["of other than two words"] += 1
        words = [word for word in words if word not in _ARTICLES] or words
        found = _split(words, taxonomy) or _known(words, taxonomy)
        if found is None and len(words) > LONGEST_ITEM:
            counts["items left out"] += 1
            return None
        words = found or (words[0], words[-1] if len(words) > 1 else "")
    named = [taxonomy.find(word, kind, cutoff) for word, kind in zip(words, _KINDS, strict=True)]
    for (_, how), kind in zip(named, _KINDS, strict=True):
        name = {"synonym": "synonyms", "spelling": "by spelling", "unknown": f"unknown {kind}s"}.get(how)
        if name:
            counts[name] += 1
    return named[0][0], named[1][0]


def _split(words: Sequence[str], taxonomy: Taxonomy) -> Action | None:
    """A verb and a noun, of one or several words, that make up the whole item: turn on, chopping board."""
    for at in range(1, len(words)):
        verb, noun = "-".join(words[:at]), "-".join(words[at:])
        if taxonomy.knows(verb, "verb") and taxonomy.knows(noun, "noun"):
            return verb, noun
    return None


def _known(words: Sequence[str], taxonomy: Taxonomy) -> Action | None:
    """The first known verb, and the first known noun after it or else before it; None without either."""
    verb_at = next((at for at, word in enumerate(words) if taxonomy.knows(word, "verb")), None)
    places = [*range(0 if verb_at is None else verb_at + 1, len(words)), *range(verb_at or 0)]
    noun_at = next((at for at in places if taxonomy.knows(words[at], "noun")), None)
    if verb_at is None and noun_at is None:
        return None
    # Of a verb that is not known stands the first word, of a noun the last, unless that is the other one.
    verb = words[0 if verb_at is None else verb_at]
    if noun_at is not None:
        return "" if verb_at is None and noun_at == 0 else verb, words[noun_at]
    return verb, words[-1] if verb_at != len(words) - 1 else ""
