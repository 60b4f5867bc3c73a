"""What a reader of scores over tasks must know of the tasks and their answers, a sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from biddable.experiments.cross_task import SplitTask
from biddable.experiments.scores import ArmScores
from biddable.runs.run import Run
from biddable.suites.cells import Cell
from biddable.suites.store import read_cells

Found = Mapping[str, Mapping[tuple[str, int | None], Sequence[float | None]]]
"""By metric, and by arm and seed: a number of each case, None where a judge could not decide."""


def undefined(tasks: Iterable[SplitTask]) -> list[str]:
    """Tasks that do not say what is asked."""
    names = [each.name for each in tasks if not each.task.definition]
    return [f"No definition, so that inputs stand alone: {', '.join(names)}."] if names else []


def unanswered(cells: Iterable[Cell]) -> list[str]:
    """Tasks that a model did not answer, as where a prompt was too long for it."""
    notes = []
    for cell in cells:
        reasons = [each.error for record in cell.records for each in record.responses if each.error]
        if reasons:
            counted = f"{len(reasons)} of {len(cell.records)} have no answer and count as wrong"
            notes.append(f"{cell.model} on {cell.suite}: {counted}: {reasons[0]}")
    return notes


def unanswered_of(run: Run) -> list[str]:
    """How many of all answers to the suites of a run could not be had, and why the first could not."""
    responses = [each for cell in read_cells(run.folder) for row in cell.records for each in row.responses]
    reasons = [each.error for each in responses if each.error]
    counted = f"{len(reasons)} of {len(responses)} answers could not be had and count as wrong"
    return [f"{counted}; the first: {reasons[0]}"] if reasons else []


def add_decided(scores: ArmScores, found: Found) -> list[str]:
    """Add the numbers of the cases that have one under every arm and seed; said is how many have not."""
    notes = []
    for metric, rows in found.items():
        numbers = np.array(list(rows.values()), dtype=np.float64)  # None becomes NaN
        decided = ~np.isnan(numbers).any(axis=0)
        if missing := int((~decided).sum()):
            told = f"{missing} of {numbers.shape[1]} tasks were not decided for every arm"
            notes.append(f"{metric}: {told}, and are left out.")
        if decided.any():
            for (arm, seed), row in zip(rows, numbers[:, decided], strict=True):
                scores.add(arm, row, metric=metric, seed=seed)
    return notes
