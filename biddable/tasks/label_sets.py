"""Sets of texts with two labels, half of each: the files of a user, or composed ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from biddable import registry
from biddable.errors import InputError
from biddable.tasks.compose.labels import SETS, composed_labels
from biddable.tasks.labelled import Labelled, read_labelled

AFFIRMATIVE = ("positive", "yes", "true", "1", "entailment", "spam", "subjective")
"""Labels that are taken for the one that is asked after."""

_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Items of two labels.

    Attributes:
        name: what it is called.
        labels: the label that is asked after, and the other.
        conditions: when each of them holds, to follow "If".
        rows: the items, as many of each label.
    """

    name: str
    labels: tuple[str, str]
    conditions: tuple[str, str]
    rows: tuple[Labelled, ...]


def label_set(
    path: str,
    name: str = "",
    labels: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
    positive: str = "",
    when: str = "",
    otherwise: str = "",
    text: str = "",
    label: str = "",
    encoding: str = "",
    items: int = 100,
    seed: int = 0,
) -> LabelSet:
    """The items of a file, half of each label.

    Args:
        path: what ``read_labelled`` takes.
        name: what the set is called (default: the file's name).
        labels: names of labels that are numbers, from 0.
        keep: two of more labels.
        positive: the label that is asked after (default: one of ``AFFIRMATIVE``; else, of "toxic" and
            "non-toxic", the one that the other ends with; else the last by name).
        when, otherwise: when that label holds and when the other (default: "the text is LABEL").
        text, label: the columns.
        encoding: of text that is not Unicode.
        items: how many, an even number.
        seed: which are drawn.

    Raises:
        InputError: not two labels, or fewer items of one than are asked for; or labels are numbers without
            names, other than 0 and 1 beside ``when`` and ``otherwise``.
        FileError: see ``read_labelled``.
    """
    columns = {"text": text or None, "label": label or None, "encoding": encoding or None}
    rows = read_labelled(path, labels=labels or None, **columns)
    names = sorted({row.label for row in rows})
    if unknown := [each for each in keep if each not in names]:
        raise InputError("keep", unknown[0], f"one of {', '.join(names)}")
    names = [each for each in names if not keep or each in keep]
    if positive and positive not in names:
        raise InputError("positive", positive, f"one of {', '.join(names)}")
    if len(names) != 2:
        raise InputError(f"labels of {path}", ", ".join(names), "two; of more, name two: ?keep=ONE+OTHER")
    if any(map(_NUMBER.fullmatch, names)) and not ({*names} == {"0", "1"} and when and otherwise):
        expected = "names, which say what is asked: ?labels=NAME0+NAME1, by number from 0"
        raise InputError(f"labels of {path}", ", ".join(names), expected)
    asked = positive or _affirmative(names)
    other = next(each for each in names if each != asked)
    drawn = balanced([row for row in rows if row.label in names], items, seed, path)
    plain = name or path.replace("\\", "/").rstrip("/").rpartition("/")[2].partition(".")[0]
    conditions = (when or f"the text is {asked}", otherwise or f"the text is {other}")
    return LabelSet(plain, (asked, other), conditions, tuple(drawn))


def _affirmative(names: Sequence[str]) -> str:
    """Which of two labels is asked after."""
    if known := [each for each in names if each.lower() in AFFIRMATIVE]:
        return known[0]
    first, second = names
    return first if second.lower().endswith(first.lower()) else second


def balanced(rows: Sequence[Labelled], items: int, seed: int, where: str) -> list[Labelled]:
    """The same number of each label, drawn by ``seed``. Raises InputError: there are not that many."""
    if items < 2 or items % 2:
        raise InputError("items", items, "an even number of at least 2")
    drawn = []
    distinct = {(row.text, row.text_pair, row.label): row for row in reversed(rows)}  # each where it is first
    for label in sorted({row.label for row in rows}):
        of = [row for row in reversed(distinct.values()) if row.label == label]
        if len(of) < items // 2:
            raise InputError(
                "items", items, f"at most {2 * len(of)}: {where} has {len(of)} of the label {label}"
            )
        order = np.random.default_rng(seed).permutation(len(of))[: items // 2]
        drawn += [of[i] for i in sorted(order)]
    return drawn


def composed_sets(items: int, seed: int) -> list[LabelSet]:
    """The composed sets of the library."""
    sets = []
    for name, texts in SETS.items():
        other, asked = texts
        rows = balanced(composed_labels(name, items, seed), items, seed, name)
        is_about = "about " if name == "topic" else ""
        conditions = (f"the text is {is_about}{asked}", f"the text is {is_about}{other}")
        sets.append(LabelSet(name, (asked, other), conditions, tuple(rows)))
    return sets


def named_set(spec: str) -> LabelSet:
    """The items of ``FILE?option=value`` (see ``label_set``)."""
    path, options = registry.split_spec("data", spec)
    made: LabelSet = registry.made(label_set, [path], options)
    return made
