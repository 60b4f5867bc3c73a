"""Rows and tasks that are held out: nothing that is scored is learned from, however files lie."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biddable.errors import FileError, InputError
from biddable.experiments.cross_task import (
    alike,
    asked,
    copied,
    encode,
    hold_out,
    lessons,
    positional_split,
    split_composed,
)
from biddable.experiments.task_folders import is_instructed, read_split_tasks
from biddable.suites.load import load_suite
from biddable.tasks.compose.instructed import composed_tasks
from biddable.types import Task

WORDS = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu".split()  # noqa: SIM905


def row(number: int) -> Task:
    return Task(str(number), "?", references=("a",), meta={"group": "g", "input": f"input {number}"})


def save_task(folder: Path, name: str, n: int = 20, **changes: Any) -> None:
    at = int(name[4:])
    task = {
        "Definition": [" ".join(WORDS[(at * 5 + i * (at + 1)) % 12] + str(at) for i in range(8))],
        "Categories": [f"Kind {at}"],
        "Source": [f"source{at}"],
        "Positive Examples": [
            {"input": f"{name} shown {i}", "output": f"answer {i}", "explanation": "so"} for i in (1, 2)
        ],
        "Negative Examples": [{"input": "n", "output": "wrong", "explanation": ""}],
        "Instances": [
            {"id": f"{name}-{i}", "input": f"{name} input {i}", "output": [f"answer {i}"]} for i in range(n)
        ],
        **changes,
    }
    folder.mkdir(exist_ok=True, parents=True)
    (folder / f"{name}.json").write_text(json.dumps(task))


def save_csv(folder: Path, split: str, inputs: list[str], definition: str) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    with (folder / f"{split}.csv").open("w", newline="") as file:
        rows = [
            (
                f"Definition: {definition}\nPositive example 1-\ninput: p\noutput: q\n"
                f"Now complete the following example-\ninput: {given}\noutput: ",
                f"answer to {given}",
            )
            for given in inputs
        ]
        csv.writer(file).writerows([("input", "output"), *rows])


def test_rows_are_divided_by_position() -> None:
    train, validation, test = positional_split([row(i) for i in range(300)])
    assert (len(train), len(validation), len(test)) == (190, 10, 100)
    assert test[0].id == "0"
    assert validation[0].id == "100"
    assert train[0].id == "110"
    train, validation, test = positional_split([row(i) for i in range(20)])
    assert (len(train), len(validation), len(test)) == (10, 2, 8)


def test_json_tasks_have_their_categories(tmp_path: Path) -> None:
    for number in range(3):
        save_task(tmp_path / "tasks", f"task{number}")
    tasks, notes = read_split_tasks([tmp_path])
    assert [each.category for each in tasks] == ["kind_0", "kind_1", "kind_2"]
    assert not notes
    for each in tasks:
        inputs = [str(r.meta["input"]) for side in (each.train, each.validation, each.test) for r in side]
        assert len({*inputs}) == 20


def test_a_task_whose_splits_are_the_same_rows_is_left_out_and_told(tmp_path: Path) -> None:
    for name in ("task1", "task2"):
        definition = f"do {name} as it is usual in the {name} way"
        learned = [f"{name} t{i}" for i in range(4)]
        save_csv(tmp_path / name, "test", learned if name == "task2" else ["x", "y"], definition)
        save_csv(tmp_path / name, "ten", learned, definition)
        save_csv(tmp_path / name, "val", ["v"], definition)
    tasks, notes = read_split_tasks([tmp_path])
    assert [each.name for each in tasks] == ["task1"]
    assert [r.meta["input"] for r in tasks[0].train] == [f"task1 t{i}" for i in range(4)]
    assert "task2 is left out: no row to learn from remains." in notes


def test_the_largest_training_file_is_read(tmp_path: Path) -> None:
    for split, n in (("test", 2), ("ten", 3), ("hundred", 6)):
        save_csv(tmp_path / "task1", split, [f"{split} {i}" for i in range(n)], "do it")
    [task], _ = read_split_tasks([tmp_path])
    assert len(task.train) == 6
    assert task.category == "task1"


def test_training_files_are_read_in_a_folder_of_tasks_too(tmp_path: Path) -> None:
    for split, n in (("test", 20), ("ten", 3), ("val", 1)):
        save_csv(tmp_path / "data" / "tasks" / "task1", split, [f"{split} {i}" for i in range(n)], "do it")
    [task], _ = read_split_tasks([tmp_path / "data"])
    assert [r.meta["input"] for r in task.train] == ["ten 0", "ten 1", "ten 2"]
    assert [len(side) for side in (task.train, task.validation, task.test)] == [3, 1, 20]


def test_tasks_of_both_layouts_in_one_folder_are_not_passed_over(tmp_path: Path) -> None:
    save_task(tmp_path, "task1")
    save_csv(tmp_path / "task2", "test", ["x"], "do")
    with pytest.raises(FileError, match="holds tasks in JSON and in CSV folders"):
        read_split_tasks([tmp_path])


def test_what_an_example_shows_is_neither_learned_nor_scored(tmp_path: Path) -> None:
    instances = [{"id": f"task1-{i}", "input": f"i{i}", "output": ["a"]} for i in range(20)]
    for place, example in ((0, "task1 shown 1 "), (1, "n"), (19, "task1 shown 2")):
        instances[place]["input"] = example
    save_task(tmp_path, "task1", Instances=instances)
    [task], notes = read_split_tasks([tmp_path])
    assert notes == ["task1: 3 rows whose input is an example's left out."]
    assert [len(side) for side in (task.train, task.validation, task.test)] == [9, 2, 6]


def test_of_several_answers_empty_ones_are_left_out(tmp_path: Path) -> None:
    instances = [{"id": f"task1-{i}", "input": f"i{i}", "output": ["", "a", " "]} for i in range(20)]
    save_task(tmp_path, "task1", Instances=instances)
    [task], _ = read_split_tasks([tmp_path])
    assert {row.references for side in (task.train, task.validation, task.test) for row in side} == {("a",)}


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    instances = [{"id": f"task1-{i}", "input": f"i{i}", "output": ["a"]} for i in range(20)]
    instances[0]["input"] = "long " * 100
    instances[1]["output"] = [" "]
    instances[19]["input"] = "i2"
    save_task(tmp_path, "task1", Instances=instances)
    [task], notes = read_split_tasks([tmp_path], max_chars=100)
    assert notes == [
        "task1: 1 inputs of more than 100 characters left out.",
        "task1: 1 rows without an answer left out.",
        "task1: 1 rows whose input is held out left out.",
    ]
    assert len(task.test) == 6
    assert len(task.train) == 9


def test_definitions_that_resemble_each_other_are_one_group() -> None:
    texts = ["give the tool that is used for the action", "name a fruit", "give the tool used for the action"]
    assert alike(texts) == [0, 1, 0]
    assert alike(["", ""]) == [0, 1]


def test_tasks_without_a_category_get_that_of_one_they_resemble(tmp_path: Path) -> None:
    same = ["say which of both words is the longer one of the two"]
    save_task(tmp_path, "task1", Categories=[], Definition=same)
    save_task(tmp_path, "task2", Definition=same)
    save_task(tmp_path, "task3", Categories=[])
    tasks, _ = read_split_tasks([tmp_path])
    assert [each.category for each in tasks] == ["kind_2", "kind_2", "task3"]


def test_whole_categories_are_held_out_and_never_learned_from() -> None:
    tasks = split_composed(composed_tasks(30))
    for seed in range(10):
        seen, unseen, notes = hold_out(tasks, (), np.random.default_rng(seed))
        assert len(seen) + len(unseen) == len(tasks)
        assert not notes
        assert not {each.category for each in seen} & {each.category for each in unseen}
        assert 1 <= len(unseen) <= 5


def test_what_shares_a_source_with_a_held_out_task_is_not_learned_from(tmp_path: Path) -> None:
    for number in range(4):
        save_task(tmp_path, f"task{number}", **({"Source": ["source0"]} if number == 2 else {}))
    tasks, _ = read_split_tasks([tmp_path])
    seen, unseen, notes = hold_out(tasks, ["kind_0"], np.random.default_rng(0))
    assert [each.name for each in seen] == ["task1", "task3"]
    assert [each.name for each in unseen] == ["task0"]
    assert notes == ["task2 is not learned from: source0 is a source of task0 as well."]


def test_one_category_cannot_be_held_out_from_itself(tmp_path: Path) -> None:
    save_task(tmp_path, "task1", Categories=["Same"])
    save_task(tmp_path, "task2", Categories=["Same"])
    tasks, _ = read_split_tasks([tmp_path])
    with pytest.raises(InputError, match="expected tasks of at least two categories"):
        hold_out(tasks, (), np.random.default_rng(0))
    with pytest.raises(InputError, match="held_out is 'nothing', expected a task, or a category: same"):
        hold_out(tasks, ["nothing"], np.random.default_rng(0))


def test_encodings_show_what_they_say(tmp_path: Path) -> None:
    save_task(tmp_path, "task1")
    [task], _ = read_split_tasks([tmp_path])
    none = encode(task.task, "x", definition=False, positive=0)
    assert none == "Input: x.\nOutput: "
    told = encode(task.task, "x", positive=0)
    assert told.startswith("Definition: ")
    assert "Positive" not in told
    assert told.endswith(none)
    full = encode(task.task, "x", positive=2, negative=5, explanations=True)
    assert full.count(" Positive Example") == 2
    assert full.count(" Negative Example") == 1
    assert full.count(" Explanation: so.") == 2
    csv_style = encode(task.task, "x", style="quick-learners")
    assert "Positive example 2-\ninput: task1 shown 2\noutput: answer 2\nNow complete" in csv_style
    assert csv_style.endswith("input: x\noutput: ")


def test_every_task_weighs_the_same_in_training(tmp_path: Path) -> None:
    save_task(tmp_path, "task1", n=5)
    save_task(tmp_path, "task2", n=20)
    tasks, _ = read_split_tasks([tmp_path])
    chats = lessons(tasks, 7, encode, np.random.default_rng(0))
    assert len(chats) == 14
    assert len({chat[0].content for chat in chats[:7]}) == len(tasks[0].train) == 3
    assert not any(
        str(r.meta["input"]) in chat[0].content.split("Input: ")[-1] for chat in chats for r in tasks[0].test
    )


def test_copies_are_scored_as_answers_are(tmp_path: Path) -> None:
    save_task(tmp_path, "task1")
    [task], _ = read_split_tasks([tmp_path])
    suite = asked("unseen", [(task, task.test[0])], encode, 8)
    assert copied(suite, ["answer 0"]) == {"rouge_l": [1.0], "exact_match": [1.0]}
    assert copied(suite, ["answer"])["rouge_l"] == [pytest.approx(2 / 3)]


def test_a_task_named_twice_is_refused(tmp_path: Path) -> None:
    save_task(tmp_path / "a", "task1")
    save_task(tmp_path / "b", "task1")
    with pytest.raises(InputError, match="no task task1 again"):
        read_split_tasks([tmp_path / "a", tmp_path / "b"])


def test_a_task_in_both_layouts_is_one(tmp_path: Path) -> None:
    definition = "say which of both words is the longer one of the two"
    save_csv(tmp_path / "csv" / "task7", "test", [f"i{n}" for n in range(9)], definition)
    save_task(tmp_path / "json", "task8", Definition=[definition])
    for name, said in (("task7_longer", definition), ("task7_other", "count them")):
        file = json.loads((tmp_path / "json" / "task8.json").read_text())
        file |= {
            "Definition": [said],
            "Instances": [{"input": f"{name} {n}", "output": "a"} for n in range(9)],
        }
        (tmp_path / "json" / f"{name}.json").write_text(json.dumps(file))
    tasks, notes = read_split_tasks([tmp_path / "csv", tmp_path / "json"])
    assert [each.name for each in tasks] == ["task7", "task7_other", "task8"]
    assert notes == ["task7_longer is left out: it is task7 in another layout."]
    assert (tasks[0].category, tasks[0].task.sources) == ("kind_8", ("source8",))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"Definition": []}, "Definition"),
        ({"Definition": [""]}, "Definition"),
        ({"Instances": []}, "Instances"),
        ({"Instances": [{"id": "a", "input": "x", "output": []}]}, "Instances.0.output"),
        ({"Instances": [{"id": "a", "input": "x", "output": {"a": 1}}]}, "Instances.0.output"),
        ({"Instances": [{"id": "a", "input": i, "output": ["x"]} for i in "xy"]}, "Instances.1.id"),
    ],
)
def test_files_that_are_no_task_end_in_one_line(tmp_path: Path, changes: dict, problem: str) -> None:
    save_task(tmp_path, "task1", **changes)
    with pytest.raises(FileError, match=problem) as caught:
        read_split_tasks([tmp_path])
    assert "\n" not in str(caught.value)


def test_what_a_path_holds_is_known_by_its_names(tmp_path: Path) -> None:
    save_task(tmp_path / "json", "task1")
    save_csv(tmp_path / "csv" / "task2", "test", ["x"], "do")
    (tmp_path / "mine.csv").write_text("text,label\na,b\n")
    assert all(map(is_instructed, [tmp_path / "json", tmp_path / "json" / "task1.json", tmp_path / "csv"]))
    assert is_instructed(tmp_path / "csv" / "task2" / "test.csv")
    assert not is_instructed(tmp_path / "csv" / "task2" / "mine.csv")
    assert not is_instructed(tmp_path / "mine.csv")
    assert not is_instructed(tmp_path)


def test_the_suite_reports_categories_by_the_metric_of_the_paper(tmp_path: Path) -> None:
    save_task(tmp_path, "task1", Categories=["Textual Entailment"])
    save_task(tmp_path, "task2", Categories=["Title Generation"])
    suite = load_suite(f"superni:{tmp_path}?items=3")
    assert len(suite.tasks) == 6
    assert suite.k == 2
    assert [metric.name for metric in suite.metrics] == ["rouge_l", "exact_match"]
    shots = suite.shots_of(suite.tasks[0])
    assert shots.description.startswith("Definition: ")
    assert len(shots.examples) == 2
    from biddable.types import Record, Response

    groups = []
    for task in (suite.tasks[0], suite.tasks[3]):
        response = Response("answer 0 or another")
        record = Record(task, (response,), tuple(suite.judge([task], [response])))
        groups.append(dict(suite.groups(record, suite.metrics[0].measure(record))))
    assert groups[0]["textual_entailment (exact_match)"] == 0.0
    assert 0 < groups[1]["title_generation (rouge_l)"] == groups[1]["task2"] < 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("?positive=-1", "positive is -1"),
        ("?items=0", "items is 0"),
        ("?tasks=task9", "tasks is 'task9'"),
        ("?split=val", "split is 'val'"),
    ],
)
def test_options_that_there_are_not(tmp_path: Path, options: str, problem: str) -> None:
    save_task(tmp_path, "task1")
    with pytest.raises(InputError, match=problem):
        load_suite(f"superni:{tmp_path}{options}")


def save_v1(path: Path, n: int = 64) -> Path:
    task = {
        "Title": "t",
        "Definition": "Say the number.",
        "Prompt": "-",
        "Things to Avoid": "-",
        "Emphasis & Caution": "-",
        "Examples": {"Positive Examples": [{"input": "p", "output": "q"}], "Negative Examples": "-"},
        "Instances": [{"input": f"i{i}", "output": [f"{i}"]} for i in range(n)],
    }
    path.write_text(json.dumps(task))
    return path


def test_the_first_version_is_a_suite(tmp_path: Path) -> None:
    suite = load_suite(f"ni:{save_v1(tmp_path / 'v1.json')}?fields=Definition+Things_to_Avoid&items=2")
    assert suite.separator == "\n"
    assert len(suite.tasks) == 2
    assert suite.shots_of(suite.tasks[0]).description == "Definition: Say the number."


def test_the_first_version_needs_known_fields_and_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fields is 'Nothing'"):
        load_suite(f"ni:{save_v1(tmp_path / 'v1.json')}?fields=Nothing")
    with pytest.raises(FileError, match="Instances: 30 of them"):
        load_suite(f"ni:{save_v1(tmp_path / 'few.json', 30)}")
