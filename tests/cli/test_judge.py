"""``judge --judge``: verdicts of judges that are not the official rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from biddable.models import load
from biddable.types import Response

from .conftest import Command
from .fakes import assert_one_line

TASKS = [
    {"key": 1, "prompt": "Say it.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
    {"key": 2, "prompt": "Write it.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
    {"key": 3, "prompt": "Sing it.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
]
ANSWERS = [
    {"prompt": "Say it.", "response": "We came home late in the evening and slept."},
    {"prompt": "Write it.", "response": "<think>.</think>*this*"},
]


class Agreeable:
    """Finds every response but those that think to be right."""

    name = "agreeable"

    def generate(self, prompts, *, n=1, sampling=None, seeds=None):
        words = ["No" if "<think>" in chat[0].content else "Yes" for chat in prompts]
        return [[Response(f"Final Judgement: {word}")] * n for word in words]


@pytest.fixture
def files(biddable: Command) -> tuple[str, ...]:
    for name, rows in (("t.jsonl", TASKS), ("r.jsonl", ANSWERS)):
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ("--tasks", "t.jsonl", "--responses", "r.jsonl")


@pytest.fixture
def agreeable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "load_model", lambda name: Agreeable())


def test_a_judge_by_name(biddable: Command, files: tuple[str, ...]) -> None:
    result = biddable("judge", "ifeval", *files, "--judge", "answer", "--json")
    assert result.exit_code == 0
    summary = json.loads(result.stdout)
    assert (summary["judge"], summary["n"], summary["undecided"], summary["missing"]) == ("answer", 3, 0, 1)
    assert [row["passed"] for row in summary["verdicts"]] == [True, False, False]
    assert summary["passed"]["value"] == pytest.approx(1 / 3)
    assert [row["task"] for row in summary["verdicts"]] == ["1", "2", "3"]
    assert summary["verdicts"][0]["checks"][0]["id"] == "punctuation:no_comma"
    assert summary["verdicts"][2]["passed"] is False
    assert "warning: task 3 has no answer: no response to it in r.jsonl" in result.stderr


def test_a_language_model_judges_and_thinking_can_be_taken_off(
    biddable: Command, files: tuple[str, ...], agreeable: None
) -> None:
    arguments = ("judge", "ifeval", *files, "--judge", "lm:any?votes=3")
    verdicts = json.loads(biddable(*arguments, "--json").stdout)["verdicts"]
    assert [verdict["passed"] for verdict in verdicts] == [True, False, False]
    verdicts = json.loads(biddable(*arguments, "--json", "--strip-thinking").stdout)["verdicts"]
    assert [verdict["passed"] for verdict in verdicts] == [True, True, False]


def test_a_table(biddable: Command, files: tuple[str, ...], agreeable: None) -> None:
    table = biddable("judge", "ifeval", *files, "--judge", "lm:any?votes=3").stdout
    lines = [line.split() for line in table.splitlines()]
    assert lines[0] == ["3", "responses,", "judged", "by", "lm:any?votes=3"]
    assert ["vote", "0.500", "6"] in lines
    assert any(line[:2] == ["passed", "0.333"] and line[-1] == "3" for line in lines)
    assert ["undecided", "0", "3"] in lines
    assert "1 of 3 tasks have no answer and do not pass." in " ".join(table.split())


def test_a_model_judges_prompts_that_have_no_rules_and_rules_do_not(
    biddable: Command, files: tuple[str, ...], agreeable: None
) -> None:
    Path("t.jsonl").write_text('{"prompt": "Say it."}\n{"prompt": "Write it."}\n')
    arguments = ("judge", "ifeval", *files, "--json", "--judge")
    verdicts = json.loads(biddable(*arguments, "lm:any?votes=3").stdout)["verdicts"]
    assert [verdict["passed"] for verdict in verdicts] == [True, False]
    assert_one_line(biddable(*arguments, "answer"), "expected at least one check")


def test_no_such_judge(biddable: Command, files: tuple[str, ...]) -> None:
    assert_one_line(
        biddable("judge", "ifeval", *files, "--judge", "rubric"), "judge is 'rubric', expected rules"
    )
    assert_one_line(biddable("judge", "ifeval", *files, "--judge", "answer", "--fixed"), "--fixed is True")


def test_what_is_left_out_joined_otherwise_and_at_odds_is_said(biddable: Command) -> None:
    rules = ["length_constraints:number_words", "ja:detectable_format:nominal_ending"]
    asked = [
        {
            "key": 1,
            "prompt": "Write at least 9 words on the sea.",
            "instruction_id_list": rules[:1],
            "kwargs": [{"num_words": 2, "relation": "at least"}],
        },
        {"key": 2, "prompt": "Write.", "instruction_id_list": rules[1:], "kwargs": [{"count": 1}]},
    ]
    answers = [
        {"key": 1, "prompt": "Write at least 8 words on the sea.", "response": "The sea.", "max_tokens": 64},
        {"key": 2, "prompt": "Write.", "response": "No.", "max_tokens": 64},
    ]
    for name, rows in (("odd.jsonl", asked), ("a.jsonl", answers)):
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = biddable("judge", "ifeval", "--tasks", "odd.jsonl", "--responses", "a.jsonl", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["n_prompts"], found["prompt_strict"], found["max_tokens"]) == (1, 1.0, 64)
    assert found["left_out"]["2"].startswith("ja:detectable_format:nominal_ending needs a dictionary")
    assert found["edited"] == {"1": "key"}
    assert found["at_odds"] == {"1": "the text has 9 words, num_words is 2"}
    for said in (
        "Left out of the scores: 1 prompt",
        "Joined by key",
        "limit of the answers was 64 tokens",
        "disagree",
    ):
        assert said in result.stderr
    Path("odd.jsonl").write_text(json.dumps(asked[1]) + "\n")
    result = biddable("judge", "ifeval", "--tasks", "odd.jsonl", "--responses", "a.jsonl")
    assert_one_line(result, "--tasks is 'odd.jsonl', expected a task whose rules can be decided here: ja:")
