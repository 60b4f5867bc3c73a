from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from biddable.errors import FileError, InputError
from biddable.tasks.fewshot import Shots, few_shot_prompt
from biddable.tasks.superni import (
    Example,
    Instructed,
    instance_query,
    instructed_shots,
    read_instructed,
    read_superni,
)

DATA = Path(__file__).parents[2] / "../shared/data"
TASK = {
    "Definition": ["Say whether it is even. "],
    "Categories": ["Mathematics"],
    "Source": ["made"],
    "Positive Examples": [
        {"input": "2", "output": "yes", "explanation": "2 = 2 * 1"},
        {"input": "3?", "output": "no", "explanation": ""},
    ],
    "Negative Examples": [{"input": "4", "output": "no", "explanation": "It is even"}],
    "Instances": [
        {"id": "task1-a", "input": " 6", "output": ["yes", "Yes"]},
        {"id": "task1-b", "input": "7!", "output": ["no"]},
    ],
}
BAKED = """Definition: Add.
Carry on.
Positive example 1-
input: 1
+ 1
output: 2
Positive example 2-
input: 1 + 2
output: 3
Now complete the following example-
input: 2 + 2
 = ?
output: """


def save(path: Path, task: object = TASK) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(task))
    return path


def save_csv(path: Path, *rows: tuple[str, str], header: tuple[str, ...] = ("input", "output")) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_an_instance_as_tk_instruct_writes_it(tmp_path):
    [first, second], shots = read_superni(save(tmp_path / "task1_even.json"))
    assert (first.id, first.references) == ("task1-a", ("yes", "Yes"))
    assert first.meta == {"group": "task1_even", "input": " 6", "category": "Mathematics"}
    assert few_shot_prompt(first.prompt, shots["task1_even"], 2)[0] == (
        "Definition: Say whether it is even.\n\n"
        " Positive Example 1 -\nInput: 2.\n Output: yes.\n\n"
        " Positive Example 2 -\nInput: 3?\n Output: no.\n\n"
        "Now complete the following example -\nInput: 6.\nOutput: "
    )
    assert second.prompt.endswith("Input: 7!\nOutput: ")
    assert read_superni(tmp_path, limit=1)[0] == [first]


def test_other_encodings(tmp_path):
    [task] = read_instructed(save(tmp_path / "task1_even.json"))
    assert (task.categories, task.sources) == (("Mathematics",), ("made",))
    shots = instructed_shots(task, definition=False, positive=1, negative=1, explanations=True)
    assert shots == Shots(
        "",
        (
            " Positive Example 1 -\nInput: 2.\n Output: yes.\n Explanation: 2 = 2 * 1.",
            " Negative Example 1 -\nInput: 4.\n Output: no.\n Explanation: It is even.",
        ),
    )
    assert instance_query("", announced=False) == "Input: .\nOutput: "
    for asked in ({"positive": 3}, {"negative": 2}, {"positive": -1}):
        with pytest.raises(InputError, match="as many examples as task1_even has"):
            instructed_shots(task, **asked)
    with pytest.raises(InputError, match="style is 'quick-learners'"):
        instructed_shots(task, negative=1, style="quick-learners")


def test_definition_and_examples_are_parsed_out_of_rows(tmp_path):
    save_csv(tmp_path / "task2" / "test.csv", (BAKED, "4"), (BAKED.replace("2 + 2", "\noutput:"), "None"))
    [task] = read_instructed(tmp_path)
    assert (task.name, task.definition) == ("task2", "Add.\nCarry on.")
    assert task.positive == (Example("1\n+ 1", "2"), Example("1 + 2", "3"))
    assert [each.meta["input"] for each in task.instances] == ["2 + 2\n = ?", "\noutput:\n = ?"]
    assert [each.references for each in task.instances] == [("4",), ("None",)]
    query = instance_query("2 + 2\n = ?", style="quick-learners")
    shots = instructed_shots(task, style="quick-learners")
    assert few_shot_prompt(query, shots, 2, separator="\n") == (BAKED, 2)
    assert read_instructed(tmp_path / "task2") == read_instructed(tmp_path / "task2" / "test.csv") == [task]


def test_rows_without_instructions(tmp_path):
    save_csv(tmp_path / "task2" / "ten.csv", ("input: 2 + 2\noutput: ", "4"))
    [task] = read_instructed(tmp_path, split="ten")
    assert task == Instructed("task2", "", instances=task.instances)
    assert task.instances[0].meta["input"] == "2 + 2"
    assert read_superni(tmp_path, split="ten")[1] == {"task2": Shots()}


def test_tasks_are_chosen_by_name(tmp_path):
    for name in ("task1_even", "task10_odd"):
        instances = [{**each, "id": f"{name}-{each['id']}"} for each in TASK["Instances"]]
        save(tmp_path / "tasks" / f"{name}.json", {**TASK, "Instances": instances})
    assert [each.name for each in read_instructed(tmp_path)] == ["task10_odd", "task1_even"]
    assert [each.name for each in read_instructed(tmp_path, tasks=["task1"])] == ["task1_even"]
    assert [each.name for each in read_instructed(tmp_path, tasks=["task10_odd"])] == ["task10_odd"]
    with pytest.raises(InputError, match="tasks is 'task2', expected one of 2: task1_even or task10_odd"):
        read_instructed(tmp_path, tasks=["task2"])


def test_older_files_have_texts_where_newer_have_lists(tmp_path):
    instances = [{"input": "2", "output": "yes"}, {"input": "3", "output": "no"}]
    older = {"Definition": "Is it even?", "Instances": instances, "Categories": "Maths"}
    [task] = read_instructed(save(tmp_path / "task1.json", older))
    assert (task.definition, task.categories) == ("Is it even?", ("Maths",))
    assert [(each.id, each.references) for each in task.instances] == [
        ("task1/0", ("yes",)),
        ("task1/1", ("no",)),
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"Definition": []}, "Definition: input should be a valid string"),
        ({"Definition": [""]}, "Definition: string should have at least 1 character"),
        ({"Definition": None}, "Definition: input should be a valid string"),
        ({"Instances": []}, "Instances: list should have at least 1 item"),
        ({"Instances": [{"input": "2"}]}, "Instances.0.output: field required"),
        ({"Instances": [{"input": "2", "output": []}]}, "Instances.0.output: list should have at least 1"),
        ({"Instances": [{"input": "2", "output": [4]}]}, "Instances.0.output.0: input should be a valid str"),
        ({"Instances": [{"input": None, "output": ["4"]}]}, "Instances.0.input: input should be a valid str"),
        ({"Instances": [TASK["Instances"][0]] * 2}, "Instances.1.id: 'task1-a' is that of another instance"),
        ({"Positive Examples": [{"input": "2"}]}, "Positive Examples.0.output: field required"),
        ({"Negative Examples": "-"}, "Negative Examples: input should be a valid list"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, change, problem):
    path = save(tmp_path / "task1.json", TASK | change)
    with pytest.raises(FileError) as error:
        read_superni(path)
    assert problem in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "[1, 2]", "3", "{", "null"])
def test_files_of_something_else(tmp_path, text):
    path = tmp_path / "task1.json"
    path.write_text(text)
    with pytest.raises(FileError, match=r"task1\.json"):
        read_superni(path)


@pytest.mark.parametrize(
    ("rows", "header", "problem"),
    [
        ([("2 + 2", "4")], ("input", "output"), ':2: input: expected "Definition: …"'),
        ([("Definition: Add.\ninput: 2\noutput: ", "4")], ("input", "output"), ":2: input: expected"),
        ([(BAKED + "4", "4")], ("input", "output"), ":2: input: expected"),
        ([(BAKED, "4"), (BAKED.replace("Add", "Sum"), "4")], ("input", "output"), "has another definition"),
        ([(BAKED, "4")], ("inputs", "output"), "input: field required"),
        ([(BAKED, "4")], ("input", "answer"), "output: field required"),
        ([], ("input", "output"), "holds no rows"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path, rows, header, problem):
    path = save_csv(tmp_path / "task2" / "test.csv", *rows, header=header)
    with pytest.raises(FileError) as error:
        read_superni(path)
    assert problem in str(error.value)


def test_what_is_asked_for_is_not_there(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        read_superni(tmp_path / "tasks")
    with pytest.raises(FileError, match=r"holds neither files task….json nor test\.csv"):
        read_superni(tmp_path)
    save(tmp_path / "task1.json")
    with pytest.raises(InputError, match="split is 'val', expected test: tasks in JSON have no others"):
        read_superni(tmp_path, split="val")
    with pytest.raises(InputError, match="limit is 0, expected an integer of at least 1"):
        read_superni(tmp_path, limit=0)
    save(tmp_path / "task2.json")
    with pytest.raises(FileError, match="the id 'task1-a' is in task1 and in task2"):
        read_superni(tmp_path)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the published files")
def test_the_published_files():
    tasks, shots = read_superni(DATA / "superni_json")
    assert (len(tasks), len(shots)) == (1757, 18)
    assert all(each.meta["category"] for each in tasks)
    for split in ("ten", "test", "val"):
        for task in read_instructed(DATA / "superni", split=split):
            shown = instructed_shots(task, style="quick-learners")
            with (DATA / "superni" / task.name / f"{split}.csv").open(newline="") as file:
                rows = list(csv.DictReader(file))
            for row, each in zip(rows, task.instances, strict=True):
                query = instance_query(each.meta["input"], style="quick-learners")
                assert few_shot_prompt(query, shown, 2, separator="\n") == (row["input"], 2)
                assert each.references == (row["output"],)
