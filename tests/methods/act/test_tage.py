"""tagE: parsers are fitted to own rows and compared, one is left and used; a run that was cut off goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biddable.errors import FileError, InputError
from biddable.experiments import frames as stages
from biddable.methods.act import tage
from biddable.methods.act.tage import TagE
from biddable.methods.base import configure, run
from biddable.models import token_states
from biddable.policies import frame_parser
from biddable.policies.frame_parser import load_parser
from biddable.tasks.compose_frames import compose_frames
from biddable.tasks.frames import write_frames

OWN: dict[str, Any] = {"seeds": 2, "network.width": 16, "network.epochs": 2, "network.lr": 1e-2}
TINY: dict[str, Any] = {**OWN, "train": 40, "dev": 8, "test": 16}


def states(model: Any, sentences: Any, layer: int, *, echo: bool) -> Any:
    def numbers(word: str) -> Any:
        return np.random.default_rng(sum(map(ord, word))).standard_normal(8)

    return [np.stack([numbers(word) for word in words]).astype(np.float16) for words in sentences]


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_states, "word_states", states)
    monkeypatch.setattr(frame_parser, "word_states", states)
    monkeypatch.setattr(tage, "LazyModel", lambda weights: lambda: None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for at, (part, number) in enumerate((("train", 40), ("dev", 8), ("test", 20))):
        made = compose_frames("train", number, np.random.default_rng(at))
        write_frames(folder / f"{part}.csv", [row for row, _ in made])
    return folder


def results(folder: Path) -> Any:
    return json.loads((folder / "results.json").read_text())


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_preset_is_sound() -> None:
    for preset in ("default", *TagE.presets):
        TagE(configure(TagE, preset)).check()
    assert {"smoke", "full", "gpu"} <= {*TagE.presets}


def test_a_run_compares_and_leaves_a_parser_that_reads_sentences(tmp_path: Path) -> None:
    out = tmp_path / "run"
    made = run("tage", out=out, **TINY)
    pairs = {(c.baseline_name, c.method_name, c.metric): c.role for c in made.comparisons}
    assert pairs["flat with copy", "nested", "argument F1"] == "claim"
    assert pairs["nested, classes by name", "nested", "argument F1 with object class"] == "control"
    assert made.next_steps[0].startswith("biddable run tage --parser")
    test = lines(out / "artifacts" / "frames.jsonl")
    assert len(test) == 16
    assert {"input", "tasks", "gold"} <= {*test[0]}
    assert len(lines(out / "artifacts" / "calls.jsonl")) == 16
    metrics = results(out)["metrics"]
    best = np.argmax(metrics["validation_f1"]["nested"])
    assert (out / "artifacts" / "parser").resolve().name == f"nested-seed{best}"

    texts = tmp_path / "s.txt"
    texts.write_text("Take the book, and go!\n\nturn left\n" + "go " * 201)
    used = run("tage", out=tmp_path / "used", parser=out, data=texts)
    assert used.comparisons == []
    read = lines(tmp_path / "used" / "artifacts" / "frames.jsonl")
    assert [row["input"] for row in read] == ["Take the book, and go!", "turn left"]
    assert "gold" not in read[0]
    [dropped] = lines(tmp_path / "used" / "artifacts" / "dropped" / "rows.jsonl")
    assert (dropped["id"], dropped["reason"]) == ("line 4", "longer than 200 words")
    parser = load_parser(out)
    assert len(parser(["turn left"], model=object())) == 1


def test_own_rows_in_three_files_are_used_as_they_are(tmp_path: Path, data: Path) -> None:
    text = (data / "test.csv").read_text().splitlines()
    (data / "train.csv").write_text(
        (data / "train.csv").read_text() + text[3] + "\n" + "go there,0 0 Flying,flying : go\n"
    )
    out = tmp_path / "run"
    made = run("tage", out=out, data=data, **OWN)
    told = {row["reason"] for row in lines(out / "artifacts" / "dropped" / "rows.jsonl")}
    assert {"tage_output is not sound", "its sentence is in a part that is held out"} <= told
    assert results(out)["metrics"]["rows"]["test"] == 20
    counts = results(out)["metrics"]["dropped"]
    assert counts["reading train"]["reasons"] == {"tage_output is not sound": 1}
    assert counts["reading test"]["kept"] == 20
    assert any("rows were left out (artifacts/dropped)" in note for note in made.notes)
    roles = {(c.baseline_name, c.role) for c in made.comparisons}
    assert ("nested, classes by name", "claim") in roles  # names are not ours here


@pytest.mark.parametrize("part", ["test", "dev"])
def test_a_share_is_refused_where_a_file_says_what_is_held_out(tmp_path: Path, data: Path, part: str) -> None:
    default = getattr(configure(TagE), f"{part}_share")
    for share in (0.4, default):
        with pytest.raises(InputError, match=rf"{part}_share is {share}, expected nothing: {part}\.csv"):
            run("tage", out=tmp_path / "run", data=data, **{f"{part}_share": share}, **OWN)
    assert not (tmp_path / "run").exists()
    (data / f"{part}.csv").unlink()
    made = TagE(configure(TagE, options={"data": data, f"{part}_share": 0.4}))
    made.check()
    assert made.rows is not None
    assert 10 < len(made.rows.rows[part]) < 24


def test_one_file_is_divided_by_sentences(tmp_path: Path, data: Path) -> None:
    rows = (data / "train.csv").read_text().splitlines()
    one = tmp_path / "one.csv"
    one.write_text("\n".join([*rows, *rows[1:20]]) + "\n")  # twice the same sentences
    out = tmp_path / "run"
    made = run("tage", out=out, data=one, **OWN)
    kept = stages.read_parts(one, configure(TagE).skills, configure(TagE).roles, 0.25, 0.15, 0)
    parts = {part: {row.text for row in of} for part, of in kept.rows.items()}
    assert not parts["train"] & (parts["dev"] | parts["test"])
    assert not parts["dev"] & parts["test"]
    assert sum(map(len, kept.rows.values())) == 59
    assert sum("were held out for" in note for note in made.notes) == 2


@pytest.mark.parametrize("stop", ["flat-seed0", "nested-seed1"])
def test_an_interrupted_run_ends_as_one_that_was_not(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run("tage", out=whole, data=data, **OWN)
    fitted, done = stages.fitted, []

    def stopping(of: Any, name: str, *rest: Any) -> Any:
        if name == stop:
            raise KeyboardInterrupt
        return fitted(of, name, *rest)

    monkeypatch.setattr(stages, "fitted", stopping)
    with pytest.raises(KeyboardInterrupt):
        run("tage", out=cut, data=data, **OWN)
    monkeypatch.setattr(stages, "fitted", fitted)
    learn = frame_parser.fit
    monkeypatch.setattr(frame_parser, "fit", lambda parser, *rest: done.append(1) or learn(parser, *rest))
    run("tage", out=cut, data=data, **OWN)
    assert len(done) == {"flat-seed0": 3, "nested-seed1": 2}[stop]
    assert results(cut)["metrics"] == results(whole)["metrics"]


def test_a_language_model_that_writes_strings_stands_beside(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(run: Any, name: str, base: str, rows: Any, *rest: Any) -> Any:
        return [row.tasks for row in rows["test"][:-1]] + [()]

    monkeypatch.setattr(stages, "generated", written)
    made = run("tage", out=tmp_path / "run", data=data, lora_seeds=1, **OWN)
    [comparison] = [
        c for c in made.comparisons if c.baseline_name.startswith("LoRA") and c.metric == "argument F1"
    ]
    assert comparison.baseline > 0.8
    assert comparison.verdict == "contradicted"
    assert any("1 of 20 texts of the first seed" in note for note in made.notes)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"lora_seeds": 3}, "lora_seeds is 3, expected 0, 1 or 2"),
        ({"network.width": 15}, "network.width is 15, expected an even number"),
        ({"network.max_tasks": -1}, "network.max_tasks is -1"),
        ({"skills": ("Fly",)}, "names in lower case"),
        ({"test_share": 1.0}, "test_share is 1.0, expected a share above 0 and below 1"),
        ({"base": "openai:some@http://localhost:1"}, "base"),
    ],
)
def test_settings_that_cannot_be_met_are_one_line_and_leave_nothing(
    tmp_path: Path, data: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        run("tage", out=tmp_path / "run", data=data, **{**OWN, **options})
    assert not (tmp_path / "run").exists()


def test_files_that_do_not_serve(tmp_path: Path, data: Path) -> None:
    def refused(error: type[Exception], told: str, **given: Any) -> None:
        with pytest.raises(error, match=told):
            run("tage", out=tmp_path / "run", **given)

    refused(FileError, "expected a CSV, or a folder", data=tmp_path / "none.csv")
    refused(FileError, r"expected train\.csv in it", data=tmp_path)
    refused(InputError, "a file of sentences", parser=data)
    refused(FileError, r"parser\.json", parser=data, data=data / "test.csv")
    few = tmp_path / "few.csv"
    few.write_text("\n".join((data / "train.csv").read_text().splitlines()[:6]))
    refused(InputError, "rows for train', expected at least 10", data=few)
    scene = tmp_path / "scene.json"
    scene.write_text("3")
    refused(FileError, "NAME: CLASS", data=data, scene=scene)
    assert not (tmp_path / "run").exists()
