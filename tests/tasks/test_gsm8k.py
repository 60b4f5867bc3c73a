from __future__ import annotations

import json
from pathlib import Path

import pytest

from biddable.errors import FileError
from biddable.tasks.fewshot import Shots
from biddable.tasks.gsm8k import read_gsm8k
from biddable.types import Task

PUBLISHED = Path(__file__).parents[2] / "../shared/data/gsm8k"
SOLUTION = "2 hens lay 2 * 700 = <<2*700=1400>>1400 eggs.\n#### 1,400"


def save(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(question: object = "How many eggs?", answer: object = SOLUTION) -> dict[str, object]:
    return {"question": question, "answer": answer}


def test_a_question_with_solved_ones(tmp_path):
    save(tmp_path / "test.jsonl", row())
    assert read_gsm8k(tmp_path)[1] == {"gsm8k": Shots()}
    save(tmp_path / "train.jsonl", row("A?"), row("B?", "None.\n#### -1.5\n"))
    [task], shots = read_gsm8k(tmp_path)
    meta = {"group": "gsm8k", "solution": SOLUTION}
    assert task == Task("gsm8k/0", "Question: How many eggs?\nAnswer:", (), ("1400",), meta)
    assert shots["gsm8k"].examples == (
        f"Question: A?\nAnswer: {SOLUTION}",
        "Question: B?\nAnswer: None.\n#### -1.5\n",
    )
    assert read_gsm8k(tmp_path / "test.jsonl") == ([task], {"gsm8k": Shots()})


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (row(answer="1400"), 'test.jsonl:2: answer: has no last line "#### NUMBER"'),
        (row(answer="#### many"), "answer: has no last line"),
        (row(answer="#### 4\nor so"), "answer: has no last line"),
        (row(answer="#### "), "answer: has no last line"),
        (row(answer="#### 1,."), "answer: has no last line"),
        (row(answer=1400), "answer: input should be a valid string"),
        (row(question=""), "question: string should have at least 1"),
        (row(question=None), "question: input should be a valid string"),
        ({"question": "?"}, "answer: field required"),
        ("text", "expected a JSON object"),
        ([1], "expected a JSON object"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path, bad, problem):
    path = save(tmp_path / "test.jsonl", row(), bad)
    with pytest.raises(FileError) as error:
        read_gsm8k(path)
    assert problem in str(error.value)
    assert ":2: " in str(error.value)


def test_what_is_not_there(tmp_path):
    with pytest.raises(FileError, match=r"holds no test\.jsonl"):
        read_gsm8k(tmp_path)
    with pytest.raises(FileError, match="no such file"):
        read_gsm8k(tmp_path / "test.jsonl")
    with pytest.raises(FileError, match="holds no rows"):
        read_gsm8k(save(tmp_path / "test.jsonl"))


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs the published files")
def test_the_published_files():
    tasks, shots = read_gsm8k(PUBLISHED)
    assert len(tasks) == 1319
    assert tasks[0].references == ("18",)
    assert all(float(task.references[0]) is not None for task in tasks)
    assert len(shots["gsm8k"].examples) == 1500
    assert len(read_gsm8k(PUBLISHED / "test_socratic.jsonl")[0]) == 200
