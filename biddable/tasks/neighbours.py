"""Which texts of a data set are near to each other, or to the tasks of a suite that it must not hold.

Two measures: ROUGE-L's F of words (the longest common subsequence, which Self-Instruct and its followers
filter by; rapidfuzz counts it), and the cosine of sentence vectors (``models.embedding``). For a suite there
is a third, by which the field decontaminates: word n-grams in common.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from biddable.errors import InputError

Array = NDArray[np.float32]
Compare = Callable[[Sequence[str], Sequence[str]], Array]
"""How near texts are to others: [texts, others], 1 where they are the same."""

BLOCK = 512
"""Texts that are compared at a time, which bounds memory."""
SHORT = 8
"""Prompts of fewer words are met by chance."""

# Scripts without blanks between words are compared letter by letter.
_WORD = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|[\w&&[^\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]]+", regex.V1
)


@dataclass(frozen=True, slots=True)
class Near:
    """The text that another is nearest to: its place, and how near, at most 1."""

    place: int
    similarity: float


def words(text: str) -> list[str]:
    """The words of a text in small letters, without punctuation."""
    return _WORD.findall(text.casefold())


def normalized(text: str) -> str:
    """A text without what is no difference: letter case, punctuation, blanks."""
    return " ".join(words(text))


def by_words(texts: Sequence[str], others: Sequence[str]) -> Array:
    """ROUGE-L's F over words, without stemming: [texts, others]; 0 where one of both has no word."""
    from rapidfuzz.distance import Indel
    from rapidfuzz.process import cdist

    if not texts or not others:
        return np.zeros((len(texts), len(others)), dtype=np.float32)
    # 2 · common / (length + length) is what rapidfuzz calls the normalised Indel similarity.
    rows, columns = [words(text) for text in texts], [words(text) for text in others]
    nearness: Array = cdist(rows, columns, scorer=Indel.normalized_similarity, dtype=np.float32)
    nearness[[not row for row in rows]] = 0.0
    nearness[:, [not column for column in columns]] = 0.0
    return nearness


def by_vectors(encode: Callable[[Sequence[str]], Array]) -> Compare:
    """The cosine of the vectors that ``encode`` gives, which have length 1; each text is encoded once."""
    known: dict[str, Array] = {}

    def vectors(texts: Sequence[str]) -> Array:
        if new := [text for text in dict.fromkeys(texts) if text not in known]:
            known.update(zip(new, encode(new), strict=True))
        return np.stack([known[text] for text in texts])

    def compare(texts: Sequence[str], others: Sequence[str]) -> Array:
        if not texts or not others:
            return np.zeros((len(texts), len(others)), dtype=np.float32)
        return vectors(texts) @ vectors(others).T

    return compare


def duplicates(texts: Sequence[str], threshold: float, compare: Compare = by_words) -> list[Near | None]:
    """For each text the earlier one that it repeats, None where it is kept.

    A text repeats another from ``threshold`` on; what was dropped itself is not compared with. Texts that are
    the same but for letter case and punctuation repeat each other whatever the measure says.

    Raises:
        InputError: the threshold is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise InputError("threshold", threshold, "a number above 0 and at most 1")
    results: list[Near | None] = []
    first: dict[str, int] = {}
    kept: list[int] = []
    for start in range(0, len(texts), BLOCK):
        block = texts[start : start + BLOCK]
        earlier = compare(block, [texts[i] for i in kept])  # [block, kept so far]
        within = compare(block, block)
        alive: list[int] = []  # places in the block that are kept
        for i, text in enumerate(block):
            same = first.setdefault(normalized(text), start + i)
            candidates = [Near(same, 1.0)] if same < start + i else []
            if len(kept):
                best = int(earlier[i].argmax())
                candidates.append(Near(kept[best], float(earlier[i, best])))
            if alive:
                best = alive[int(within[i, alive].argmax())]
                candidates.append(Near(start + best, float(within[i, best])))
            near = max(candidates, key=lambda each: each.similarity, default=None)
            repeats = near is not None and near.similarity >= threshold - 1e-6
            results.append(near if repeats else None)
            if not repeats:
                alive.append(i)
        kept += [start + i for i in alive]
    return results


def nearest(
    texts: Sequence[str], others: Sequence[str], k: int, compare: Compare = by_words, *, same: bool = False
) -> list[list[Near]]:
    """The ``k`` of ``others`` that each text is nearest to, the nearest first; fewer where there are fewer.

    Args:
        texts: which.
        others: to what.
        k: how many.
        compare: the measure.
        same: whether both are one list, so that a text is no neighbour of itself.
    """
    if k < 1:
        raise InputError("k", k, "an integer of at least 1")
    results: list[list[Near]] = []
    for start in range(0, len(texts), BLOCK):
        nearness = compare(texts[start : start + BLOCK], others)
        for i, row in enumerate(nearness):
            if same:
                row[start + i] = -np.inf
            order = np.argsort(-row, kind="stable")[: min(k, len(others) - same)]
            results.append([Near(int(place), float(row[place])) for place in order])
    return results


def contaminated(
    rows: Sequence[Sequence[str]], tasks: Mapping[str, str], *, n: int = 13
) -> list[tuple[str, str] | None]:
    """For each row the task whose prompt it holds a part of, with that part; None where it holds none.

    A part is ``n`` words in a row; a prompt of fewer words counts where all of it stands in a turn, and one
    of fewer than 8, which are words that anybody may say, where a turn is that prompt.

    Args:
        rows: the turns of each row of a data set, prompts and responses alike.
        tasks: prompts of a suite by the id of their task.
        n: 13 as in Brown et al. 2020 (arXiv 2005.14165); 8 to 13 are usual.
    """
    if n < 1:
        raise InputError("n", n, "an integer of at least 1")
    whole: dict[tuple[str, ...], str] = {}
    parts: dict[int, dict[tuple[str, ...], str]] = defaultdict(dict)
    for name, prompt in tasks.items():
        of = tuple(words(prompt))
        if of:
            whole.setdefault(of, name)
        size = min(n, len(of))
        if size >= min(n, SHORT):
            for at in range(len(of) - size + 1):
                parts[size].setdefault(of[at : at + size], name)
    lengths = sorted(parts, reverse=True)

    def hit(turn: str) -> tuple[str, str] | None:
        of = tuple(words(turn))
        if of in whole:
            return whole[of], " ".join(of)
        for size in lengths:
            for at in range(len(of) - size + 1):
                if (part := of[at : at + size]) in parts[size]:
                    return parts[size][part], " ".join(part)
        return None

    return [next(filter(None, map(hit, turns)), None) for turns in rows]
