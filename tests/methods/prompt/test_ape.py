"""APE: the best of several proposals is found, measured on held-out examples, and left to use."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import FileError, InputError
from biddable.methods.base import configure, run
from biddable.methods.prompt.ape import Ape
from biddable.methods.prompt.teach_or_show import TeachOrShow
from biddable.models import load
from biddable.models.base import NoScoresError, TokenScores
from biddable.tasks.templates import read_prompt
from biddable.types import Prompt, Response, last_turn
from tests.doubles import Double

GOOD, BAD, HARMFUL = "Write the word twice.", "Write something nice.", "Write the word backwards."
SMALL: dict[str, Any] = {
    "draws": 2, "proposals": 3, "demos": 2, "examples": 4, "finalists": 2, "pool": 2, "shots": 2, "test": 8,
    "outputs": "written",
}  # fmt: skip


class Obeying(Double):
    """Proposes three instructions in turn, and does what the one it is given says.

    It gives right outputs a log-probability of −1 per token after the good instruction, −2 after the bad one
    and −3 after the harmful one.
    """

    name = "obeying"
    scoring = True

    def __init__(self) -> None:
        super().__init__()
        self.proposals = cycle((BAD, HARMFUL, GOOD))

    def say(self, prompt: Prompt, seed: int | None, sample: int) -> Response:
        text = last_turn(prompt)
        if "Input:" not in text.rpartition("\n\n")[2] or "instruction" in text:
            return Response(next(self.proposals))
        word = text.rpartition("Input: ")[2].removesuffix("\nOutput:")
        if GOOD in text or text.count("Output: ") >= 2:
            return Response(f"{word} {word}")
        return Response(word[::-1] if HARMFUL in text else "What a day!")

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[str], *, end: bool = True
    ) -> list[TokenScores]:
        if not self.scoring:
            raise NoScoresError("none")
        nats = [-1.0 if GOOD in last_turn(p) else -3.0 if HARMFUL in last_turn(p) else -2.0 for p in prompts]
        return [TokenScores((1, 2), (each, each)) for each in nats]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Obeying:
    made = Obeying()
    monkeypatch.setattr(load, "load_model", lambda name, **_: made)
    return made


@pytest.fixture
def table(tmp_path: Path) -> Path:
    words = [f"word{chr(97 + i)}" for i in range(24)]
    path = tmp_path / "twice.csv"
    path.write_text("input,output\n" + "".join(f"{word},{word} {word}\n" for word in words))
    return path


def results(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize("how", [{}, {"scoring": "execution"}, {"search": "ucb", "rounds": 4}])
def test_the_best_instruction_is_found_and_left(
    tmp_path: Path, model: Obeying, table: Path, how: dict[str, str]
) -> None:
    out = tmp_path / "run"
    made = run("ape", out=out, data=(str(table),), **{**SMALL, **how})
    metrics = results(out)["metrics"]
    assert metrics["instructions"] == {"twice": GOOD}
    accuracy = metrics["accuracy"]["twice"]
    assert accuracy["ape"] == 1.0
    assert accuracy["none"] == 0.0
    assert 0 <= accuracy["pool"] <= 0.5
    assert read_prompt(out).text("x") == f"{GOOD}\n\nInput: x\nOutput:"
    assert made.next_steps[0].endswith(" --temperature 0 --max-tokens 16 --stop $'\\n'")
    verdicts = {(c.baseline_name, c.method_name): c.verdict for c in made.comparisons}
    assert verdicts["none", "ape"] == "held"
    assert verdicts["examples", "ape + examples"] == "not shown"  # both are right always
    with (out / "artifacts" / "data" / "proposals.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["instruction"] == GOOD
    assert {row["instruction"] for row in rows} <= {GOOD, BAD, HARMFUL}


def test_a_bandit_that_scores_few_proposals_has_no_other_finalists(
    tmp_path: Path, model: Obeying, table: Path
) -> None:
    out, how = tmp_path / "run", {"search": "ucb", "rounds": 2, "finalists": 3}
    run("ape", out=out, data=(str(table),), **{**SMALL, **how})
    with (out / "artifacts" / "data" / "proposals.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["score"]) for row in rows] == [True, True, False]  # a third of three in each round
    assert [bool(row["right"]) for row in rows] == [True, True, False]
    assert all(0 < float(row["score"]) < 1 for row in rows[:2])
    figures = json.loads((out / "figures.json").read_text())
    assert "probability of a token" in json.dumps(figures)
    assert "nats per token" not in json.dumps(figures)


def test_the_same_line_again_asks_nobody(tmp_path: Path, model: Obeying, table: Path) -> None:
    out = tmp_path / "run"
    run("ape", out=out, data=(str(table),), **SMALL)
    first, asked = results(out), len(model.asked)
    run("ape", out=out, data=(str(table),), **SMALL)
    assert len(model.asked) == asked
    assert results(out)["metrics"] == first["metrics"]


def test_a_prompt_of_ones_own_is_compared_and_lends_its_layout(
    tmp_path: Path, model: Obeying, table: Path
) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({"instruction": BAD, "input": "Input: {input}", "separator": "\n\n\n"}))
    out = tmp_path / "run"
    made = run("ape", out=out, data=(str(table),), prompt=mine, **SMALL)
    assert results(out)["metrics"]["accuracy"]["twice"]["yours"] == 0.0
    assert ("yours", "ape") in {(c.baseline_name, c.method_name) for c in made.comparisons}
    assert read_prompt(out).separator == "\n\n\n"


def test_without_log_probabilities_what_is_written_decides_and_is_said(
    tmp_path: Path, model: Obeying, table: Path
) -> None:
    model.scoring = False
    made = run("ape", out=tmp_path / "run", data=(str(table),), **SMALL)
    assert results(tmp_path / "run")["metrics"]["instructions"] == {"twice": GOOD}
    assert any("gives no log-probabilities" in note for note in made.notes)


def test_held_out_examples_are_seen_by_the_test_alone(tmp_path: Path, model: Obeying, table: Path) -> None:
    out = tmp_path / "run"
    run("ape", out=out, data=(str(table),), **SMALL)
    cells = [path.parent.name for path in out.rglob("records.jsonl")]
    assert len(cells) == 2
    of = {}
    for path in out.rglob("records.jsonl"):
        rows = [json.loads(line)["task"]["id"].partition("/")[2] for line in path.read_text().splitlines()]
        of["test" if path.parent.name.startswith("test") else "search"] = {*rows}
    assert of["test"]
    assert of["search"]
    assert not of["test"] & of["search"]


def test_other_wordings_are_scored_too(tmp_path: Path, model: Obeying, table: Path) -> None:
    out = tmp_path / "run"
    run("ape", out=out, data=(str(table),), **{**SMALL, "iterations": 2, "draws": 1, "proposals": 1})
    assert results(out)["metrics"]["proposals"]["twice"] >= 2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"demos": 99}, "demos is 99, expected at most"),
        ({"examples": 99}, "examples is 99, expected at most"),
        ({"share": 0.0}, "share is 0.0"),
        ({"outputs": "chosen"}, "outputs is 'chosen', expected written"),
    ],
)
def test_settings_that_cannot_be(
    tmp_path: Path, model: Obeying, table: Path, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        run("ape", out=tmp_path / "run", data=(str(table),), **{**SMALL, **options})
    assert not (tmp_path / "run").exists()


def test_data_and_prompts_that_are_not_there(tmp_path: Path, model: Obeying, table: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.csv"):
        run("ape", out=tmp_path / "run", data=(str(tmp_path / "nowhere.csv"),), **SMALL)
    with pytest.raises(InputError, match="induction_f2"):
        run("ape", out=tmp_path / "run", data=(f"{table}?metric=induction_f2",), **SMALL)
    labels = tmp_path / "sides.csv"
    labels.write_text(
        "input,output\n" + "".join(f"go {i},{'left' if i % 2 else 'right'}\n" for i in range(24))
    )
    with pytest.raises(InputError, match="metric is 'token_f1', expected none where outputs are chosen"):
        run("ape", out=tmp_path / "run", data=(f"{labels}?metric=token_f1",), **{**SMALL, "outputs": "auto"})
    with pytest.raises(InputError, match="a name of its own"):
        run("ape", out=tmp_path / "run", data=(str(table), str(table)), **SMALL)
    assert not (tmp_path / "run").exists()


def test_a_model_that_proposes_nothing_is_refused(
    tmp_path: Path, model: Obeying, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Obeying, "say", lambda *_: Response("..."))
    with pytest.raises(InputError, match="a model that proposes instructions: it wrote none for twice"):
        run("ape", out=tmp_path / "run", data=(str(table),), **SMALL)


def test_the_real_model_finds_a_prompt(tmp_path: Path, smollm2: Any, table: Path) -> None:
    options = {**SMALL, "outputs": "auto", "draws": 1, "proposals": 2, "shots": 0, "test": 4, "examples": 2}
    out = tmp_path / "run"
    made = run("ape", out=out, data=(str(table),), **options, **{"sampling.max_tokens": 12})
    assert made.metrics["instructions"]["twice"]
    assert not any("--outputs written" in note for note in made.notes)
    assert read_prompt(out).instruction == made.metrics["instructions"]["twice"]


@pytest.mark.parametrize("preset", ["default", "smoke", "full", "gpu"])
@pytest.mark.parametrize("method", [Ape, TeachOrShow])
def test_every_preset_has_enough_of_the_data_that_come_with_it(method: Any, preset: str) -> None:
    if (method, preset) in {(Ape, "full"), (Ape, "gpu"), (TeachOrShow, "gpu")}:
        pytest.skip("made for the published files: --data names them")
    method(configure(method, preset)).check()


def test_a_prompt_for_choosing_says_so(tmp_path: Path, model: Obeying, table: Path) -> None:
    lines = [f"word{chr(97 + i)},{'ab'[i % 2]}\n" for i in range(24)]
    table.write_text("input,output\n" + "".join(lines))
    options = {**SMALL, "outputs": "auto"}
    made = run("ape", out=tmp_path / "run", data=(str(table),), **options)
    assert any("--outputs written" in note for note in made.notes)
    assert read_prompt(tmp_path / "run").choices == ("a", "b")


def test_choices_that_differ_by_example_are_not_left(tmp_path: Path, model: Obeying) -> None:
    options = {**SMALL, "outputs": "auto", "test": 4}
    made = run("ape", out=tmp_path / "run", **options)
    left = {path.stem: read_prompt(path).choices for path in (tmp_path / "run/artifacts/prompts").iterdir()}
    assert left["first_item"] == () != left["sentiment"]
    assert any(
        "first_item, animal_in_list: each example has choices of its own" in note for note in made.notes
    )
