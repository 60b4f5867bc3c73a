"""What came of looking for prompts: instructions with their scores, and tables of arms."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from biddable.runs.figures import Table
from biddable.runs.files import write_atomic
from biddable.search.prompts import ranked

Tested = tuple[str, str, float, float, int]
"""A task, an arm, its accuracy on validation and on held-out examples, evaluations made."""
UNITS = {"likelihood": "nats per token", "probability": "probability of a token", "execution": "share right"}
"""What instructions are scored by: of right outputs the mean log-probability of a token, or its exponential,
which is between 0 and 1; or how often what a model writes is right."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Instructions for a task, scored.

    Attributes:
        texts: all that were proposed.
        scores: of each, as ``UNITS`` has them; None of one that was not scored.
        finalists: places of the best.
        right: how good what the model writes with each finalist is, 0 to 1.
        chosen: the place of the one that is taken.
        greedy: what the proposer says without drawing; empty where it proposes nothing.
        evaluations: examples scored with a prompt, in all.
        scoring: one of ``UNITS``.
    """

    texts: tuple[str, ...]
    scores: tuple[float | None, ...]
    finalists: tuple[int, ...]
    right: tuple[float, ...]
    chosen: int
    greedy: str
    evaluations: int
    scoring: str

    @property
    def instruction(self) -> str:
        """The instruction that is taken."""
        return self.texts[self.chosen]

    @property
    def order(self) -> list[int]:
        """Places from the best score to the worst; those without one come last."""
        return ranked([-np.inf if score is None else score for score in self.scores], self.texts)

    @property
    def agreement(self) -> float | None:
        """Rank correlation of finalists' scores with what they write; None where either is constant."""
        scores = [self.scores[i] for i in self.finalists]
        if len({*scores}) < 2 or len({*self.right}) < 2:
            return None
        return float(spearmanr(scores, self.right).statistic)

    def rows(self) -> list[tuple[bool, float | None, float | None, str]]:
        """Of each, the best first: whether it is taken, its score, how good what is written is, the text."""
        right = dict(zip(self.finalists, self.right, strict=True))
        return [(i == self.chosen, self.scores[i], right.get(i), self.texts[i]) for i in self.order]

    def table(self, name: str, most: int = 20) -> Table:
        """The best of them."""
        rows = [("chosen" if taken else "", *others) for taken, *others in self.rows()[:most]]
        columns = ("", UNITS[self.scoring], "right", "instruction")
        return Table(f"Proposals for {name}", columns, tuple(rows))


def write_ranking(path: Path, rankings: Mapping[str, Ranking]) -> None:
    """Write the instructions of each task as CSV, the best first. Raises StorageError."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("task", "chosen", "score", "right", "instruction"))
    writer.writerows((name, *row) for name, ranking in rankings.items() for row in ranking.rows())
    write_atomic(path, text.getvalue())


def accuracy_table(tested: Mapping[str, Mapping[str, float]], note: str = "") -> Table:
    """Accuracies by task and arm."""
    arms = list(dict.fromkeys(arm for row in tested.values() for arm in row))
    rows = tuple((name, *(row.get(arm) for arm in arms)) for name, row in tested.items())
    return Table("Accuracy on held-out examples", ("task", *arms), rows, note=note)


def arm_means(rows: Sequence[Tested]) -> dict[str, dict[str, float]]:
    """Of each arm the means over tasks and seeds."""
    of = {arm: [row[2:] for row in rows if row[1] == arm] for arm in dict.fromkeys(row[1] for row in rows)}
    names = ("validation", "test", "evaluations")
    return {arm: dict(zip(names, np.mean(told, axis=0).tolist(), strict=True)) for arm, told in of.items()}


def gap_table(rows: Sequence[Tested]) -> Table:
    """Of each arm its accuracy by which it was chosen, that on held-out examples, and what is lost."""
    told = tuple(
        (arm, of["validation"], of["test"], of["validation"] - of["test"], round(of["evaluations"]))
        for arm, of in arm_means(rows).items()
    )
    columns = ("arm", "validation", "held out", "gap", "evaluations")
    note = "Validation is what prompts were chosen by; the gap is what is lost on other examples."
    return Table("Validation and held-out accuracy", columns, told, note=note)
