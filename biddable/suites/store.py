"""Cells: what one model answered to one suite, as an evaluation's folder keeps it.

``cells/NAME/cell.json`` says what was asked of whom and how, ``cells/NAME/records.jsonl`` holds a record for
each task, in order. Leaderboards, comparisons and exports are made of these two files alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from biddable.errors import FileError, RunError
from biddable.runs.codec import decode, describe, digest, encode, jsonable
from biddable.runs.files import read_bytes, read_json, write_atomic, write_json
from biddable.suites.base import Ask, Scale
from biddable.types import Record

CELLS = "cells"
ORDER = "cells.json"
"""The names of all cells as asked for: each at its first time, and at its last where that is later."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a metric of a cell is (see ``Metric``); ``chance`` is the mean over its tasks."""

    name: str
    higher_is_better: bool = True
    scale: Scale = "mean"
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One model's answers to one suite.

    Attributes:
        name: of its folder.
        model, suite: as they were named.
        asked: what the answers depend on: weights, tasks, template, shots, sampling.
        metrics: what is counted, the headline first.
        ask: how the model was asked.
        template: "chat" where prompts were a user's turn, else "none".
        shots: solved examples before each task, at most.
        max_tokens: longest response.
        judge: who judged, and in which version of the suite.
        seconds: how long answering took.
        strip_thinking: whether responses were judged without their blocks of thinking.
        totals: numbers of all records together (see ``Suite``).
        source, license, notes: of the suite.
        records: one for each task.
    """

    name: str
    model: str
    suite: str
    asked: dict[str, Any]
    metrics: tuple[Counted, ...]
    ask: Ask
    template: str
    shots: int
    max_tokens: int
    judge: str
    seconds: float
    strip_thinking: bool = False
    totals: dict[str, float] = field(default_factory=dict)
    source: str = ""
    license: str = ""
    notes: tuple[str, ...] = ()
    records: tuple[Record, ...] = field(default=(), repr=False)

    @property
    def tasks(self) -> str:
        """What tells its tasks from others."""
        return str(self.asked["tasks"])


_FACTS = TypeAdapter(Cell)


def cell_name(suite: str, model: str, asked: dict[str, Any]) -> str:
    """A name that tells the cell from every other: ``bbh-smollm2-1f3a…``; good for a stage of a run."""
    plain = re.sub(r"[^a-z0-9]+", "-", f"{suite}-{Path(model).name or model}".lower()).strip("-")
    return f"{plain[:60] or 'cell'}-{digest([suite, model, asked])[:12]}"


def write_cell(folder: Path, cell: Cell) -> None:
    """Write a cell, which is the newest of its model and suite from then on. Raises StorageError."""
    place = folder / CELLS / cell.name
    lines = [encode(record, Record)[0] + b"\n" for record in cell.records]
    write_atomic(place / "records.jsonl", b"".join(lines))
    facts = asdict(cell)
    del facts["records"]
    write_json(place / "cell.json", facts)
    order = _order(folder)
    again = [i for i, name in enumerate(order) if name == cell.name][1:]
    write_json(folder / ORDER, [*(name for i, name in enumerate(order) if i not in again), cell.name])


def is_evaluation(folder: str | Path) -> bool:
    """Whether a folder holds cells."""
    return os.path.isfile(Path(folder, ORDER))


def read_cells(folder: str | Path) -> list[Cell]:
    """The cells of an evaluation: of each model and suite the one that was asked for last.

    They stand in the order in which their models and suites were first asked for.

    Raises:
        RunError: the folder is no evaluation.
        FileError: a file of it is missing or damaged.
    """
    return read_all_cells(folder)[0]


def replaced(newest: Sequence[Cell], older: Sequence[Cell]) -> list[str]:
    """Which cells a newer one of their model and suite stands for, a sentence each."""
    shown = {(cell.model, cell.suite): cell for cell in newest}
    notes = []
    for cell in older:
        before, now = _ways(cell), _ways(shown[cell.model, cell.suite])
        differ = [f"{name} {before[name]}, now {now[name]}" for name in now if before[name] != now[name]]
        notes.append(
            f"{cell.model} on {cell.suite} was measured in another way before "
            f"({'; '.join(differ) or 'other settings'}): the last is shown, {CELLS}/{cell.name} is kept. "
            "With another --out both are shown."
        )
    return notes


def read_all_cells(folder: str | Path) -> tuple[list[Cell], list[Cell]]:
    """What ``read_cells`` gives, and the cells that are not among it. Raises as that does."""
    if not is_evaluation(folder):
        raise RunError(f"{folder}: no evaluation (a folder that biddable eval wrote)")
    order = _order(Path(folder))
    read = {name: read_cell(Path(folder, CELLS, name)) for name in dict.fromkeys(order)}
    newest = {(read[name].model, read[name].suite): read[name] for name in order}
    older = [cell for cell in read.values() if newest[cell.model, cell.suite] is not cell]
    return list(newest.values()), older


def _ways(cell: Cell) -> dict[str, Any]:
    """How a cell was asked, in names for readers."""
    asked = jsonable(cell.asked)
    return {
        "template": cell.template,
        "shots": cell.shots,
        "tasks": len(cell.records),
        "limit of tokens": cell.max_tokens,
        "samples": asked.get("samples"),
        "temperature": (asked.get("sampling") or {}).get("temperature"),
        "judge": cell.judge,
        "weights": str(asked.get("weights"))[:8],
        "digest of tasks": str(asked.get("tasks"))[:8],
    }


def read_cell(place: Path) -> Cell:
    """One cell with its records. Raises FileError: a file of it is missing or damaged."""
    try:
        facts = read_json(place / "cell.json")
        return _FACTS.validate_python({**facts, "records": read_records(place / "records.jsonl")})
    except (ValidationError, TypeError) as error:
        problem = describe(error) if isinstance(error, ValidationError) else "expected an object"
        raise FileError(place / "cell.json", problem) from None


def read_records(path: Path) -> Sequence[Record]:
    """The records of a file. Raises FileError: it is missing, or a line (named) is no record."""
    records = []
    for number, line in enumerate(read_bytes(path).split(b"\n")[:-1], 1):
        try:
            records.append(decode(line, Record))
        except ValidationError as error:
            raise FileError(path, describe(error), line=number) from None
    return records


def _order(folder: Path) -> list[str]:
    path = folder / ORDER
    names = read_json(path) if path.exists() else []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FileError(path, "damaged: expected a list of names")
    return names
