from __future__ import annotations

import json
from pathlib import Path

import pytest

from biddable.errors import FileError, InputError
from biddable.tasks.fewshot import few_shot_prompt
from biddable.tasks.natural_instructions import SEPARATOR, read_natural_instructions, read_predictions

PUBLISHED = Path(__file__).parents[2] / "../shared/data/ni_v1/predictions"
TASK = {
    "Title": "Adding one",
    "Definition": "Add one. ",
    "Prompt": "Write the next number.",
    "Things to Avoid": "-",
    "Emphasis & Caution": "Mind the sign.",
    "Examples": {
        "Positive Examples": [{"input": "1 ", "output": "2", "reason": "1 + 1"}],
        "Negative Examples": [{"input": "5", "output": "7", "reason": "Too much.", "suggestion": "Add one."}],
    },
    "Instances": [{"input": str(n), "output": [str(n + 1)]} for n in range(71)],
}


def save(path: Path, value: object = TASK) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_instruction_examples_and_instances(tmp_path):
    tasks, shots = read_natural_instructions(save(tmp_path / "subtask1_next.json"), count=5)
    assert [task.id for task in tasks] == [f"subtask1_next/{n}" for n in (60, 62, 64, 66, 68)]
    prompt, kept = few_shot_prompt(tasks[0].prompt, shots["subtask1_next"], 2, separator=SEPARATOR)
    assert kept == 2
    assert prompt == (
        "Definition: Add one.\nPrompt: Write the next number.\nEmphasis & Caution: Mind the sign.\n"
        "input: 1\noutput: 2\ninput: 0\noutput: 1\ninput: 60\noutput:"
    )
    assert tasks[0].references == ("61",)
    assert tasks[0].meta == {"group": "subtask1_next", "input": "60", "index": 60}
    assert len(shots["subtask1_next"].examples) == 61


def test_which_instances_are_asked(tmp_path):
    path = save(tmp_path / "a.json")
    assert [task.meta["index"] for task in read_natural_instructions(path)[0]] == list(range(60, 70))
    assert [task.meta["index"] for task in read_natural_instructions(path, count=None)[0]] == [*range(60, 71)]
    assert [task.meta["index"] for task in read_natural_instructions(path, count=2)[0]] == [60, 65]


def test_fields_in_any_order_and_explained_examples(tmp_path):
    path = save(tmp_path / "a.json")
    fields = ["Prompt", "Things to Avoid", "Title"]
    _, shots = read_natural_instructions(tmp_path, fields=fields, explained=True)
    assert shots["a"].description == "Prompt: Write the next number.\nTitle: Adding one"
    assert shots["a"].examples == (
        "Positive Example 1-\ninput: 1\noutput: 2\nreason: 1 + 1",
        "Negative Example 1-\ninput: 5\noutput: 7\nreason: Too much.suggestion: Add one.",
    )
    save(path, TASK | {"Examples": {"Positive Examples": "-", "Negative Examples": "-"}})
    assert read_natural_instructions(path, explained=True)[1]["a"].examples == ()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"Instances": TASK["Instances"][:61]}, "Instances: 61 of them, expected more than the 60 kept"),
        ({"Instances": []}, "Instances: 0 of them"),
        ({"Instances": None}, "Instances: input should be a valid list"),
        ({"Instances": [{"input": "1", "output": []}]}, "Instances.0.output: list should have at least 1"),
        ({"Instances": [{"input": "1", "output": 2}]}, "Instances.0.output: input should be a valid list"),
        ({"Instances": [{"output": ["2"]}]}, "Instances.0.input: field required"),
        ({"Definition": ["Add one."]}, "Definition: input should be a valid string"),
        ({"Examples": {"Positive Examples": [{"input": "1"}]}}, "Examples.Positive Examples.0.output: field"),
        ({"Examples": []}, "Examples: input should be"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, change, problem):
    path = save(tmp_path / "a.json", TASK | change)
    with pytest.raises(FileError) as error:
        read_natural_instructions(path)
    assert problem in str(error.value)
    assert str(path) in str(error.value)


def test_what_is_asked_for_is_not_there(tmp_path):
    with pytest.raises(FileError, match=r"holds no file named TASK\.json"):
        read_natural_instructions(tmp_path)
    with pytest.raises(FileError, match="no such file"):
        read_natural_instructions(tmp_path / "a.json")
    path = save(tmp_path / "a.json", [TASK, TASK])
    with pytest.raises(FileError, match="expected one object with Definition and Instances, not 2 rows"):
        read_natural_instructions(path)
    with pytest.raises(InputError, match="fields is 'Reason', expected one of Title, Definition, Prompt"):
        read_natural_instructions(path, fields=["Reason"])
    with pytest.raises(InputError, match="count is 0, expected an integer of at least 1"):
        read_natural_instructions(path, count=0)


def test_predictions(tmp_path):
    rows = [{"index": 60, "output": " 61", "input": "input: 60\noutput:"}, {"index": 62, "output": ""}]
    path = save(tmp_path / "subtask1_next@_Definition_Prompt@0_100.json", {"predictions": rows})
    found = read_predictions(path)
    assert (found.task, found.encoding) == ("subtask1_next", "Definition_Prompt")
    assert {index: response.text for index, response in found.responses.items()} == {60: " 61", 62: ""}
    assert found.prompts == {60: "input: 60\noutput:"}
    assert read_predictions(save(tmp_path / "mine.json", {"predictions": rows})).task == "mine"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({}, "predictions: field required"),
        ({"predictions": []}, "predictions: list should have at least 1 item"),
        ({"predictions": [{"index": 1}]}, "predictions.0.output: field required"),
        ({"predictions": [{"output": "x"}]}, "predictions.0.index: field required"),
        ({"predictions": [{"index": -1, "output": "x"}]}, "predictions.0.index: input should be greater"),
        (
            {"predictions": [{"index": 1, "output": None}]},
            "predictions.0.output: input should be a valid str",
        ),
        ({"predictions": [{"index": 1, "output": "x"}] * 2}, "predictions.1.index: 1 is that of another"),
        ([{"index": 1}, {"index": 2}], "expected one object with predictions"),
        ([], "holds no rows"),
    ],
)
def test_predictions_that_cannot_be_used(tmp_path, value, problem):
    with pytest.raises(FileError) as error:
        read_predictions(save(tmp_path / "p.json", value))
    assert problem in str(error.value)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs the published files")
def test_the_published_predictions():
    found = [read_predictions(path) for path in sorted(PUBLISHED.rglob("*.json"))]
    assert sorted(len(each.responses) for each in found) == [15] * 6 + [1005]
    assert sum(each.encoding == "Definition_Prompt" for each in found) == 3
    assert all(prompt.endswith("\noutput:") for each in found for prompt in each.prompts.values())
