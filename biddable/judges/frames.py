"""How well predicted frames of robot tasks agree with annotated ones: tagE's scorer, and whole structures.

The scorer of csarkar/tagE, argument by argument: each predicted task, in order, is matched with the first
annotated task of the row that is not matched yet and has the same skill and the same trigger words. Within a
match a predicted argument is a hit if an annotated one has its role and its words (and, with grounding, its
object class). Precision is hits by predicted arguments, recall hits by annotated ones, over all rows.

As there, annotated arguments are not used up, so an argument that is predicted twice counts twice, and those
of tasks without a match count as predicted. Not as there, precision and recall of classes have their right
names (the original prints each as the other), and asking for them changes no other number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError
from biddable.tasks.frames import Argument, TaskFrame

Frames = Sequence[TaskFrame]


@dataclass(frozen=True, slots=True)
class Counts:
    """Hits, what was predicted and what is annotated."""

    hits: int = 0
    predicted: int = 0
    gold: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.hits + other.hits, self.predicted + other.predicted, self.gold + other.gold)

    def scores(self) -> dict[str, float]:
        """Precision, recall and F1; 0 where there is nothing to divide by."""
        precision = self.hits / self.predicted if self.predicted else 0.0
        recall = self.hits / self.gold if self.gold else 0.0
        total = precision + recall
        return {
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / total if total else 0.0,
        }


def matched(predicted: Frames, gold: Frames) -> list[TaskFrame | None]:
    """For each predicted task the annotated one that it is matched with."""
    left = list(gold)
    matches: list[TaskFrame | None] = []
    for task in predicted:
        same = (
            at for at, each in enumerate(left) if (each.skill, each.trigger) == (task.skill, task.trigger)
        )
        place = next(same, None)
        matches.append(None if place is None else left.pop(place))
    return matches


def argument_counts(predicted: Frames, gold: Frames, *, grounding: bool = False) -> Counts:
    """Arguments of one row."""
    return sum((each for _, _, each in _counted(predicted, gold, grounding)), Counts())


def task_counts(predicted: Frames, gold: Frames) -> Counts:
    """Tasks of one row: skill and trigger words."""
    hits = sum(match is not None for match in matched(predicted, gold))
    return Counts(hits, len(predicted), len(gold))


def exact_match(predicted: Frames, gold: Frames, *, grounding: bool = False) -> bool:
    """Whether a row has the same tasks in the same order, each with the same arguments in any order."""
    return len(predicted) == len(gold) and all(
        (ours.skill, ours.trigger) == (theirs.skill, theirs.trigger)
        and Counter(_key(each, grounding) for each in ours.arguments)
        == Counter(_key(each, grounding) for each in theirs.arguments)
        for ours, theirs in zip(predicted, gold, strict=True)
    )


def argument_f1(
    predicted: Sequence[Frames], gold: Sequence[Frames], *, grounding: bool = False, per_class: bool = False
) -> dict[str, Any]:
    """Precision, recall and F1 of arguments over all rows (micro); ``per_class``: of each skill and role too.

    Raises:
        InputError: not one prediction for each row.
    """
    pairs = _pairs(predicted, gold)
    rows = [_counted(ours, theirs, grounding) for ours, theirs in pairs]
    scores: dict[str, Any] = sum((each for row in rows for _, _, each in row), Counts()).scores()
    if per_class:
        by_class: dict[str, dict[str, Counts]] = {"skills": {}, "roles": {}}
        for skill, role, each in (cell for row in rows for cell in row):
            for kind, name in (("skills", skill), ("roles", role)):
                by_class[kind][name] = by_class[kind].get(name, Counts()) + each
        for kind, of in by_class.items():
            scores[kind] = {
                name: {**counts.scores(), "gold": counts.gold, "predicted": counts.predicted}
                for name, counts in sorted(of.items())
            }
    return scores


def row_scores(rows: Iterable[Counts]) -> NDArray[np.float64]:
    """Numbers of rows whose mean is F1 over all rows, so that it has an interval over rows.

    F1 is a ratio of sums, F = 2 Σh / Σ(p + g). The linearised number of a row is F + (2h - F (p + g)) divided
    by the mean of p + g, whose interval is that of the delta method.

    Args:
        rows: counts of each row.

    Returns:
        [rows]; zeros where nothing was predicted or annotated at all.
    """
    counts = np.array([(each.hits, each.predicted + each.gold) for each in rows], dtype=np.float64)
    if not len(counts) or not counts[:, 1].any():
        return np.zeros(len(counts))
    f1 = 2 * counts[:, 0].sum() / counts[:, 1].sum()
    linear: NDArray[np.float64] = f1 + (2 * counts[:, 0] - f1 * counts[:, 1]) / counts[:, 1].mean()
    return linear


def _pairs(predicted: Sequence[Frames], gold: Sequence[Frames]) -> list[tuple[Frames, Frames]]:
    if len(predicted) != len(gold):
        raise InputError("predicted", f"{len(predicted)} rows", f"{len(gold)}, one for each annotated row")
    return list(zip(predicted, gold, strict=True))


def _counted(predicted: Frames, gold: Frames, grounding: bool) -> list[tuple[str, str, Counts]]:
    """(skill, role, counts) of every argument of a row, predicted or annotated."""
    cells = [(task.skill, each.role, Counts(gold=1)) for task in gold for each in task.arguments]
    for task, match in zip(predicted, matched(predicted, gold), strict=True):
        right = {_key(each, grounding) for each in match.arguments} if match else set()
        cells += [
            (task.skill, each.role, Counts(hits=int(_key(each, grounding) in right), predicted=1))
            for each in task.arguments
        ]
    return cells


def _key(argument: Argument, grounding: bool) -> tuple[str, ...]:
    classes = (argument.object_class,) if grounding else ()
    return (argument.role, argument.text, *classes)
