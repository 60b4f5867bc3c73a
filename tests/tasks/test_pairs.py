from __future__ import annotations

import json
from pathlib import Path

import pytest

from biddable.errors import FileError
from biddable.tasks.pairs import join_answers, read_annotations, read_answers
from biddable.types import Message, user

SOURCES = ("a.jsonl", "b.jsonl")


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write rows to a file, as JSON lines or a list; gives its name."""
    monkeypatch.chdir(tmp_path)

    def written(name, rows):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        Path(name).write_text(json.dumps(rows) if name.endswith(".json") else lines)
        return name

    return written


@pytest.fixture
def joined(write):
    """Join two lists of rows."""

    def join(first, second):
        files = [read_answers(write(name, rows)) for name, rows in zip(SOURCES, (first, second), strict=True)]
        return join_answers(*files, SOURCES)

    return join


def texts(paired):
    return [(pair.first.text, pair.second.text) for pair in paired.pairs]


def test_answers_in_every_form(write):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    rows = [
        {"prompt": "p", "response": "r", "key": 7},
        {"messages": chat, "responses": ["one", "two"], "finish_reasons": ["stop", "stop"], "id": "x"},
        {"instruction": "i", "input": "n", "output": "o", "generator": "m"},
        {"text": "Once upon", "response": " a time"},
        {"prompt": "p", "response": "", "error": "400 refused"},
        {"prompt": "p", "response": None},
        {"prompt": "p", "response": ""},
        {"id": 3, "response": "alone"},
    ]
    answers = read_answers(write("a.json", rows))
    assert [each.response.text for each in answers] == [
        "r",
        "one",
        "two",
        "o",
        " a time",
        "",
        "",
        "",
        "alone",
    ]
    assert [each.response.error for each in answers][5:8] == ["400 refused", "response is null", ""]
    assert answers[0].task.prompt == user("p")
    assert answers[1].task.prompt == (Message("system", "Be brief."), Message("user", "Hi"))
    assert answers[3].task.prompt == user("i\nn")
    assert answers[3].generator == "m"
    assert answers[4].task.prompt == "Once upon"
    assert answers[8].task is None
    assert [each.key for each in answers[:2]] == ["7", "x"]


def test_rules_come_with_the_prompt(joined):
    ruled = {"key": 1, "prompt": "p", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    for rows in (({"prompt": "p"}, ruled), (ruled, {"prompt": "p"})):
        [pair] = joined(*[[{**row, "response": "r"}] for row in rows]).pairs
        assert pair.task.checks[0].id == "punctuation:no_comma"


def test_they_are_joined_by_prompt(joined):
    paired = joined(
        [{"prompt": text, "response": text[0]} for text in ("a?", "b?", "c?")],
        [{"prompt": text, "response": text.strip()[0].upper()} for text in ("d?", " c?\r\n", "a?")],
    )
    assert texts(paired) == [("a", "A"), ("c", "C")]
    assert paired.only == (("line-2",), ("line-1",))
    assert paired.notes == [
        "Only a.jsonl answers 1 prompt, left out: line-2.",
        "Only b.jsonl answers 1 prompt, left out: line-1.",
    ]


def test_a_system_turn_makes_another_prompt(joined):
    chat = [{"role": "system", "content": "Rhyme."}, {"role": "user", "content": "a?"}]
    with pytest.raises(FileError, match="no prompt in common with"):
        joined([{"prompt": "a?", "response": "x"}], [{"messages": chat, "response": "y"}])


def test_several_responses_to_one_prompt(joined):
    row = {"prompt": "a?", "responses": ["1", "2", "3"]}
    other = {"prompt": "b?", "response": "4"}
    single = joined([row, other], [{"prompt": "a?", "output": "x"}, {"prompt": "b?", "output": "y"}])
    assert texts(single) == [("1", "x"), ("2", "x"), ("3", "x"), ("4", "y")]
    assert single.clusters == [0, 0, 0, 1]
    assert single.notes == ["2 prompts: pairs of one prompt are counted together."]
    fewer = joined([row], [{"prompt": "a?", "response": "x"}, {"prompt": "a?", "response": "y"}])
    assert texts(fewer) == [("1", "x"), ("2", "y")]
    assert fewer.left_over == 1
    assert "1 response has no counterpart to the same prompt." in fewer.notes


def test_what_is_left_is_joined_by_id(joined):
    first = [
        {"id": 1, "prompt": "Name three rivers, please me.", "response": "a"},
        {"id": 2, "prompt": "Sing a song about the sea.", "response": "b"},
        {"id": 3, "response": "c"},
    ]
    second = [
        {"id": 1, "prompt": "Name three rivers, please us.", "response": "x"},
        {"id": 2, "prompt": "Which is the capital of France?", "response": "y"},
        {"id": 3, "prompt": "Write.", "response": "z"},
    ]
    paired = joined(first, second)
    assert texts(paired) == [("a", "x"), ("c", "z")]
    assert paired.by_id == ("1", "3")
    assert paired.only == (("2",), ("2",))
    assert paired.pairs[1].task.prompt == user("Write.")


def test_an_id_of_several_prompts_joins_nothing(joined):
    asked = [{"id": 0, "prompt": f"Question {n} of several.", "response": f"b{n}"} for n in range(3)]
    alone = [{"id": 0, "response": "a0"}, {"id": 0, "response": "a1"}]
    known = {"id": 7, "prompt": "Known.", "response": "k"}
    for first, second in ((alone, asked), (asked, alone)):
        paired = joined([*first, known], [*second, known])
        assert texts(paired) == [("k", "k")]
        assert "Not joined by id, which several prompts have: 0." in paired.notes
    with pytest.raises(FileError, match=r"no prompt in common with a.jsonl .*, and several have the id 0"):
        joined(alone, asked)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"prompt": "p"}, "a.jsonl:2: response: field required"),
        ({"response": "r"}, "a.jsonl:2: neither a prompt"),
        ({"prompt": "p", "response": 3}, "a.jsonl:2: response is 3, expected a text, or null"),
        ({"prompt": "p", "responses": []}, "a.jsonl:2: responses is []"),
        ({"prompt": "p", "responses": ["r", {}]}, r"a.jsonl:2: responses[1] is {}, expected a text"),
        ({"prompt": " ", "response": "r"}, "a.jsonl:2: prompt is ' ', expected a text that is not blank"),
        ({"id": True, "response": "r"}, "a.jsonl:2: id is True"),
        ([1], "a.jsonl:2: expected a JSON object"),
    ],
)
def test_rows_that_are_no_answers(write, row, problem):
    with pytest.raises(FileError) as error:
        read_answers(write("a.jsonl", [{"prompt": "p", "response": "r"}, row]))
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_an_id_without_a_prompt_anywhere(joined):
    with pytest.raises(FileError, match=r"a.jsonl:1: no prompt, and none under the id 1 in b.jsonl"):
        joined([{"id": 1, "response": "r"}], [{"id": 1, "response": "s"}])


def annotation(**changes):
    row = {"instruction": "i", "output_1": "base", "output_2": "mine", "preference": 1}
    return {**row, "generator_1": "b", "generator_2": "m", **changes}


def test_annotations(write):
    preferences = (1, 2, 0, 1.5, 1.25, None, "2.0", "")
    rows = [annotation(instruction=f"i{at}", preference=each) for at, each in enumerate(preferences)]
    paired = read_annotations(write("a.json", [*rows, annotation(instruction="i0", preference=2)]))
    assert [pair.win for pair in paired.pairs] == [0, 1, 0.5, 0.5, 0.25, None, 1, None, 1]
    assert paired.clusters == [0, 1, 2, 3, 4, 5, 6, 7, 0]
    assert paired.names == ("m", "b")
    assert texts(paired)[0] == ("mine", "base")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"preference": 3}, "a.jsonl:2: preference is 3, expected 1 (output_1 is better) to 2 (output_2 is)"),
        ({"preference": 0.5}, "a.jsonl:2: preference is 0.5"),
        ({"preference": True}, "a.jsonl:2: preference is True"),
        ({"preference": "A"}, "a.jsonl:2: preference is 'A'"),
        ({"output_2": None}, "a.jsonl:2: output_2 is None, expected a text"),
        ({"instruction": None}, "a.jsonl:2: no prompt"),
        ({"generator_2": "other"}, "a.jsonl:2: other beside b, and earlier rows are of m beside b"),
    ],
)
def test_rows_that_are_no_annotations(write, changes, problem):
    with pytest.raises(FileError) as error:
        read_annotations(write("a.jsonl", [annotation(), annotation(**changes)]))
    assert problem in str(error.value)


def test_a_row_without_a_preference(write):
    row = annotation()
    del row["preference"]
    with pytest.raises(FileError, match="preference: field required"):
        read_annotations(write("a.jsonl", [row]))
