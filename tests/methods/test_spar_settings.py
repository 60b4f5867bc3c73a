"""What SPaR's settings name is looked for before a run folder is made."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from click.testing import CliRunner

from biddable.cli import main
from biddable.errors import InputError
from biddable.methods import base
from biddable.methods.base import configure
from biddable.methods.improve.spar import Spar, SparConfig, arms
from biddable.methods.improve.spar.checks import scored_models
from biddable.methods.improve.spar_controlled import SparControlled
from biddable.runs.run import Run
from biddable.types import Preference, user

NO_COMMA = "punctuation:no_comma"


def prompt(rule: str = NO_COMMA, key: int = 1) -> str:
    row = {"key": key, "prompt": f"Say {key}.", "instruction_id_list": [rule], "kwargs": [{}]}
    return json.dumps(row) + "\n"


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A folder to work in, with files of IFEval and things that hold no model; its names."""
    monkeypatch.chdir(tmp_path)
    Path("good.jsonl").write_text(prompt())
    Path("half.jsonl").write_text(prompt() + "{")
    Path("twice.jsonl").write_text(prompt() * 2)
    Path("rules.jsonl").write_text(prompt("keywords:magic"))
    Path("none.jsonl").write_text("")
    Path("empty").mkdir()
    return sorted(map(str, Path().rglob("*")))


def refused(options: dict[str, Any]) -> InputError:
    with pytest.raises(InputError) as caught:
        base.run("spar", out="run", **options)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"types": (NO_COMMA, "punctuation:no_coma")}, "types is 'punctuation:no_coma', expected one of "),
        ({"held_out_types": ("startend:quote",)}, "held_out_types is 'startend:quote', expected one of "),
        ({"held_out_types": ("x",), "test_held_out": 0}, "held_out_types is 'x', expected one of "),
        (
            {"ifeval": "gone.jsonl"},
            "ifeval is 'gone.jsonl', expected IFEval's input_data.jsonl (gone.jsonl: no",
        ),
        ({"ifeval": "empty"}, "ifeval is 'empty', expected IFEval's input_data.jsonl (empty: "),
        ({"ifeval": "none.jsonl"}, "(none.jsonl: expected at least one line"),
        ({"ifeval": "half.jsonl"}, "(half.jsonl:2: not JSON"),
        ({"ifeval": "twice.jsonl"}, "(twice.jsonl:2: key: the same as in line 1)"),
        ({"ifeval": "rules.jsonl"}, "instruction_id_list[0] is 'keywords:magic', expected "),
        (
            {"ifeval_arms": ("base", "spar-1", "spar1")},
            "ifeval_arms is 'spar1', expected one of the models of this run: base, spar-1",
        ),
        (
            {"ifeval_arms": ("humpback",), "arms": ("independent",), "iterations": 2},
            "ifeval_arms is 'humpback', expected one of the models of this run: "
            "base, independent, refined, spar-1, spar-2",
        ),
        ({"ifeval_arms": ("spar-4",), "iterations": 3}, "ifeval_arms is 'spar-4', expected one of "),
        (
            {"ifeval": "good.jsonl", "ifeval_arms": ("spar-1",)},
            "ifeval_arms is ('spar-1',), expected base and spar-1 among them",
        ),
        (
            {"ifeval": "good.jsonl", "ifeval_arms": ("base", "spar-1"), "iterations": 2},
            "ifeval_arms is ('base', 'spar-1'), expected base and spar-2 among them",
        ),
        ({"ifeval": "good.jsonl", "ifeval_arms": ()}, "ifeval_arms is (), expected base and spar-1"),
        ({"ifeval": "good.jsonl", "iterations": 4}, "expected base and spar-4 among them"),
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
        ("smolm2", "smollm2, gemma3-270m, a folder"),
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
        ("--preset", "full", "--ifeval", "good.jsonl"),
        ("--preset", "full", "--iterations", "1"),  # its ifeval_arms name spar-3, and nothing is scored on
        ("--preset", "gpu", "--ifeval", "good.jsonl"),
        ("--ifeval", "good.jsonl", "--ifeval-arms", "base,spar-1"),
        ("--ifeval", "good.jsonl", "--ifeval-arms", "base,self,self-rewarding-2,spar-2", "--iterations", "2",
         "--arms", "self,self-rewarding"),
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
        ("spar", ("--types", "a,b"), "--types is 'a', expected one of "),
        ("spar", ("--held-out-types", "a"), "--held-out-types is 'a', expected one of "),
        ("spar", ("--ifeval", "gone.jsonl"), "--ifeval is 'gone.jsonl', expected "),
        ("spar", ("--ifeval-arms", "bass"), "--ifeval-arms is 'bass', expected one of "),
        ("spar", ("--ifeval", "good.jsonl", "--ifeval-arms", "base"), "expected base and spar-1 among them"),
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


@pytest.mark.parametrize("arm", arms.ARMS)
def test_the_models_of_an_arm_are_those_that_it_trains(arm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SparConfig(arms=(arm,), judge="self", iterations=2)
    pair = Preference(user("p"), "chosen", "rejected")
    for name in ("independent_pairs", "build_dpo_pairs", "best_against_worst"):
        monkeypatch.setattr(arms, name, lambda *_: [pair])
    answers = SimpleNamespace(tasks=[0], texts=[["t"]], assessed=[[SimpleNamespace(passed=True)]])
    start = SimpleNamespace(refiner="r", first=SimpleNamespace(answers=answers, pairs=[pair], negatives=[0]))
    play = MagicMock(config=config)
    play.train_actor.return_value = play.finetune.return_value = Path("actor")
    play.run.stage.return_value = [("request", 0.0)]
    trained = arms.ARMS[arm](play, start)  # type: ignore[arg-type]
    assert scored_models(config) == ["base", *trained, "spar-1", "spar-2"]
