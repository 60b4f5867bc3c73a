"""``chain``: plans, errors, what is printed at the end."""

from __future__ import annotations

import json
from pathlib import Path

from tests.doubles import Fickle, Parrot

from .conftest import Command
from .fakes import assert_one_line, write_lines

CHAIN = """
[steps.answers]
generate = "smollm2"
prompts = "prompts.jsonl"
n = 2

[steps.choose]
select = "{answers}"
rows = 2

[arms.any]
[arms.other.steps.choose]
seed = 3
"""


def written(text: str = CHAIN) -> str:
    write_lines("prompts.jsonl", [{"prompt": "one"}, {"prompt": "two"}, {"prompt": "three"}])
    Path("mine.toml").write_text(text)
    return "mine.toml"


def test_a_dry_run_prints_the_plan_and_writes_nothing(biddable: Command) -> None:
    result = biddable("chain", written(), "--dry-run")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["step", "what", "state", "runs"]
    assert [line[0] for line in lines[1:4]] == ["answers", "choose", "other/choose"]
    assert result.stdout.endswith("runs/mine: 3 of 3 steps to compute\n")
    assert not Path("runs").exists()


def test_it_computes_tells_and_goes_on(biddable: Command, parrot: Parrot) -> None:
    first = biddable("chain", written())
    assert first.exit_code == 0, first.output
    steps = [line for line in first.stderr.splitlines() if line.startswith("step ")]
    assert steps == [
        "step 1 of 3: answers (generate smollm2)",
        "step 2 of 3: choose (select {answers})",
        "step 3 of 3: other/choose (select {answers})",
    ]
    assert "data/conversations.jsonl" in first.stdout
    assert "report: runs/mine/report.html" in first.stdout
    for folder in ("", "answers", "other/choose"):
        assert Path("runs/mine", folder, "report.html").is_file()
    calls = parrot.calls
    second = biddable("chain", "mine.toml", "--json")
    assert parrot.calls == calls
    document = json.loads(second.stdout)
    assert [step["state"] for step in document["steps"]] == ["finished"] * 3
    assert document["metrics"]["consumed"]["any"] == {"rows": 0, "tokens": 0, "steps": 0}
    assert biddable("report", "runs/mine").exit_code == 0


def test_until_a_step(biddable: Command, parrot: Parrot) -> None:
    result = biddable("chain", written(), "--until", "answers", "--out", "here")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("next:\n  biddable chain mine.toml --out here\n")
    assert [line.split()[3] for line in result.stdout.splitlines()[1:2]] == ["finished"]
    assert not Path("here/results.json").exists()
    assert_one_line(biddable("chain", "mine.toml", "--until", "anwers"), "--until is 'anwers'", "answers?")


def test_ctrl_c_says_that_it_goes_on(biddable: Command, parrot: Parrot) -> None:
    parrot.interrupt_after = 0
    result = biddable("chain", written())
    assert result.exit_code == 130
    assert result.stderr.endswith("interrupted; the same command goes on where it stopped\n")
    parrot.interrupt_after = -1
    assert biddable("chain", "mine.toml").exit_code == 0


def test_what_is_wrong_is_one_line(biddable: Command, fickle: Fickle) -> None:
    assert_one_line(biddable("chain", "gone.toml"), "gone.toml: no such file")
    assert_one_line(biddable("chain", written("[steps.a]\nx")), "mine.toml:2: not TOML")
    result = biddable("chain", written(CHAIN.replace("n = 2", "n = 0")))
    assert_one_line(result, "mine.toml: steps.answers.n is 0, expected an integer of at least 1")
    assert_one_line(biddable("chain", written(), "--out", ""), "--out is ''")
    write_lines("prompts.jsonl", [{"prompt": "refuse"}] * 3)
    result = biddable("chain", "mine.toml")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: answers: prompts.jsonl")
