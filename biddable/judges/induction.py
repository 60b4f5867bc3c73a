"""How Instruction Induction compares answers (Honovich et al. 2022, arXiv 2205.10782), as APE does.

Each is a function of a text and one reference, 0 or 1 but for F1. Read are the first line and of it what
stands before the first full stop, so "3.14" is 3. Departures from APE's code: a reference is searched for as
the words it is, not as a regular expression, and one that normalises to nothing is nowhere.
"""

from __future__ import annotations

import re
from collections import Counter

from biddable.judges.text_metrics import WITHOUT_PUNCTUATION


def induction_normalized(text: str) -> str:
    """The first sentence of the first line in lower case, without "and", punctuation and sentence marks."""
    text = text.replace(" and ", " ").replace("Sentence 1:", "").replace("Sentence 2:", "").strip()
    line = text.split("\n")[0].split(".")[0].lower().replace("-", " ")
    return " ".join(line.translate(WITHOUT_PUNCTUATION).split())


def induction_exact_match(text: str, reference: str) -> float:
    """Whether both are the same when normalised."""
    return float(induction_normalized(text) == induction_normalized(reference))


def induction_exact_set(text: str, reference: str) -> float:
    """Whether both have the same words, in any order and number."""
    return float({*induction_normalized(text).split()} == {*induction_normalized(reference).split()})


def induction_contains(text: str, reference: str) -> float:
    """Whether the reference stands in the text, as whole words."""
    wanted = re.escape(induction_normalized(reference))
    return float(bool(wanted) and re.search(rf"\b{wanted}\b", induction_normalized(text)) is not None)


def induction_f1(text: str, reference: str) -> float:
    """F1 of the words that both have, as often as both have them; 0 where they share none."""
    words, wanted = induction_normalized(text).split(), induction_normalized(reference).split()
    common = (Counter(words) & Counter(wanted)).total()
    return 2 * common / (len(words) + len(wanted)) if common else 0.0
