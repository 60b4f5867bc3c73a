"""IFBench's rules ``count:*``, on what a response has so many of."""

from __future__ import annotations

import re
from collections.abc import Sequence

from biddable.judges.ifeval.arguments import COUNT, ORDINAL, TEXT
from biddable.judges.ifeval.findings import counted, times
from biddable.judges.ifeval.ifbench.findings import each
from biddable.judges.ifeval.ifbench.tokens import tokens, trimmed, unmarked
from biddable.judges.ifeval.rule import Finding
from biddable.judges.ifeval.rules import rule
from biddable.judges.ifeval.text import Text

CONJUNCTIONS = frozenset({"and", "but", "for", "nor", "or", "so", "yet"})
_PRONOUNS = """
    i me we us you he him she her it they them
    my mine our ours your yours his hers its their theirs
    myself ourselves yourself yourselves himself herself itself themselves
    this that these those who whom whose which what whoever whomever whatever whichever
    anybody anyone anything everybody everyone everything nobody nothing somebody someone something
    each either neither both all some any none
"""
# The names that the prompt lists.
_NAMES = """
    Emma Liam Sophia Jackson Olivia Noah Ava Lucas Isabella Mason Mia Ethan Charlotte Alexander Amelia
    Benjamin Harper Leo Zoe Daniel Chloe Samuel Lily Matthew Grace Owen Abigail Gabriel Ella Jacob Scarlett
    Nathan Victoria Elijah Layla Nicholas Audrey David Hannah Christopher Penelope Thomas Nora Andrew Aria
    Joseph Claire Ryan Stella Jonathan
"""
PRONOUNS = frozenset(_PRONOUNS.split())
NAMES = tuple(_NAMES.split())
TIMES = (1, 2, 3, 5, 7)
_WANTED_MARKS = ".,!?;:"
_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


@rule(
    "count:word_count_range",
    "Write between {min_words} and {max_words:word}.",
    at_most={"min_words": "max_words"},
    min_words=COUNT,
    max_words=COUNT,
)
def word_count_range(text: Text, min_words: int, max_words: int) -> Finding:
    r"""How many ``\w+`` tokens there are."""
    if text.words < min_words:
        return counted(text.words, "word", "at least", min_words)
    return counted(text.words, "word", "less than", max_words + 1)


@rule("count:unique_word_count", "Use at least {N:unique word}.", N=COUNT)
def unique_word_count(text: Text, N: int) -> Finding:  # noqa: N803 - the benchmark's name
    """How many different words blanks divide, in any case; marks alone count together as one."""
    return counted(len(set(map(trimmed, text.lower.split()))), "unique word", "at least", N)


@rule(
    "count:conjunctions",
    "Use at least {small_n:different coordinating conjunction}.",
    small_n=COUNT,
)
def conjunctions(text: Text, small_n: int) -> Finding:
    """How many of the seven there are; "and", "And" and "and," count as different ones."""
    used = {word for word in text.raw.split() if trimmed(word).lower() in CONJUNCTIONS}
    return counted(len(used), "different coordinating conjunction", "at least", small_n)


@rule(
    "count:person_names",
    "Mention at least {N:different person name} from this list: " + ", ".join(NAMES) + ".",
    N=COUNT,
)
def person_names(text: Text, N: int) -> Finding:  # noqa: N803
    """How many names of the list are found as whole words, in this case."""
    found = sum(bool(re.search(rf"\b{name}\b", text.raw)) for name in NAMES)
    return counted(found, "name of the list", "at least", N)


@rule("count:numbers", "Include exactly {N:number}.", N=COUNT)
def numbers(text: Text, N: int) -> Finding:  # noqa: N803
    """How many runs of digits there are once marks are out: "1,000.5" is one, and so is "2-3"."""
    return counted(len(re.findall(r"\d+", unmarked(text.raw))), "number", "exactly", N)


@rule("count:pronouns", "Include at least {N:pronoun}.", N=COUNT)
def pronouns(text: Text, N: int) -> Finding:  # noqa: N803
    """How many tokens are among the pronouns; she/her are two, "it's" is one."""
    found = sum(token in PRONOUNS for token in tokens(text.raw.replace("/", " ").lower()))
    return counted(found, "pronoun", "at least", N)


@rule(
    "count:punctuation",
    "Use every standard punctuation mark at least once, with semicolons, colons and the interrobang (?!).",
)
def punctuation(text: Text) -> Finding:
    """An interrobang (?!, !? or ‽) is there, and beside it each of six marks."""
    if not any(mark in text.raw for mark in ("?!", "!?", "‽")):
        return Finding(False, "The response has no interrobang (?!).")
    first = "?!" if "?!" in text.raw else "!?"
    rest = text.raw.replace(first, "", 1)
    missing = " ".join(mark for mark in _WANTED_MARKS if mark not in rest)
    if missing:
        return Finding(False, f"Beside the interrobang, the response lacks {missing}")
    return Finding(True, "The response has every punctuation mark.")


@rule(
    "count:keywords_multiple",
    'Use the word "{keyword1}" once, "{keyword2}" twice, "{keyword3}" three times, "{keyword4}" five times '
    'and "{keyword5}" seven times.',
    keyword1=TEXT,
    keyword2=TEXT,
    keyword3=TEXT,
    keyword4=TEXT,
    keyword5=TEXT,
)
def keywords_multiple(text: Text, **keywords: str) -> Finding:
    """How often each keyword is found, in any case and inside words, too: 1, 2, 3, 5 and 7 times."""
    words = [keywords[name].strip() for name in sorted(keywords)]
    return as_often(words, [text.lower.count(word.lower()) for word in words])


def as_often(keywords: Sequence[str], found: Sequence[int]) -> Finding:
    """Five keywords were found so many times, where 1, 2, 3, 5 and 7 times were asked for."""
    for keyword, count, asked in zip(keywords, found, TIMES, strict=True):
        if count != asked:
            return times(count, keyword, "exactly", asked)
    return Finding(True, "The response has every keyword as often as asked for.")


@rule("count:words_japanese", "Let every word whose number is a multiple of {N} be in Japanese.", N=ORDINAL)
def words_japanese(text: Text, N: int) -> Finding:  # noqa: N803
    """Every Nth word that blanks divide holds a Japanese character; numbers and marks alone will do."""
    words = list(map(trimmed, text.raw.split()))[N - 1 :: N]
    return each(words, _may_stand, "word due", "is not Japanese")


def _may_stand(word: str) -> bool:
    return not word or word.isdigit() or bool(_JAPANESE.search(word))
