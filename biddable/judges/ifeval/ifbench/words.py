"""IFBench's rules ``words:*``, on which words a response may have, and where."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from biddable.judges.ifeval.arguments import COUNT, ORDINAL, TEXT, plural
from biddable.judges.ifeval.findings import counted
from biddable.judges.ifeval.ifbench import tokens
from biddable.judges.ifeval.ifbench.findings import each, pairs
from biddable.judges.ifeval.ifbench.tokens import EDGES, bare_words, trimmed, unmarked, word_tokens
from biddable.judges.ifeval.rule import Finding
from biddable.judges.ifeval.rules import rule
from biddable.judges.ifeval.text import Text

_PRIMES = frozenset(
    (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
)
_CLUSTER = re.compile("[bcdfghjklmnpqrstvwxyz]{2}")
_ALPHABET = string.ascii_lowercase


@rule(
    "words:alphabet",
    "Start each word with the next letter of the alphabet, looping back to A after Z.",
)
def alphabet(text: Text) -> Finding:
    """Each first letter, marks aside, is the next of the alphabet; the first may be any of it."""
    words = bare_words(text.raw)
    if not words or words[0][0] not in _ALPHABET:
        return Finding(False, "The response does not start with a letter of the alphabet.")
    return pairs(words, _next_letter, "word", "do not start with letters that follow one another")


def _next_letter(first: str, second: str) -> bool:
    place = _ALPHABET.find(first[0])
    return place >= 0 and second[0] == _ALPHABET[(place + 1) % len(_ALPHABET)]


@rule("words:consonants", "Let each word have two or more consonants together.")
def consonants(text: Text) -> Finding:
    """Whatever blanks divide has two consonants (y is one) side by side; marks alone have not."""
    return each(
        text.lower.split(), lambda word: bool(_CLUSTER.search(word)), "word", "has no consonant cluster"
    )


@rule("words:vowel", "Write one paragraph whose words contain only three types of vowels.")
def vowel(text: Text) -> Finding:
    """One line, with at most three of a, e, i, o and u."""
    if "\n" in text.stripped:
        return Finding(False, "The response has several lines, where one paragraph was asked for.")
    used = sorted(set(text.lower) & set("aeiou"))
    return counted(len(used), "type of vowels", "less than", 4)


@rule("words:palindrome", "Include at least 10 single-word palindromes, each at least 5 characters long.")
def palindrome(text: Text) -> Finding:
    """How many words, in any case and without marks, read the same backwards; one may count again."""
    found = [word for word in bare_words(text.raw) if len(word) >= 5 and word == word[::-1]]
    return counted(len(found), "palindrome", "at least", 10)


@rule("words:prime_lengths", "Use only words whose lengths are prime numbers.")
def prime_lengths(text: Text) -> Finding:
    """The length of each word, without marks, is a prime below 100."""
    return each(unmarked(text.raw).split(), lambda word: len(word) in _PRIMES, "word", "has no prime length")


@rule("words:repeats", "Do not repeat any word more than {small_n:time}.", small_n=COUNT)
def repeats(text: Text, small_n: int) -> Finding:
    """No word, in any case and without marks, is there more than so many times."""
    most = Counter(bare_words(text.raw)).most_common(1)
    if not most or most[0][1] <= small_n:
        return Finding(True, f"No word is there more than {plural(small_n, 'time')}.")
    return Finding(
        False, f'The word "{most[0][0]}" is there {most[0][1]} times, where {small_n} were allowed.'
    )


@rule("words:no_consecutive", "Let no two consecutive words share their first letter.")
def no_consecutive(text: Text) -> Finding:
    """The first letters of neighbours, in any case and without marks, differ."""
    return pairs(bare_words(text.raw), lambda one, two: one[0] != two[0], "word", "share their first letter")


@rule(
    "words:odd_even_syllables",
    "Alternate between words with odd and even numbers of syllables.",
    needs=tokens.no_syllables,
)
def odd_even_syllables(text: Text) -> Finding:
    """Of two neighbours one has an odd number of syllables, as syllapy counts them."""
    words = bare_words(text.raw)
    odd = {word: tokens.syllables(word) % 2 for word in set(words)}
    return pairs(words, lambda one, two: odd[one] != odd[two], "word", "do not alternate in syllables")


@rule("words:start_verb", "Start the response with a verb.", needs=tokens.no_tagger)
def start_verb(text: Text) -> Finding:
    """NLTK's tagger takes the first token for a verb."""
    tag = tokens.first_tag(text.raw)
    return Finding("VB" in tag, f'The part of speech of the first word is "{tag}".')


@rule(
    "words:last_first",
    "Let the last word of each sentence become the first word of the next sentence.",
)
def last_first(text: Text) -> Finding:
    """The words on either side of each end of a sentence are the same, in any case; one sentence will do.

    A sentence of one word starts with that word and its mark, which no other ends with.
    """
    return pairs(text.sentences, _chained, "sentence", "do not share a word where they meet")


def _chained(first: str, second: str) -> bool:
    last, start = first.rstrip(EDGES).split(), second.lstrip(EDGES).split()
    return bool(last and start) and last[-1].lower() == start[0].lower()


@rule(
    "words:paragraph_last_first",
    "Let each paragraph end with the word it started with; separate paragraphs with a newline.",
)
def paragraph_last_first(text: Text) -> Finding:
    """Each line, marks at its ends aside and in any case, has one word at both ends; blank lines may be."""
    lines = [trimmed(line.strip()).split() for line in text.lower.split("\n")]
    return each(
        [" ".join(words) for words in lines if words],
        lambda line: line.split()[0] == line.split()[-1],
        "paragraph",
        "does not end with the word it started with",
    )


@rule(
    "words:keywords_specific_position",
    'Use the word "{keyword}" as word {m} of sentence {n}.',
    keyword=TEXT,
    n=ORDINAL,
    m=ORDINAL,
)
def keywords_specific_position(text: Text, keyword: str, n: int, m: int) -> Finding:
    """The mth token with a letter or digit in the nth sentence is the word, in any case."""
    if len(text.sentences) < n:
        return counted(len(text.sentences), "sentence", "at least", n)
    words = word_tokens(text.sentences[n - 1])
    if len(words) < m:
        return Finding(
            False, f"Sentence {n} has {plural(len(words), 'word')}, where at least {m} were asked for."
        )
    return _placed(words, [m - 1], keyword, f"word {m} of sentence {n}")


@rule(
    "words:words_position",
    'Let both the second and the second to last word be "{keyword}".',
    keyword=TEXT,
)
def words_position(text: Text, keyword: str) -> Finding:
    """The second token and the last but one are the word, in any case; a mark at the end is no token."""
    found = tokens.tokens(text.raw)
    if found[-1] in tokens.MARKS:
        found.pop()
    return at_both_ends(found, keyword)


def at_both_ends(words: Sequence[str], keyword: str) -> Finding:
    """The second word and the last but one are the keyword, in any case."""
    if len(words) < 2:
        return counted(len(words), "word", "at least", 2)
    return _placed(words, [1, -2], keyword, "the second or the second to last word")


def _placed(words: Sequence[str], places: Sequence[int], keyword: str, where: str) -> Finding:
    wrong = [words[place] for place in places if words[place].lower() != keyword.strip().lower()]
    if wrong:
        return Finding(False, f'"{wrong[0]}" is {where}, where "{keyword.strip()}" was asked for.')
    return Finding(True, f'"{keyword.strip()}" stands where it was asked for.')
