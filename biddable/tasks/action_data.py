"""Sequences of actions as files have them.

What a row is follows from its columns:

* ``actions`` (a text with commas, or a list), with ``goal``, ``id`` and ``source`` where they are known;
* ``prompt`` and ``completion``, texts with commas (``#`` at an end is left off), and ``goal``: one window;
* an action in each row: ``verb`` and ``noun`` under ``video_id`` or ``clip_uid``, in the order of
  ``action_idx`` or ``start_frame`` (EPIC-KITCHENS' annotations, and Ego4D's, a list under ``clips``).

Beside EPIC-KITCHENS' annotations lie ``EPIC_verb_classes.csv``, ``EPIC_noun_classes.csv`` and
``EPIC_descriptions.csv``: the classes' words take the place of those narrated, and the description of a
video is its goal.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biddable.errors import FileError, InputError, shown
from biddable.tasks.action_windows import ActionSequence
from biddable.tasks.actions import Action, Taxonomy, normalise, read_actions
from biddable.tasks.rows import Broken, Row, read_values, source_files
from biddable.tasks.steps import Drop, Funnel

VIDEO = ("video_id", "clip_uid")
ORDER = ("action_idx", "start_frame")
PERSON = ("participant_id", "source", "video_uid")
"""What sequences of a table share that are not independent of each other; the first that there is."""
_EPIC = "EPIC_{}_classes.csv"
_DESCRIPTIONS = "EPIC_descriptions.csv"


@dataclass(frozen=True)
class ActionData:
    """The sequences of a source on their way, the words that a file gives, and what is to be said of both."""

    funnel: Funnel[Any]
    taxonomy: Taxonomy | None = None
    notes: list[str] = field(default_factory=list)


def read_sequences(source: str | Path, taxonomy: Taxonomy | None = None) -> ActionData:
    """The sequences of a file, or of a folder's files; what cannot be read is dropped with its reason.

    Args:
        source: see the module.
        taxonomy: whose words actions must be of; those that are not drop their sequence.

    Raises:
        FileError: the file cannot be read, or holds no sequence.
    """
    rows: dict[str, Any] = {}
    notes: list[str] = []
    words: Taxonomy | None = None
    files = source_files(source)
    beside = {_EPIC.format("verb"), _EPIC.format("noun"), _DESCRIPTIONS} if len(files) > 1 else set()
    for path in (each for each in files if each.name not in beside):
        broken: Broken = []
        values = [each for row in read_values(path, broken=broken) for each in _clips(row)]
        if values and _is_table(values[0].value):
            classes = _epic_classes(path)
            words = words or classes
            read = _table(values, classes, _descriptions(path), notes)
        else:
            read = {row.where: _sequence(row) for row in values}
        read |= {row.where: Drop("not a row of its file", str(error)) for row, error in broken}
        rows |= {name.removeprefix(f"{path.parent}/"): each for name, each in read.items()}
    funnel = _funnel(source, rows)
    if taxonomy is not None:
        funnel.apply("words", [_in_words(each, taxonomy) for each in funnel.rows])
    if not funnel.rows:
        why = funnel.dropped[0]
        raise FileError(source, f"holds no sequence of actions: {why.why.detail or why.why.reason}")
    return ActionData(funnel, words, list(dict.fromkeys(notes)))


def _funnel(source: str | Path, rows: Mapping[str, Any]) -> Funnel[Any]:
    if not rows:
        raise FileError(source, "holds no rows")
    funnel: Funnel[Any] = Funnel(dict(rows))
    funnel.apply("reading", list(rows.values()))
    first: dict[str, str] = {}
    results = []
    for name, row in funnel.kept.items():
        like = first.setdefault(row.id, name)
        results.append(row if like == name else Drop("has the id of an earlier sequence", row.id, like))
    funnel.apply("ids", results)
    return funnel


def _in_words(sequence: ActionSequence, taxonomy: Taxonomy) -> ActionSequence | Drop:
    """The sequence in the words of its classes."""
    labels = []
    for action in sequence.actions:
        label = taxonomy.label(action)
        if label is None:
            return Drop("an action outside the taxonomy", " ".join(action))
        labels.append(label)
    return ActionSequence(
        sequence.id, tuple(labels), sequence.goal, sequence.source, sequence.observed
    )  # fmt: skip


def _clips(row: Row) -> Iterable[Row]:
    """The rows of Ego4D's ``clips``; a row that is none of its files is itself."""
    clips = row.value.get("clips") if isinstance(row.value, dict) else None
    if not isinstance(clips, list):
        return [row]
    return [Row(each, f"{row.where}: clips {at}", f"clips {at}") for at, each in enumerate(clips, 1)]


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and {"verb", "noun"} <= {*value} and any(name in value for name in VIDEO)


# -- a sequence in each row ------------------------------------------------------------------------------


def _sequence(row: Row) -> ActionSequence | Drop:
    """A row that holds actions, or why it does not."""
    value = row.value
    if not isinstance(value, dict) or not ({"actions", "prompt"} & {*value}):
        return Drop("not of the shape of actions", f"{row.where}: expected actions, or prompt and completion")
    try:
        if value.get("actions") is not None:
            actions, observed = read_actions("actions", _listed(value["actions"])), 0
        else:
            history = read_actions("prompt", value["prompt"])
            future = read_actions("completion", value.get("completion") or [])
            actions, observed = history + future, len(history)
        texts = {name: _text(value, name) for name in ("goal", "source", "id", "clip_uid")}
    except InputError as error:
        return Drop(f"{error.field.partition('[')[0]}: expected {error.expected}", str(error.at(row.where)))
    if not actions:
        return Drop("no action", row.where)
    name = texts["id"] or texts["clip_uid"] or row.name
    return ActionSequence(name, actions, texts["goal"], texts["source"] or texts["clip_uid"], observed)


def _listed(value: Any) -> Any:
    """A list that stands in a cell of a table as text."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return value
    return value


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    if found is None:
        return ""
    if not isinstance(found, str | int):
        raise InputError(name, found, "a text")
    return " ".join(str(found).split())


# -- an action in each row -------------------------------------------------------------------------------


def _table(
    rows: Sequence[Row], classes: Taxonomy | None, goals: Mapping[str, str], notes: list[str]
) -> dict[str, Any]:
    """The sequences of a table by their ids; a video with an action that cannot be read is dropped whole."""
    groups: dict[str, list[tuple[float, Row]]] = {}
    made: dict[str, Any] = {}
    order = next((name for name in ORDER if name in rows[0].value), "")
    if not order:
        notes.append(f"No column {' or '.join(ORDER)}: actions are taken in the order of their rows.")
    for at, row in enumerate(rows):
        value = row.value if isinstance(row.value, dict) else {}
        video = next((_plain(value[name]) for name in VIDEO if _plain(value.get(name))), "")
        try:
            place = float(value[order]) if order else float(at)
        except (KeyError, TypeError, ValueError):
            place = float("nan")
        if not video:
            made[row.where] = Drop(f"no {' or '.join(VIDEO)}", row.where)
        else:
            groups.setdefault(video, []).append((place, row))
    by_class = classes is not None and "verb_class" in rows[0].value
    if "verb_class" in rows[0].value and not by_class:
        notes.append(
            f"No {_EPIC.format('verb')} beside the file: words are those narrated, not their classes'."
        )
    lists = (list(classes.verbs), list(classes.nouns)) if classes and by_class else None
    for video, members in groups.items():
        made[video] = _video(video, members, lists, goals.get(video, ""), order)
    return made


def _video(
    video: str,
    members: Sequence[tuple[float, Row]],
    classes: tuple[list[str], list[str]] | None,
    goal: str,
    order: str,
) -> ActionSequence | Drop:
    actions: list[tuple[float, Action]] = []
    for place, row in members:
        if place != place:
            told = f"{order} is {shown(row.value.get(order))}, expected a number"
            return Drop("an action without its place", f"{row.where}: {told}")
        try:
            action = _class_words(row.value, classes) if classes else _own_words(row.value)
        except InputError as error:
            return Drop(f"{error.field}: expected {error.expected}", str(error.at(row.where)))
        actions.append((place, action))
    ordered = tuple(action for _, action in sorted(actions, key=lambda each: each[0]))
    first = members[0][1].value
    person = next((_plain(first[name]) for name in PERSON if _plain(first.get(name))), video)
    return ActionSequence(video, ordered, goal or _plain(first.get("goal")), person)


def _class_words(value: Mapping[str, Any], classes: tuple[list[str], list[str]]) -> Action:
    """The words of the classes that a row names by their numbers."""
    found = []
    for name, words in zip(("verb_class", "noun_class"), classes, strict=True):
        text = _plain(value.get(name))
        if not text.isdecimal() or int(text) >= len(words):
            raise InputError(name, value.get(name), f"a number from 0 to {len(words) - 1}")
        found.append(words[int(text)])
    return found[0], found[1]


def _own_words(value: Mapping[str, Any]) -> Action:
    words = []
    for name in ("verb", "noun"):
        # Ego4D's labels hold their synonyms: put_(place,_leave).
        text = _plain(value.get(name)).partition("(")[0]
        if not normalise(text):
            raise InputError(name, value.get(name), "a word")
        words.append(normalise(text))
    return words[0], words[1]


def _plain(value: Any) -> str:
    return " ".join(str(value).split()) if isinstance(value, str | int) else ""


def _epic_classes(path: Path) -> Taxonomy | None:
    """The classes of EPIC-KITCHENS that lie beside a file, in the order of their numbers."""
    lists = []
    for kind in ("verb", "noun"):
        file = path.parent / _EPIC.format(kind)
        if not file.is_file():
            return None
        classes: list[list[str]] = []
        for at, row in enumerate(read_values(file)):
            others = _listed(row.value.get(f"{kind}s", "[]"))
            if _plain(row.value.get(f"{kind}_id")) != str(at) or not isinstance(others, list):
                raise FileError(row.where, f"expected {kind}_id {at}, class_key and the list {kind}s")
            classes.append([str(row.value.get("class_key", "")), *map(str, others)])
        lists.append(classes)
    try:
        return Taxonomy.from_classes(*lists)
    except InputError as error:
        raise FileError(path.parent / _EPIC.format(error.field.partition("s[")[0]), str(error)) from None


def _descriptions(path: Path) -> dict[str, str]:
    file = path.parent / _DESCRIPTIONS
    if not file.is_file():
        return {}
    rows = [row.value for row in read_values(file)]
    return {_plain(each.get("video_id")): _plain(each.get("description")) for each in rows}
