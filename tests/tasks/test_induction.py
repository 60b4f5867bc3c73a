"""Tasks to find instructions for, in every form they are read in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import FileError, InputError
from biddable.tasks.induction import InductionTask, composed_induction, read_induction

DATA = Path(__file__).parents[3] / "shared" / "data"


def only(spec: object) -> InductionTask:
    [task] = read_induction(str(spec))
    return task


def induction(folder: Path, name: str, induce: list[Any], execute: list[Any], humans: Any = None) -> Path:
    for part, rows in (("induce", induce), ("execute", execute)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        value = {"metadata": {}, "examples": {str(i): row for i, row in enumerate(rows, 1)}}
        (folder / part / f"{name}.json").write_text(json.dumps(value))
    if humans is not None:
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / "annotations" / f"{name}.json").write_text(json.dumps({"annotations": humans}))
    return folder


def test_instruction_induction(tmp_path: Path) -> None:
    rows = [{"input": "hot", "output": "cold"}, {"input": "up", "output": "down"}]
    induction(
        tmp_path, "antonyms", rows, [{"input": "big", "output": "small"}], ["Say the opposite.", "", "x"]
    )
    task = only(tmp_path)
    assert [(row.prompt, row.references) for row in task.induce] == [("hot", ("cold",)), ("up", ("down",))]
    assert task.execute[0].references == ("small",)
    assert (task.metric, task.humans) == ("induction_exact_match", ("Say the opposite.", "x"))


@pytest.mark.parametrize(
    ("name", "row", "given", "references", "metric"),
    [
        (
            "common_concept",
            {"concept": "c", "items": ["a", "b"], "all_common_concepts": ["c", "d"]},
            {"a, b"},
            ("c", "d"),
            "induction_f1",
        ),
        (
            "cause_and_effect",
            {"cause": "It rains.", "effect": "It is wet."},
            {"Sentence 1: It rains. Sentence 2: It is wet.", "Sentence 1: It is wet. Sentence 2: It rains."},
            ("It rains.",),
            "induction_exact_match",
        ),
        ("rhymes", {"input": "cat", "output": "hat", "other_rhymes": ["bat"]}, {"cat"}, ("bat",), None),
        (
            "translation_en-de",
            {"input": "dog", "output": "Hund", "possible_translations": ["Hund", "Köter", ""]},
            {"dog"},
            ("Hund", "Köter"),
            None,
        ),
        ("synonyms", {"input": "big", "output": "large"}, {"big"}, ("large",), "induction_contains"),
    ],
)  # fmt: skip
def test_each_task_has_its_own_fields(
    tmp_path: Path, name: str, row: Any, given: set[str], references: tuple[str, ...], metric: str | None
) -> None:
    other = {"input": "o", "output": "o", "cause": "o", "effect": "o", "items": ["o"]}
    other |= {"all_common_concepts": ["o"], "other_rhymes": ["o"], "possible_translations": ["o"]}
    task = only(induction(tmp_path, name, [other, other], [row]))
    assert task.execute[0].prompt in given
    assert task.execute[0].references == references
    assert metric in (None, task.metric)


def test_examples_without_an_output_are_left_out_and_counted(tmp_path: Path) -> None:
    row = {"input": "dog", "output": "x", "possible_translations": ["Hund"]}
    more = {**row, "input": "hound"}
    task = only(induction(tmp_path, "translation_en-de", [row, {**row, "possible_translations": []}], [more]))
    assert (len(task.induce), task.left_out, task.shared) == (1, 1, 0)
    assert task.remarks == ["translation_en-de: examples without an output, left out: 1."]


def test_what_is_held_out_is_not_learned_from(tmp_path: Path) -> None:
    rows = [{"input": word, "output": word[::-1]} for word in ("ab", "cd", "ef", "ab")]
    task = only(induction(tmp_path, "diff", rows, [rows[0], {"input": "gh", "output": "hg"}]))
    assert [row.prompt for row in task.induce] == ["cd", "ef"]
    assert [row.prompt for row in task.execute] == ["ab", "gh"]
    assert task.remarks == ["diff: examples to learn from that are held out, too, left out: 2."]
    induction(tmp_path, "diff", rows, rows)
    with pytest.raises(InputError, match="is '4 inputs to learn from', expected some that are not held out"):
        read_induction(str(tmp_path))


def test_big_bench(tmp_path: Path) -> None:
    (tmp_path / "snarks").mkdir()
    examples = [
        {"input": f"which? {i}", "target_scores": {" (a)": i % 2, "(b) ": 1 - i % 2}} for i in range(8)
    ]
    examples.append({"input": "none", "target": []})
    value = {"name": "snarks", "description": "d", "task_prefix": "Which is it?\n", "examples": examples}
    (tmp_path / "snarks" / "task.json").write_text(json.dumps(value))
    task = only(tmp_path)
    assert (task.name, task.humans, task.left_out) == ("snarks", ("Which is it?",), 1)
    row = next(row for row in (*task.induce, *task.execute) if row.id == "snarks/1")
    assert row.prompt == "which? 1\nchoice: (a)\nchoice: (b)"
    assert (row.references, row.choices) == (("(a)",), ("(a)", "(b)"))
    assert task.chosen
    assert only(tmp_path / "snarks" / "task.json").name == "snarks"


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    lines = "".join(f"text {i},{'yes' if i % 2 else 'no'}\n" for i in range(20))
    (tmp_path / "mine.csv").write_text("input,output\n" + lines, encoding="utf-8-sig")
    task = only(f"{tmp_path / 'mine.csv'}?test=0.25")
    assert (task.name, len(task.induce), len(task.execute)) == ("mine", 15, 5)
    assert not {row.prompt for row in task.induce} & {row.prompt for row in task.execute}
    assert task.induce[0].choices == ("no", "yes")
    again = only(f"{tmp_path / 'mine.csv'}?name=ours&metric=token_f1")
    assert (again.name, again.metric) == ("ours", "token_f1")


def test_outputs_that_are_no_labels_are_no_choices(tmp_path: Path) -> None:
    lines = "".join(f'{{"input": "{i}", "output": "{i} again"}}\n' for i in range(9))
    (tmp_path / "mine.jsonl").write_text(lines)
    assert not only(tmp_path / "mine.jsonl").chosen


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("input,output\na,b\n", "inputs of mine is 1, expected at least two that differ"),
        ("input,output\na,\nb,x\n", "mine.csv"),
        ("left,right\na,b\n", "mine.csv"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, table: str, problem: str) -> None:
    (tmp_path / "mine.csv").write_text(table)
    with pytest.raises((FileError, InputError), match=problem):
        read_induction(str(tmp_path / "mine.csv"))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("test=2", "test is 2.0, expected a share between 0 and 1"),
        ("tasks=other", "tasks is 'other'"),
        ("rows=3", "option is 'rows'"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: str, problem: str) -> None:
    (tmp_path / "mine.csv").write_text("input,output\na,b\nc,d\n")
    with pytest.raises(InputError, match=problem):
        read_induction(f"{tmp_path / 'mine.csv'}?{options}")


@pytest.mark.parametrize("value", [{"examples": {}}, [], {"examples": {"1": {"output": "x"}}}])
def test_a_damaged_file_says_so(tmp_path: Path, value: Any) -> None:
    row = {"input": "a", "output": "b"}
    induction(tmp_path, "antonyms", [row], [row])
    (tmp_path / "induce" / "antonyms.json").write_text(json.dumps(value))
    with pytest.raises(FileError, match=r"antonyms.json.* expected"):
        read_induction(str(tmp_path))


def test_composed_tasks_have_labels_and_a_human_line() -> None:
    tasks = composed_induction()
    assert len(tasks) == 5
    for task in tasks:
        assert task.chosen
        assert task.humans
        assert not {row.prompt for row in task.induce} & {row.prompt for row in task.execute}
        assert all({*row.references} <= {*row.choices} for row in (*task.induce, *task.execute))


@pytest.mark.skipif(not DATA.is_dir(), reason="the published files are not here")
def test_the_published_files() -> None:
    tasks = {task.name: task for task in read_induction(str(DATA / "instruction_induction"))}
    assert len(tasks) == 24
    assert (len(tasks["cause_and_effect"].execute), len(tasks["antonyms"].induce)) == (25, 2592)
    assert {name: task.shared for name, task in tasks.items() if task.shared} == {"sentence_similarity": 1}
    assert all(task.humans for task in tasks.values())
    assert tasks["sentiment"].chosen
    assert len(read_induction(str(DATA / "bbii"))) == 22
