"""What is shown of anticipated actions: distances, curves, replies, and windows to read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from biddable.experiments.anticipating import MOVED, NOUNS, PAIRS, RARE, VERBS, Foreseen
from biddable.experiments.figures import losses
from biddable.judges.steps import edit_distances
from biddable.policies.bigram import Candidates
from biddable.runs.figures import Answer, Cell, Curves, Figure, Item, Items, Point, Table
from biddable.runs.files import write_atomic
from biddable.runs.run import Run
from biddable.tasks.action_windows import Window
from biddable.tasks.actions import LISTED, action_text
from biddable.tasks.steps import Funnel

UNIT = "Levenshtein distance over Z, least of K; lower is better"
MANY_REPEATED = 0.1
"""From this share of actions on, a reader is told that lists were too short."""


def figures(
    run: Run,
    foreseen: Foreseen,
    goals: Mapping[str, Sequence[str]],
    funnel: Funnel[object],
    stages: Mapping[str, str],
) -> list[Figure]:
    """All figures of a run; ``stages`` are those of its trainings."""
    scores = foreseen.scores
    made: list[Figure] = [
        scores.bars("How far foreseen actions are off", (PAIRS, VERBS, NOUNS), unit=UNIT),
        _curves(foreseen),
    ]
    for metric, title, unit in (
        (RARE, "Rare pairs that any candidate foresees", "share of a window's rare pairs"),
        (MOVED, "Nouns that belong to the other goal alone", "share of all nouns foreseen"),
    ):
        if scores.arms(metric):
            made.append(scores.bars(title, (metric,), unit=unit))
    areas: tuple[tuple[Cell, ...], ...] = tuple((arm, foreseen.area(arm)) for arm in foreseen.curves)
    made += [
        Table("Area under ED@1 to ED@Z, pairs (AUED)", ("arm", "area"), areas),
        _replies(foreseen.counts),
        *losses(run, stages),
        _windows(foreseen, goals),
    ]
    if funnel.dropped:
        made.append(funnel.table("Sequences: what each step kept, and why it dropped the rest"))
    return made


def _curves(foreseen: Foreseen) -> Curves:
    series = {
        arm: tuple(Point(z, float(y)) for z, y in enumerate(np.mean(rows, axis=0), 1))
        for arm, rows in foreseen.curves.items()
    }
    return Curves("ED@z of pairs by how many actions are compared", "z", UNIT, series)


def _replies(counts: Mapping[str, Counter[str]]) -> Table:
    """What was counted in reading the replies of each arm."""
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (name, *(of[name] for of in counts.values())) for name in LISTED
    )
    return Table("How replies were read", ("counted", *counts), rows)


def reply_notes(counts: Mapping[str, Counter[str]]) -> list[str]:
    """What a reader must know of the replies, a sentence for each arm where there is something."""
    notes = []
    for arm, of in counts.items():
        told = [
            f"{of[name]} {name}" for name in ("unknown verbs", "unknown nouns", "empty replies") if of[name]
        ]
        actions = of["items"] - of["items left out"] - of["items cut off"] + of["actions repeated"]
        if actions and of["actions repeated"] / actions >= MANY_REPEATED:
            told.append(f"{of['actions repeated']} actions repeated to fill lists that are too short")
        if told:
            notes.append(f"{arm}: of {of['items']} items in {of['replies']} replies: {', '.join(told)}.")
    return notes


def _windows(foreseen: Foreseen, goals: Mapping[str, Sequence[str]]) -> Items:
    """The test windows, with each arm's candidate of the first seed that is nearest."""
    items = []
    for at, window in enumerate(foreseen.windows):
        answers = {}
        for arm, found in foreseen.candidates.items():
            each = [float(edit_distances([[one]], [window.future])[0]) for one in found[at]]
            best = int(np.argmin(each))
            said = [f"goal given: {goals[arm][at] or 'none'}"] if arm in goals else []
            text = action_text(found[at][best]) or "(no action)"
            answers[arm] = Answer(text, None, 1 - each[best], (f"edit distance {each[best]:.2f}", *said))
        told = f"{action_text(window.history)}" + (f"\n\nGoal: {window.goal}" if window.goal else "")
        items.append(Item(window.id, window.source, "", told, (action_text(window.future),), answers))
    note = "Of each arm the candidate that is nearest; its score is 1 less the edit distance of pairs."
    return Items("Test windows", tuple(foreseen.candidates), tuple(items), note)


def write_asked(path: Path, asked: Sequence[Window], found: Candidates) -> None:
    """Write a user's histories with the continuations of each, JSON lines; an empty one named no action."""
    lines = [
        {
            "id": window.id,
            "goal": window.goal,
            "history": action_text(window.history),
            "candidates": [action_text(one) for one in of],
        }
        for window, of in zip(asked, found, strict=True)
    ]
    write_atomic(path, "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines))
