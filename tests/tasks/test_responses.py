"""Reading responses that are there already, and finding the one to each task."""

import json

import pytest

from biddable.errors import FileError
from biddable.tasks.responses import load_responses, match
from biddable.types import Message, Response, Task, user

TASKS = [Task("1", user("a")), Task("2", user("b"))]


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "r.jsonl"


def matched(file, *rows, tasks=TASKS):
    return match(tasks, load_responses(write(file, *rows)), file)


def texts(file, *rows, tasks=TASKS):
    return [found.text or found.error for found in matched(file, *rows, tasks=tasks).responses]


DOC = {"key": 1, "prompt": "a", "instruction_id_list": ["x"], "kwargs": [{}]}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "a", "response": "x"},
        {"prompt": "a", "response": "x", "model": "m", "key": 900},
        {"messages": [{"role": "user", "content": "a"}], "response": "x"},
        {
            "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "old"}],
            "response": "x",
        },
        {"prompt": "a", "responses": ["x"]},
        {"prompt": " a\r\n", "response": "x"},
        {"key": 1, "response": "x"},
        {"key": "1", "response": "x"},
        {"key": 1.0, "response": "x"},
        {"doc_id": 0, "doc": DOC, "resps": [["x"]], "filtered_resps": ["x"]},
        {"doc_id": 0, "doc": DOC, "resps": [["x"]]},
        {"doc_id": 0, "doc": DOC, "resps": [[" x\n"]], "filtered_resps": ["x"]},  # what lm-eval scores
        {"prompt": "a", "response": "x", "error": 0.25},  # a number of the user's, as there is a response
    ],
    ids=str,
)
def test_a_response_is_found(file, row):
    assert texts(file, row, {"prompt": "b", "response": "y"}) == ["x", "y"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "a", "response": None}, "the response is null"),
        ({"prompt": "a", "response": 3}, "the response is 3, expected a text"),
        ({"prompt": "a", "response": ["x"]}, "the response is ['x'], expected a text"),
        ({"prompt": "a", "response": "", "error": "400:\nno"}, "400: no"),
        ({"prompt": "a", "error": "gone"}, "gone"),
        ({"doc": DOC, "resps": [[None]]}, "the response is null"),
        ({"prompt": "other", "response": "x"}, "no response to it in "),
    ],
    ids=str,
)
def test_one_that_is_not_there_does_not_end_the_others(file, row, reason):
    first, second = matched(file, row, {"prompt": "b", "response": "y"}).responses
    assert first.error.startswith(reason)
    assert (first.text, first.finish_reason) == ("", "error")
    assert second == Response("y")


def test_an_empty_response_is_a_response(file):
    assert matched(file, {"prompt": "a", "response": ""}).responses[0] == Response("")


def test_where_an_answer_was_cut_off_is_kept(file):
    row = {"prompt": "a", "response": "x", "finish_reason": "length"}
    assert matched(file, row).responses[0].finish_reason == "length"


def test_responses_to_none_of_the_tasks_are_counted(file):
    rows = [{"prompt": name, "response": "x"} for name in "abcd"]
    assert matched(file, *rows).left_over == 2
    problem = "names none of the tasks, the first of which has the prompt 'a' and the key '1'"
    for others in (rows[2:], [{"key": 3, "response": "x"}]):
        with pytest.raises(FileError, match=problem):
            matched(file, *others)


def test_rows_without_prompt_and_key_among_others_belong_to_none(file):
    found = matched(file, {"response": "x"}, {"prompt": "a", "response": "y"}, {"response": "z"})
    assert [response.text for response in found.responses] == ["y", ""]
    assert found.left_over == 2


def test_rows_that_name_nothing_are_taken_in_order_if_there_is_one_each(file):
    assert texts(file, {"response": "x"}, {"response": "y"}) == ["x", "y"]
    with pytest.raises(FileError, match="1 responses without prompt or key for 2 tasks, expected as many"):
        matched(file, {"response": "x"})


def test_a_repeated_response_is_fine_and_a_second_one_is_not(file):
    same, other = ({"prompt": "a", "response": text} for text in "xy")
    assert texts(file, same, same)[0] == "x"
    with pytest.raises(FileError, match=":2: response: differs from an earlier one to the same prompt"):
        matched(file, same, other)
    with pytest.raises(FileError, match=":2: response: differs from an earlier one"):
        matched(file, {**same, "key": 8}, {**other, "key": 9})


def test_tasks_that_end_alike_are_told_apart_by_key(file):
    tasks = [
        Task(id, (Message("user", id), Message("assistant", "Yes?"), Message("user", "Go on.")))
        for id in "xy"
    ]
    rows = [{"prompt": "Go on.", "key": id, "response": f"to {id}"} for id in "yx"]
    assert texts(file, *rows, tasks=tasks) == ["to x", "to y"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"prompt": "a"}, ":2: response: field required"),
        ({"prompt": "a", "responses": ["x", "y"]}, ":2: responses: 2 to one prompt, expected one"),
        ({"doc": DOC, "resps": [["x", "y"]]}, ":2: resps: 2 to one prompt"),
        ({"prompt": 3, "response": "x"}, ":2: prompt is 3"),
        ({"key": [1], "response": "x"}, ":2: key is"),
        (["a", "x"], ":2: expected a JSON object"),
    ],
    ids=str,
)
def test_a_row_that_cannot_be_read_is_named(file, row, problem):
    with pytest.raises(FileError) as caught:
        matched(file, {"prompt": "b", "response": "y"}, row)
    assert str(caught.value).startswith(f"{file}{problem}")


EDITED = [
    Task("1", user("Write about the sea in at least 3 sentences, please, with a title.")),
    Task("2", user("Name a tree.")),
]
OLDER = "Write about the sea in at least one sentences, please, with a title."


def test_an_edited_prompt_is_joined_by_its_key(file):
    rows = {"key": 2, "prompt": "Name a tree.", "response": "y"}, {"key": 1, "prompt": OLDER, "response": "x"}
    found = matched(file, *rows, tasks=EDITED)
    assert [each.text for each in found.responses] == ["x", "y"]
    assert (found.edited, found.left_over) == ((("1", "key"),), 0)
    assert found.notes == ["Joined by key, because the file has another wording of the prompt: 1."]


def test_an_edited_prompt_is_joined_by_its_place_in_a_file_in_order(file):
    rows = [{"prompt": OLDER, "response": "x"}, {"prompt": "Name a tree.", "response": "y"}]
    found = matched(file, *rows, tasks=EDITED)
    assert [each.text for each in found.responses] == ["x", "y"]
    assert found.edited == (("1", "place"),)
    found = matched(file, *rows[::-1], tasks=EDITED)  # in another order, the place tells nothing
    assert (found.responses[0].error or "").startswith("no response to it")
    assert (found.edited, found.left_over) == ((), 1)


@pytest.mark.parametrize("named", [{"key": 1}, {}])
def test_another_prompt_is_no_edited_one(file, named):
    rows = (
        {**named, "prompt": "Count to ten, then stop.", "response": "x"},
        {"prompt": "Name a tree.", "response": "y"},
    )
    found = matched(file, *rows, tasks=EDITED)
    assert found.responses[0].error
    assert found.edited == ()


def test_two_edited_prompts_with_one_key_are_no_answer(file):
    rows = [{"key": 1, "prompt": OLDER + mark, "response": mark} for mark in "!?"]
    found = matched(file, *rows, {"key": 2, "response": "y"}, tasks=EDITED)
    assert found.responses[0].error


@pytest.mark.parametrize(
    ("row", "limit"),
    [
        ({"max_tokens": 64}, 64),
        ({"max_new_tokens": 64}, 64),
        ({"arguments": {"gen_args_0": {"arg_0": "a", "arg_1": {"max_gen_toks": 1280}}}}, 1280),
        ({"arguments": [["a", {"until": []}]]}, None),
        ({"max_tokens": True}, None),
        ({}, None),
    ],
)
def test_the_limit_of_tokens(file, row, limit):
    rows = [{"prompt": prompt, "response": "x", **row} for prompt in "ab"]
    found = matched(file, *rows)
    assert found.max_tokens == limit
    assert found.notes == ([f"The limit of the answers was {limit} tokens."] if limit else [])
    assert matched(file, rows[0], {**rows[1], "max_tokens": 3}).max_tokens is None  # not one limit
