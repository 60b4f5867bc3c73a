"""How far a text is what a reference says: normalised equality, prefixes, token F1, ROUGE-L.

Each is a function of a text and one reference, from 0 to 1. Sources: SQuAD's evaluation (Rajpurkar et al.,
arXiv 1806.03822), that of Super-NaturalInstructions (arXiv 2204.07705), ROUGE (Lin, 2004) as the package
rouge-score has it, and INSTRUCTEVAL (arXiv 2306.04757).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
ARTICLES = re.compile(r"\b(a|an|the)\b")
_WORD = re.compile(r"[a-z0-9]+")
_LONGEST_UNSTEMMED = 3


def superni_normalized(text: str) -> str:
    """Lower case, without ASCII punctuation, words one blank apart; articles stay."""
    return " ".join(text.lower().translate(WITHOUT_PUNCTUATION).split())


def squad_normalized(text: str) -> str:
    """As ``superni_normalized``, without the articles."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(WITHOUT_PUNCTUATION)).split())


def equality(text: str, reference: str) -> float:
    """Whether both are the same, blanks around them aside."""
    return float(text.strip() == reference.strip())


def superni_exact_match(text: str, reference: str) -> float:
    """Whether both are the same as Super-NaturalInstructions normalises them."""
    return float(superni_normalized(text) == superni_normalized(reference))


def squad_exact_match(text: str, reference: str) -> float:
    """Whether both are the same as SQuAD normalises them."""
    return float(squad_normalized(text) == squad_normalized(reference))


def prefix_match(text: str, reference: str) -> float:
    """Whether the text begins with the reference, letter case included: "1" begins "12" as well."""
    return float(bool(reference.strip()) and text.strip().startswith(reference.strip()))


def strict_prefix_match(text: str, reference: str) -> float:
    """Whether the text begins with the reference, and there no word or number goes on."""
    start = reference.strip()
    end = r"(?!\w|[.,]\d)" if start[-1:].isalnum() else ""
    return float(bool(start) and re.match(re.escape(start) + end, text.strip()) is not None)


def token_f1(text: str, reference: str) -> float:
    """F1 of the tokens that both have, as often as both have them, as SQuAD normalises them.

    Where one of them has no token, 1 if the other has none either.
    """
    found, wanted = squad_normalized(text).split(), squad_normalized(reference).split()
    if not found or not wanted:
        return float(found == wanted)
    return _f1((Counter(found) & Counter(wanted)).total(), len(found), len(wanted))


def rouge_l(text: str, reference: str) -> float:
    """ROUGE-L's F measure with Porter's stemmer: of the longest common subsequence of words.

    Words are runs of ASCII letters and digits in lower case; those of more than three are stemmed. Scripts
    other than the Latin one have none and score 0.
    """
    found, wanted = rouge_tokens(text), rouge_tokens(reference)
    return _f1(_common_subsequence(found, wanted), len(found), len(wanted))


def rouge_tokens(text: str) -> list[str]:
    """The words that ``rouge_l`` compares."""
    return [_stem(word) if len(word) > _LONGEST_UNSTEMMED else word for word in _WORD.findall(text.lower())]


def _f1(common: int, found: int, wanted: int) -> float:
    """Twice the common part over both, which is the harmonic mean of precision and recall."""
    return 2 * common / (found + wanted) if common else 0.0


def _common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, by bits (Hyyrö 2004): a step for each word of ``second``."""
    places: dict[str, int] = {}
    for index, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << index
    everything = (1 << len(first)) - 1
    unmatched = everything
    for word in second:
        matched = unmatched & places.get(word, 0)
        unmatched = (unmatched + matched | unmatched - matched) & everything
    return len(first) - unmatched.bit_count()


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    return _stemmer().stem(word)


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()
