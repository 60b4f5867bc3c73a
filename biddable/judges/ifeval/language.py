"""Which language a text is in: the answer of ``langdetect.detect`` with seed 0, many times faster.

langdetect (Nakatani Shuyo's naive Bayes over character n-grams) draws n-grams of the text at random until
one language is nearly certain, seven times over, and averages. This makes the same draws from langdetect's
own profiles and so gives the same answers. What differs is the work: n-grams are looked up once per distinct
word, some seventy draws are taken and multiplied at a time, and the trials stop when those left cannot change
the winner.

Profiles are loaded once per process, whole or not at all. langdetect's own loader can be seen half-done by
another thread and fails there, and the official checkers count such a failure as followed.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LANGUAGES = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "bn": "Bengali",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "gu": "Gujarati",
    "he": "Hebrew",
    "hi": "Hindi",
    "it": "Italian",
    "ja": "Japanese",
    "kn": "Kannada",
    "ko": "Korean",
    "ml": "Malayalam",
    "mr": "Marathi",
    "ne": "Nepali",
    "pa": "Punjabi",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "sw": "Swahili",
    "ta": "Tamil",
    "te": "Telugu",
    "th": "Thai",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "vi": "Vietnamese",
    # The benchmark ends here.
    "af": "Afrikaans",
    "ca": "Catalan",
    "cs": "Czech",
    "cy": "Welsh",
    "da": "Danish",
    "el": "Greek",
    "et": "Estonian",
    "hr": "Croatian",
    "hu": "Hungarian",
    "id": "Indonesian",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "mk": "Macedonian",
    "nl": "Dutch",
    "no": "Norwegian",
    "ro": "Romanian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "so": "Somali",
    "sq": "Albanian",
    "sv": "Swedish",
    "tl": "Tagalog",
    "tr": "Turkish",
    "zh": "Chinese",
    "zh-cn": "Chinese in simplified characters",
    "zh-tw": "Chinese in traditional characters",
}
"""The 30 languages of the benchmark and the 25 more that langdetect knows, by its codes.

They are those of ISO 639-1, but that Chinese is told apart by its characters; ``zh`` is ours, for either.
"""

# langdetect's settings.
_TRIALS = 7
_ALPHA, _ALPHA_WIDTH = 0.5, 0.05
_BASE_FREQUENCY = 10_000
_CERTAIN = 0.99999
_CHECK_EVERY = 5
_LAST_DRAW = 1000
_REPORTED = 0.1
_MAX_CHARS = 10_000

# Far above the rounding error of seven additions, far below any difference that matters.
_ROUNDING = 1e-9
# Words of the tape looked at in one go; three quarters of them become draws, enough for most trials.
_BATCH = 96
# Factors between 3e-5 and 1 times this, 96 of them multiplied, neither underflow nor overflow. A power of two
# changes no digit.
_SCALE = 2.0**10
# Seven trials of 1001 draws, each of which takes two words on average at worst, and one to spare.
_TAPE_WORDS = 1 << 15

_ADDRESSES = {
    "://": re.compile(r"https?://[-_.?&~;+=/#0-9A-Za-z]{1,2076}"),
    "@": re.compile(r"[-_.0-9A-Za-z]{1,64}@[-_0-9A-Za-z]{1,255}[-_.0-9A-Za-z]{1,255}"),
}
_SPACES = re.compile("  +")
_LATIN = re.compile(r"[A-z]")
_NOT_LATIN = re.compile(r"[^\0-\u02ff]")


def detect(text: str) -> str | None:
    """The most likely language (``en``, ``zh-cn``, …, ``unknown``), or None if there is nothing to go by."""
    return _most_likely(_normalised(text))


# Small: it is for the loose variants of one response, which often differ by asterisks alone.
@functools.lru_cache(maxsize=16)
def _most_likely(normalised: str) -> str | None:
    grams = _known_grams(normalised)
    if not grams:
        return None
    shares = _shares(grams, until_decided=True)
    best = int(shares.argmax())
    return _profiles().languages[best] if shares[best] > _REPORTED else "unknown"


def candidates(text: str) -> set[str]:
    """Every language with a probability above 0.1, as ``langdetect.detect_langs`` reports them."""
    grams = _known_grams(_normalised(text))
    if not grams:
        return set()
    shares = _shares(grams, until_decided=False)
    return {name for name, share in zip(_profiles().languages, shares, strict=True) if share > _REPORTED}


def meant(language: str) -> tuple[str, ...]:
    """The answers of ``detect`` that a code asks for."""
    return ("zh-cn", "zh-tw") if language == "zh" else (language,)


def preload() -> None:
    """Load the profiles now, so that worker processes forked later share them."""
    _profiles()


@dataclass(frozen=True)
class _Profiles:
    """Which n-grams (n up to 3) langdetect knows, and how frequent each is in each language."""

    languages: list[str]
    rows: Mapping[str, int]
    frequencies: Array
    """Shape (n-grams, languages), times ``_SCALE``."""


@functools.cache
def _profiles() -> _Profiles:
    from langdetect.detector_factory import PROFILES_DIRECTORY

    files = sorted(path for path in Path(PROFILES_DIRECTORY).iterdir() if not path.name.startswith("."))
    profiles = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    grams = dict.fromkeys(gram for profile in profiles for gram in profile["freq"] if len(gram) <= 3)
    rows = {gram: row for row, gram in enumerate(grams)}
    frequencies = np.zeros((len(rows), len(profiles)))
    for column, profile in enumerate(profiles):
        counts = {gram: count for gram, count in profile["freq"].items() if len(gram) <= 3}
        totals = np.array([profile["n_words"][len(gram) - 1] for gram in counts])
        frequencies[[rows[gram] for gram in counts], column] = (
            np.array(list(counts.values())) / totals * _SCALE
        )
    return _Profiles([profile["name"] for profile in profiles], rows, frequencies)


class _Characters(dict[int, str]):
    """A ``str.translate`` table that asks langdetect about each character once."""

    def __missing__(self, code: int) -> str:
        from langdetect.utils.ngram import NGram

        self[code] = NGram.normalize(chr(code))
        return self[code]


_CHARACTERS = _Characters()


def _normalised(text: str) -> str:
    """The words of the text as langdetect sees them: addresses and signs dropped, kindred letters merged."""
    from langdetect.utils.ngram import NGram

    for mark, address in _ADDRESSES.items():
        if mark in text:
            text = address.sub(" ", text)
    text = NGram.normalize_vi(text)[:_MAX_CHARS]
    foreign = len(_NOT_LATIN.findall(text))
    if foreign and len(_LATIN.findall(text)) * 2 < foreign:
        text = _LATIN.sub("", text)
    return _SPACES.sub(" ", text.translate(_CHARACTERS)).lstrip(" ")


def _known_grams(normalised: str) -> list[int]:
    """The row of each known n-gram, in reading order."""
    *ended, last = normalised.split(" ")
    words = [*(f" {word} " for word in ended), f" {last}"]
    return list(itertools.chain.from_iterable(map(_word_grams, words)))


@functools.lru_cache(maxsize=1 << 16)
def _word_grams(padded: str) -> list[int]:
    """The rows of the known n-grams of a word with a blank before it, and one after it unless it is the last.

    As in langdetect, none ends at the second or a later one of adjoining capitals.
    """
    rows = _profiles().rows
    grams = []
    for at in range(1, len(padded)):
        if not (padded[at].isupper() and padded[at - 1].isupper()):
            grams += [padded[start : at + 1] for start in (at, at - 1, at - 2) if start >= 0]
    return [rows[gram] for gram in grams if gram in rows and gram != " "]


@functools.cache
def _tape() -> Array:
    """The first words that Python's Mersenne Twister puts out with seed 0, 32 bits each.

    langdetect seeds anew for each text, so every text is judged with these.
    """
    bits = random.Random(0).getrandbits(32 * _TAPE_WORDS)
    return np.frombuffer(bits.to_bytes(4 * _TAPE_WORDS, "little"), dtype="<u4")


class _Draws:
    """What ``random.Random(0)`` gives to ``gauss`` and ``choice``, a batch of choices at a time."""

    def __init__(self, choices: int) -> None:
        self.choices = choices
        self.at = 0
        self._spare: float | None = None

    def gauss(self) -> float:
        """A standard normal number; they come in pairs, of which the second waits for the next call."""
        if self._spare is not None:
            spare, self._spare = self._spare, None
            return spare
        angle, radius = 2 * math.pi * self._random(), math.sqrt(-2 * math.log(1 - self._random()))
        self._spare = math.sin(angle) * radius
        return math.cos(angle) * radius

    def _random(self) -> float:
        high, low = (int(word) for word in _tape()[self.at : self.at + 2])
        self.at += 2
        return ((high >> 5) * (1 << 26) + (low >> 6)) / (1 << 53)

    def upcoming(self) -> tuple[list[int], Array]:
        """The next choices, and for each where on the tape the one after it starts. Takes none of them."""
        values = _tape()[self.at : self.at + _BATCH] >> np.uint32(32 - self.choices.bit_length())
        (taken,) = np.nonzero(values < self.choices)
        return values[taken].tolist(), taken + self.at + 1


def _shares(grams: Sequence[int], *, until_decided: bool) -> Array:
    """The mean over the trials of the final probabilities, or as much of it as decides which is largest."""
    draws = _Draws(len(grams))
    total = np.zeros(len(_profiles().languages))
    for left in reversed(range(_TRIALS)):
        total += _trial(grams, draws) / _TRIALS
        if until_decided:
            second, first = np.partition(total, -2)[-2:]
            if first - second > left / _TRIALS + _ROUNDING:
                break
    return total


def _trial(grams: Sequence[int], draws: _Draws) -> Array:
    """Multiply in one drawn n-gram after the other until a language is certain; its probabilities then."""
    frequencies = _profiles().frequencies
    smoothing = (_ALPHA + draws.gauss() * _ALPHA_WIDTH) / _BASE_FREQUENCY * _SCALE
    chances: Array | float = 1.0
    drawn = 0
    while True:
        choices, ends = draws.upcoming()
        factors = frequencies[[grams[choice] for choice in choices]] + smoothing
        factors[0] *= chances
        products = np.multiply.accumulate(factors)
        first = -drawn % _CHECK_EVERY
        checked = products[first::_CHECK_EVERY]
        totals = checked.sum(axis=1)
        (certain,) = np.nonzero(checked.max(axis=1) > _CERTAIN * totals)
        stop = min((_LAST_DRAW - drawn - first) // _CHECK_EVERY, *certain[:1].tolist(), len(checked))
        if stop < len(checked):
            draws.at = int(ends[first + stop * _CHECK_EVERY])
            return checked[stop] / totals[stop]
        drawn += len(choices)
        draws.at = int(ends[-1])
        chances = products[-1] / products[-1].sum()
