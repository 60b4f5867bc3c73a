"""IFBench's rules ``ratio:*`` and ``sentence:*``, on the sentences of a response and shares of its words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from biddable.judges.ifeval.arguments import COUNT, ORDINAL, TEXT, plural
from biddable.judges.ifeval.findings import counted
from biddable.judges.ifeval.ifbench.findings import pairs
from biddable.judges.ifeval.ifbench.tokens import EDGES, stop_words, unmarked
from biddable.judges.ifeval.rule import Finding
from biddable.judges.ifeval.rules import rule
from biddable.judges.ifeval.text import Text

TOLERANCE = 2
"""Percentage points that an overlap may be off."""


@rule(
    "ratio:stop_words",
    "Let stop words make up no more than {percentage} % of the words.",
    percentage=COUNT,
)
def stop_word_share(text: Text, percentage: int) -> Finding:
    """The share of NLTK's English stop words among the words; none without words."""
    if not text.words:
        return Finding(False, "The response has no words.")
    share = stop_words(text) / text.words * 100
    return Finding(
        share <= percentage, f"{share:.1f} % of the words are stop words, where {percentage} % were allowed."
    )


@rule(
    "ratio:overlap",
    'Keep a trigram overlap of {percentage} % (±2 %) with this text: "{reference_text}"',
    percentage=COUNT,
    reference_text=TEXT,
)
def overlap(text: Text, percentage: int, reference_text: str) -> Finding:
    """The share of the response's different trigrams of characters, not words, that the reference has."""
    return overlapping(text.raw, reference_text, percentage)


def overlapping(found: Sequence[str], reference: Sequence[str], percentage: int) -> Finding:
    """The share of the different trigrams in ``found`` that the reference has is near the percentage."""
    trigrams = _trigrams(found)
    if not trigrams:
        return Finding(False, "The response has no trigrams.")
    share = len(trigrams & _trigrams(reference)) / len(trigrams) * 100
    return Finding(
        percentage - TOLERANCE <= share <= percentage + TOLERANCE,
        f"{share:.1f} % of the trigrams are the reference's, where {percentage} % (±{TOLERANCE}) should be.",
    )


def _trigrams(found: Sequence[str]) -> set[tuple[str, str, str]]:
    return set(zip(found, found[1:], found[2:], strict=False))


def _ends(text: Text) -> tuple[int, int, int]:
    """How many sentences end with a period, a question mark, an exclamation mark."""
    ends = Counter(sentence[-1] for sentence in text.sentences)
    return ends["."], ends["?"], ends["!"]


@rule("ratio:sentence_type", "Write two declarative sentences for each interrogative one.")
def sentence_type(text: Text) -> Finding:
    """Twice as many sentences end with a period as with a question mark; none of either will do."""
    declarative, interrogative, _ = _ends(text)
    return Finding(
        declarative == 2 * interrogative,
        f"{plural(declarative, 'sentence')} with a period stand beside {interrogative} with a question mark.",
    )


@rule("ratio:sentence_balance", "Balance declarative, interrogative and exclamatory sentences.")
def sentence_balance(text: Text) -> Finding:
    """As many sentences end with a period as with either other mark; none of any will do."""
    ends = _ends(text)
    return Finding(
        len(set(ends)) == 1, "{} sentences end with a period, {} with ? and {} with !".format(*ends) + "."
    )


@rule(
    "ratio:sentence_words",
    "Respond with three sentences, all of the same number of characters and all of different words.",
)
def sentence_words(text: Text) -> Finding:
    """Three sentences of one length; whether their words differ is not looked at."""
    lengths = [len(sentence) for sentence in text.sentences]
    if len(lengths) != 3:
        return counted(len(lengths), "sentence", "exactly", 3)
    return Finding(len(set(lengths)) == 1, f"The sentences have {', '.join(map(str, lengths))} characters.")


@rule(
    "sentence:alliteration_increment",
    "Let each sentence have a longer sequence of alliterative words than the one before.",
)
def alliteration_increment(text: Text) -> Finding:
    """How many words of a sentence have a neighbour of the same first letter rises from each to the next."""
    counts = [_alliterating(sentence) for sentence in text.sentences]
    return pairs(counts, lambda first, second: first < second, "count of alliterating word", "do not rise")


def _alliterating(sentence: str) -> int:
    starts = [word.lstrip(EDGES)[:1] for word in sentence.lower().split()]
    runs = [len(list(run)) for _, run in groupby(filter(None, starts))]
    return sum(length for length in runs if length > 1)


@rule(
    "sentence:increment",
    "Let each sentence have exactly {small_n:word} more than the one before.",
    small_n=COUNT,
)
def increment(text: Text, small_n: int) -> Finding:
    """The number of words, without marks, rises by so many from each sentence to the next."""
    counts = [len(unmarked(sentence).split()) for sentence in text.sentences]
    return pairs(counts, lambda one, two: two == one + small_n, "word count", f"do not differ by {small_n}")


@rule("sentence:keyword", 'Use the word "{word}" in sentence {N}.', word=TEXT, N=ORDINAL)
def keyword(text: Text, word: str, N: int) -> Finding:  # noqa: N803
    """The Nth sentence has the word as a whole word, in any case."""
    if len(text.sentences) < N:
        return counted(len(text.sentences), "sentence", "at least", N)
    passed = bool(re.search(rf"\b{re.escape(word)}\b", text.sentences[N - 1], re.IGNORECASE))
    return Finding(passed, f'Sentence {N} has "{word}".' if passed else f'Sentence {N} lacks "{word}".')
