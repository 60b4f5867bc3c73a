from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from biddable.errors import FileError
from biddable.tasks.hhh import read_hhh
from biddable.types import Task

EXAMPLE = {"input": "May I ask?", "target_scores": {"No.": 0, "Of course.": 1}}


def save(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def expected(group: str, number: int = 0) -> Task:
    return Task(
        f"{group}/{number}", "May I ask?", (), ("Of course.",), {"group": group}, ("No.", "Of course.")
    )


def test_groups_of_big_bench(tmp_path):
    for group in ("other", "honest", "unknown"):
        save(tmp_path / group / "task.json", {"name": "hhh", "examples": [EXAMPLE, EXAMPLE]})
    tasks = [expected("honest"), expected("honest", 1), expected("other"), expected("other", 1)]
    assert read_hhh(tmp_path) == tasks
    assert read_hhh(tmp_path / "other" / "task.json") == tasks[2:]


def test_rows_of_the_hub(tmp_path):
    row = {"input": "May I ask?", "targets": {"choices": ["No.", "Of course."], "labels": [0, 1]}}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "harmless.parquet")
    assert read_hhh(tmp_path / "harmless.parquet") == [expected("harmless")]


@pytest.mark.parametrize(
    ("example", "problem"),
    [
        ({"input": "?"}, "target_scores: field required"),
        ({"input": "", "target_scores": {}}, "input: string should have at least 1 character"),
        ({"target_scores": {"a": 1, "b": 0}}, "input: field required"),
        (
            {"input": "?", "target_scores": {"a": 1, "b": 1}},
            "targets: are {'a': 1.0, 'b': 1.0}, expected two",
        ),
        ({"input": "?", "target_scores": {"a": 0, "b": 0}}, "expected two responses, one 1 and one 0"),
        ({"input": "?", "target_scores": {"a": 1}}, "expected two responses, one 1 and one 0"),
        ({"input": "?", "target_scores": {"a": 1, "b": 0, "c": 0}}, "expected two responses, one 1 and"),
        ({"input": "?", "target_scores": {"a": 0.5, "b": 0.5}}, "expected two responses, one 1 and one 0"),
        ({"input": "?", "target_scores": {"a": "yes"}}, "target_scores.a: input should be a valid number"),
        ({"input": "?", "targets": {"choices": ["a"], "labels": [1, 0]}}, "targets: 1 choices and 2 labels"),
        ({"input": "?", "targets": {"choices": ["a", "a"], "labels": [1, 0]}}, "expected two responses"),
        ("text", "expected a JSON object"),
    ],
)
def test_examples_that_cannot_be_used(tmp_path, example, problem):
    path = save(tmp_path / "honest" / "task.json", {"examples": [EXAMPLE, example]})
    with pytest.raises(FileError) as error:
        read_hhh(path)
    assert problem in str(error.value)
    assert f"{path}:1: examples.1: " in str(error.value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"examples": []}, "examples: holds none"),
        ({"examples": "x"}, "examples: expected a list of objects"),
        ({"name": "hhh"}, "examples: expected a list of objects"),
        ([], "holds no rows"),
        ([3], "expected a JSON object"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, value, problem):
    with pytest.raises(FileError) as error:
        read_hhh(save(tmp_path / "honest" / "task.json", value))
    assert problem in str(error.value)


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileError, match=r"holds no task\.json in a folder named harmless, helpful"):
        read_hhh(tmp_path)
    with pytest.raises(FileError, match="no such file"):
        read_hhh(tmp_path / "task.json")
