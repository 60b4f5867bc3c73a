"""Reading IFEval's prompts, as published and as others write them."""

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks._ifeval_responses import OFFICIAL_COUNTS, made_tasks
from biddable.errors import FileError
from biddable.tasks.ifeval import load_ifeval
from biddable.types import Check, Message, user

OFFICIAL = Path(__file__).parents[3] / "shared/data/ifeval/input_data.jsonl"

GOOD = {"key": 7, "prompt": "Say hi.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}


def write(path, *rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "input.jsonl"


def test_a_task(file):
    row = {
        "key": 12,
        "prompt": "Écris.",
        "instruction_id_list": ["length_constraints:number_words", "punctuation:no_comma"],
        "kwargs": [{"num_words": 3, "relation": "at least", "keyword": None}, {"letter": None}],
    }
    (task,) = load_ifeval(write(file, row))
    assert task.id == "12"
    assert task.prompt == user("Écris.")
    assert task.checks == (
        Check("length_constraints:number_words", {"num_words": 3, "relation": "at least"}),
        Check("punctuation:no_comma"),
    )


def test_the_official_file():
    if not OFFICIAL.exists():
        pytest.skip("the official IFEval prompts are not beside the project")
    tasks = load_ifeval(OFFICIAL)
    assert len(tasks) == 541
    assert Counter(len(task.checks) for task in tasks) == {1: 305, 2: 179, 3: 57}
    assert Counter(check.id for task in tasks for check in task.checks) == OFFICIAL_COUNTS
    assert sum(OFFICIAL_COUNTS.values()) == 834
    assert (min(int(task.id) for task in tasks), max(int(task.id) for task in tasks)) == (13, 3757)


def test_a_made_file(file):
    tasks = made_tasks(100)
    rows = [
        {
            "key": int(task.id),
            "prompt": task.prompt[0].content,
            "instruction_id_list": [check.id for check in task.checks],
            "kwargs": [check.args for check in task.checks],
        }
        for task in tasks
    ]
    assert load_ifeval(write(file, *rows)) == tasks


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"key": "7"}, "key: the same as in line 1"),
        ({"key": [7]}, "key"),
        ({"key": True}, "key: "),
        ({"prompt": 3}, "prompt is 3, expected "),
        ({"prompt": ""}, "prompt is '', expected "),
        ({"instruction_id_list": []}, "instruction_id_list: "),
        ({"instruction_id_list": [3]}, "instruction_id_list.0: "),
        ({"kwargs": [[]]}, "kwargs.0: "),
        ({"kwargs": "{'num_words': 5}"}, "kwargs: "),
        ({"kwargs": 5}, "kwargs: "),
        ({"kwargs": [{}, {}]}, "kwargs: 2 entries for 1 in instruction_id_list"),
        ({"key": 7}, "key: the same as in line 1"),
    ],
)
def test_a_malformed_line_is_named(file, change, problem):
    write(file, GOOD, {**GOOD, "key": 8, "prompt": "Other.", **change})
    with pytest.raises(FileError) as caught:
        load_ifeval(file)
    assert str(caught.value).startswith(f"{file}:2: {problem}")


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("prompt", "expected an object with either prompt"),
        ("instruction_id_list", "instruction_id_list: field required"),
        ("kwargs", "kwargs: field required"),
    ],
)
def test_a_missing_field_is_named(file, field, problem):
    write(file, {name: value for name, value in GOOD.items() if name != field})
    with pytest.raises(FileError, match=rf":1: .*{problem}"):
        load_ifeval(file)


def test_what_is_no_such_file(file):
    with pytest.raises(FileError, match="no such file"):
        load_ifeval(file)
    file.write_text("\n")
    with pytest.raises(FileError, match="holds no rows"):
        load_ifeval(file)
    file.write_text("[1]\n")
    with pytest.raises(FileError, match=": row 1: expected a JSON object"):
        load_ifeval(file)
    file.write_text("{not json}\n")
    with pytest.raises(FileError, match=":1: not JSON"):
        load_ifeval(file)


WORDS = "length_constraints:number_words"
ARGUMENTS = {"num_words": 5, "relation": "at least"}
NO_COMMA = "punctuation:no_comma"


@pytest.mark.parametrize(
    ("change", "checks"),
    [
        ({"kwargs": [None]}, (Check(NO_COMMA),)),
        ({"kwargs": None}, (Check(NO_COMMA),)),
        ({"kwargs": ["{}"]}, (Check(NO_COMMA),)),
        ({"kwargs": ["null"]}, (Check(NO_COMMA),)),
        ({"kwargs": "[{}]"}, (Check(NO_COMMA),)),
        ({"kwargs": {}}, (Check(NO_COMMA),)),
        ({"kwargs": '{"keyword": null}'}, (Check(NO_COMMA),)),
        ({"instruction_id_list": json.dumps([NO_COMMA])}, (Check(NO_COMMA),)),
        (
            {"instruction_id_list": [WORDS], "kwargs": {**ARGUMENTS, "keyword": None}},
            (Check(WORDS, ARGUMENTS),),
        ),
        (
            {"instruction_id_list": [WORDS, NO_COMMA], "kwargs": ARGUMENTS},
            (Check(WORDS, ARGUMENTS), Check(NO_COMMA, ARGUMENTS)),  # which takes what is for the judge to say
        ),
        (
            {"instruction_id_list": json.dumps([WORDS]), "kwargs": json.dumps([ARGUMENTS])},
            (Check(WORDS, ARGUMENTS),),
        ),
    ],
    ids=str,
)
def test_arguments_as_others_write_them(file, change, checks):
    (task,) = load_ifeval(write(file, {**GOOD, **change}))
    assert task.checks == checks


@pytest.mark.parametrize(
    ("key", "id"),
    [("en-17", "en-17"), ("7", "7"), (7.0, "7"), ("7.0", "7"), (float("nan"), "line-1"), (None, "line-1")],
)
def test_a_key_as_others_write_it(file, key, id):
    (task,) = load_ifeval(write(file, {**GOOD, "key": key}))
    assert task.id == id


def test_rows_without_a_key_are_known_by_their_place(file):
    rows = [{name: value for name, value in GOOD.items() if name != "key"}] * 2
    assert [task.id for task in load_ifeval(write(file, *rows))] == ["line-1", "line-2"]
    file.write_text(json.dumps(rows))
    assert [task.id for task in load_ifeval(file)] == ["row-1", "row-2"]


def test_samples_that_lm_eval_logs_hold_the_tasks_too(file):
    assert load_ifeval(write(file, {"doc_id": 0, "doc": GOOD, "resps": [["x"]]}))[0].id == "7"


def test_a_prompt_of_several_turns(file):
    turns = [{"role": "developer", "content": "Be short."}, {"role": "user", "content": "Say hi."}]
    (task,) = load_ifeval(write(file, {**GOOD, "prompt": turns}))
    assert task.prompt == (Message("system", "Be short."), Message("user", "Say hi."))
    with pytest.raises(FileError, match=":1: prompt: the last turn is the assistant's"):
        load_ifeval(write(file, {**GOOD, "prompt": [*turns, {"role": "assistant", "content": "Hi."}]}))
