"""How IFBench's rules cut a text: words, tokens, stop words, emoji, syllables and parts of speech."""

from __future__ import annotations

import functools
import importlib.util
import string

import regex

from biddable.judges.ifeval import punkt
from biddable.judges.ifeval.text import Text

MARKS = string.punctuation
"""The 32 marks of ASCII; curly quotation marks and dashes are none, to the official checkers neither."""
EDGES = MARKS + " "

_NO_MARKS = str.maketrans("", "", MARKS)

# One character that is an emoji by itself: 1,409 in Unicode 17, the same as in the emoji package 2.16.
_EMOJI = regex.compile(r"(?V1)[\p{Emoji}--[0-9#*\p{Regional_Indicator}]]")

# NLTK's English stop words (Snowball's, with parts of contractions), by what they are. Those with an
# apostrophe are left out: words are cut there before they are compared.
_LISTED = """
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves this that these those what which who whom
    am is are was were be been being have has had having do does did doing can will should
    a an the and but if or because as until while than nor so
    of at by for with about against between into through during before after above below to from up down
    in out on off over under again further then once
    here there when where why how all any both each few more most other some such no not only own same
    too very just now
    s t d m o y ll re ve ma don ain aren couldn didn doesn hadn hasn haven isn mightn mustn needn shan
    shouldn wasn weren won wouldn
"""
STOP_WORDS = frozenset(_LISTED.split())


def unmarked(text: str) -> str:
    """The text without the marks of ASCII; "self-care" becomes "selfcare"."""
    return text.translate(_NO_MARKS)


def bare_words(text: str) -> list[str]:
    """What blanks divide, in lower case and without marks."""
    return unmarked(text.lower()).split()


def trimmed(word: str) -> str:
    """The word without marks and blanks at either end."""
    return word.strip(EDGES)


def tokens(text: str) -> list[str]:
    """NLTK's word tokens: marks are tokens of their own, and "don't" is two ("do", "n't")."""
    return [token for sentence in punkt.sentences(text) for token in _tokenizer().tokenize(sentence)]


def word_tokens(text: str) -> list[str]:
    """Those with a letter or digit."""
    return [token for token in tokens(text) if any(map(str.isalnum, token))]


def stop_words(text: Text) -> int:
    """How many of the text's words are stop words."""
    return sum(word in STOP_WORDS for word in regex.findall(r"\w+", text.lower))


def is_emoji(character: str) -> bool:
    """Whether this one character is an emoji by itself (no digit, no half of a flag)."""
    return bool(_EMOJI.fullmatch(character))


def syllables(word: str) -> int:
    """How many syllables syllapy counts: by its list of words, else by groups of vowels."""
    import syllapy

    return int(syllapy.count(word))


def no_syllables() -> str:
    """What is missing to count syllables."""
    if importlib.util.find_spec("syllapy"):
        return ""
    return "syllapy to be installed (pip install syllapy); it counts the syllables"


def first_tag(text: str) -> str:
    """The part of speech of the first token, by NLTK's perceptron tagger (Penn Treebank's names).

    Its weights are read from JSON files, no pickles.
    """
    # A tag depends on the two tokens before and after.
    return str(_tagger().tag(tokens(text)[:3])[0][1])


def no_tagger() -> str:
    """What is missing to tell a verb."""
    if _tagger_folder():
        return ""
    return (
        "NLTK's tagger averaged_perceptron_tagger_eng to be there (python -m nltk.downloader "
        "averaged_perceptron_tagger_eng); it tells what is a verb"
    )


def _tagger_folder() -> str:
    for root in punkt.data_roots():
        folder = root / "taggers" / "averaged_perceptron_tagger_eng"
        if (folder / "averaged_perceptron_tagger_eng.weights.json").is_file():
            return str(folder)
    return ""


@functools.cache
def _tokenizer():  # type: ignore[no-untyped-def]  # nltk has no types
    from nltk.tokenize.destructive import NLTKWordTokenizer

    return NLTKWordTokenizer()


@functools.cache
def _tagger():  # type: ignore[no-untyped-def]
    import json
    from pathlib import Path

    from nltk.tag.perceptron import PerceptronTagger

    tagger = PerceptronTagger(load=False)
    weights, tagdict, classes = (
        json.loads(
            (Path(_tagger_folder()) / f"averaged_perceptron_tagger_eng.{part}.json").read_text("utf-8")
        )
        for part in ("weights", "tagdict", "classes")
    )
    tagger.model.weights, tagger.tagdict = weights, tagdict
    tagger.classes = tagger.model.classes = set(classes)
    return tagger
