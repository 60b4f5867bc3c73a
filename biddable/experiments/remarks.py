"""What a reader of scores over tasks must know of the tasks and their answers, a sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from biddable.experiments.cross_task import SplitTask
from biddable.experiments.scores import ArmScores
from biddable.suites.cells import Cell

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


def add_decided(scores: ArmScores, found: Found) -> list[str]:
    """Add the numbers of the cases that have one under every arm and seed; said is how many have not."""
    notes = []
    for metric, rows in found.items():
        cases = list(zip(*rows.values(), strict=True))
        kept = [at for at, numbers in enumerate(cases) if None not in numbers]
        if len(kept) < len(cases):
            missing = f"{len(cases) - len(kept)} of {len(cases)} tasks were not decided for every arm"
            notes.append(f"{metric}: {missing}, and are left out.")
        if kept:
            for (arm, seed), numbers in rows.items():
                scores.add(arm, [numbers[at] for at in kept], metric=metric, seed=seed)
    return notes
