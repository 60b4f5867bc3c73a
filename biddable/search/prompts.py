"""Searching for a prompt: instructions that a model proposes, and which of many to spend evaluations on.

Nothing here asks a model: proposals are read from texts, and scores come from a function. Sources: APE (Zhou
et al. 2023, arXiv 2211.01910) and its code (keirp/automatic_prompt_engineer) for the bandit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biddable.errors import InputError
from biddable.tasks.templates import Exemplar
from biddable.types import Message, Prompt

Evaluate = Callable[[Sequence[int], int], Any]
"""Scores [candidates][items] of some candidates on the items of a round (its number)."""

_LABEL = re.compile(r"^(?:the\s+)?(?:instruction|task|prompt)s?(?:\s+(?:is|was))?\s*:\s*", re.IGNORECASE)
_BULLET = re.compile(r"^(?:[-*•]\s+|\d+[.)]\s+)")
_QUOTES = (('"', '"'), ("“", "”"), ("'", "'"), ("`", "`"), ("**", "**"))


# -- proposals ---------------------------------------------------------------------------------------------


def instruction_request(pairs: Sequence[Exemplar], *, chat: bool) -> Prompt:
    """A request for the instruction that leads from each input to its output.

    Args:
        pairs: examples of what the instruction does.
        chat: a user's turn; else a text that a model goes on with, the instruction next.

    Raises:
        InputError: there are no pairs.
    """
    if not pairs:
        raise InputError("pairs", list(pairs), "at least one")
    shown = "\n\n".join(f"Input: {each.input}\nOutput: {each.output}" for each in pairs)
    if chat:
        asked = (
            "Below are inputs with the outputs that somebody wrote for them, all by one instruction.\n\n"
            f"{shown}\n\nWhat was the instruction? Write only the instruction, in one or two "
            "sentences, so that it also works for other inputs."
        )
        return (Message("user", asked),)
    return (
        "Somebody was given one instruction and several inputs, and wrote an output for each input by that "
        f"instruction.\n\n{shown}\n\nThe instruction, which also works for other inputs, was:"
    )


def variation_request(instruction: str, *, chat: bool) -> Prompt:
    """A request for another wording of an instruction."""
    asked = f"Word this instruction in another way that means the same.\n\nInstruction: {instruction}"
    if chat:
        return (Message("user", f"{asked}\n\nWrite only the new instruction."),)
    return f"{asked}\n\nThe same in other words:"


def read_instruction(text: str) -> str:
    """The instruction in what a model wrote: its first paragraph, without a label, a bullet or quotes.

    Empty where there is none.
    """
    paragraph = next((part for part in re.split(r"\n\s*\n", text.strip()) if part.strip()), "")
    line = " ".join(paragraph.split())
    line = _LABEL.sub("", _BULLET.sub("", line)).strip()
    for opening, closing in _QUOTES:
        inner = line[len(opening) : -len(closing)]
        if line.startswith(opening) and line.endswith(closing) and inner and closing not in inner:
            line = inner.strip()
    return line if any(map(str.isalpha, line)) else ""


def distinct(texts: Sequence[str]) -> list[str]:
    """Texts that are not empty, each where it is first; letter case and blanks make no difference."""
    kept: dict[str, str] = {}
    for text in texts:
        if text.strip():
            kept.setdefault(" ".join(text.lower().split()), text.strip())
    return list(kept.values())


# -- budget ------------------------------------------------------------------------------------------------


@dataclass
class Budget:
    """Evaluations that may be made, and how many were. ``limit`` None: as many as one likes.

    An evaluation is an item scored with a prompt, or a prompt scored on a whole set: as whoever spends says.
    """

    limit: int | None = None
    spent: int = 0

    def __post_init__(self) -> None:
        """Raises InputError: the limit is not above 0."""
        if self.limit is not None and self.limit < 1:
            raise InputError("budget", self.limit, "an integer of at least 1")

    @property
    def left(self) -> int | None:
        """Evaluations that are left; None without a limit."""
        return None if self.limit is None else self.limit - self.spent

    def spend(self, evaluations: int) -> None:
        """Count evaluations. Raises InputError: there are not so many left."""
        if self.left is not None and evaluations > self.left:
            raise InputError(
                "budget", self.limit, f"{evaluations} evaluations more than the {self.spent} made"
            )
        self.spent += evaluations


# -- the bandit --------------------------------------------------------------------------------------------


@dataclass
class UCB:
    """Upper confidence bounds: the next candidates to score are the likely best and the little known.

    Scores are to be between 0 and 1, larger is better: a candidate without scores is then not the best of all
    because the others' are negative. Such a candidate comes first instead, whatever ``c`` is.

    Attributes:
        n: candidates.
        c: weight of what is not known; a larger one explores more.
        sums, counts: of the scores so far [n].
    """

    n: int
    c: float = 1.0
    sums: NDArray[np.float64] = field(init=False)
    counts: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        """Raises InputError: no candidates, or a negative ``c``."""
        if self.n < 1:
            raise InputError("n", self.n, "an integer of at least 1")
        if not self.c >= 0 or not math.isfinite(self.c):
            raise InputError("c", self.c, "a finite number of at least 0")
        self.sums, self.counts = np.zeros(self.n), np.zeros(self.n)

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean score of each candidate [n]; 0 of one without any."""
        return np.divide(self.sums, self.counts, out=np.zeros(self.n), where=self.counts > 0)

    def choose(self, k: int, rng: np.random.Generator) -> list[int]:
        """The ``k`` candidates with the largest bounds; ``rng`` decides among equal ones.

        Raises:
            InputError: there are fewer candidates.
        """
        if not 1 <= k <= self.n:
            raise InputError("k", k, f"an integer from 1 to {self.n}, the candidates")
        # mean_i + c sqrt(ln(sum_j n_j) / n_i), n counted in scores
        total = max(float(self.counts.sum()), 1.0)
        with np.errstate(divide="ignore"):
            bounds = self.means + self.c * np.sqrt(math.log(total) / np.maximum(self.counts, 1e-9))
        bounds[self.counts == 0] = math.inf
        order = np.lexsort((rng.random(self.n), -bounds))
        return sorted(int(i) for i in order[:k])

    def update(self, candidates: Sequence[int], scores: Sequence[ArrayLike]) -> None:
        """Add scores [candidates][items]. Raises InputError: one is not between 0 and 1."""
        for candidate, values in zip(candidates, scores, strict=True):
            row = np.asarray(values, dtype=np.float64)
            if not all(0 <= score <= 1 for score in row):
                raise InputError("scores", row.tolist(), "numbers from 0 to 1")
            self.sums[candidate] += row.sum()
            self.counts[candidate] += len(row)


def bandit_search(
    n: int, evaluate: Evaluate, *, rounds: int, per_round: int, c: float, rng: np.random.Generator
) -> UCB:
    """Score ``per_round`` of ``n`` candidates in each of some rounds, those with the largest bounds."""
    bandit = UCB(n, c)
    for number in range(rounds):
        candidates = bandit.choose(min(per_round, n), rng)
        bandit.update(candidates, evaluate(candidates, number))
    return bandit


def ranked(scores: Sequence[float], texts: Sequence[str]) -> list[int]:
    """Places from the best score to the worst; of equal ones the shorter text is first, then the earlier."""
    return sorted(range(len(scores)), key=lambda i: (-scores[i], len(texts[i]), i))
