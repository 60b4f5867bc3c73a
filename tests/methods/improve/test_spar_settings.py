"""What SPaR's settings name is looked for before a run folder is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from click.testing import CliRunner

from biddable.cli import main
from biddable.errors import BiddableError, FileError, InputError
from biddable.methods import base
from biddable.methods.base import configure
from biddable.methods.improve.spar import Spar, SparConfig
from biddable.methods.improve.spar_controlled import SparControlled
from biddable.runs.run import Run

NO_COMMA = "punctuation:no_comma"


def prompt(rule: str = NO_COMMA, key: int = 1) -> str:
    row = {"key": key, "prompt": f"Say {key}.", "instruction_id_list": [rule], "kwargs": [{}]}
    return json.dumps(row) + "\n"


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A folder to work in, with files of IFEval and things that hold no model; its names."""
    monkeypatch.chdir(tmp_path)
    Path("good.jsonl").write_text(prompt() + prompt(key=2))
    Path("single.jsonl").write_text(prompt())
    Path("half.jsonl").write_text(prompt() + "{")
    Path("twice.jsonl").write_text(prompt() * 2)
    Path("rules.jsonl").write_text(prompt("keywords:magic"))
    Path("mixed.jsonl").write_text(prompt() + prompt("keywords:magic", 2) + prompt(key=3))
    Path("mine.jsonl").write_text("".join(prompt(key=key) for key in range(1, 6)))
    Path("more.jsonl").write_text("".join(prompt(key=key) for key in range(1, 9)))
    Path("other.jsonl").write_text(prompt(key=8) + prompt(key=9))
    Path("plain.jsonl").write_text('{"prompt": "Say something."}\n')
    Path("none.jsonl").write_text("")
    Path("empty").mkdir()
    return sorted(map(str, Path().rglob("*")))


def refused(options: dict[str, Any]) -> BiddableError:
    with pytest.raises((InputError, FileError)) as caught:
        base.run("spar", out="run", **options)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"compose.types": (NO_COMMA, "punctuation:no_coma")},
            "compose.types is 'punctuation:no_coma', expected one of ",
        ),
        (
            {"compose.held_out_types": ("startend:quote",)},
            "compose.held_out_types is 'startend:quote', expected one of ",
        ),
        (
            {"compose.held_out_types": ("x",), "test.held_out": 0},
            "compose.held_out_types is 'x', expected one of ",
        ),
        (
            {"compose": {"types": (NO_COMMA,), "held_out_types": (NO_COMMA,)}},
            "fewer than all of the rule types",
        ),
        ({"test.tasks": 1}, "test.tasks is 1, expected at least two prompts to measure on"),
        ({"test.held_out": 1}, "test.held_out is 1, expected at least two prompts to measure on"),
        ({"test.ifeval": "single.jsonl"}, "test.ifeval is 1, expected at least two prompts to measure on"),
        ({"test.ifeval": "gone.jsonl"}, "gone.jsonl: no"),
        ({"test.ifeval": "empty"}, "empty: "),
        ({"test.ifeval": "none.jsonl"}, "none.jsonl: "),
        ({"test.ifeval": "half.jsonl"}, "half.jsonl:2: not JSON"),
        ({"test.ifeval": "twice.jsonl"}, "twice.jsonl:2: key: the same as in line 1"),
        ({"test.ifeval": "rules.jsonl"}, "instruction_id_list[0] is 'keywords:magic', expected "),
        (
            {"test.ifeval": "good.jsonl", "test.ifeval_arms": ("base", "spar-1", "spar1")},
            "test.ifeval_arms is 'spar1', expected one of the models of this run: base, spar-1",
        ),
        (
            {
                "test": {"ifeval": "good.jsonl", "ifeval_arms": ("humpback",)},
                "arms": ("independent",),
                "iterations": 2,
            },
            "test.ifeval_arms is 'humpback', expected one of the models of this run: "
            "base, independent, refined, spar-1, spar-2",
        ),
        (
            {"test.ifeval": "good.jsonl", "test.ifeval_arms": ("spar-1",)},
            "test.ifeval_arms is ('spar-1',), expected base and spar-1 among them",
        ),
        (
            {"test.ifeval": "good.jsonl", "test.ifeval_arms": ("base", "spar-1"), "iterations": 2},
            "test.ifeval_arms is ('base', 'spar-1'), expected base and spar-2 among them",
        ),
        (
            {"tasks": "mine.jsonl", "test.ifeval": "more.jsonl"},
            "test.ifeval is 'more.jsonl (prompt 1 is among mine.jsonl)', expected prompts of which none is",
        ),
        ({"tasks": "gone.jsonl"}, "gone.jsonl: no"),
        ({"tasks": "half.jsonl"}, "half.jsonl:2: not JSON"),
        (
            {"tasks": "plain.jsonl"},
            "tasks is 'plain.jsonl (task line-1 has none)', expected tasks with their checks",
        ),
        (
            {"tasks": "mixed.jsonl"},
            "mixed.jsonl, task 2: instruction_id_list[0] is 'keywords:magic'",
        ),
        ({"tasks": "good.jsonl"}, "tasks is 'good.jsonl', expected at least three different prompts"),
    ],
    ids=str,
)
def test_what_is_not_there_is_refused_before_anything_is_written(
    options: dict[str, Any], message: str, files: list[str]
) -> None:
    assert message in str(refused(options))
    assert sorted(map(str, Path().rglob("*"))) == files


@pytest.mark.parametrize("method", ["spar", "spar-controlled"])
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("", "smollm2, gemma3-270m, a folder"),
        ("smolm2", "smollm2?"),
        ("./gone", "smollm2, gemma3-270m, a folder"),
        ("gone.gguf", "a GGUF file that is there"),
        ("empty", "a model that is there (empty: no model in it"),
        ("runs/gone", "a model that is there (model runs/gone: no such folder"),
        ("openai:gpt@http://localhost:1", "a model whose weights are here"),
        ("vllm:gpt", "a model whose weights are here"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused_before_anything_is_written(
    method: str, model: str, expected: str, files: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        base.run(method, out="run", model=model)
    assert str(caught.value).startswith(f"model is {model!r}, expected {expected}")
    assert sorted(map(str, Path().rglob("*"))) == files


def test_a_hub_is_not_asked_for_a_name_that_it_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    SparControlled(configure(SparControlled, options={"model": "someone/model"})).check()


def test_a_run_folder_is_a_model_that_is_there() -> None:
    model = Path("first/artifacts/model")
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"")
    for method in (Spar, SparControlled):
        method(configure(method, options={"model": "first"})).check()


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--preset", "smoke"),  # no held-out types
        ("--preset", "full", "--test.ifeval", "good.jsonl"),
        ("--preset", "full", "--iterations", "1"),  # names spar-3 for IFEval, which is not asked for
        ("--preset", "gpu", "--test.ifeval", "good.jsonl"),
        ("--test.ifeval", "good.jsonl", "--test.ifeval-arms", "base,spar-1"),
        ("--test.ifeval", "good.jsonl", "--test.ifeval-arms", "base,self,self-rewarding-2,spar-2",
         "--iterations", "2", "--arms", "self,self-rewarding"),
        ("--tasks", "mine.jsonl"),
        ("--tasks", "mine.jsonl", "--test.ifeval", "other.jsonl"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_there_reaches_the_run(options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    class ReachedError(Exception):
        pass

    monkeypatch.setattr(Run, "open", MagicMock(side_effect=ReachedError))
    monkeypatch.setenv("BIDDABLE_TRACEBACK", "1")  # or what nothing foresaw ends in one line
    assert isinstance(CliRunner().invoke(main, ["run", "spar", *options]).exception, ReachedError)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("spar", ("--compose.types", "a,b"), "--compose.types is 'a', expected one of "),
        ("spar", ("--compose.held-out-types", "a"), "--compose.held-out-types is 'a', expected one of "),
        ("spar", ("--test.ifeval", "gone.jsonl"), "gone.jsonl: no"),
        (
            "spar",
            ("--test.ifeval", "good.jsonl", "--test.ifeval-arms", "bass"),
            "--test.ifeval-arms is 'bass', expected one of ",
        ),
        (
            "spar",
            ("--test.ifeval", "good.jsonl", "--test.ifeval-arms", "base"),
            "expected base and spar-1 among them",
        ),
        ("spar", ("--tasks", "good.jsonl"), "--tasks is 'good.jsonl', expected at least three"),
        ("spar", ("--model", "gone"), "--model is 'gone', expected "),
        ("spar-controlled", ("--model", "gone"), "--model is 'gone', expected "),
    ],
    ids=str,
)
def test_the_command_line_says_so_in_one_line_and_leaves_no_folder(
    method: str, options: tuple[str, ...], message: str, files: list[str]
) -> None:
    result = CliRunner().invoke(main, ["run", method, *options])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(map(str, Path().rglob("*"))) == files


def test_the_models_of_a_run_are_named_in_order() -> None:
    assert SparConfig(arms=("independent", "self-rewarding", "self"), iterations=2).trained_arms == [
        "base",
        "independent",
        "refined",
        "self-rewarding-1",
        "self-rewarding-2",
        "self",
        "spar-1",
        "spar-2",
    ]
