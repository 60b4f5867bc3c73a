from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from biddable.errors import FileError
from biddable.tasks.humaneval import INSTRUCTION, read_humaneval
from biddable.types import Task

STUB = 'def double(x: int) -> int:\n    """ Twice x. """\n'
TEST = "\n\ndef check(candidate):\n    assert candidate(2) == 4\n"
ROW = {
    "task_id": "Own/0",
    "prompt": STUB,
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "test": TEST,
}


def save(path: Path, *rows: object) -> Path:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["HumanEval.jsonl", "HumanEval.jsonl.gz"])
def test_a_function_to_write_with_its_tests(tmp_path, name):
    path = save(tmp_path / name, ROW, {**ROW, "task_id": "Own/1"})
    meta = {"group": "humaneval", "stub": STUB, "test": TEST, "entry_point": "double"}
    first = Task("Own/0", STUB, references=("    return 2 * x\n",), meta=meta)
    assert read_humaneval(path)[0][0] == first
    assert [task.id for task in read_humaneval(path)[0]] == ["Own/0", "Own/1"]
    assert read_humaneval(tmp_path) == read_humaneval(path)
    assert read_humaneval(path)[1] == {}


def test_the_sentence_stands_before_the_prompt_and_not_in_the_program(tmp_path):
    [task], _ = read_humaneval(save(tmp_path / "HumanEval.jsonl", ROW), instructed=True)
    assert task.prompt == f"{INSTRUCTION}\n{STUB}"
    assert task.meta["stub"] == STUB


def test_a_row_without_a_solution_has_no_reference(tmp_path):
    row = {name: value for name, value in ROW.items() if name != "canonical_solution"}
    [task], _ = read_humaneval(save(tmp_path / "HumanEval.jsonl", row))
    assert task.references == ()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"prompt": ""}, ":2: prompt: "),
        ({"test": None}, ":2: test: "),
        ({"test": "assert double(2) == 4"}, ":2: test: does not define the function check"),
        ({"entry_point": "double(x)"}, ":2: entry_point: 'double(x)' is not the name of a function"),
        ({"entry_point": "import"}, ":2: entry_point: 'import' is not the name of a function"),
        ({"task_id": "Own/0"}, ":2: task_id: 'Own/0' stands in an earlier row too"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, change, problem):
    path = save(tmp_path / "HumanEval.jsonl", ROW, {**ROW, "task_id": "Own/1", **change})
    with pytest.raises(FileError) as caught:
        read_humaneval(path)
    assert str(caught.value).startswith(f"{path}{problem}")


def test_a_folder_without_the_file_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"holds no HumanEval\.jsonl\.gz and no HumanEval\.jsonl"):
        read_humaneval(tmp_path)
