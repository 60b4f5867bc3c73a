"""The page "Is my model better?": its files and every command on it, with models that answer at once."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from biddable.config import fields_of
from biddable.models import load
from biddable.suites.own import Columns, Description
from tests.suites.models import Chooser

from .conftest import Command
from .fakes import write_lines

PAGE = (Path(__file__).parents[2] / "docs" / "measuring.md").read_text("utf-8")
COMMANDS = [line for line in PAGE.splitlines() if line.startswith("biddable ")]


@pytest.fixture
def page(biddable: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The files of the page, and those of others that it names."""
    for name, text in re.findall(r'```\w+ title="([\w.]+)"\n(.*?)```', PAGE, re.DOTALL):
        Path(name).write_text(text)
    rule = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    write_lines("input_data.jsonl", [{"key": i, "prompt": f"Say {i}.", **rule} for i in range(3)])
    Path("BIG-Bench-Hard/bbh").mkdir(parents=True)
    rows = [{"input": f"{i}?\nOptions:\n(A) x\n(B) y", "target": "(A)"} for i in range(5)]
    Path("BIG-Bench-Hard/bbh/snarks.json").write_text(json.dumps({"examples": rows}))
    Path("BIG-Bench-Hard/cot-prompts").mkdir()
    shots = "\n\n".join(f"Q: {i}?\nA: Let's think step by step.\nSo the answer is (A)." for i in range(3))
    Path("BIG-Bench-Hard/cot-prompts/snarks.txt").write_text(f"canary\n-----\nWhich one?\n\n{shots}")
    model = Chooser(lambda prompt, choice: -float(len(prompt) % 3), template=True)
    monkeypatch.setattr(load, "load_model", lambda name, **_: model)
    return biddable


def test_every_command_of_the_page_works(page: Command) -> None:
    assert len(COMMANDS) == 7
    for line in COMMANDS:
        result = page(*shlex.split(line)[1:])
        assert result.exit_code == 0, (line, result.stderr)
    assert (
        "Review: A joy from the first minute.\nThe sentiment is positive\n\n"
        in page("suites", "--validate", "reviews.toml").stdout
    )
    results = json.loads(Path("evals/reviews/results.json").read_text())
    assert results["metrics"]["reviews"].keys() == {"smollm2", "runs/sft"}
    assert Path("evals/sft/report.html").exists()


def test_the_page_tells_of_every_key() -> None:
    told = "\n".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))
    keys = [*fields_of(Description), *(f"columns.{name}" for name in fields_of(Columns))]
    missing = {key for key in keys if f"`{key}`" not in told and key != "columns"}
    assert not missing


def test_the_page_is_read_in_five_minutes() -> None:
    assert len(PAGE.split()) < 1400
