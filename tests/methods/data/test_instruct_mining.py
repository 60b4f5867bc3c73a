"""InstructMining: good rows are found and kept, bad ones said, and a run that was cut off ends the same."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from biddable.errors import FileError, InputError, RunError
from biddable.experiments import mining
from biddable.experiments.exchanges import Exchange
from biddable.experiments.mining import Tuned
from biddable.methods.base import configure, run
from biddable.methods.data import instruct_mining
from biddable.methods.data.instruct_mining import InstructMining
from biddable.tasks.data import read_conversations

SMALL: dict[str, Any] = {
    "indicators": ("output_length", "mtld"), "mixes": 8, "mix_rows": 10, "keep": 6, "seeds": 6,
    "dev_rows": 16,
}  # fmt: skip
LONG = "one two three four five six seven eight nine ten"


def line(request: str, response: str) -> str:
    return json.dumps({"instruction": request, "input": "", "output": response})


def rows(number: int = 60) -> list[str]:
    """Requests with responses of one to ten different words; the longer the better, as ``Learner`` has it."""
    texts = [" ".join(LONG.split()[: 1 + i % 10]) for i in range(number)]
    return [line(f"Count, number {i}, to {i % 10}.", text) for i, text in enumerate(texts)]


class Learner:
    """In place of training: the more words the rows have, the less a model loses on held-out ones.

    Attributes:
        trained: the rows of each model that was tuned, by name.
        stop_at: the name at which the user presses Ctrl-C.
        nothing: names whose loss is no number.
    """

    def __init__(self) -> None:
        self.trained: dict[str, list[Exchange]] = {}
        self.stop_at = ""
        self.nothing: set[str] = set()

    def tuned(
        self, run: Any, name: str, start: str, of: Sequence[Exchange], config: Any, held: Any, *asked: Any
    ) -> Tuned:
        if name == self.stop_at:
            raise KeyboardInterrupt

        def measure() -> Tuned:
            self.trained[name] = list(of)
            words = np.mean([len(row.response.split()) for row in of]) if of else 0.0
            losses = {
                part: [3 / (1 + words) + 0.001 * at for at in range(len(each))] for part, each in held.items()
            }
            if name in self.nothing:
                losses = {part: [None for _ in each] for part, each in losses.items()}  # type: ignore[misc]
            return Tuned(losses, ["" for _ in asked[0]] if asked else [])

        made: Tuned = run.stage(name, measure, Tuned)
        return made


@pytest.fixture
def learner(monkeypatch: pytest.MonkeyPatch) -> Learner:
    made = Learner()
    monkeypatch.setattr(instruct_mining, "tuned", made.tuned)
    monkeypatch.setattr(mining, "tuned", made.tuned)
    count = lambda model, batch: [(9, len(text.split())) for _, text in batch]  # noqa: E731
    monkeypatch.setattr(mining, "_lengths", count)
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(rows()) + "\n")
    return path


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    path = tmp_path / "v.jsonl"
    path.write_text("\n".join(line(f"Something else entirely {i * 7}?", LONG) for i in range(12)) + "\n")
    return path


def results(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text())


def ranking(folder: Path) -> list[dict[str, str]]:
    with (folder / "artifacts" / "ranking" / "rows.csv").open() as file:
        return list(csv.DictReader(file))


def dropped(folder: Path) -> dict[str, str]:
    lines = (folder / "artifacts" / "dropped" / "rows.jsonl").read_text().splitlines()
    return {row["id"]: row["reason"] for row in map(json.loads, lines)}


def test_every_preset_is_sound() -> None:
    for preset in ("default", *InstructMining.presets):
        InstructMining(configure(InstructMining, preset))
    assert {"smoke", "full", "gpu"} <= {*InstructMining.presets}


def test_the_rows_that_lose_least_are_kept_and_not_the_others(
    tmp_path: Path, learner: Learner, data: Path, dev: Path
) -> None:
    out = tmp_path / "run"
    made = run("instruct-mining", out=out, data=data, dev=dev, **SMALL)
    kept = read_conversations(out)  # what `biddable train sft --data RUN` reads
    assert len(kept) == 6
    assert {len(row.chat[-1].content.split()) for row in kept} == {10}
    ranked = ranking(out)
    assert [row["kept"] for row in ranked] == ["True"] * 6 + ["False"] * 54
    lengths = [int(float(row["output_length"])) for row in ranked]
    assert lengths == sorted(lengths, reverse=True)
    predicted = [float(row["predicted_log_loss"]) for row in ranked]
    assert predicted == sorted(predicted)
    assert [row.chat[0].content for row in kept] == [row["request"] for row in ranked[:6]]
    assert pq.read_table(out / "artifacts" / "ranking" / "rows.parquet").num_rows == 60
    assert results(out)["metrics"]["fit"]["left_out_r2"] > 0.5
    arms = {(c.baseline_name, c.method_name, c.metric): c for c in made.comparisons}
    assert arms["random", "chosen", "test loss"].verdict == "held"
    assert arms["random", "chosen", "test loss"].difference < 0
    assert any(c.metric.startswith("rank correlation") and c.method > 0.5 for c in made.comparisons)
    assert results(out)["next_steps"][0].startswith("biddable train sft smollm2 --data")
    rule = json.loads((out / "artifacts" / "rule.json").read_text())
    assert {"coefficients", "scales"} <= {*rule["rule"]}


def test_the_test_rows_are_no_part_of_fit_choice_or_pool(
    tmp_path: Path, learner: Learner, data: Path, dev: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[str]] = {}

    def noting(run: Any, name: str, start: str, of: Any, config: Any, held: Any, *asked: Any) -> Tuned:
        for part, each in held.items():
            seen.setdefault(f"{name} {part}", set()).update(row.request for row in each)
        return learner.tuned(run, name, start, of, config, held, *asked)

    monkeypatch.setattr(instruct_mining, "tuned", noting)
    monkeypatch.setattr(mining, "tuned", noting)
    run("instruct-mining", out=tmp_path / "run", data=data, dev=dev, **{**SMALL, "keep": 0, "trials": 3})
    test = seen["test-chosen0 test"]
    before = set().union(*(of for name, of in seen.items() if not name.startswith("test-")))
    learned = {row.request for of in learner.trained.values() for row in of}
    assert test
    assert not test & before
    assert not (test | before) & learned


def test_it_is_said_where_the_rule_does_not_tell_the_last_kept_from_the_next(
    tmp_path: Path, learner: Learner, data: Path, dev: Path
) -> None:
    made = run("instruct-mining", out=tmp_path / "run", data=data, dev=dev, **{**SMALL, "keep": 8})
    assert any(
        note.startswith("Of 6 rows the same is predicted") and "2 of them" in note for note in made.notes
    )
    made = run("instruct-mining", out=tmp_path / "whole", data=data, dev=dev, **SMALL)
    assert not any("the same is predicted" in note for note in made.notes)


def test_no_number_of_rows_is_needed(tmp_path: Path, learner: Learner, data: Path, dev: Path) -> None:
    out = tmp_path / "run"
    run("instruct-mining", out=out, data=data, dev=dev, **{**SMALL, "keep": 0, "sizes": (5, 20, 900)})
    metrics = results(out)["metrics"]
    assert str(metrics["kept"]) in metrics["sizes"]
    assert {"5", "20"} <= {*metrics["sizes"]}
    assert "900" not in metrics["sizes"]
    assert any(note.startswith("Sizes 900 were not tried: there are ") for note in results(out)["notes"])
    assert len(read_conversations(out)) == metrics["kept"]


def test_what_cannot_be_learned_from_is_dropped_with_its_reason(
    tmp_path: Path, learner: Learner, data: Path, dev: Path
) -> None:
    bad = [
        "{broken",
        json.dumps({"instruction": "No output"}),
        line("Say nothing.", "  "),
        line("Say dots.", "... !"),
        line("Count, number 3, to 3.", "one two three four"),  # row 4 again
        line("Something else entirely 14?", "a row that is held out"),
    ]
    data.write_text("\n".join([*rows(), *bad]) + "\n")
    out = tmp_path / "run"
    run("instruct-mining", out=out, data=data, dev=dev, **SMALL)
    told = dropped(out)
    assert len(told) == 6
    assert all(name.startswith("d.jsonl") for name in told)
    reasons = [*told.values()]
    for reason in (
        "not a row of its file",
        "output: expected a text that is not blank",
        "not of the shape of conversations",
        "mtld is not defined",
        "repeats an earlier row",
        "asks what a held-out row asks",
    ):
        assert reason in reasons
    counts = results(out)["metrics"]["rows"]
    assert sum(sum(step["reasons"].values()) for step in counts.values()) == 6


def test_without_held_out_rows_a_part_of_the_data_is_held_out_and_said(
    tmp_path: Path, learner: Learner, data: Path
) -> None:
    made = run("instruct-mining", out=tmp_path / "run", data=data, **SMALL)
    assert any(note.startswith("No --dev: 12 rows of the data") for note in made.notes)
    assert len(ranking(tmp_path / "run")) == 48


def test_several_exchanges_count_by_the_last(tmp_path: Path, learner: Learner, data: Path, dev: Path) -> None:
    turns = [("user", "Hello."), ("assistant", "Hi."), ("user", "Count."), ("assistant", LONG)]
    chat = {"messages": [{"role": role, "content": text} for role, text in turns]}
    data.write_text("\n".join([*rows(), json.dumps(chat)]))
    made = run("instruct-mining", out=tmp_path / "run", data=data, dev=dev, **SMALL)
    assert any(note.startswith("1 rows have several exchanges") for note in made.notes)
    row = next(row for row in ranking(tmp_path / "run") if row["request"] == "Count.")
    assert float(row["output_length"]) == 10


def test_an_interrupted_run_ends_as_one_that_was_not(
    tmp_path: Path, learner: Learner, data: Path, dev: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run("instruct-mining", out=whole, data=data, dev=dev, **SMALL)
    for stop in ("mix5", "test-chosen1"):
        learner.stop_at = stop
        with pytest.raises(KeyboardInterrupt):
            run("instruct-mining", out=cut, data=data, dev=dev, **SMALL)
    learner.stop_at, learner.trained = "", {}
    run("instruct-mining", out=cut, data=data, dev=dev, **SMALL)
    assert "mix0" not in learner.trained
    assert results(cut)["metrics"] == results(whole)["metrics"]
    name = Path("artifacts/data/conversations.jsonl")
    assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_a_mix_without_a_loss_is_left_out_and_too_many_end_the_run(
    tmp_path: Path, learner: Learner, data: Path, dev: Path
) -> None:
    learner.nothing = {"mix2"}
    made = run("instruct-mining", out=tmp_path / "one", data=data, dev=dev, **SMALL)
    assert any(note.startswith("1 mixes were left out") for note in made.notes)
    learner.nothing = {f"mix{at}" for at in range(6)}
    with pytest.raises(RunError, match="2 of 8 mixes have a loss"):
        run("instruct-mining", out=tmp_path / "many", data=data, dev=dev, **SMALL)
    assert not (tmp_path / "many" / "artifacts" / "data").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"keep": 60}, "keep is 60, expected at most 59"),
        ({"mix_rows": 500}, "mix_rows is 500"),
        ({"mixes": 4}, "mixes is 4, expected at least 5, for 2 indicators"),
        ({"indicators": ("length",)}, "indicators is 'length'"),
        ({"indicators": ("mtld", "mtld")}, "each once"),
        ({"indicators": ("knn", "mtld"), "neighbour": 60}, "neighbour is 60, expected at most 59"),
        ({"reward_judge": "rules"}, "reward_judge is .* only with --indicators reward"),
        ({"base": "openai:some@http://localhost:1"}, "a model whose weights are here"),
    ],
)
def test_settings_that_cannot_be_met_are_one_line_and_leave_nothing(
    tmp_path: Path, data: Path, dev: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        run("instruct-mining", out=tmp_path / "run", data=data, dev=dev, **{**SMALL, **options})
    assert not (tmp_path / "run").exists()


def test_files_that_do_not_serve(tmp_path: Path, data: Path, dev: Path) -> None:
    def refused(error: type[Exception], told: str, **given: Any) -> None:
        with pytest.raises(error, match=told):
            run("instruct-mining", out=tmp_path / "run", **{**SMALL, **given})

    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "only asked"}\n')
    refused(FileError, "prompts.jsonl", data=prompts)
    refused(InputError, "all 60 ask what held-out rows ask", data=data, dev=data)
    refused(InputError, "dev is .* an effect only with --data", dev=dev)
    few = tmp_path / "few.jsonl"
    few.write_text(line("Once?", "Yes."))
    refused(InputError, "at least 4 held-out rows", data=data, dev=few)
    refused(InputError, "at least 8 different requests", data=few)


@pytest.mark.slow
def test_a_small_model_learns_from_composed_rows(tmp_path: Path) -> None:
    tiny = {"mixes": 5, "mix_rows": 4, "keep": 4, "pool": 3, "dev_rows": 8, "max_tokens": 4}
    out = tmp_path / "run"
    made = run("instruct-mining", out=out, preset="smoke", indicators=("output_length", "reward"), **tiny)
    assert results(out)["metrics"]["scores"]["test loss"]["untuned"]["mean"] > 0
    assert {"random", "longest"} <= {c.baseline_name for c in made.comparisons}
    assert len(read_conversations(out)) == 4
