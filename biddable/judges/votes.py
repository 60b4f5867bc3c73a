"""Settling several verdicts on one response by majority.

Source: SPaR (arXiv 2412.11605), section 2.3 and appendix: each response is judged several times; ties
say nothing and are never settled by a coin. Of the votes that agree with the majority the first stands for
all; the official script takes the last where it makes targets for the refiner (see ``methods.improve.spar``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from biddable.errors import InputError

Label = Literal[1, 0, -1]
"""Yes, no, could not be read."""


class Vote(NamedTuple):
    """What the votes came to.

    ``label`` is the majority of those that could be read, None on a tie or where none could.
    ``pass_rate`` is yes / (yes + no), None where none could be read.
    ``first`` is the place of the first vote that agrees with the label, None without one.
    """

    label: Literal[1, 0] | None
    pass_rate: float | None
    first: int | None


def vote(labels: Sequence[Label]) -> Vote:
    """Settle votes of 1 (yes), 0 (no) and -1 (could not be read).

    Raises:
        InputError: no votes, or one that is none of the three.
    """
    if not labels or any(label not in (1, 0, -1) for label in labels):
        raise InputError("labels", list(labels), "at least one vote, each 1, 0 or -1")
    labels = list(labels)
    yes, no = labels.count(1), labels.count(0)
    if yes == no:
        return Vote(None, 0.5 if yes else None, None)
    label: Literal[1, 0] = 1 if yes > no else 0
    return Vote(label, yes / (yes + no), labels.index(label))
