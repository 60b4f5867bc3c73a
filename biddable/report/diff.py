"""What was deleted and inserted between two texts, word by word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Literal, NamedTuple

# Chinese and Japanese write no spaces: each of their characters is a word here.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"\s+|[^\W{_UNSPACED}]+|.", re.DOTALL)


class Span(NamedTuple):
    """A span of text and whether it is equal, deleted or inserted."""

    op: Literal["equal", "delete", "insert"]
    text: str


def diff_words(before: str, after: str) -> list[Span]:
    """The spans that lead from ``before`` to ``after``.

    The equal and deleted ones make up ``before``, the equal and inserted ones ``after``.
    """
    return [span for span in _spans(_TOKEN.findall(before), _TOKEN.findall(after)) if span.text]


def _spans(old: list[str], new: list[str]) -> Iterator[Span]:
    head = _shared(old, new)
    tail = _shared(old[head:][::-1], new[head:][::-1])
    end_old, end_new = len(old) - tail, len(new) - tail
    yield Span("equal", "".join(old[:head]))
    yield from _changes(old[head:end_old], new[head:end_new])
    yield Span("equal", "".join(old[end_old:]))


def _changes(old: list[str], new: list[str]) -> Iterator[Span]:
    # A space may prolong a match but not found one, and in long texts difflib treats frequent words
    # likewise: a model that says the same thing again and again would else take it seconds.
    for op, start, end, other, stop in SequenceMatcher(" ".__eq__, old, new).get_opcodes():
        if op == "equal":
            yield Span("equal", "".join(old[start:end]))
        else:
            yield Span("delete", "".join(old[start:end]))
            yield Span("insert", "".join(new[other:stop]))


def _shared(old: list[str], new: list[str]) -> int:
    """Length of the common prefix of two token sequences."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
