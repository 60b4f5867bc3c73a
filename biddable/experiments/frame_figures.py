"""What a report shows of parsers of robot tasks, and the files that they leave."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biddable.experiments.frames import Frames
from biddable.judges.frames import argument_f1, exact_match
from biddable.runs.codec import jsonable
from biddable.runs.figures import Answer, Bars, Cell, Curves, Item, Items, Point, Table
from biddable.runs.files import write_atomic
from biddable.runs.run import Run
from biddable.tasks.frames import InstructionExample, as_json, format_frame_string
from biddable.tasks.robot_calls import RobotCall

SHOWN = 200
"""Sentences that a table shows at most."""


def class_table(title: str, predicted: Sequence[Frames], gold: Sequence[Frames], kind: str) -> Table:
    """Precision, recall and F1 of arguments by skill or by role."""
    scores = argument_f1(predicted, gold, per_class=True)[kind]
    rows: list[tuple[Cell, ...]] = [
        (name, of["gold"], of["predicted"], of["precision"], of["recall"], of["f1"])
        for name, of in scores.items()
    ]
    columns = (kind.removesuffix("s"), "annotated", "predicted", "precision", "recall", "F1")
    return Table(title, columns, tuple(rows), note="Arguments; of the first seed.")


def group_bars(title: str, numbers: Mapping[str, Mapping[str, float]], sizes: Mapping[str, int]) -> Bars:
    """F1 by group of rows and arm: ``numbers[arm][group]``, means over seeds."""
    names = tuple(f"{name} ({size} rows)" for name, size in sizes.items())
    series: dict[str, tuple[float | None, ...]] = {
        arm: tuple(of[name] for name in sizes) for arm, of in numbers.items()
    }
    return Bars(title, names, series, unit="F1 of arguments")


def training_curves(run: Run, stages: Mapping[str, str]) -> list[Curves]:
    """F1 on the validation rows by epoch: stage -> what it is called."""
    curves = {title: run.logged(stage, "f1") for stage, title in stages.items()}
    series = {title: tuple(Point(*point) for point in of) for title, of in curves.items() if of}
    if not series:
        return []
    title = "Validation: F1 of arguments with object class by epoch"
    return [Curves(title, "epoch", "F1 on the validation rows", series)]


def sentence_browser(
    rows: Sequence[InstructionExample], predicted: Mapping[str, Sequence[Frames]], note: str
) -> Items:
    """Test sentences to read, with what each arm made of them."""
    items = []
    for at, row in enumerate(rows):
        answers = {}
        for arm, of in predicted.items():
            text = format_frame_string(of[at]).replace(" ; ", "\n") or "(no task)"
            answers[arm] = Answer(text, exact_match(of[at], row.tasks, grounding=True))
        number = len(row.tasks)
        right = format_frame_string(row.tasks).replace(" ; ", "\n")
        group = f"{number} task" + ("s" if number > 1 else "")
        items.append(Item(f"row {at + 1}", "test", group, row.text, (right,), answers))
    return Items("Test sentences, with what was read off them", tuple(predicted), tuple(items), note)


def parsed_table(texts: Sequence[str], frames: Sequence[Frames]) -> Table:
    """Sentences and what was read off them, the first ones."""
    rows: list[tuple[Cell, ...]] = [
        (text, format_frame_string(of) or "(no task)")
        for text, of in list(zip(texts, frames, strict=True))[:SHOWN]
    ]
    return Table("Sentences and their tasks", ("sentence", "tasks"), tuple(rows))


def write_frame_lines(
    path: Path, texts: Sequence[str], frames: Sequence[Frames], gold: Sequence[Frames] | None = None
) -> None:
    """A JSON line for each instruction: ``input``, ``tasks`` and, where it is known, ``gold``."""
    rows = [as_json(text, tasks) for text, tasks in zip(texts, frames, strict=True)]
    for row, right in zip(rows, gold or [], strict=False):
        row["gold"] = jsonable(list(right))
    write_lines(path, rows)


def write_calls(path: Path, texts: Sequence[str], calls: Sequence[Sequence[RobotCall]]) -> None:
    """A JSON line for each instruction: ``input`` and ``calls``."""
    rows = [{"input": text, "calls": jsonable(list(of))} for text, of in zip(texts, calls, strict=True)]
    write_lines(path, rows)


def call_counts(calls: Sequence[Sequence[RobotCall]]) -> dict[str, Any]:
    """How many calls there are, and how many have all that they need."""
    every = [call for of in calls for call in of]
    ready = sum(not call.unresolved for call in every)
    whole = sum(bool(of) and not any(call.unresolved for call in of) for of in calls)
    return {"calls": len(every), "ready": ready, "instructions": len(calls), "instructions_ready": whole}


def write_lines(path: Path, rows: Sequence[Any]) -> None:
    """JSON lines, whole or not at all. Raises StorageError."""
    write_atomic(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
