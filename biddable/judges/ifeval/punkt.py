"""Sentence boundaries by the Punkt algorithm, for English.

Kiss and Strunk (2006), "Unsupervised Multilingual Sentence Boundary Detection", Computational Linguistics
32, section 4, in the form NLTK gives it: a regular expression for words, a first pass by word type, a second
pass by what follows, and closing quotes moved to the sentence they close. With NLTK's English parameters
(``punkt_tab``) the sentences are those of ``nltk.sent_tokenize`` 3.10 (the same on 6,000 texts from
instruction data sets and on 20,000 random strings), without importing NLTK, which takes longer than scoring a
benchmark, and without its change of answers from version to version.

The parameters are read from NLTK's data folders or from the copy that the ``llama-index-core`` package
carries (found on disk, never imported, never downloaded); they are text files, no pickles. Where neither is
installed, a small built-in list stands in: 51 abbreviations instead of 156, no collocations, and the most
common words instead of corpus statistics of capital letters. It differs after rare abbreviations, initials,
ellipses and ordinals: the number of sentences is the same for 537 of the 541 IFEval prompts and for 99.7 % of
those 6,000 texts.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import regex

# What may stand inside or end no word. NLTK 3.10 counts curly quotes and guillemets in.
_QUOTES = "‘’“”«»"
_CLOSERS = rf"[)\";}}\]*:@'({{\[{_QUOTES}?!]"
_MULTI = r"(?:-{2,}|\.{2,}|(?:\.\s){2,}\.)"

_CANDIDATE = regex.compile(rf"[.?!](?=(?P<after>{_CLOSERS}|\s+(?P<next>\S+)))")
_LAST_BLANK = regex.compile(r"(?r)[ \n\t\r\v\f]")
_WORD = regex.compile(
    rf"{_MULTI}"
    rf"|(?=[^(\"`{{\[:;&#*@)}}\]\-,])\S+?(?=\s|$|{_CLOSERS}|{_MULTI}|,(?=$|\s|{_CLOSERS}|{_MULTI}))"
    r"|\S"
)
_REALIGNED = regex.compile(rf"[\"')\]}}{_QUOTES}]+?(?:\s+|(?=--)|$)", regex.MULTILINE)
_NUMBER = regex.compile(r"^-?[.,]?\d[\d,.-]*\.?$")
_ELLIPSIS = regex.compile(r"\.\.+$")
_INITIAL = regex.compile(r"[^\W\d]\.$")

# Flags of an orthographic context: how a word type was seen in the training corpus.
_BEGIN_UPPER, _MIDDLE_UPPER, _UNKNOWN_UPPER = 1 << 1, 1 << 2, 1 << 3
_BEGIN_LOWER, _MIDDLE_LOWER, _UNKNOWN_LOWER = 1 << 4, 1 << 5, 1 << 6
_ANY_UPPER = _BEGIN_UPPER | _MIDDLE_UPPER | _UNKNOWN_UPPER
_ANY_LOWER = _BEGIN_LOWER | _MIDDLE_LOWER | _UNKNOWN_LOWER


@dataclass(frozen=True, slots=True, eq=False)
class PunktParameters:
    """What Punkt learns from a corpus: words in lower case; ``contexts`` holds flags of where each occurs."""

    name: str
    abbreviations: frozenset[str]
    starters: frozenset[str]
    collocations: frozenset[tuple[str, str]]
    contexts: Mapping[str, int]

    @classmethod
    def read(cls, folder: Path) -> PunktParameters:
        """The parameters in a ``punkt_tab`` language folder."""

        def lines(name: str) -> list[str]:
            return (folder / name).read_text(encoding="utf-8").splitlines()

        return cls(
            "punkt_tab",
            frozenset(lines("abbrev_types.txt")),
            frozenset(lines("sent_starters.txt")),
            frozenset((first, second) for first, second in map(_fields, lines("collocations.tab"))),
            {word: int(flags) for word, flags in map(_fields, lines("ortho_context.tab"))},
        )

    @classmethod
    def builtin(cls) -> PunktParameters:
        """The small stand-in."""
        starters = frozenset(_STARTERS.split())
        # In a large corpus a common word is seen in every place and case.
        seen = dict.fromkeys(starters.union(_COMMON_WORDS.split()), _ANY_UPPER | _MIDDLE_LOWER)
        return cls("built-in", frozenset(_ABBREVIATIONS.split()), starters, frozenset(), seen)


def _fields(line: str) -> tuple[str, str]:
    first, _, second = line.partition("\t")
    return first, second


# Punkt's English model holds "e.g." and "etc." for no abbreviations; neither does this list.
_ABBREVIATIONS = """
    a.d a.m adm aug ave bros c co col corp ct d.c dec dr feb fri ft gen inc j jan jr lt ltd m maj
    messrs mr mrs ms mt nov oct p.m ph.d prof rep reps s sen sept sr st u.k u.n u.s v va vs w wash
"""
_STARTERS = """
    although both but despite even he however if in indeed instead it many meanwhile moreover most
    nevertheless since so some the there these they this though thus under when while yet
"""
_COMMON_WORDS = """
    a after all also an and another as at because before by can do during each first for from give
    have her here his how i is its make my no not now of on once one or our please she that their
    then to use was we what where which who why with you your
"""


def english() -> PunktParameters:
    """NLTK's English parameters if they are installed, else the built-in ones."""
    return installed("english")


@functools.cache
def installed(language: str) -> PunktParameters:
    """NLTK's parameters for a language (its English name), else the built-in ones for English."""
    for root in data_roots():
        folder = root / "tokenizers" / "punkt_tab" / language
        if (folder / "ortho_context.tab").is_file():
            return PunktParameters.read(folder)
    return PunktParameters.builtin()


def sentence_splitter_name() -> str:
    """Which parameters are in use (``punkt_tab`` or ``built-in``); results should record it."""
    return english().name


def data_roots() -> Iterator[Path]:
    """Where NLTK looks for data, then the copy that llama-index-core carries."""
    yield from (Path(root) for root in os.environ.get("NLTK_DATA", "").split(os.pathsep) if root)
    yield Path.home() / "nltk_data"
    for prefix in (sys.prefix, "/usr", "/usr/local"):
        for place in ("nltk_data", "share/nltk_data", "lib/nltk_data"):
            yield Path(prefix) / place
    try:
        spec = importlib.util.find_spec("llama_index.core")
    except ModuleNotFoundError:
        return
    for location in (spec and spec.submodule_search_locations) or ():
        yield Path(location) / "_static" / "nltk_cache"


def sentences(text: str, parameters: PunktParameters | None = None) -> list[str]:
    """The sentences of ``text``, with their punctuation and without the blanks between them."""
    spans = _realigned(text, _spans(text, parameters or english()))
    return [text[start:stop] for start, stop in spans]


# Ends of sentences that Punkt does not know: full-width and Chinese, Devanagari, Arabic and Urdu, Burmese,
# Khmer, Tibetan, Ethiopic, Armenian. In quotation marks or brackets they end one if a blank follows those.
# Plain ones do that Chinese or Japanese follows without a blank.
_OTHER_ENDS = regex.compile(
    r"(?:[。｡！？।॥؟۔။។៕།༎።፧։]|(?<!\d)．(?!\d))+(?:(?P<closed>[」』”’）》】\)\]\"']+)(?=\s|$)|(?![」』”’）》】\)\]\"'。｡！？]))"
    r"|[!?]+(?=[\p{Han}\p{Hiragana}\p{Katakana}])"
)


def sentences_of_any_script(text: str) -> list[str]:
    """The same, with the marks that end sentences in other scripts; without any, a text stays whole."""
    if text.isascii():
        return sentences(text)
    bounds = [0, *(match.end() for match in _OTHER_ENDS.finditer(text)), len(text)]
    pieces = [text[start:stop] for start, stop in itertools.pairwise(bounds)]
    return [found for piece in pieces if regex.search(r"\w", piece) for found in sentences(piece)]


def _spans(text: str, parameters: PunktParameters) -> Iterator[tuple[int, int]]:
    start = 0
    for match, context in _candidates(text):
        if _breaks(context, parameters):
            yield start, match.end()
            start = match.start("next") if match["next"] else match.end()
    yield start, len(text.rstrip())


def _candidates(text: str) -> Iterator[tuple[regex.Match[str], str]]:
    """Each end mark that may close a sentence, with the word before it, the mark and the word after it.

    Marks that share their word before ("Really?!") are one candidate, the last of them.
    """
    word_start = word_stop = 0
    last: regex.Match[str] | None = None
    for match in _CANDIDATE.finditer(text):
        blank = _LAST_BLANK.search(text, word_stop, match.start())
        start = blank.end() if blank and blank.start() > word_stop else word_start
        if last and word_stop <= start:
            yield last, text[word_start : last.end()] + last["after"]
        last, word_start, word_stop = match, start, match.start()
    if last:
        yield last, text[word_start : last.end()] + last["after"]


@functools.lru_cache(maxsize=1 << 14)
def _breaks(context: str, parameters: PunktParameters) -> bool:
    """Whether a sentence ends inside ``context``, that is, at one of its words but the last."""
    words = [word for line in context.split("\n") if line.strip() for word in _WORD.findall(line)]
    return any(_ends(word, after, parameters) for word, after in itertools.pairwise(words))


def _ends(word: str, after: str, parameters: PunktParameters) -> bool:
    """Whether a sentence ends at ``word`` when ``after`` is the next (sections 4.1 to 4.3 of the paper)."""
    ends, shortened = _first_pass(word, parameters)
    if not word.endswith("."):
        return ends
    kind = _without_period(_type(word))
    next_kind = _type(after)
    if _first_pass(after, parameters)[0]:
        next_kind = _without_period(next_kind)
    if (kind, next_kind) in parameters.collocations:
        return False
    initial = bool(_INITIAL.match(word))
    starts = _starts_sentence(after, parameters.contexts.get(next_kind, 0))
    if shortened and not initial:
        return starts is True or (after[0].isupper() and next_kind in parameters.starters) or ends
    if initial or kind == "##number##":
        if starts is False:
            return False
        seen_lower = parameters.contexts.get(next_kind, 0) & _ANY_LOWER
        if starts is None and initial and after[0].isupper() and not seen_lower:
            return False
    return ends


def _first_pass(word: str, parameters: PunktParameters) -> tuple[bool, bool]:
    """Whether a word ends a sentence, and whether it is an abbreviation or ellipsis, by its type alone."""
    if word in {".", "?", "!"}:
        return True, False
    if _ELLIPSIS.match(word):
        return False, True
    if word.endswith(".") and not word.endswith(".."):
        stem = word[:-1].lower()
        known = stem in parameters.abbreviations or stem.rpartition("-")[2] in parameters.abbreviations
        return not known, known
    return False, False


def _starts_sentence(word: str, seen: int) -> bool | None:
    """The orthographic heuristic (section 4.1.1): yes, no or (None) no telling."""
    if word in {";", ":", ",", ".", "!", "?"}:
        return False
    if word[0].isupper() and seen & _ANY_LOWER and not seen & _MIDDLE_UPPER:
        return True
    if word[0].islower() and (seen & _ANY_UPPER or not seen & _BEGIN_LOWER):
        return False
    return None


def _type(word: str) -> str:
    return _NUMBER.sub("##number##", word.lower())


def _without_period(kind: str) -> str:
    return kind[:-1] if len(kind) > 1 and kind.endswith(".") else kind


def _realigned(text: str, spans: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Move closing quotes and brackets that begin a sentence to the end of the one before."""
    shift = 0
    start, stop = next(spans)
    for next_start, next_stop in spans:
        moved = _REALIGNED.match(text, next_start, next_stop)
        if moved:
            yield start + shift, next_start + len(moved[0].rstrip())
        elif start + shift < stop:
            yield start + shift, stop
        shift = len(moved[0]) if moved else 0
        start, stop = next_start, next_stop
    if start + shift < stop:
        yield start + shift, stop
