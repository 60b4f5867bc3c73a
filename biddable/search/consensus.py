"""One output out of several models' by agreement, as Ensemble-Instruct votes (arXiv 2310.13961).

Outputs are compared without letter case, punctuation and blanks, and handed out as they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from biddable.errors import InputError
from biddable.judges.text_metrics import rouge_l, superni_normalized

Branch = Literal["first agrees", "others agree", "overlap", "none"]
BRANCHES: tuple[Branch, ...] = ("first agrees", "others agree", "overlap", "none")


@dataclass(frozen=True, slots=True)
class Decision:
    """What came of a vote.

    Attributes:
        branch: two outputs are the same and the first is one of them (first agrees) or not (others agree);
            all have words in common (overlap); or there is no consensus.
        place: of the output that is taken; None where none is.
        output: its text as it stands; empty where none is taken.
        overlaps: ROUGE-L's F with stemming of each pair: of three outputs (0, 1), (0, 2), (1, 2).
        sums: of each output, its overlaps with all others added up.
    """

    branch: Branch
    place: int | None
    output: str
    overlaps: tuple[float, ...]
    sums: tuple[float, ...]


def consensus(outputs: Sequence[str], threshold: float = 0.01, *, as_published: bool = False) -> Decision:
    """Vote among outputs to one instruction.

    1. Two or more are the same: the one is taken that most are equal to, the earliest of such.
    2. Every pair overlaps by more than ``threshold``: the one that overlaps most with all others is taken,
       the earliest of such.
    3. Otherwise none is.

    An output without any text is equal to no other, and overlaps with none. ROUGE-L compares Latin letters
    and digits: outputs in other scripts agree where they are the same, and never overlap.

    Args:
        outputs: that of the generator first, then one of each voter; in the paper three.
        threshold: from 0 to 1.
        as_published: outputs without any text are equal to each other, as in the published code, so that what
            two voters agree on may be nothing.

    Raises:
        InputError: fewer than two outputs, or such a threshold.
    """
    if len(outputs) < 2:
        raise InputError("outputs", len(outputs), "at least two to compare")
    if not 0 <= threshold <= 1:
        raise InputError("threshold", threshold, "a number from 0 to 1")
    plain = [superni_normalized(text) for text in outputs]
    pairs = list(combinations(range(len(outputs)), 2))
    overlaps = tuple(rouge_l(plain[i], plain[j]) for i, j in pairs)
    sums = [0.0] * len(outputs)
    for (i, j), overlap in zip(pairs, overlaps, strict=True):
        sums[i] += overlap
        sums[j] += overlap

    def decided(branch: Branch, place: int | None) -> Decision:
        output = "" if place is None else outputs[place].strip()
        return Decision(branch, place, output, overlaps, tuple(sums))

    # What is nothing but punctuation, such as "+", is compared as it stands.
    keys = [text or raw.strip() for text, raw in zip(plain, outputs, strict=True)]
    votes = [keys.count(key) if key or as_published else 0 for key in keys]
    if max(votes) > 1:
        place = votes.index(max(votes))
        return decided("first agrees" if place == 0 else "others agree", place)
    if min(overlaps) > threshold:
        return decided("overlap", sums.index(max(sums)))
    return decided("none", None)
