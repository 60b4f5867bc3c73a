"""INSTRUCTEVAL's average: the mean of the percentages of its problem-solving suites.

Source: Chia et al. 2023 (arXiv 2306.04757): MMLU over all questions, BBH over its tasks, DROP, HumanEval and
CRASS. The suites must have been asked in its style: ``mmlu:DIR?style=instructeval``, and for HumanEval
``humaneval:FILE?instructed=true&reading=instructeval``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from biddable.runs.statistics import Interval
from biddable.suites.benchmarks import INSTRUCTEVAL
from biddable.suites.leaderboard import Leaderboard, Row

PROBLEM_SOLVING = ("mmlu", "bbh", "drop", "humaneval", "crass")


@dataclass(frozen=True, slots=True)
class Average:
    """A model's average in per cent, with its interval where each part has one.

    ``parts`` says of each suite its metric, its shots and its percentage; ``missing`` names the suites of the
    five that were not asked, without which the average cannot be held against published ones.
    """

    model: str
    value: float
    interval: Interval | None
    parts: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it is the mean of; where suites are missing, that it is of a subset, and which are."""
        parts = ", ".join(self.parts)
        if not self.missing:
            return f"INSTRUCTEVAL average in %: {parts}"
        n = len(PROBLEM_SOLVING)
        subset = f"{n - len(self.missing)} of INSTRUCTEVAL's {n} suites"
        return f"average in % over a subset, {subset}: {parts}; without {', '.join(self.missing)}"


def averages(board: Leaderboard) -> list[Average]:
    """The average of every model that answered at least two of the five suites."""
    found = []
    for model in dict.fromkeys(row.cell.model for row in board.rows):
        rows = [row for row in board.rows if row.cell.model == model and _counts(row)]
        if len(rows) > 1:
            found.append(_average(model, rows))
    return found


def averaged_over(metrics: Sequence[str], suites: Sequence[str]) -> str:
    """What a mean over ``metrics`` is of, and which of the five are not among its ``suites``, as a note."""
    missing = [name for name in PROBLEM_SOLVING if name not in suites]
    beside = f", without INSTRUCTEVAL's {', '.join(missing)}" if missing else ""
    return f"The average in % is the mean of {'; '.join(metrics)}{beside}."


def _counts(row: Row) -> bool:
    """Whether it was read as in INSTRUCTEVAL: its version ends so (HumanEval: "1 instructeval")."""
    return row.cell.suite in PROBLEM_SOLVING and row.cell.judge.split()[-1:] == [INSTRUCTEVAL]


def _average(model: str, rows: Sequence[Row]) -> Average:
    values = [100 * _value(row) for row in rows]
    mean = sum(values) / len(values)
    widths = [row.scores[0].interval for row in rows]
    interval = None
    if all(widths):
        # Suites are independent of each other: half widths add in squares.
        half = 50 * math.hypot(*(high - low for low, high in filter(None, widths))) / len(rows)
        interval = (mean - half, mean + half)
    parts = [f"{row.cell.suite} {_how(row)} {value:.2f}" for row, value in zip(rows, values, strict=True)]
    missing = [name for name in PROBLEM_SOLVING if all(row.cell.suite != name for row in rows)]
    return Average(model, mean, interval, tuple(parts), tuple(missing))


def _value(row: Row) -> float:
    """BBH counts by task, the others by question."""
    return row.cell.totals.get("mean of tasks", row.scores[0].value)


def _how(row: Row) -> str:
    return f"({row.scores[0].metric}, {row.cell.shots} shots)"
