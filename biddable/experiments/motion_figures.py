"""Figures of experiments with motions in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from biddable.experiments.figures import losses
from biddable.experiments.motion_data import CLUSTER, ERROR, FIRST, FLAT, NAMED, ONEHOT, TRUE, WORDS, Labelled
from biddable.experiments.scores import ArmScores
from biddable.runs.figures import Cell, Figure, Table
from biddable.runs.run import Run

SHOWN = 20


def offline_figures(
    run: Run, scores: ArmScores, labelled: Labelled, held: Labelled, said: Sequence[str]
) -> list[Figure]:
    """What the labels are, and how the variants do on held-out demonstrations; ``said`` is of one seed."""
    stages = {f"seed0-{arm}": arm for arm in (FLAT, ONEHOT, CLUSTER, WORDS)}
    note = "Of the first seed; sums of different terms, not to be compared by height."
    return [
        scores.table("Held-out demonstrations", (ERROR,), arms=[FLAT, ONEHOT, CLUSTER, WORDS, TRUE]),
        scores.table("Motions named as they were labelled", (NAMED, FIRST), arms=[ONEHOT, WORDS]),
        phrase_table(labelled.steps.phrases),
        confusion_table(held, said),
        named_table(held, said),
        *losses(run, stages, note),
    ]


def phrase_table(phrases: Sequence[str]) -> Table:
    """The commonest phrases of the labels."""
    counts = Counter(phrases)
    rows: list[tuple[Cell, ...]] = [
        (phrase, count, f"{count / len(phrases):.3f}") for phrase, count in counts.most_common(SHOWN)
    ]
    once = sum(count == 1 for count in counts.values())
    note = f"{len(counts):,} phrases for {len(phrases):,} steps; {once:,} occur once."
    return Table("What the motions are called", ("phrase", "steps", "share"), tuple(rows), note)


def named_table(held: Labelled, said: Sequence[str]) -> Table:
    """A held-out episode step by step: what was done, and what the policy says."""
    rows: list[tuple[Cell, ...]] = [
        (i, true, phrase, "" if true == phrase else "other")
        for i, (true, phrase) in enumerate(
            zip(
                [held.steps.phrases[i] for i in np.flatnonzero(held.episode == 0).tolist()],
                [said[i] for i in np.flatnonzero(held.episode == 0).tolist()],
                strict=True,
            )
        )
    ]
    instruction = held.steps.instructions[0]
    return Table(
        f"A held-out episode: {instruction}", ("step", "motion", "what the policy says", ""), tuple(rows)
    )


def confusion_table(held: Labelled, said: Sequence[str]) -> Table:
    """The commonest wrong motions."""
    wrong = Counter(
        (true, phrase) for true, phrase in zip(held.steps.phrases, said, strict=True) if true != phrase
    )
    rows: list[tuple[Cell, ...]] = [(true, phrase, n) for (true, phrase), n in wrong.most_common(SHOWN)]
    return Table("Motions named wrongly most often", ("motion", "what the policy says", "steps"), tuple(rows))


def task_table(title: str, tasks: Sequence[str], success: Mapping[str, NDArray[np.float64]]) -> Table:
    """Success by task, for arms whose trials [seeds, tasks x episodes] come task by task."""
    rows: list[tuple[Cell, ...]] = []
    for arm, values in success.items():
        shares = values.reshape(len(values), len(tasks), -1).mean((0, 2))
        rows.append((arm, *(round(float(share), 3) for share in shares)))
    return Table(title, ("arm", *tasks), tuple(rows))
