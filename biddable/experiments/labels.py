"""How many labels a task needs, as an experiment: tasks of labelled texts, nested subsets, and curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from biddable.errors import FileError, InputError, shown
from biddable.experiments.cross_task import SplitTask, positional_split, split_task
from biddable.experiments.scores import ArmScores
from biddable.judges.text_metrics import rouge_tokens
from biddable.runs.figures import Curves, Point
from biddable.tasks.groups import chosen
from biddable.tasks.labelled import read_labelled
from biddable.tasks.superni import Example, Instructed, instance_query
from biddable.types import Task

LISTED = 20
"""As many labels as a definition lists."""


def labelled_task(
    path: Path,
    *,
    name: str = "",
    definition: str = "",
    text: str | None = None,
    label: str | None = None,
    labels: Sequence[str] = (),
    encoding: str | None = None,
    max_chars: int | None = None,
) -> tuple[SplitTask, list[str]]:
    """Labelled texts as a task; the first two training rows of different labels are its examples.

    Raises:
        FileError: one label alone, labels that ROUGE-L cannot tell apart, too few rows for all sides, or see
            ``read_labelled``.
    """
    rows = read_labelled(path, text=text, label=label, labels=tuple(labels) or None, encoding=encoding)
    names = sorted({row.label for row in rows})
    if len(names) < 2:
        raise FileError(path, f"has the label {names[0]} alone, expected rows of at least two labels")
    words = {each: tuple(rouge_tokens(each)) for each in names}
    if unread := [each for each, of in words.items() if not of or [*words.values()].count(of) > 1]:
        listed = ", ".join(map(shown, unread[:5]))
        problem = f"the labels {listed} differ in no Latin letter or digit, by which answers are compared"
        raise FileError(path, f"{problem}: name them otherwise")
    said = f"Answer with one of: {', '.join(names)}." if len(names) <= LISTED else "Answer with its label."
    bare = Instructed(name or path.name.partition(".")[0], definition or f"Classify the text. {said}")
    texts = [row.text + (f"\nSecond text: {row.text_pair}" if row.text_pair else "") for row in rows]
    tasks = [
        Task(
            f"{bare.name}/{number}",
            instance_query(texts[number]),
            references=(rows[number].label,),
            meta={"group": bare.name, "input": texts[number]},
        )
        for number in np.random.default_rng(0).permutation(len(rows)).tolist()
    ]
    distinct = list({str(task.meta["input"]): task for task in reversed(tasks)}.values())[::-1]
    train, validation, test = positional_split(distinct)
    made, notes = split_task(bare, train, validation, test, category=bare.name, max_chars=max_chars)
    first = next(iter(made.train), None)
    other = next((row for row in made.train if first and row.references != first.references), None)
    if first is None or other is None or not made.test:
        problem = f"has {len(distinct)} texts, expected more: two labels to learn from, and rows to score"
        raise FileError(path, problem)
    examples = tuple(Example(str(row.meta["input"]), row.references[0]) for row in (first, other))
    if len(distinct) < len(tasks):
        notes.append(f"{bare.name}: {len(tasks) - len(distinct)} repeated texts left out.")
    learned = tuple(row for row in made.train if row not in (first, other))
    return replace(made, task=replace(bare, positive=examples), train=learned), notes


def labelled_tasks(paths: Sequence[Path], **how: Any) -> tuple[list[SplitTask], list[str]]:
    """The same of several files, called by their names, or by folder and name where those are alike."""
    stems = [path.name.partition(".")[0] for path in paths]
    tasks, notes = [], []
    for path, stem in zip(paths, stems, strict=True):
        name = stem if stems.count(stem) == 1 else f"{path.parent.name}-{stem}"
        task, said = labelled_task(path, name=name, **how)
        tasks.append(task)
        notes += said
    return tasks, notes


def downstream(
    tasks: Sequence[SplitTask], named: Sequence[str], number: int, most: int, rng: np.random.Generator
) -> list[SplitTask]:
    """The tasks named, or ``number`` drawn: those with enough rows first, of different categories first."""
    if named:
        by_name = {alias: each.name for each in tasks for alias in (each.name.split("_")[0], each.name)}
        known = {each.name: each for each in tasks}
        return [known[name] for name in chosen("tasks", [by_name.get(name, name) for name in named], known)]
    order = [tasks[i] for i in rng.permutation(len(tasks))]
    order.sort(key=lambda each: len(each.train) < most)
    first = {each.category: each for each in reversed(order)}
    order.sort(key=lambda each: (len(each.train) < most, first[each.category] is not each))
    return order[:number]


def subset_size(size: str, available: int) -> int:
    """How many rows a size is of those there are: a count, a share (at least one row), or all.

    Raises:
        InputError: it is none of them.
    """
    try:
        if size == "all":
            return available
        if size.endswith("%"):
            share = float(size[:-1])
            if 0 < share <= 100:
                return max(1, int(available * share / 100))
        elif (count := int(size)) >= 0:
            return min(count, available)
    except ValueError:
        pass
    raise InputError("sizes", size, 'a count such as 10, a share such as "6%" of at most 100, or all')


def subset(task: SplitTask, size: str, order: Sequence[int] | None = None) -> SplitTask:
    """The task with the first so many of its rows to learn from; ``order``: in that order."""
    rows = task.train if order is None else [task.train[i] for i in order]
    return replace(task, train=tuple(rows[: subset_size(size, len(rows))]))


def crossing_size(curve: Mapping[float, float], reference: float) -> float | None:
    """The smallest size whose score reaches the reference; None: none does."""
    return next((size for size in sorted(curve) if curve[size] >= reference), None)


def area(curve: Mapping[float, float]) -> float:
    """The mean height of a curve over log2(1 + size)."""
    points = [(math.log2(1 + size), curve[size]) for size in sorted(curve)]
    if len(points) < 2:
        return points[0][1]
    whole = sum((b - a) * (y + z) / 2 for (a, y), (b, z) in pairwise(points))
    return whole / (points[-1][0] - points[0][0])


def label_curves(
    scores: ArmScores, starts: Sequence[str], labels: Mapping[str, float], reference: float
) -> Curves:
    """ROUGE-L by labels, a line for each start; ``labels``: how many each size is. Arms are START SIZE."""
    numbers = scores.metrics()["rouge_l"]
    series = {}
    for start in starts:
        rows = [(count, numbers[f"{start} {size}"]) for size, count in labels.items()]
        series[start] = tuple(
            Point(1 + count, row["mean"], *row.get("interval", (None, None)))
            for count, row in sorted(rows, key=lambda row: row[0])
        )
    note = f"The plain start with the most labels has {reference:.3f}."
    return Curves("Score by labels", "1 + labels of a task", "ROUGE-L", series, x_scale="log", note=note)
