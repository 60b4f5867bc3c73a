"""Folders of tasks with instructions, in either layout of Super-NaturalInstructions, read and divided."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from biddable.errors import InputError
from biddable.experiments.cross_task import (
    ALIKE,
    SplitTask,
    alike,
    positional_split,
    similarity,
    split_task,
    word_pairs,
)
from biddable.tasks.superni import Instructed, read_instructed

_TRAINING_FILES = ("train", "thousand", "twohundred", "hundred", "ten")
_FILES = (*_TRAINING_FILES, "onepercent", "val", "test")


def read_split_tasks(
    paths: Iterable[Path], *, max_chars: int | None = None
) -> tuple[list[SplitTask], list[str]]:
    """Tasks of folders, and notes on what of them is left out.

    Raises:
        InputError: two tasks of one name, or no task that can be used.
        FileError: see ``read_instructed``.
    """
    tasks: list[SplitTask] = []
    notes: list[str] = []
    for path in paths:
        for made, said in _read(path, max_chars):
            if any(made.name == each.name for each in tasks):
                raise InputError("data", str(path), f"no task {made.name} again: it was named before")
            if same := next((each for each in tasks if _in_another_layout(made.task, each.task)), None):
                notes.append(f"{made.name} is left out: it is {same.name} in another layout.")
                tasks[tasks.index(same)] = _with_origin(same, made)
                continue
            notes += said
            if made.train and made.test:
                tasks.append(made)
            else:
                side = "to learn from" if not made.train else "to score"
                notes.append(f"{made.name} is left out: no row {side} remains.")
    if not tasks:
        told = " ".join(notes[:3])
        raise InputError("data", ", ".join(map(str, paths)), f"a task with rows for both sides ({told})")
    groups = alike([each.task.definition for each in tasks])
    names = {group: tasks[group].name for group in groups}
    names |= {group: each.category for each, group in zip(tasks, groups, strict=True) if each.category}
    grouped = zip(tasks, groups, strict=True)
    return [replace(each, category=each.category or names[group]) for each, group in grouped], notes


def is_instructed(path: Path) -> bool:
    """Whether a path holds tasks with instructions, by the names that their files have."""
    if path.is_dir():
        tasks = path / "tasks" if (path / "tasks").is_dir() else path
        return any(any(tasks.glob(name)) for name in ("task*.json", "task*/test.csv")) or (
            path.name.startswith("task") and (path / "test.csv").is_file()
        )
    if path.suffix == ".csv":
        return re.fullmatch(r"task\d+.*", path.parent.name) is not None and path.stem in _FILES
    return path.name.startswith("task") and path.suffix == ".json"


def _read(path: Path, max_chars: int | None) -> Iterable[tuple[SplitTask, list[str]]]:
    """Each task of a folder or file; of CSV files the rows of its largest training file."""
    training: dict[str, Instructed] = {}
    validation: dict[str, Instructed] = {}
    if path.is_dir():
        folder = path / "tasks" if (path / "tasks").is_dir() else path
        for split in (*_TRAINING_FILES, "val"):
            if (folder / f"{split}.csv").is_file() or any(folder.glob(f"task*/{split}.csv")):
                into = validation if split == "val" else training
                for each in read_instructed(path, split=split):
                    into.setdefault(each.name, each)
    for task in read_instructed(path):
        if task.name in training:
            learned = training[task.name]
            checked = validation[task.name].instances if task.name in validation else ()
            yield split_task(task, learned.instances, checked, task.instances, max_chars=max_chars)
        else:
            yield split_task(task, *positional_split(task.instances), max_chars=max_chars)


def _in_another_layout(task: Instructed, other: Instructed) -> bool:
    """Whether two tasks, named by number alone in CSV, with more in JSON, are the same one."""
    numbers = [each.name.split("_")[0] for each in (task, other)]
    pairs = word_pairs(task.definition), word_pairs(other.definition)
    return numbers[0] == numbers[1] in (task.name, other.name) and similarity(*pairs) >= ALIKE


def _with_origin(task: SplitTask, of: SplitTask) -> SplitTask:
    """The task with the category and the sources that the same one in another layout tells."""
    sources = (*task.task.sources, *of.task.sources)
    return replace(task, category=task.category or of.category, task=replace(task.task, sources=sources))
