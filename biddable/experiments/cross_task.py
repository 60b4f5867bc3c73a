"""Tasks with written instructions as an experiment: rows to learn from, rows held out, whole tasks held out.

The tasks are those of Super-NaturalInstructions in either layout, or composed ones. No row that is scored is
learned from, and none is scored whose input is among those that are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np

from biddable.errors import InputError
from biddable.judges.reference import ReferenceJudge
from biddable.models.base import Sampling
from biddable.runs.figures import Cell as TableCell
from biddable.runs.figures import Table
from biddable.suites.base import Suite
from biddable.suites.benchmarks import instructed_suite
from biddable.suites.cells import Cell
from biddable.tasks.fewshot import few_shot_prompt
from biddable.tasks.superni import Instructed, Style, instance_query, instructed_shots
from biddable.types import Chat, Response, Task, exchange

ALIKE = 0.35
"""Definitions that share so much of their pairs of words (Jaccard) say the same in other words."""

TEST, VALIDATION = 100, 10
"""How many of a task's instances are held out, where there are enough: as in Gupta et al. 2023."""

_DRAWS = 20
"""How often categories are drawn anew where they leave nothing to learn from."""


@dataclass(frozen=True, slots=True)
class SplitTask:
    """A task and its rows: to learn from, to choose settings by, to score."""

    task: Instructed
    category: str
    train: tuple[Task, ...]
    validation: tuple[Task, ...]
    test: tuple[Task, ...]

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name


def positional_split(rows: Sequence[Task]) -> tuple[list[Task], list[Task], list[Task]]:
    """Train, validation and test: the first rows are the test's (100, or 40 %), then validation's."""
    test = min(TEST, 2 * len(rows) // 5)
    validation = test + min(VALIDATION, len(rows) // 10)
    return list(rows[validation:]), list(rows[test:validation]), list(rows[:test])


def split_task(
    task: Instructed,
    train: Sequence[Task],
    validation: Sequence[Task],
    test: Sequence[Task],
    *,
    category: str = "",
    max_chars: int | None = None,
) -> tuple[SplitTask, list[str]]:
    """The task with the rows that can be used, and a sentence on those that cannot.

    Left out are inputs longer than ``max_chars``, rows without an answer, repeated inputs, those that an
    example of the task has, and rows to learn from whose input is held out as well. Of several answers those
    that say nothing are left out.
    """
    long = empty = shown = leaked = 0
    examples = frozenset(each.input.strip() for each in (*task.positive, *task.negative))
    known: set[str] = set()
    sides: list[tuple[Task, ...]] = []
    for side, rows in enumerate((test, validation, train)):
        kept, held_out = [], frozenset(known)
        for row in rows:
            given = str(row.meta["input"]).strip()
            answers = tuple(answer for answer in row.references if answer.strip())
            if max_chars is not None and len(given) > max_chars:
                long += 1
            elif not answers:
                empty += 1
            elif given in examples:
                shown += 1
            elif given in held_out:
                leaked += side > 0
            elif given not in known:
                known.add(given)
                kept.append(replace(row, references=answers))
        sides.append(tuple(kept))
    counts = (
        (long, f"inputs of more than {max_chars} characters"),
        (empty, "rows without an answer"),
        (shown, "rows whose input is an example's"),
        (leaked, "rows whose input is held out"),
    )
    notes = [f"{task.name}: {number} {what} left out." for number, what in counts if number]
    made = SplitTask(task, category or _category(task), sides[2], sides[1], sides[0])
    return made, notes


def split_composed(tasks: Sequence[Instructed]) -> list[SplitTask]:
    """Composed tasks with their rows divided by position."""
    return [split_task(task, *positional_split(task.instances))[0] for task in tasks]


def alike(definitions: Sequence[str]) -> list[int]:
    """For each definition the place of the first that it resembles, over others if need be; or its own."""
    pairs = [word_pairs(text) for text in definitions]
    groups = list(range(len(pairs)))
    for at in range(len(pairs)):
        for other in range(at):
            if similarity(pairs[at], pairs[other]) >= ALIKE:
                old, new = sorted((groups[at], groups[other]), reverse=True)
                groups = [new if group == old else group for group in groups]
    return groups


def word_pairs(text: str) -> frozenset[tuple[str, str]]:
    """The pairs of neighbouring words of a text."""
    words = re.findall(r"\w+", text.lower())
    return frozenset(pairwise(words))


def similarity(first: frozenset[Any], second: frozenset[Any]) -> float:
    """The share of what two sets have that both have; 0 where both are empty."""
    return len(first & second) / len(first | second) if first or second else 0.0


def hold_out(
    tasks: Sequence[SplitTask], named: Sequence[str], rng: np.random.Generator, *, share: float = 1 / 3
) -> tuple[list[SplitTask], list[SplitTask], list[str]]:
    """Tasks to learn from, tasks that are not met before the end, and notes.

    Args:
        tasks: of at least two categories.
        named: categories or tasks to hold out; none: whole categories are drawn.
        rng: decides which.
        share: of the tasks, at most, that are drawn; at least one category is.

    A task that shares category or data set with one held out, or is defined much as it is, is not learned
    from either.

    Raises:
        InputError: there is no such category or task, or nothing is left on one side.
    """
    categories = Counter(each.category for each in tasks)
    if named:
        seen, unseen, notes = _divided(tasks, _named(tasks, named))
    else:
        for _ in range(_DRAWS):
            seen, unseen, notes = _divided(tasks, _drawn(tasks, categories, rng, share))
            if seen:
                break
    if not seen:
        expected = "tasks of at least two categories that share no source, to learn from one and hold one out"
        raise InputError("data", f"{len(tasks)} tasks, {len(categories)} categories", expected)
    return seen, unseen, notes


def _named(tasks: Sequence[SplitTask], named: Sequence[str]) -> set[str]:
    chosen: set[str] = set()
    for name in named:
        meant = {each.name for each in tasks if name in (each.category, each.name, each.name.split("_")[0])}
        if not meant:
            known = ", ".join(sorted({each.category for each in tasks}))
            raise InputError("held_out", name, f"a task, or a category: {known}")
        chosen |= meant
    return chosen


def _drawn(
    tasks: Sequence[SplitTask], categories: Mapping[str, int], rng: np.random.Generator, share: float
) -> set[str]:
    """The tasks of categories in an order that is drawn, as many as fit; of none the smallest."""
    order = [sorted(categories)[i] for i in rng.permutation(len(categories))]
    drawn: list[str] = []
    for category in order:
        if sum(categories[each] for each in (*drawn, category)) <= max(1, round(share * len(tasks))):
            drawn.append(category)
    drawn = drawn or [min(order, key=categories.__getitem__)]
    return {each.name for each in tasks if each.category in drawn}


def _divided(
    tasks: Sequence[SplitTask], chosen: set[str]
) -> tuple[list[SplitTask], list[SplitTask], list[str]]:
    """The tasks that may be learned from, those held out, and why others are neither."""
    unseen = [each for each in tasks if each.name in chosen]
    seen, notes = [], []
    for each in tasks:
        if each.name in chosen:
            continue
        reason = next(filter(None, (_related(each, other) for other in unseen)), "")
        if reason:
            notes.append(f"{each.name} is not learned from: {reason}.")
        else:
            seen.append(each)
    return seen, unseen, notes


def encode(
    task: Instructed,
    text: str,
    *,
    definition: bool = True,
    positive: int = 2,
    negative: int = 0,
    explanations: bool = False,
    style: Style = "tk-instruct",
) -> str:
    """An input after its task's instruction: definition, and as many examples as are wanted and there.

    Without both it stands alone.
    """
    if not definition and not positive:
        return instance_query(text, style=style, announced=False)
    positive, negative = min(positive, len(task.positive)), min(negative, len(task.negative))
    shots = instructed_shots(
        task,
        definition=definition,
        positive=positive,
        negative=negative,
        explanations=explanations,
        style=style,
    )
    separator = "\n" if style == "quick-learners" else "\n\n"
    return few_shot_prompt(
        instance_query(text, style=style), shots, len(shots.examples), separator=separator
    )[0]


def lessons(
    tasks: Sequence[SplitTask], rows: int, write: Callable[[Instructed, str], str], rng: np.random.Generator
) -> list[Chat]:
    """As many chats of each task, so that all weigh the same; a small task's rows come again.

    Args:
        tasks: what is learned.
        rows: of each task.
        write: the prompt of an input.
        rng: which of a row's answers is learned.
    """
    chats = []
    for each in tasks:
        for number in range(rows):
            row = each.train[number % len(each.train)]
            answer = row.references[int(rng.integers(len(row.references)))]
            chats.append(exchange(write(each.task, str(row.meta["input"])), answer))
    return chats


def asked(
    name: str,
    rows: Sequence[tuple[SplitTask, Task]],
    write: Callable[[Instructed, str], str],
    max_tokens: int,
) -> Suite:
    """Rows of tasks as a suite."""
    tasks = [
        replace(
            row,
            prompt=write(each.task, str(row.meta["input"])),
            meta={**row.meta, "category": each.category},
        )
        for each, row in rows
    ]
    return instructed_suite(name, tasks, sampling=Sampling(max_tokens=max_tokens, temperature=0.0))


def copied(suite: Suite, texts: Sequence[str]) -> dict[str, list[float]]:
    """By metric: what ``texts`` score as the responses to a suite."""
    judge = suite.judge
    assert isinstance(judge, ReferenceJudge)
    verdicts = judge(suite.tasks, [Response(text) for text in texts])
    exact = [float(any(c.passed for c in each.checks if c.id.endswith("exact_match"))) for each in verdicts]
    return {"rouge_l": [each.score or 0.0 for each in verdicts], "exact_match": exact}


def values(cell: Cell, metric: str) -> list[float]:
    """A metric of each record."""
    return [record.metrics[metric] for record in cell.records]


def task_table(cells: Mapping[str, Sequence[Cell]]) -> Table:
    """Mean scores of each task under each arm."""
    rows: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for arm, record in ((arm, record) for arm, of in cells.items() for cell in of for record in cell.records):
        key = (str(record.task.meta["category"]), str(record.task.meta["group"]))
        scores = (record.metrics["rouge_l"], record.metrics["exact_match"])
        rows.setdefault(key, {}).setdefault(arm, []).append(scores)
    columns = ("category", "task", *(f"{arm}: {what}" for arm in cells for what in ("ROUGE-L", "exact")))
    lines: list[tuple[TableCell, ...]] = []
    for key, by_arm in sorted(rows.items()):
        means = [
            fmean(scores[at] for scores in by_arm[arm]) if arm in by_arm else None
            for arm in cells
            for at in (0, 1)
        ]
        lines.append((*key, *means))
    return Table("Each task", columns, tuple(lines), note="Means over the rows of a task.")


def _category(task: Instructed) -> str:
    return "_".join(task.categories[0].lower().split()) if task.categories else ""


def _related(task: SplitTask, held_out: SplitTask) -> str:
    """Why a task may not be learned from, where one is held out; empty: nothing speaks against it."""
    if task.category == held_out.category:
        return f"its category is that of {held_out.name}"
    common = {*task.task.sources} & {*held_out.task.sources}
    if common:
        return f"{sorted(common)[0]} is a source of {held_out.name} as well"
    pairs = word_pairs(task.task.definition), word_pairs(held_out.task.definition)
    return f"it is defined as {held_out.name} is" if similarity(*pairs) >= ALIKE else ""
