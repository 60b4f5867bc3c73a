"""What self-play leaves behind, for the arms, the comparisons and the report to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from biddable.methods.improve.spar.data import Negative, independent_pairs
from biddable.methods.improve.spar.selfplay import Answers, SelfPlay
from biddable.search.nodes import SearchResult
from biddable.types import Preference


@dataclass(frozen=True, slots=True)
class Iteration:
    """One round of self-play and what came of it."""

    answers: Answers
    negatives: list[Negative]
    results: list[SearchResult]
    pairs: list[Preference]
    actor: Path
    refiner: Path


@dataclass(frozen=True, slots=True)
class Start:
    """What the arms share with SPaR: the first refiner and the first iteration."""

    refiner: Path
    first: Iteration


@dataclass(slots=True)
class Played:
    """What one seed came to.

    Attributes:
        play: its self-play.
        refiner: the first refiner.
        iterations: its rounds.
        repaired: refiner -> per failed answer, 1 where a single repair passes.
        claimed: the same, by whoever judges (the refiner itself, with judge=self).
        searched: suite -> way to search at inference -> per task, 1 where what it found passes.
        curve: figure 5; see ``evaluate.curve``.
    """

    play: SelfPlay
    refiner: Path
    iterations: list[Iteration]
    repaired: dict[str, list[float]] = field(default_factory=dict)
    claimed: dict[str, list[float]] = field(default_factory=dict)
    searched: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    curve: dict[str, list[list[float]]] = field(default_factory=dict)

    def independent(self) -> list[Preference]:
        """The pairs that independent samples of the first iteration give, before any cut to equal counts."""
        answers = self.iterations[0].answers
        rng = self.play.run.rng(self.play.name, "independent")
        return independent_pairs(answers.tasks, answers.texts, answers.assessed, rng)
