"""Searching for a prompt: instructions that a model proposes, and which of many to spend evaluations on.

Nothing here asks a model: proposals are read from texts, and scores come from a function. Sources: APE (Zhou
et al. 2023, arXiv 2211.01910) and its code (keirp/automatic_prompt_engineer) for the bandit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biddable.errors import InputError
from biddable.tasks.templates import Exemplar
from biddable.types import Message, Prompt

EvaluateSets = Callable[[Sequence[tuple[int, ...]]], Sequence[float]]
"""How good ordered sets of exemplars are, by their places in the pool."""
Evaluate = Callable[[Sequence[int], int], Any]
"""Scores [candidates][items] of some candidates on the items of a round (its number)."""

_LABEL = re.compile(r"^(?:the\s+)?(?:instruction|task|prompt)s?(?:\s+(?:is|was))?\s*:\s*", re.IGNORECASE)
_BULLET = re.compile(r"^(?:[-*•]\s+|\d+[.)]\s+)")
_QUOTES = (('"', '"'), ("“", "”"), ("'", "'"), ("`", "`"), ("**", "**"))


# -- proposals ---------------------------------------------------------------------------------------------


def instruction_request(pairs: Sequence[Exemplar], *, chat: bool, tried: str = "") -> Prompt:
    """A request for the instruction that leads from each input to its output.

    Args:
        pairs: examples of what the instruction does.
        chat: a user's turn; else a text that a model goes on with, the instruction next.
        tried: instructions with what they scored, the best last (``tried_before``), to find a better one.

    Raises:
        InputError: there are no pairs.
    """
    if not pairs:
        raise InputError("pairs", list(pairs), "at least one")
    shown = "\n\n".join(f"Input: {each.input}\nOutput: {each.output}" for each in pairs)
    shown += f"\n\nInstructions that were tried, with the share of right outputs:\n{tried}" if tried else ""
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


def tried_before(scores: Mapping[str, float], most: int = 8) -> str:
    """Instructions with their scores, a line each, the best last (OPRO, Yang et al., arXiv 2309.03409)."""
    best = sorted(scores.items(), key=lambda each: each[1])[-most:]
    return "\n".join(f"{score:.2f}: {text or '(none)'}" for text, score in best)


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


# -- exemplars: of a pool of n pairs, k in an order --------------------------------------------------------


def random_sets(n: int, k: int, number: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """``number`` ordered sets that differ, or all that there are where they are fewer.

    Raises:
        InputError: the pool has fewer than ``k``, or ``k`` is not above 0.
    """
    if not 1 <= k <= n:
        raise InputError("k", k, f"an integer from 1 to {n}, the exemplars in the pool")
    drawn: dict[tuple[int, ...], None] = {}
    wanted = min(number, math.perm(n, k))
    while len(drawn) < wanted:
        drawn.setdefault(tuple(int(i) for i in rng.permutation(n)[:k]))
    return list(drawn)


def search_random(
    n: int, k: int, evaluate: EvaluateSets, budget: Budget, rng: np.random.Generator
) -> dict[tuple[int, ...], float]:
    """Scores of as many random sets as the budget allows, in the order in which they were drawn."""
    assert budget.left is not None
    sets = random_sets(n, k, budget.left, rng)
    budget.spend(len(sets))
    return dict(zip(sets, map(float, evaluate(sets)), strict=True))


def search_mutation(
    n: int,
    k: int,
    evaluate: EvaluateSets,
    budget: Budget,
    rng: np.random.Generator,
    *,
    population: int = 8,
    parents: int = 2,
    children: int = 4,
) -> dict[tuple[int, ...], float]:
    """Scores of sets that come of each other: one exemplar replaced, and now and then the order shuffled.

    Args:
        n, k: the pool, and exemplars in a set.
        evaluate: gives scores of sets.
        budget: evaluations that may be made.
        rng: what is drawn.
        population: random sets at the beginning.
        parents: the best so far, of which one is changed.
        children: sets that are scored side by side.
    """
    assert budget.left is not None
    first = random_sets(n, k, min(population, budget.left), rng)
    budget.spend(len(first))
    scores = dict(zip(first, map(float, evaluate(first)), strict=True))
    most = math.perm(n, k)
    while budget.left and len(scores) < most:
        best = sorted(scores, key=lambda each: -scores[each])[:parents]
        made: dict[tuple[int, ...], None] = {}
        for _ in range(50 * children):  # small pools: most changes are known already
            child = _mutated(best[int(rng.integers(len(best)))], n, rng)
            if child not in scores:
                made.setdefault(child)
            if len(made) == min(children, budget.left):
                break
        if not made:
            break
        budget.spend(len(made))
        scores |= dict(zip(made, map(float, evaluate(list(made))), strict=True))
    return scores


def _mutated(parent: tuple[int, ...], n: int, rng: np.random.Generator) -> tuple[int, ...]:
    """One exemplar replaced by one that is not among them, if there is any; shuffled with a chance of 1/2."""
    child, others = list(parent), sorted({*range(n)} - {*parent})
    if others:
        child[int(rng.integers(len(child)))] = others[int(rng.integers(len(others)))]
    if not others or rng.random() < 0.5:
        rng.shuffle(child)
    return tuple(child)


def nearest(pool: NDArray[np.floating], query: NDArray[np.floating], k: int) -> tuple[int, ...]:
    """The ``k`` of a pool [n, width] that are most like a query [width], by cosine; the nearest is last."""
    lengths = np.linalg.norm(pool, axis=1) * np.linalg.norm(query)
    similar = pool @ query / np.maximum(lengths, 1e-12)
    return tuple(int(i) for i in np.argsort(-similar, kind="stable")[:k])[::-1]


def diverse(pool: NDArray[np.floating], k: int, seed: int) -> tuple[int, ...]:
    """Of ``k`` clusters of a pool [n, width] (k-means) the one nearest to each centre."""
    from scipy.cluster.vq import kmeans2

    centres, labels = kmeans2(pool.astype(np.float64), k, minit="++", seed=seed)
    chosen = []
    for cluster in range(k):
        members = np.flatnonzero(labels == cluster)
        if len(members):
            distances = np.linalg.norm(pool[members] - centres[cluster], axis=1)
            chosen.append(int(members[distances.argmin()]))
    rest = [i for i in range(len(pool)) if i not in chosen]  # clusters may be empty
    return tuple(chosen + rest[: k - len(chosen)])
