"""Finding words, sentences and paragraphs in a response, and putting sentences in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")

_WORD = re.compile(r"\w+")
_STOP = re.compile(r"[.!?]+[\"”’')*]*(?=\s|$)")
_NO_STOP = re.compile(r"(?:^|\s)(?:\d+|mr|mrs|ms|dr|st|no|vs|e\.g|i\.e|p\.s|p\.p\.s)\.$", re.IGNORECASE)
_JOINT = re.compile(
    r"(?:[,;] (?=and|then)|[,;]? (?=but|so|because|and (?:he|she|it|they|we|you|I|then)\b))(\w+)\b"
)
_PROSE_LINE = re.compile(r"\S+(?:\s+\S+){3,}[.!?][\"”’')*]*\s*$")

_FUNCTION_WORDS = """
a an the this that these those my your his her its our their some any each every no and or but so
if as at by for from in into of off on out over to under up with is are was were be been being am do
does did has have had will would can could should may might must it he she we you they them him me us
not there here what who which when where why how than then too very just also only all both more most
about after again before because while until since through during between i
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
DETERMINERS = frozenset(_FUNCTION_WORDS.split()[:19])


def words(text: str) -> list[str]:
    """Runs of word characters, as IFEval counts them."""
    return _WORD.findall(text)


def sentence_ends(text: str) -> list[int]:
    """Where sentences end: the positions behind their last character."""
    return [stop.end() for stop in _STOP.finditer(text) if not _NO_STOP.search(text[: stop.start() + 1])]


def sentences(text: str) -> list[str]:
    """The sentences; a line break ends one too."""
    pieces = []
    for line in text.splitlines():
        bounds = [0, *sentence_ends(line), len(line)]
        pieces += [line[a:b].strip() for a, b in pairwise(bounds)]
    return [sentence for sentence in pieces if sentence]


def paragraphs(text: str) -> list[str]:
    """The paragraphs: texts between blank lines."""
    return [piece.strip() for piece in re.split(r"\n\s*\n", text) if piece.strip()]


def grouped(items: Sequence[T], n: int) -> list[Sequence[T]]:
    """``n`` runs of neighbors, as even as can be; needs at least ``n`` items."""
    bounds = [round(i * len(items) / n) for i in range(n + 1)]
    return [items[a:b] for a, b in pairwise(bounds)]


def with_sentence(text: str, sentence: str) -> str:
    """``sentence`` put behind the last line of prose, so that it stands above a signature."""
    lines = text.rstrip().splitlines()
    for i in reversed(range(len(lines))):
        if _PROSE_LINE.search(lines[i]):
            lines[i] = f"{lines[i].rstrip()} {sentence}"
            return "\n".join(lines)
    return "\n".join([*lines, sentence])


def with_more_sentences(text: str, missing: int) -> str:
    """Up to ``missing`` sentences more, from long ones split at a conjunction."""
    return (
        _JOINT.sub(lambda joint: f". {joint[1].capitalize()}", text, count=missing) if missing > 0 else text
    )


def content_words(text: str) -> list[str]:
    """Longer words that carry meaning, in order, with repeats."""
    return [word for word in re.findall(r"[^\W\d_]{4,}", text) if word.lower() not in FUNCTION_WORDS]


def joined(items: Sequence[str]) -> str:
    """``a and b and c``: a list without commas."""
    return " and ".join(items)
