"""Exact numbers of letters: the constraint is how many, the nuisance is their case."""

from __future__ import annotations

from itertools import product

import numpy as np

from biddable.methods.improve.spar_controlled.exercise import Exercise, Pairing, Scores, Split, split
from biddable.types import Preference, Task, user

COUNTS = range(3, 11)
MAX_MISCOUNT = 3
CASE_MARGIN = 0.05
"""A share of upper-case letters that moves by no more than this counts as unmoved."""

LETTER_WORDINGS = (
    "Write exactly {count} copies of the letter {letter}, separated by spaces.",
    "Repeat the letter {letter} {count} times, with a space between letters.",
    "Give me the letter {letter} exactly {count} times in one line, separated by spaces.",
    "I need a line of {count} letters, all of them {letter}, with spaces in between.",
)


def tasks(part: Split) -> list[Task]:
    """Every instruction of a split; no letter comes with the same number in two splits."""
    cells = split(product("abcdefghijklmnopqrstuvwxyz", COUNTS))[part]
    return [
        Task(
            f"{letter}-{count}-{number}",
            user(wording.format(letter=letter, count=count)),
            meta={"letter": letter, "count": count},
        )
        for letter, count in cells
        for number, wording in enumerate(LETTER_WORDINGS)
    ]


def demonstrate(task: Task, rng: np.random.Generator) -> str:
    """A right answer, in the case of the instruction; no instruction says that it has to be."""
    return _letters(task.meta["letter"], task.meta["count"])


def pair(task: Task, pairing: Pairing, rng: np.random.Generator) -> Preference:
    """Too many or too few letters against the right number, in the same case or in the other."""
    letter, count = task.meta["letter"], task.meta["count"]
    miscount = int(rng.integers(1, min(MAX_MISCOUNT, count - 1) + 1)) * (1 if rng.random() < 0.5 else -1)
    chosen = _letters(letter.upper() if pairing == "interfering" else letter, count)
    return Preference(task.prompt, chosen, _letters(letter, count + miscount), {"task": task.id})


def measure(task: Task, text: str) -> Scores:
    """Whether the letter, in either case and nothing else, is there so often; by how many it is missed."""
    pieces = text.split()
    found = sum(piece.lower() == task.meta["letter"] for piece in pieces)
    cased = [char for char in text if char.isalpha()]
    return {
        "exact number": float(found == len(pieces) == task.meta["count"]),
        "miscounted by": float(abs(found - task.meta["count"])),
        "upper case": sum(char.isupper() for char in cased) / max(1, len(cased)),
    }


def _letters(letter: str, count: int) -> str:
    return " ".join([letter] * count)


LETTERS = Exercise("characters", tasks, demonstrate, pair, measure, max_tokens=2 * max(COUNTS))
