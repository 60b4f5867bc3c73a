"""CRASS: what would have happened if, with up to four answers to choose among.

Source: Frohberg and Binder, LREC 2022 (arXiv 2112.11941), repository apergo-ai/CRASS-data-set: a table with
";" between the cells, in each row premise, question and answers, of which the first is right. The answers are
shuffled with seed 0, as in INSTRUCTEVAL (arXiv 2306.04757).
"""

from __future__ import annotations

import random
from pathlib import Path

from biddable.errors import FileError, shown
from biddable.tasks.fewshot import Shots
from biddable.tasks.rows import Row, read_cells
from biddable.types import Task

GROUP = "crass"
HELD_OUT = 3
"""How many solved examples INSTRUCTEVAL shows; its own stand in no file."""

_LETTERS = "ABCD"
_PREMISE = 2
_LEAST = 4
"""Cells of a question, at least: premise, question and two answers."""


def read_crass(path: str | Path, *, held_out: int = HELD_OUT) -> tuple[list[Task], dict[str, Shots]]:
    """Questions with lettered answers, and some as solved examples, about premises that are not asked of.

    Args:
        path: the published file. Its first line is a header; names of the item may stand before the premise.
        held_out: how many questions are solved examples, and not asked: the first ones whose premises have
            no other question; where there are too few, those with the fewest, which are left out.

    Raises:
        FileError: the file cannot be read, a row (named) has no premise, question, or two answers that
            differ; or no question is left.
    """
    header, *rows = read_cells(path, ";")
    start = _first_column(header)
    order = random.Random(0)
    tasks = [_task(number, row, start, order) for number, row in enumerate(rows)]
    if not 0 <= held_out < len(tasks):
        raise FileError(path, f"{len(tasks)} questions, expected more than the {held_out} shown solved")
    of_premise: dict[str, list[Task]] = {}
    for task in tasks:
        of_premise.setdefault(_premise(task), []).append(task)
    shown_of = {*sorted(of_premise, key=lambda premise: len(of_premise[premise]))[:held_out]}
    asked = [task for task in tasks if _premise(task) not in shown_of]
    if not asked:
        raise FileError(path, f"{len(of_premise)} premises, expected more than the {held_out} shown solved")
    shown_ones = [questions[0] for premise, questions in of_premise.items() if premise in shown_of]
    solved = tuple(f"{task.prompt} {task.references[0]}" for task in shown_ones)
    return asked, {GROUP: Shots(examples=solved)}


def _premise(task: Task) -> str:
    return " ".join(str(task.meta["source"]).casefold().split())


def _first_column(header: Row) -> int:
    """The column of the premise: that of its name, else the third, as in the published file."""
    names = [cell.strip().lower() for cell in header.value]
    start = names.index("premise") if "premise" in names else _PREMISE
    if len(names) < start + _LEAST or names[0].isdecimal():
        problem = (
            'expected a header with ";" between the cells, with premise, question and two to four answers'
        )
        raise FileError(header.where, problem)
    return start


def _task(number: int, row: Row, start: int, order: random.Random) -> Task:
    cells = [cell.strip() for cell in row.value[start:]]
    if len(cells) < _LEAST:
        raise FileError(
            row.where, f"{len(cells)} cells, expected a premise, a question and two to four answers"
        )
    premise, question, *answers = cells[: 2 + len(_LETTERS)]
    for name, cell in (("premise", premise), ("question", question), ("right answer", answers[0])):
        if not cell:
            raise FileError(row.where, f"{name}: is empty")
    offered = [answer for answer in answers if answer]
    if len(offered) < 2 or len({*offered}) < len(offered):
        raise FileError(row.where, f"answers: are {shown(offered)}, expected two to four that differ")
    right = offered[0]
    order.shuffle(offered)
    lines = [f"{letter}. {answer}" for letter, answer in zip(_LETTERS, offered, strict=False)]
    prompt = "\n".join([f"{premise} {question}", *lines, "Answer:"])
    letters = tuple(_LETTERS[: len(offered)])
    reference = letters[offered.index(right)]
    meta = {"group": GROUP, "source": premise, "answers": offered}
    return Task(f"{GROUP}/{number}", prompt, references=(reference,), meta=meta, choices=letters)
