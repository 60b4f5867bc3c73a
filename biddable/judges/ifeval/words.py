"""Counting words: all of them, and those in capital letters."""

from __future__ import annotations

import re

import regex

from biddable.judges.scripts import ABUGIDAS, HAN, SYLLABLES

_WORD_CHARACTER = regex.compile(r"\w")


class _WordCharacters(dict[int, int]):
    """A ``str.translate`` table that blanks whatever is not part of a word; much faster than a search."""

    def __missing__(self, code: int) -> int:
        self[code] = code if _WORD_CHARACTER.match(chr(code)) else ord(" ")
        return self[code]


_WORD_CHARACTERS = _WordCharacters()


def count_words(text: str) -> int:
    r"""The number of ``\w+`` tokens; "don't stop-now" has four.

    Combining marks belong to their word, as in NLTK 3.10; older versions cut Indic words at vowel signs.
    """
    return len(text.translate(_WORD_CHARACTERS).split())


# Chinese and Japanese are counted by characters, as word processors do. Thai and its kin set no blanks
# between words either, and telling words apart takes a dictionary: four characters are a word on average.
_COUNTED = regex.compile(rf"(?V1)[[{HAN}{SYLLABLES}{ABUGIDAS}]&&\w]+")
_CHARACTERS = regex.compile(f"[{HAN}{SYLLABLES}]")
_CHARACTERS_OF_A_WORD = 4


def count_words_of_any_script(text: str) -> int:
    """The same, with scripts that set no blanks between words counted by their characters."""
    if text.isascii():
        return count_words(text)
    count = 0
    for run in _COUNTED.findall(text):
        single = len(_CHARACTERS.findall(run))
        count += single + round((len(run) - single) / _CHARACTERS_OF_A_WORD + 0.49)
    return count + count_words(_COUNTED.sub(" ", text))


# What NLTK's word tokenizer does to a sentence, in its order, as far as it can part or join cased letters.
_FINAL_PERIOD = regex.compile(r"(?<=[^.])\.(?=[\])}>\"'»”’ ]*\s*$)")
_PARTS_FIRST = regex.compile(
    r"[«“‘„`;@#$%&‒-―?!]"
    r"|[:,](?!\d)"
    r"|\.{2,}"
    r"|(?<!\w)'(?!(?i:re|ve|ll|m|t|s|d|n)\b)(?=\w)"
)
_CLOSING_APOSTROPHE = regex.compile(r"(?<=[^'])' ")
_PARTS_AFTER = regex.compile(r"[*\[\](){}<>»”’\"]|--|''")
_BLANKS = regex.compile(r"\s+")
_CLITIC = regex.compile(r"(?<=[^' ])('[sSmMdD]?) ")
_LONG_CLITIC = regex.compile(r"(?<=[^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ")
# NLTK compiles these two with the standard library, whose \s and \b differ a little.
_CONTRACTION = re.compile(
    r"\b(can)(not)\b|\b(d)('ye)\b|\b(gim)(me)\b|\b(gon)(na)\b|\b(got)(ta)\b|\b(lem)(me)\b|\b(more)('n)\b"
    r"|\b(wan)(na)(?=\s)",
    re.IGNORECASE,
)
_TIS = re.compile(r" ('t)(is|was)\b", re.IGNORECASE)


# However words are cut, one in capitals has a capital without a small letter on either side.
_LONE_CAPITAL = regex.compile(r"(?<!\p{Lowercase})\p{Uppercase}(?!\p{Lowercase})")


def count_capital_words(sentence: str) -> int:
    """The number of tokens of one sentence whose letters are all capitals, as ``nltk.word_tokenize`` cuts it.

    "I" and "A" count, a hyphenated word is one, "DON'T" is two (DO, N'T) and "I'm" is one (I, 'm).
    """
    if not _LONE_CAPITAL.search(sentence):
        return 0
    parted = _FINAL_PERIOD.sub(" ", sentence)
    parted = _PARTS_FIRST.sub(" ", parted)
    parted = _CLOSING_APOSTROPHE.sub(" ", parted)
    parted = _PARTS_AFTER.sub(" ", parted)
    parted = _BLANKS.sub(" ", f" {parted} ")
    parted = _CLITIC.sub(r" \1 ", parted)
    parted = _LONG_CLITIC.sub(r" \1 ", parted)
    parted = _TIS.sub(_parted, _CONTRACTION.sub(_parted, parted))
    return sum(map(str.isupper, parted.split()))


def _parted(contraction: re.Match[str]) -> str:
    first, second = filter(None, contraction.groups())
    return f" {first} {second} "
