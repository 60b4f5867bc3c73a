"""Teach or show: budgets are kept, exemplars are the model's own, nothing is shown its own output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import InputError
from biddable.methods.base import run
from biddable.models import load
from biddable.models.base import NoScoresError, TokenScores
from biddable.tasks.templates import read_prompt
from biddable.types import Prompt, Response, last_turn
from tests.doubles import Double

SMALL: dict[str, Any] = {
    "budget": 6, "k": 2, "demos": 2, "validation": 14, "test": 14, "free": False, "outputs": "written",
}  # fmt: skip
ALWAYS = "aeiou"


class Shown(Double):
    """Repeats words twice if two exemplars are shown, of words that begin with a vowel in any case.

    Its proposals are worth nothing, and no two are the same.
    """

    name = "shown"

    def __init__(self) -> None:
        super().__init__()
        self.number = count()

    def say(self, prompt: Prompt, seed: int | None, sample: int) -> Response:
        text = last_turn(prompt)
        if "instruction" in text:
            return Response(f"Proposal {'abcdefghijklmnopqrstuvwxyz'[next(self.number) % 26] * 3}.")
        word = text.rpartition("Input: ")[2].removesuffix("\nOutput:")
        shown = text.count("Output: ") >= 2
        return Response(f"{word} {word}" if shown or word[0] in ALWAYS else "no")

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[str], *, end: bool = True
    ) -> list[TokenScores]:
        raise NoScoresError("none")

    @property
    def texts(self) -> list[str]:
        """All prompts that are no requests for instructions."""
        asked = [last_turn(prompt) for call in self.asked for prompt in call["prompts"]]
        return [text for text in asked if "instruction" not in text]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Shown:
    made = Shown()
    monkeypatch.setattr(load, "load_model", lambda name, **_: made)
    return made


@pytest.fixture
def table(tmp_path: Path) -> Path:
    words = [f"{first}{second}m" for first in "aeibcdfg" for second in "eiouy"]
    path = tmp_path / "twice.csv"
    path.write_text("input,output\n" + "".join(f"{word},{word} {word}\n" for word in words))
    return path


def results(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize("exemplars", ["search", "mutation"])
def test_exemplars_win_where_they_do_and_all_arms_spend_the_same(
    tmp_path: Path, model: Shown, table: Path, exemplars: str
) -> None:
    out = tmp_path / "run"
    made = run("teach-or-show", out=out, data=(str(table),), **{**SMALL, "exemplars": exemplars})
    metrics = results(out)["metrics"]
    accuracy = metrics["accuracy"]["twice"]
    assert accuracy["exemplars"] == accuracy["both"] == 1.0
    assert accuracy["instructions"] == accuracy["seed"] < 1.0
    verdicts = {(c.baseline_name, c.method_name): c.verdict for c in made.comparisons}
    assert verdicts["seed", "exemplars"] == verdicts["instructions", "exemplars"] == "held"
    spent = {arm: row["evaluations"] for arm, row in metrics["means"].items()}
    assert spent == {"seed": 1, "instructions": 6, "exemplars": 6, "both": 6}
    prompt = read_prompt(out)
    assert len(prompt.exemplars) == 2
    # Its own right outputs: without exemplars it is right where a vowel comes first.
    assert all(each.input[0] in ALWAYS for each in prompt.exemplars)
    assert all(each.output == f"{each.input} {each.input}" for each in prompt.exemplars)


def test_no_input_is_shown_solved_when_it_is_asked(tmp_path: Path, model: Shown, table: Path) -> None:
    run("teach-or-show", out=tmp_path / "run", data=(str(table),), **SMALL)
    for text in model.texts:
        word = text.rpartition("Input: ")[2].removesuffix("\nOutput:")
        assert text.count(f"Input: {word}\n") == 1
    assert any("Output: " in text for text in model.texts)


def test_instructions_with_their_scores_are_shown_to_who_improves_them(
    tmp_path: Path, model: Shown, table: Path
) -> None:
    run("teach-or-show", out=tmp_path / "run", data=(str(table),), **{**SMALL, "instructions": "opro"})
    asked = [last_turn(prompt) for call in model.asked for prompt in call["prompts"]]
    requests = [text for text in asked if "Instructions that were tried" in text]
    assert requests
    assert "(none)" in requests[0]
    assert any("Proposal" in text for text in requests)


def test_a_model_that_is_never_right_has_no_exemplars_and_it_is_said(
    tmp_path: Path, model: Shown, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.methods.prompt.test_teach_or_show.ALWAYS", "", raising=False)
    monkeypatch.setitem(globals(), "ALWAYS", "")
    made = run("teach-or-show", out=tmp_path / "run", data=(str(table),), **SMALL)
    assert any("only 0 validation examples were right" in note for note in made.notes)
    assert results(tmp_path / "run")["metrics"]["accuracy"]["twice"]["exemplars"] == 0.0


def test_the_same_line_again_asks_nobody(tmp_path: Path, model: Shown, table: Path) -> None:
    out = tmp_path / "run"
    run("teach-or-show", out=out, data=(str(table),), **SMALL)
    first, asked = results(out), len(model.asked)
    run("teach-or-show", out=out, data=(str(table),), **SMALL)
    assert len(model.asked) == asked
    assert results(out)["metrics"] == first["metrics"]


def test_answers_that_could_not_be_had_are_counted_and_stay_so_where_a_killed_run_goes_on(
    tmp_path: Path, model: Shown, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, generate = Shown.say, Shown.generate
    calls, ends = count(), 4

    def busy(self: Shown, prompt: Prompt, seed: int | None, sample: int) -> Response:
        said = right(self, prompt, seed, sample)
        word = last_turn(prompt).rpartition("Input: ")[2]
        failed = "instruction" not in last_turn(prompt) and word[1] in "eo"
        return Response("", finish_reason="error", error="503: busy") if failed else said

    def interrupted(self: Shown, prompts: Sequence[Prompt], **options: Any) -> Any:
        if next(calls) == ends:
            raise KeyboardInterrupt
        return generate(self, prompts, **options)

    monkeypatch.setattr(Shown, "say", busy)
    made = run("teach-or-show", out=tmp_path / "whole", data=(str(table),), **SMALL)
    told = [note for note in made.notes if "could not be had and count as wrong" in note]
    assert len(told) == 1
    assert told[0].endswith("; the first: 503: busy")
    model.number = count()
    monkeypatch.setattr(Shown, "generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("teach-or-show", out=tmp_path / "again", data=(str(table),), **SMALL)
    monkeypatch.setattr(Shown, "say", right)  # what it got right before stands, and so the exemplars
    run("teach-or-show", out=tmp_path / "again", data=(str(table),), **SMALL)
    seed, before = (results(tmp_path / name)["metrics"]["means"]["seed"] for name in ("again", "whole"))
    assert seed["validation"] == before["validation"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"budget": 1}, "budget is 1, expected at least 2"),
        ({"validation": 99}, "validation is 99, expected at most"),
        ({"outputs": "chosen"}, "outputs is 'chosen', expected written"),
    ],
)
def test_settings_that_cannot_be(
    tmp_path: Path, model: Shown, table: Path, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        run("teach-or-show", out=tmp_path / "run", data=(str(table),), **{**SMALL, **options})
    assert not (tmp_path / "run").exists()


def test_the_real_model_with_all_arms(tmp_path: Path, smollm2: Any, table: Path) -> None:
    small = {**SMALL, "budget": 2, "k": 1, "validation": 4, "test": 3, "free": True, "max_tokens": 4}
    lines = [f"{n},{'even' if n % 2 == 0 else 'odd'}\n" for n in range(16)]
    table.write_text("input,output\n" + "".join(lines))
    options = {**small, "outputs": "auto", "sampling.max_tokens": 8}
    made = run("teach-or-show", out=tmp_path / "run", data=(str(table),), **options)
    arms = made.metrics["accuracy"]["twice"]
    assert {"seed", "instructions", "exemplars", "both"} <= {*arms}
