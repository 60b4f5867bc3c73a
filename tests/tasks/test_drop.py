from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import FileError, InputError
from biddable.tasks.drop import read_drop
from biddable.tasks.fewshot import Shots

PUBLISHED = Path(__file__).parents[2] / "../shared/data/rc_fixtures/drop.json"
EMPTY = {"number": "", "date": {"day": "", "month": "", "year": ""}, "spans": []}


def pair(id: str, *answers: dict[str, Any]) -> dict[str, Any]:
    first, *others = [EMPTY | answer for answer in answers]
    return {"question": f"{id}? ", "answer": first, "query_id": id, "validated_answers": others}


def save(path: Path, **passages: list[Any]) -> Path:
    value = {name: {"passage": f"About {name}.", "qa_pairs": pairs} for name, pairs in passages.items()}
    path.write_text(json.dumps(value))
    return path


def test_answers_of_all_kinds(tmp_path):
    date = {"date": {"day": "3", "month": "May", "year": ""}}
    path = save(
        tmp_path / "drop.json",
        p=[pair("a", {"number": "4"}, {"spans": ["four"]}, {"number": "4"}), pair("b", date)],
        q=[pair("c", {"spans": ["x", " y"]})],
    )
    tasks, shots = read_drop(path)
    assert shots == {"drop": Shots()}
    assert [task.prompt for task in tasks] == ["About p. a?", "About p. b?", "About q. c?"]
    assert [task.references for task in tasks] == [("4", "four"), ("3 May",), ("x, y",)]
    assert [task.meta["source"] for task in tasks] == ["p", "p", "q"]
    assert tasks[2].meta["spans"] == [["x", "y"]]
    assert [task.id for task in tasks] == ["a", "b", "c"]


def test_instructeval_asks_what_has_one_answer_and_shows_other_passages(tmp_path):
    questions = {f"p{n}": [pair(f"{n}a", {"number": "1"}), pair(f"{n}b", {"number": "2"})] for n in range(6)}
    odd = [pair("odd", {"number": "1"}, {"number": "2"}), pair("two", {"spans": ["x", "y"]})]
    path = save(tmp_path / "drop.json", **questions, odd=odd)
    tasks, shots = read_drop(path, style="instructeval")
    assert len(shots["drop"].examples) == 3
    assert all(example.endswith(("?\nAnswer: 1", "?\nAnswer: 2")) for example in shots["drop"].examples)
    assert all(task.prompt.endswith("?\nAnswer:") for task in tasks)
    shown = {example.split(".")[0] for example in shots["drop"].examples}
    asked = {task.prompt.split(".")[0] for task in tasks}
    assert asked
    assert not shown & asked
    assert "odd" not in {task.meta["source"] for task in tasks}
    assert read_drop(path, style="instructeval") == (tasks, shots)


@pytest.mark.parametrize(
    ("passage", "problem"),
    [
        ({"passage": "P", "qa_pairs": [pair("a", {})]}, "qa_pairs.0.answer: holds neither number, date nor"),
        ({"passage": "P", "qa_pairs": [{"question": "?"}]}, "qa_pairs.0.answer: field required"),
        ({"passage": "P", "qa_pairs": [pair("a", {"number": 4})]}, "qa_pairs.0.answer.number: input should"),
        ({"passage": "P", "qa_pairs": [pair("a", {"spans": "x"})]}, "qa_pairs.0.answer.spans: input should"),
        ({"passage": "P", "qa_pairs": [pair("a", {"date": {"day": 1}})]}, "qa_pairs.0.answer.date.day: "),
        ({"passage": "P"}, "qa_pairs: field required"),
        ({"passage": "", "qa_pairs": []}, "passage: string should have at least 1 character"),
        ({"qa_pairs": []}, "passage: field required"),
        ("text", "expected a JSON object"),
        ({"passage": "P", "qa_pairs": []}, "0 questions to use, expected more than the 0 shown solved"),
    ],
)
def test_passages_that_cannot_be_used(tmp_path, passage, problem):
    path = tmp_path / "drop.json"
    path.write_text(json.dumps({"p": passage}))
    with pytest.raises(FileError) as error:
        read_drop(path)
    assert problem in str(error.value)


def test_a_table_of_the_hub_is_told_from_the_published_file(tmp_path):
    path = tmp_path / "drop.jsonl"
    path.write_text('{"section_id": "s", "query_id": "q", "passage": "P", "question": "?"}\n')
    with pytest.raises(FileError, match=r"drop\.jsonl:1: expected an object with passages by name"):
        read_drop(path)


@pytest.mark.parametrize("text", ["", "[1]", "[]", "3", "{}", '{"p": 1'])
def test_files_that_cannot_be_used(tmp_path, text):
    path = tmp_path / "drop.json"
    path.write_text(text)
    with pytest.raises(FileError, match=r"drop\.json"):
        read_drop(path)


def test_too_few_questions(tmp_path):
    path = save(tmp_path / "drop.json", p=[pair("a", {"number": "1"}), pair("b", {"number": "1"})])
    with pytest.raises(FileError, match="2 questions to use, expected more than the 3 shown solved"):
        read_drop(path, style="instructeval")
    with pytest.raises(FileError, match="every passage is one of a solved example"):
        read_drop(path, held_out=1)
    with pytest.raises(InputError, match="style is 'mine', expected lm-eval or instructeval"):
        read_drop(path, style="mine")
    with pytest.raises(FileError, match="no such file"):
        read_drop(tmp_path / "none.json")


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="needs the published file")
def test_the_published_file():
    tasks, _ = read_drop(PUBLISHED)
    assert len(tasks) == 19
    assert {task.meta["source"] for task in tasks} >= {"history_319", "history_720"}
