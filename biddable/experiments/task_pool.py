"""Tasks in the layouts of Super-NaturalInstructions and BIG-Bench Hard, for scores over many tasks.

Options are spelled out and answers are their texts, not letters. Of tasks whose definitions say the same in
other words there is one, as scores of such tasks are not independent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from biddable.errors import InputError
from biddable.experiments.cross_task import SplitTask, alike, positional_split, split_task
from biddable.experiments.remarks import undefined
from biddable.experiments.task_folders import is_instructed, read_split_tasks
from biddable.judges.text_metrics import rouge_tokens, superni_normalized
from biddable.tasks.bbh import read_bbh
from biddable.tasks.superni import Instructed
from biddable.types import Task

_OPTION = re.compile(r"^\(([A-Z])\) ?(.+)$", re.MULTILINE)
_LISTED = re.compile(r"^- (.+?) *$", re.MULTILINE)


def read_pool(paths: Sequence[Path], *, max_chars: int | None = None) -> tuple[list[SplitTask], list[str]]:
    """Tasks of folders and files, one of each kind, and sentences on what is left out.

    Raises:
        InputError: two tasks of one name, or no task with rows for both sides.
        FileError: a file cannot be read as either layout.
    """
    instructed = [path for path in paths if is_instructed(path)]
    tasks, notes = read_split_tasks(instructed, max_chars=max_chars) if instructed else ([], [])
    for path in paths:
        if path not in instructed:
            read, said = read_bbh_tasks(path, max_chars=max_chars)
            tasks, notes = [*tasks, *read], [*notes, *said]
    names = [each.name for each in tasks]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError("data", ", ".join(map(str, paths)), f"one task {repeated[0]}, not several")
    kinds = alike([each.task.definition or each.name for each in tasks])
    for each, kind in zip(tasks, kinds, strict=True):
        if each is not tasks[kind]:
            notes.append(f"{each.name} is left out: it is defined as {tasks[kind].name} is.")
    chosen = [each for at, each in enumerate(tasks) if kinds[at] == at]
    return chosen, [*notes, *undefined(chosen)]


def scorable(tasks: Sequence[SplitTask], metric: str = "rouge_l") -> tuple[list[SplitTask], list[str]]:
    """Tasks without the rows that a metric cannot score, and sentences on what is left out.

    Of right answers without a Latin letter or digit ROUGE-L gives 0 whatever is said; of those that are
    punctuation alone exact match gives 1 to who says nothing.
    """
    words = rouge_tokens if metric == "rouge_l" else superni_normalized
    kept, notes = [], []
    for each in tasks:
        sides = [
            tuple(row for row in rows if any(map(words, row.references)))
            for rows in (each.test, each.validation)
        ]
        if missing := len(each.test) + len(each.validation) - sum(map(len, sides)):
            notes.append(f"{each.name}: {missing} rows left out, whose answers {metric} cannot compare.")
        if sides[0]:
            kept.append(replace(each, test=sides[0], validation=sides[1]))
        else:
            notes.append(f"{each.name} is left out: no row to score remains.")
    if not kept:
        raise InputError("data", f"{len(tasks)} tasks", f"one with answers that {metric} can compare")
    return kept, notes


def read_bbh_tasks(path: Path, *, max_chars: int | None = None) -> tuple[list[SplitTask], list[str]]:
    """The tasks of BIG-Bench Hard, each a category of its own, and sentences on what is left out.

    Raises:
        InputError: no task has rows for both sides.
        FileError: see ``read_bbh``.
    """
    read, shots = read_bbh(path)
    tasks: list[SplitTask] = []
    notes: list[str] = []
    for name in dict.fromkeys(str(task.meta["group"]) for task in read):
        of = [_spelled_out(task) for task in read if task.meta["group"] == name]
        rows = [task for task in of if task is not None]
        if len(rows) < len(of):
            notes.append(
                f"{name}: {len(of) - len(rows)} rows whose answer is none of their options left out."
            )
        definition = shots[name].description if name in shots else ""
        task = Instructed(name, definition, instances=tuple(rows))
        made, said = split_task(task, *positional_split(rows), category=name, max_chars=max_chars)
        notes += said
        if made.train and made.test:
            tasks.append(made)
        else:
            notes.append(
                f"{name} is left out: no row {'to score' if made.train else 'to learn from'} remains."
            )
    if not tasks:
        raise InputError("data", str(path), f"a task with rows for both sides ({' '.join(notes[:3])})")
    return tasks, notes


def _spelled_out(task: Task) -> Task | None:
    """The bare question, its options as texts with "; " between them; None where none of them is right."""
    text = str(task.prompt).removeprefix("Q: ").removesuffix("\nA:")
    answers = task.references
    question, line, listed = text.partition("\nOptions:\n")
    if line:
        lettered = {f"({letter})": option.strip() for letter, option in _OPTION.findall(listed)}
        offered = list(lettered.values()) or _LISTED.findall(listed)
        answers = tuple(lettered.get(answer, answer) for answer in answers)
        if not {*answers} <= {*offered}:
            return None
        text = f"{question}\nOptions: {'; '.join(offered)}"
    return replace(task, prompt=text, references=answers, choices=(), meta={**task.meta, "input": text})
