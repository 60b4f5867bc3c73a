"""Suites of verifiable instructions."""

import json

import pytest

from biddable.errors import InputError
from biddable.suites.load import load_suite
from biddable.types import Response

NULLS = {"N": None, "small_n": None, "count": None}
IFBENCH = [
    {
        "key": "0",
        "prompt": "Name two trees.",
        "instruction_id_list": ["count:numbers", "words:repeats"],
        "kwargs": [{**NULLS, "N": 2.0}, {**NULLS, "small_n": 1.0}],
    },
    {"key": "1", "prompt": "Sing.", "instruction_id_list": ["format:no_whitespace"], "kwargs": [NULLS]},
]
UNDECIDED = {
    "key": "2",
    "prompt": "End.",
    "instruction_id_list": ["ja:detectable_format:nominal_ending"],
    "kwargs": [{"count": 2}],
}
FRENCH = {"key": 1, "prompt": "Chante.", "instruction_id_list": ["fr:punctuation:no_comma"], "kwargs": [{}]}


def suite(path, name, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_suite(f"{name}:{path}")


def test_ifbench(tmp_path):
    made = suite(tmp_path / "t.jsonl", "ifbench", *IFBENCH)
    assert (made.name, len(made.tasks), made.sampling.max_tokens) == ("ifbench", 2, 1280)
    verdicts = made.judge(made.tasks, [Response("1 oak, 2 Oak"), Response("* la\nlala")])
    passed = [{check.id: check.passed for check in verdict.checks} for verdict in verdicts]
    assert passed[0]["count:numbers"]
    assert not passed[0]["words:repeats"]
    assert passed[1] == {"format:no_whitespace": False, "loose format:no_whitespace": True}


def test_m_ifeval_is_named_by_its_language(tmp_path):
    assert suite(tmp_path / "t.jsonl", "m-ifeval", FRENCH).name == "m-ifeval-fr"


def test_tasks_that_cannot_be_decided_are_left_out_and_named(tmp_path):
    made = suite(tmp_path / "t.jsonl", "ifeval", *IFBENCH, UNDECIDED)
    assert [task.id for task in made.tasks] == ["0", "1"]
    [note] = made.notes
    assert note.startswith(
        "Left out of the scores: 1 prompt, because ja:detectable_format:nominal_ending needs"
    )
    with pytest.raises(
        InputError, match=r"one whose rules can be decided here: ja:detectable_format:nominal_ending"
    ):
        suite(tmp_path / "u.jsonl", "ifeval", UNDECIDED)
