"""Which texts of a data set are near to each other, or to the tasks of a suite that it must not hold.

Two measures: ROUGE-L's F of words (the longest common subsequence, which Self-Instruct and its followers
filter by; rapidfuzz counts it), and the cosine of sentence vectors (``models.embedding``). For a suite there
is a third, by which the field decontaminates: word n-grams in common.

What is dropped is decided exactly: all pairs are compared, or, where texts are long, those that have enough
words in common to reach the threshold in some order. 50,000 prompts take a minute or two on one core.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import regex
from numpy.typing import NDArray

from biddable.errors import InputError

Array = NDArray[np.float32]

BLOCK = 256
"""Texts that are compared at a time, which bounds memory."""
SHORT = 8
"""Prompts of fewer words are met by chance."""
COMMON = 10
"""What more tasks than that have in their prompts is how a suite asks, not what it asks."""
COMMON_WORD = 2000
"""In how many texts a word stands that is only counted, for time's sake."""
LONG = 40
"""From so many words on, on average, looking at which words they have is faster than comparing all texts."""
SHORTLIST = 50
"""Of so many texts, those with most words in common, the nearest are sought."""

# Scripts without blanks between words are compared letter by letter.
_WORD = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|[\w&&[^\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]]+", regex.V1
)


class Compare(Protocol):
    """A measure of how near texts are, 1 where they are the same."""

    def __call__(self, texts: Sequence[str], others: Sequence[str], cutoff: float = 0.0) -> Array:
        """[texts, others]; what is below ``cutoff`` may be 0 instead."""


@dataclass(frozen=True, slots=True)
class Near:
    """The text that another is nearest to: its place, and how near, at most 1."""

    place: int
    similarity: float


def words(text: str) -> list[str]:
    """The words of a text in small letters, without punctuation."""
    return _WORD.findall(text.casefold())


def normalized(text: str) -> str:
    """A text without what is no difference: letter case, blanks, punctuation beside words."""
    return " ".join(words(text)) or " ".join(text.split())


class Words:
    """ROUGE-L's F over words, without stemming, as a ``Compare``; 0 where one of both texts has no word.

    Each text is cut into words once.
    """

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}
        self._known: dict[str, str] = {}

    def __call__(self, texts: Sequence[str], others: Sequence[str], cutoff: float = 0.0) -> Array:
        """[texts, others]; what is below ``cutoff`` may be 0."""
        from rapidfuzz.distance import Indel
        from rapidfuzz.process import cdist, cpdist

        rows, columns = self._spelled(texts), self._spelled(others)
        nearness: Array = np.zeros((len(rows), len(columns)), dtype=np.float32)
        if not rows or not columns:
            return nearness
        # 2 · common / (length + length) is what rapidfuzz calls the normalised Indel similarity.
        options: dict[str, Any] = {"scorer": Indel.normalized_similarity, "dtype": np.float32}
        if cutoff <= 0 or sum(map(len, columns)) < LONG * len(columns):
            nearness = cdist(rows, columns, **options)
            nearness[[not row for row in rows]] = 0.0
            nearness[:, [not column for column in columns]] = 0.0
            return nearness
        i, j = np.nonzero(self._bound(rows, columns, cutoff))
        pairs = [rows[at] for at in i], [columns[at] for at in j]
        nearness[i, j] = cpdist(*pairs, score_cutoff=cutoff - 1e-6, **options)
        return nearness

    def shortlist(self, texts: Sequence[str], others: Sequence[str]) -> Array:
        """How many words two texts have in common, in any order, as a share of theirs: [texts, others]."""
        first, second = self._bags(self._spelled(texts), self._spelled(others))
        lengths = (np.diff(each.indptr).astype(np.float32) for each in (first, second))
        common: Array = (first @ second.T).toarray()
        return 2 * common / np.add.outer(*lengths).clip(1)

    def _bound(self, rows: Sequence[str], columns: Sequence[str], cutoff: float) -> NDArray[np.bool_]:
        """Whether two texts have enough words in common to reach ``cutoff`` in the best order.

        Of common words only their number in either text is looked at, of the others which they are.
        """
        first, second = self._bags(rows, columns)
        lengths = [np.diff(each.indptr).astype(np.float32) for each in (first, second)]
        often = np.bincount(second.indices, minlength=second.shape[1]) > COMMON_WORD
        common = [np.asarray(each[:, often].sum(1), dtype=np.float32).ravel() for each in (first, second)]
        most: Array = np.minimum.outer(*common)
        shared = (first[:, ~often] @ second[:, ~often].T).tocoo()
        most[shared.row, shared.col] += shared.data
        enough: NDArray[np.bool_] = most >= (cutoff / 2 - 1e-6) * np.add.outer(*lengths)
        enough[lengths[0] == 0] = False
        enough[:, lengths[1] == 0] = False
        return enough

    def _spelled(self, texts: Sequence[str]) -> list[str]:
        """Texts with a letter for each word, which is what rapidfuzz compares fastest."""
        for text in texts:
            if text not in self._known:
                self._known[text] = "".join(
                    self._letters.setdefault(word, _letter(len(self._letters))) for word in words(text)
                )
        return [self._known[text] for text in texts]

    def _bags(self, *lists: Sequence[str]) -> list[Any]:
        """Which words stand in each text, [texts, words]; that one does so again is a word of its own."""
        from scipy.sparse import csr_array

        tables, number = [], len(self._letters)
        for spelled in lists:
            lengths = np.array([len(text) for text in spelled], dtype=np.int64)
            codes = np.frombuffer("".join(spelled).encode("utf-32-le"), dtype=np.uint32).astype(np.int64)
            codes -= _FIRST + _SURROGATES * (codes >= _FIRST_SURROGATE)
            keys = np.sort(np.repeat(np.arange(len(spelled)), lengths) * number + codes)
            places = np.arange(len(keys))
            new = np.diff(keys, prepend=-1) > 0
            times = places - np.maximum.accumulate(np.where(new, places, 0))
            tables.append((times * number + keys % max(1, number), np.cumsum([0, *lengths])))
        width = 1 + max((int(columns.max()) for columns, _ in tables if len(columns)), default=0)
        return [
            csr_array((np.ones(len(columns), dtype=np.float32), columns, ends), shape=(len(ends) - 1, width))
            for columns, ends in tables
        ]


_FIRST, _FIRST_SURROGATE, _SURROGATES = 0x100, 0xD800, 0x800


def _letter(place: int) -> str:
    """The letter of a word by its place: surrogates, which are no letters, are left out."""
    code = _FIRST + place
    return chr(code if code < _FIRST_SURROGATE else code + _SURROGATES)


def by_words(texts: Sequence[str], others: Sequence[str], cutoff: float = 0.0) -> Array:
    """ROUGE-L's F over words: see ``Words``, which is faster where texts come again."""
    return Words()(texts, others, cutoff)


def by_vectors(encode: Callable[[Sequence[str]], Array]) -> Compare:
    """The cosine of the vectors that ``encode`` gives, which have length 1; each text is encoded once."""
    known: dict[str, Array] = {}

    def vectors(texts: Sequence[str]) -> Array:
        if new := [text for text in dict.fromkeys(texts) if text not in known]:
            known.update(zip(new, encode(new), strict=True))
        return np.stack([known[text] for text in texts])

    def compare(texts: Sequence[str], others: Sequence[str], cutoff: float = 0.0) -> Array:
        if not texts or not others:
            return np.zeros((len(texts), len(others)), dtype=np.float32)
        return vectors(texts) @ vectors(others).T

    return compare


def duplicates(
    texts: Sequence[str],
    threshold: float,
    compare: Compare | None = None,
    *,
    advance: Callable[[int], None] = lambda n: None,
) -> list[Near | None]:
    """For each text the earlier one that it repeats, None where it is kept.

    A text repeats another from ``threshold`` on; what was dropped itself is not compared with. Texts that are
    the same but for letter case and punctuation repeat each other whatever the measure says.

    Args:
        texts: in the order of their preference.
        threshold: above 0, at most 1.
        compare: the measure; ``Words`` when None.
        advance: told how many more texts are done.

    Raises:
        InputError: the threshold is not above 0 and at most 1.
    """
    _check_threshold(threshold)
    compare = compare or Words()
    results: list[Near | None] = []
    first: dict[str, int] = {}
    kept: list[int] = []
    for start in range(0, len(texts), BLOCK):
        block = texts[start : start + BLOCK]
        earlier = compare(block, [texts[i] for i in kept], threshold)  # [block, kept so far]
        within = compare(block, block, threshold)
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
        advance(len(block))
    return results


def clusters(
    texts: Sequence[str],
    threshold: float,
    compare: Compare | None = None,
    *,
    advance: Callable[[int], None] = lambda n: None,
) -> list[int]:
    """For each text the place of the first of its cluster: texts that near pairs connect are one cluster.

    So no text of a cluster is as near as ``threshold`` to one outside it. Raises as ``duplicates``.
    """
    _check_threshold(threshold)
    compare = compare or Words()
    first: dict[str, int] = {}
    same = [first.setdefault(normalized(text), place) for place, text in enumerate(texts)]
    different = np.array(sorted(first.values()), dtype=np.int64)
    label = np.arange(len(texts))
    for start in range(0, len(different), BLOCK):
        places = different[start : start + BLOCK]
        others = different[: start + len(places)]
        nearness = compare([texts[i] for i in places], [texts[i] for i in others], threshold)
        for row, place in zip(nearness, places, strict=True):
            joined = np.unique(label[[place, *others[row >= threshold - 1e-6]]])
            if len(joined) > 1:
                label[np.isin(label, joined)] = joined[0]
        advance(len(places))
    return [int(label[place]) for place in same]


def nearest(
    texts: Sequence[str],
    others: Sequence[str],
    k: int,
    compare: Compare | None = None,
    *,
    same: Sequence[int] | None = None,
) -> list[list[Near]]:
    """The ``k`` of ``others`` that each text is nearest to, the nearest first; fewer where there are fewer.

    By ``Words``, which is what None stands for, they are sought among the ``SHORTLIST`` of ``others`` that
    have most words in common with a text.

    Args:
        texts: which.
        others: to what.
        k: how many.
        compare: the measure.
        same: the place in ``others`` of each text itself, which is no neighbour of its own; -1: none.
    """
    if k < 1:
        raise InputError("k", k, "an integer of at least 1")
    compare = compare or Words()
    results: list[list[Near]] = []
    for start in range(0, len(texts), BLOCK):
        block = texts[start : start + BLOCK]
        itself = same[start : start + BLOCK] if same is not None else [-1] * len(block)
        short = isinstance(compare, Words) and len(others) > SHORTLIST
        ranks = compare.shortlist(block, others) if short else compare(block, others)  # type: ignore[attr-defined]
        for text, place, row in zip(block, itself, ranks, strict=True):
            if place >= 0:
                row[place] = -np.inf
            places = _highest(row, SHORTLIST if short else k)
            exact = compare([text], [others[i] for i in places])[0] if short else row[places]
            results.append([Near(places[i], float(exact[i])) for i in _highest(exact, k)])
    return results


def _highest(row: Array, k: int) -> list[int]:
    """The places of the ``k`` highest that are finite, the highest first."""
    places = np.argpartition(-row, k)[:k] if k < len(row) else np.arange(len(row))
    return [int(i) for i in places[np.argsort(-row[places], kind="stable")] if np.isfinite(row[i])]


def contaminated(
    rows: Sequence[Sequence[str]], tasks: Mapping[str, str], *, n: int = 13
) -> list[tuple[str, str] | None]:
    """For each row the task whose prompt it holds a part of, with that part; None where it holds none.

    A part is ``n`` words in a row; a prompt of fewer words counts where all of it stands in a turn, and one
    of fewer than 8, which are words that anybody may say, where a turn is that prompt. A part that more than
    ``COMMON`` tasks have is how the suite asks ("your entire response should be in …"), and none.

    Args:
        rows: the turns of each row of a data set, prompts and responses alike.
        tasks: prompts of a suite by the id of their task.
        n: 13 as in Brown et al. 2020 (arXiv 2005.14165); 8 to 13 are usual.
    """
    if n < 1:
        raise InputError("n", n, "an integer of at least 1")
    whole: dict[str, str] = {}
    parts: dict[int, dict[str, str]] = defaultdict(dict)
    uses: Counter[str] = Counter()
    for name, prompt in tasks.items():
        of = words(prompt)
        if of:
            whole.setdefault(" ".join(of), name)
        size = min(n, len(of))
        if size >= min(n, SHORT):
            mine = set(_parts(of, size))
            for part in mine:
                parts[size].setdefault(part, name)
            uses.update(mine)
    for size in parts:
        parts[size] = {part: name for part, name in parts[size].items() if uses[part] <= COMMON}
    lengths = sorted(parts, reverse=True)

    def hit(turn: str) -> tuple[str, str] | None:
        of = words(turn)
        if (text := " ".join(of)) in whole:
            return whole[text], text
        return next(
            (
                (parts[size][part], part)
                for size in lengths
                for part in _parts(of, size)
                if part in parts[size]
            ),
            None,
        )

    return [next(filter(None, map(hit, turns)), None) for turns in rows]


def _parts(of: Sequence[str], size: int) -> Iterator[str]:
    """Every run of so many words."""
    return (" ".join(of[at : at + size]) for at in range(len(of) - size + 1))


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise InputError("threshold", threshold, "a number above 0 and at most 1")
