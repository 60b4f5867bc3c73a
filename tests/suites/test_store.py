from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from biddable.errors import FileError, RunError
from biddable.suites.store import Cell, Counted, cell_name, is_evaluation, read_cell, read_cells, write_cell
from biddable.types import Record, Response, Task


def cell(model: str = "m", suite: str = "s", weights: str = "1") -> Cell:
    asked = {"weights": weights, "tasks": "t", "shots": [0, "", ""]}
    record = Record(Task("1", "p"), (Response("said", (1,)),), metrics={"acc": 1.0}, weights={"acc": 2.0})
    facts = {"ask": "generate", "template": "none", "shots": 0, "max_tokens": 9, "judge": "1", "seconds": 1.0}
    name = cell_name(suite, model, asked)
    return Cell(name, model, suite, asked, (Counted("acc", chance=0.5),), **facts, records=(record,))


def test_a_cell_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = cell()
    write_cell(tmp_path, written)
    assert read_cells(tmp_path) == [written]
    assert is_evaluation(tmp_path)


def test_of_a_model_and_suite_the_one_asked_for_last_counts_in_its_first_place(tmp_path: Path) -> None:
    old, new, other = cell(weights="1"), cell(weights="2"), cell("n")
    for each in (old, other, new):
        write_cell(tmp_path, each)
    assert read_cells(tmp_path) == [new, other]
    for _ in range(3):
        for each in (old, other):
            write_cell(tmp_path, each)
    assert read_cells(tmp_path) == [old, other]
    assert len(json.loads((tmp_path / "cells.json").read_text())) <= 2 * 3


def test_names_are_of_all_that_was_asked() -> None:
    names = {cell_name("s", "runs/m", {"weights": each}) for each in "12"}
    assert len(names) == 2
    assert all(name.startswith("s-m-") for name in names)
    long = cell_name("s" * 300, "ünïcode/…", {})
    assert len(long) < 100
    assert long.isascii()


@pytest.mark.parametrize(
    ("file", "content", "part"),
    [
        ("cells.json", "{}", "damaged"),
        ("cells.json", '["gone"]', "no such file"),
        ("cell.json", "[1]", "cell.json"),
        ("cell.json", '{"name": "x"}', "cell.json"),
        ("cell.json", "{", "cell.json"),
        ("records.jsonl", '{"task": 3}\n', "records.jsonl:1"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, file: str, content: str, part: str) -> None:
    write_cell(tmp_path, cell())
    [place] = (tmp_path / "cells").iterdir()
    (tmp_path / file if file == "cells.json" else place / file).write_text(content)
    with pytest.raises(FileError, match=part):
        read_cells(tmp_path)


def test_a_folder_without_cells_is_no_evaluation(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no evaluation"):
        read_cells(tmp_path)
    with pytest.raises(FileError, match="no such file"):
        read_cell(tmp_path / "gone")
    assert not is_evaluation(tmp_path / "gone")


def test_a_task_is_named_by_what_it_was(tmp_path: Path) -> None:
    assert replace(cell(), asked={"tasks": "x"}).tasks == "x"
