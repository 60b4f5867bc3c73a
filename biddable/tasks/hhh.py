"""HHH alignment: of two responses, which is the more helpful, honest or harmless one?

Source: Askell et al., 2021 (arXiv 2112.00861, Apache-2.0), in BIG-bench: ``hhh_alignment/GROUP/task.json``
for the groups harmless, helpful, honest and other; and the rows of the hub's ``HuggingFaceH4/hhh_alignment``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from biddable.errors import FileError, shown
from biddable.tasks.rows import Row, parsed, require_rows
from biddable.types import Task

GROUPS = ("harmless", "helpful", "honest", "other")


class _Scored(BaseModel):
    input: str = Field(min_length=1)
    target_scores: dict[str, float]


class _Targets(BaseModel):
    choices: list[str]
    labels: list[float]


class _OfHub(BaseModel):
    input: str = Field(min_length=1)
    targets: _Targets


def read_hhh(path: str | Path) -> list[Task]:
    """Queries with two responses each, of which one is right, in the order of the file.

    Args:
        path: a folder with the four groups' folders, or those of some; or one file, whose group is the name
            of its folder, or its own.

    Raises:
        FileError: there is no such file, or a row (named) has not one response with the score 1 and one
            with 0.
    """
    path = Path(path)
    if not path.is_dir():
        group = path.parent.name if path.stem == "task" else path.stem
        return _read(path, group)
    files = [(group, file) for group in GROUPS if (file := path / group / "task.json").is_file()]
    if not files:
        raise FileError(path, f"holds no task.json in a folder named {', '.join(GROUPS)}")
    return [task for group, file in files for task in _read(file, group)]


def _read(path: Path, group: str) -> list[Task]:
    rows = [each for row in require_rows(path) for each in _examples(row)]
    if not rows:
        raise FileError(path, "examples: holds none")
    return [_task(f"{group}/{number}", group, row) for number, row in enumerate(rows)]


def _examples(row: Row) -> list[Row]:
    """The rows of a BIG-bench task, which stand in one object; any other row is itself."""
    value: Any = row.value
    if not isinstance(value, dict) or "input" in value:
        return [row]
    if not isinstance(examples := value.get("examples"), list):
        raise FileError(row.where, "examples: expected a list of objects with input and target_scores")
    return [Row(each, f"{row.where}: examples.{n}", f"example {n}") for n, each in enumerate(examples)]


def _task(id: str, group: str, row: Row) -> Task:
    if isinstance(row.value, dict) and "targets" in row.value:
        hub = parsed(row, _OfHub)
        query, choices, scores = hub.input, hub.targets.choices, hub.targets.labels
        if len(choices) != len(scores):
            raise FileError(row.where, f"targets: {len(choices)} choices and {len(scores)} labels")
    else:
        read = parsed(row, _Scored)
        query, choices, scores = read.input, [*read.target_scores], [*read.target_scores.values()]
    if sorted(scores) != [0, 1] or len({*choices}) < 2:
        pairs = dict(zip(choices, scores, strict=True))
        raise FileError(row.where, f"targets: are {shown(pairs)}, expected two responses, one 1 and one 0")
    right = choices[scores.index(1)]
    meta = {"group": group}
    return Task(id, query, references=(right,), meta=meta, choices=tuple(choices))
