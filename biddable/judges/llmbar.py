"""Scoring a judge on LLMBar: accuracy and F1 by subset, and their means (SPaR, arXiv 2412.11605, table 2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from biddable.errors import InputError
from biddable.tasks.llmbar import ADVERSARIAL, SUBSETS
from biddable.types import Task, Verdict


class Quality(NamedTuple):
    """How often a judge is right, and its F1 with "follows the instruction" as the positive class."""

    accuracy: float
    f1: float


@dataclass(frozen=True, slots=True)
class LLMBarScores:
    """``subsets`` by name; ``adversarial`` is the mean of its four, ``average`` of all five.

    A mean is None while one of its subsets is missing. ``unparsed`` counts the verdicts left out.
    """

    subsets: dict[str, Quality]
    adversarial: Quality | None
    average: Quality | None
    unparsed: int


def llmbar_scores(rows: Sequence[tuple[Task, Verdict]]) -> LLMBarScores:
    """Compare verdicts with the truth in their tasks.

    Raises:
        InputError: no rows.
    """
    if not rows:
        raise InputError("rows", rows, "at least one verdict")
    answers: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for task, verdict in rows:
        if verdict.passed is not None:
            answers[task.meta["subset"]].append((task.meta["follows"], verdict.passed))
    subsets = {name: _quality(answers[name]) for name in SUBSETS if name in answers}
    unparsed = sum(verdict.passed is None for _, verdict in rows)
    return LLMBarScores(subsets, _mean(subsets, ADVERSARIAL), _mean(subsets, SUBSETS), unparsed)


def _quality(answers: list[tuple[bool, bool]]) -> Quality:
    right = sum(truth == said for truth, said in answers)
    true_positives = sum(truth and said for truth, said in answers)
    positives = sum(truth + said for truth, said in answers)  # of the truth and of the judge together
    return Quality(right / len(answers), 2 * true_positives / positives if positives else 0.0)


def _mean(subsets: dict[str, Quality], names: Sequence[str]) -> Quality | None:
    if any(name not in subsets for name in names):
        return None
    return Quality(fmean(subsets[name].accuracy for name in names), fmean(subsets[name].f1 for name in names))
