"""Tasks that say in words what is asked, composed of word lists, in the form of Super-NaturalInstructions.

Several tasks share a kind of input (a list of words, a sentence, a word), so that only the instruction tells
what is to be done with it. They are for experiments on tasks that a model was not trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from biddable.tasks.compose.labels import SETS
from biddable.tasks.superni import Example, Instructed, instance_query
from biddable.types import Task

_KINDS = {
    "animal": "horse rabbit tiger camel goat whale eagle donkey monkey spider turtle lion",
    "fruit": "apple banana cherry lemon grape melon peach plum mango apricot orange pear",
    "tool": "hammer saw drill shovel wrench chisel rake pliers screwdriver axe ladder spade",
    "garment": "shirt jacket scarf glove sock skirt coat sweater hat dress boot belt",
    "vehicle": "train bicycle truck bus tractor ferry taxi tram van canoe rocket scooter",
    "instrument": "violin piano guitar flute drum trumpet harp cello banjo clarinet organ tuba",
}
_KIND = {word: kind for kind, words in _KINDS.items() for word in words.split()}
WORDS = tuple(_KIND)
_OPPOSITES = (
    "hot cold,big small,up down,fast slow,early late,happy sad,open closed,full empty,hard soft,rich poor,"
    "light dark,old young,strong weak,high low,wet dry,loud quiet,clean dirty,long short,thick thin,near far,"
    "good bad,win lose,buy sell,push pull,begin end,love hate,day night,always never,more less,left right"
)
_CAPITALS = (
    "France Paris,Spain Madrid,Italy Rome,Germany Berlin,Japan Tokyo,China Beijing,Russia Moscow,Egypt Cairo,"
    "Greece Athens,Portugal Lisbon,Austria Vienna,Norway Oslo,Sweden Stockholm,Finland Helsinki,"
    "Poland Warsaw,Hungary Budapest,Ireland Dublin,Cuba Havana,Peru Lima,Chile Santiago,Canada Ottawa,"
    "Kenya Nairobi,Iran Tehran,Iraq Baghdad,Thailand Bangkok,Denmark Copenhagen,Belgium Brussels,"
    "Vietnam Hanoi,Argentina Buenos Aires,Turkey Ankara,England London,Syria Damascus,Lebanon Beirut"
)
_PEOPLE = "Anna,Peter,Maria,David,Laura,Simon,Helen,Oscar,Julia,Thomas,Nora,Victor"
_PLACES = "the market,the park,the station,the museum,the harbour,the library,the school,the beach"
_DAYS = "Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday"
_ACTIONS = "bought,painted,lost,found,drew,talked about"

Rows = Iterator[tuple[str, str]]
"""Inputs with their answers, without end or until a table is used up."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A task: what is asked, and how its rows are drawn."""

    name: str
    category: str
    definition: str
    rows: Callable[[np.random.Generator], Rows]


def composed_tasks(rows: int, seed: int = 0) -> list[Instructed]:
    """All composed tasks, each with ``rows`` instances, or as many as its table of words allows.

    Inputs of a task differ from each other and from those of its two right examples and its wrong one.
    """
    return composed(_TASKS, rows, seed)


def composed(kinds: Sequence[Kind], rows: int, seed: int = 0) -> list[Instructed]:
    """The same of any kinds of tasks."""
    return [_task(kind, rows, np.random.default_rng([seed, at])) for at, kind in enumerate(kinds)]


def _task(kind: Kind, rows: int, rng: np.random.Generator) -> Instructed:
    drawn: dict[str, str] = {}
    for tries, (given, answer) in enumerate(kind.rows(rng)):
        drawn.setdefault(given, answer)
        # Three are the examples, for which two answers are needed, however few rows are.
        enough = len(drawn) >= rows + 3 and len({*drawn.values()}) > 1
        if enough or tries > 50 * (rows + 3):
            break
    (first, one), *later = drawn.items()
    second, other = next(((given, answer) for given, answer in later if answer != one), later[0])
    left = [row for row in later if row[0] != second]
    wrong = Example(left[0][0], next(answer for answer in (one, other) if answer != left[0][1]))
    instances = tuple(
        Task(
            f"{kind.name}/{number}",
            instance_query(given),
            references=(answer,),
            meta={"group": kind.name, "input": given, "category": kind.category},
        )
        for number, (given, answer) in enumerate(left[1 : rows + 1])
    )
    right = (Example(first, one), Example(second, other))
    return Instructed(kind.name, kind.definition, right, (wrong,), (kind.category,), (), instances)


def lists(answer: Callable[[list[str]], str]) -> Callable[[np.random.Generator], Rows]:
    """Lists of three to five words, and what ``answer`` says of them."""

    def rows(rng: np.random.Generator) -> Rows:
        while True:
            words = [WORDS[i] for i in rng.choice(len(WORDS), int(rng.integers(3, 6)), replace=False)]
            yield ", ".join(words), answer(words)

    return rows


def _sentences(part: int) -> Callable[[np.random.Generator], Rows]:
    def rows(rng: np.random.Generator) -> Rows:
        while True:
            parts = (_PEOPLE, _PLACES, _DAYS, _ACTIONS)
            who, where, when, did = (str(rng.choice(of.split(","))) for of in parts)
            what = str(rng.choice(WORDS))
            article = "an" if what[0] in "aeiou" else "a"
            yield f"{who} {did} {article} {what} at {where} on {when}.", (who, where, when)[part]

    return rows


def table(pairs: str, *, both: bool = False) -> Callable[[np.random.Generator], Rows]:
    """Pairs "word answer" with commas between; ``both``: each the other way round as well."""

    def rows(rng: np.random.Generator) -> Rows:
        known = [(pair.split(" ", 1)[0], pair.split(" ", 1)[1]) for pair in pairs.split(",")]
        known += [(second, first) for first, second in known] if both else []
        yield from (known[i] for i in rng.permutation(len(known)))

    return rows


def _kinds(rng: np.random.Generator) -> Rows:
    yield from ((WORDS[i], _KIND[WORDS[i]]) for i in rng.permutation(len(WORDS)))


def _one_of_kind(kind: str) -> Callable[[np.random.Generator], Rows]:
    """Lists in which one word is of a kind."""

    def rows(rng: np.random.Generator) -> Rows:
        others = [word for word in WORDS if _KIND[word] != kind]
        while True:
            word = str(rng.choice(_KINDS[kind].split()))
            words = [word, *(others[i] for i in rng.choice(len(others), 3, replace=False))]
            yield ", ".join(words[i] for i in rng.permutation(4)), word

    return rows


def _contains(rng: np.random.Generator) -> Rows:
    """A word and a list, which holds it about every other time."""
    while True:
        *words, other = (WORDS[i] for i in rng.choice(len(WORDS), 5, replace=False))
        inside = bool(rng.integers(2))
        asked = words[int(rng.integers(4))] if inside else other
        yield f"{asked} | {', '.join(words)}", "yes" if inside else "no"


def _labels(name: str) -> Callable[[np.random.Generator], Rows]:
    def rows(rng: np.random.Generator) -> Rows:
        texts = [(text, label) for label, of in SETS[name].items() for text in of]
        yield from (texts[i] for i in rng.permutation(len(texts)))

    return rows


_TASKS = (
    Kind(
        "first_item",
        "list_selection",
        "Write only the first of the listed words.",
        lists(lambda words: words[0]),
    ),
    Kind(
        "last_item",
        "list_selection",
        "Write only the last of the listed words.",
        lists(lambda words: words[-1]),
    ),
    Kind(
        "reversed_list",
        "list_ordering",
        "Turn the list around: begin with its end, separated by commas.",
        lists(lambda words: ", ".join(words[::-1])),
    ),
    Kind(
        "sorted_list",
        "list_ordering",
        "Put the list in alphabetical order, separated by commas.",
        lists(lambda words: ", ".join(sorted(words))),
    ),
    Kind("person", "extraction", "Read the sentence. Who did something? Give the name.", _sentences(0)),
    Kind("place", "extraction", "Read the sentence. Where did it happen? Give the place.", _sentences(1)),
    Kind("day", "extraction", "Read the sentence. When did it happen? Give the day.", _sentences(2)),
    Kind(
        "kind_of_thing",
        "word_classification",
        "What does this word name? Choose among animal, fruit, tool, garment, vehicle and instrument.",
        _kinds,
    ),
    Kind(
        "animal_in_list",
        "keyword_tagging",
        "Exactly one of these things is an animal. Say which.",
        _one_of_kind("animal"),
    ),
    Kind(
        "fruit_in_list",
        "keyword_tagging",
        "Exactly one of these things is a fruit. Say which.",
        _one_of_kind("fruit"),
    ),
    Kind(
        "contains",
        "membership",
        "Does the part behind the bar mention what stands before it? Reply yes or no.",
        _contains,
    ),
    Kind(
        "sentiment",
        "text_classification",
        "Tell whether the writer is pleased: answer positive or negative.",
        _labels("sentiment"),
    ),
    Kind(
        "topic",
        "text_classification",
        "Tell what the text is about: answer food or sport.",
        _labels("topic"),
    ),
    Kind(
        "opposite",
        "word_relation",
        "Find a word that means the contrary of this one.",
        table(_OPPOSITES, both=True),
    ),
    Kind("capital", "world_knowledge", "Name the capital city of this country.", table(_CAPITALS)),
)
