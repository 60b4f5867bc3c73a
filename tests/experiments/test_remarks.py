"""Sentences on tasks and answers: what is not said of a task, what a model did not answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from biddable.experiments.cross_task import SplitTask
from biddable.experiments.remarks import unanswered, undefined
from biddable.tasks.superni import Instructed
from biddable.types import Record, Response, Task


def test_tasks_without_a_definition_are_named() -> None:
    tasks = [SplitTask(Instructed(name, said), "", (), (), ()) for name, said in (("a", ""), ("b", "Do b."))]
    assert undefined(tasks) == ["No definition, so that inputs stand alone: a."]
    assert undefined(tasks[1:]) == []


def test_what_was_not_answered_is_told_with_its_reason() -> None:
    rows = [Record(Task(str(n), "?"), (Response("", error="too long" if n else ""),)) for n in range(3)]
    cell: Any = SimpleNamespace(model="none", suite="unseen", records=rows)
    assert unanswered([cell]) == ["none on unseen: 2 of 3 have no answer and count as wrong: too long"]
    cell.records = rows[:1]
    assert unanswered([cell]) == []
