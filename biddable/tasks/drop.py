"""DROP: questions about a passage whose answers are counted, compared or added up from it.

Source: Dua et al., NAACL 2019 (arXiv 1903.00161, CC BY-SA 4.0): one JSON object of passages by name, each
with its questions and answers (a number, a date or spans), in the validation split those of several people.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from biddable.errors import FileError, InputError
from biddable.tasks.fewshot import Shots
from biddable.tasks.rows import Row, parsed, require_rows
from biddable.types import Task

GROUP = "drop"
HELD_OUT = 3
"""How many questions INSTRUCTEVAL shows solved."""

Style = Literal["lm-eval", "instructeval"]

_DATE = ("day", "month", "year")


class _Answer(BaseModel):
    number: str = ""
    date: dict[str, str] = {}
    spans: list[str] = []


class _Pair(BaseModel):
    question: str = Field(min_length=1)
    answer: _Answer
    query_id: str = ""
    validated_answers: list[_Answer] = []


class _Passage(BaseModel):
    passage: str = Field(min_length=1)
    qa_pairs: list[_Pair]


def read_drop(
    path: str | Path, *, style: Style = "lm-eval", held_out: int | None = None
) -> tuple[list[Task], dict[str, Shots]]:
    """Questions, each after its passage, and solved ones.

    A task's references are all people's answers, of which each is a number, a date in words, or spans with
    ", " between them; ``meta`` holds ``source`` (the passage's name) and ``spans``, each answer as a list.

    Args:
        path: the published file.
        style: "lm-eval" ends with the question. "instructeval" adds ``Answer:`` and leaves out the questions
            of which an answer has several spans, or for which people's answers differ.
        held_out: how many questions, drawn with seed 0, are solved examples; others about their passages are
            left out then. None: 3 in INSTRUCTEVAL's style, else none.

    Raises:
        FileError: the file cannot be read, or a question (named) has no answer; or no question is left.
        InputError: there is no such style.
    """
    if style not in ("lm-eval", "instructeval"):
        raise InputError("style", style, "lm-eval or instructeval")
    count = (HELD_OUT if style == "instructeval" else 0) if held_out is None else held_out
    read = [task for row in require_rows(path) for name in _names(row) for task in _passage(name, row, style)]
    tasks = [task for task in read if style == "lm-eval" or _is_single(task)]
    if not 0 <= count < len(tasks):
        raise FileError(path, f"{len(tasks)} questions to use, expected more than the {count} shown solved")
    shown_ones = random.Random(0).sample(tasks, count)
    used = {task.meta["source"] for task in shown_ones}
    left = [task for task in tasks if task.meta["source"] not in used]
    if not left:
        raise FileError(path, "every passage is one of a solved example, and no question is left")
    solved = tuple(f"{task.prompt} {task.references[0]}" for task in shown_ones)
    return left, {GROUP: Shots(examples=solved)}


def _names(row: Row) -> list[str]:
    if not isinstance(row.value, dict) or {"passage", "question"} <= {*row.value}:
        raise FileError(row.where, "expected an object with passages by name, as in drop_dataset_dev.json")
    return list(row.value)


def _passage(name: str, row: Row, style: Style) -> list[Task]:
    place = f"{row.where}: {name}"
    read = parsed(Row(row.value[name], place, name), _Passage)
    tasks = []
    for number, pair in enumerate(read.qa_pairs):
        answers = [_spans(answer) for answer in (pair.answer, *pair.validated_answers)]
        distinct = list(dict.fromkeys(answer for answer in answers if answer))
        if not distinct:
            raise FileError(place, f"qa_pairs.{number}.answer: holds neither number, date nor spans")
        meta = {"group": GROUP, "source": name, "spans": [list(answer) for answer in distinct]}
        prompt = f"{read.passage.strip()} {pair.question.strip()}"
        prompt += "\nAnswer:" if style == "instructeval" else ""
        references = tuple(", ".join(answer) for answer in distinct)
        tasks.append(Task(pair.query_id or f"{name}/{number}", prompt, references=references, meta=meta))
    return tasks


def _spans(answer: _Answer) -> tuple[str, ...]:
    if answer.number.strip():
        return (answer.number.strip(),)
    if spans := tuple(span.strip() for span in answer.spans if span.strip()):
        return spans
    date = " ".join(text for name in _DATE if (text := answer.date.get(name, "").strip()))
    return (date,) if date else ()


def _is_single(task: Task) -> bool:
    return len({span for answer in task.meta["spans"] for span in answer}) == 1
