"""Natural Instructions: what each arm learns and is asked, on what; that a killed run ends the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biddable.errors import InputError
from biddable.methods.base import run
from biddable.methods.measure.natural_instructions import (
    MIXED,
    NaturalInstructions,
    NaturalInstructionsConfig,
    writer,
)
from biddable.tasks.compose.instructed import composed_tasks
from tests.methods.measure.learning import answers, prompts, script

SMALL = {"rows": 3, "test_rows": 3}


def test_arms_learn_the_same_rows_in_their_own_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = script(monkeypatch)
    results = run("natural-instructions", out=tmp_path / "ni", **SMALL)
    none, told, full = (watch.taught[f"seed0-{name}"] for name in ("none", "definition", "examples"))
    assert answers(none) == answers(told) == answers(full)
    assert len(none) == 3 * len(results.metrics["tasks"]["seen"]) == results.metrics["tasks"]["rows_learned"]
    for bare, defined, shown in zip(prompts(none), prompts(told), prompts(full), strict=True):
        assert bare.startswith("Input: ")
        assert defined.endswith(bare)
        assert shown.endswith(bare)
        assert "Positive" not in defined
        assert shown.count("Positive Example") == 2
    assert {watch.configs[name] for name in watch.configs} == {watch.configs["seed0-none"]}


def test_unseen_tasks_are_of_other_categories_and_not_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = script(monkeypatch)
    tasks = run("natural-instructions", out=tmp_path / "ni", **SMALL).metrics["tasks"]
    assert tasks["unseen"]
    assert not {*tasks["seen"].values()} & {*tasks["unseen"].values()}
    definitions = {task.name: task.definition for task in composed_tasks(3)}
    learned = "".join(prompts(watch.taught["seed0-examples"]))
    assert not any(definitions[name] in learned for name in tasks["unseen"])
    assert all(definitions[name] in learned for name in tasks["seen"])


def test_who_learned_instructions_does_better_and_copies_are_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, "definition", "examples")
    options = {**SMALL, "held_out": ("last_item", "reversed_list"), "test_rows": 20}
    results = run("natural-instructions", out=tmp_path / "ni", **options)
    claims = {(each.baseline_name, each.method_name): each for each in results.comparisons}
    assert list(claims) == [
        ("none", "definition"),
        ("none", "examples"),
        ("untuned", "examples"),
        ("copy-input", "examples"),
        ("copy-demo", "examples"),
    ]
    assert claims["none", "definition"].verdict == "held"
    numbers = results.metrics["scores"]
    assert numbers["exact_match"]["examples"]["mean"] == 0.5
    assert 0 < numbers["rouge_l"]["copy-input"]["mean"] < 1
    assert (tmp_path / "ni" / "artifacts" / "model" / "weights").read_text().startswith("seed0-examples")
    assert "first_item is not learned from: its category is that of last_item." in results.notes


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = script(monkeypatch, "examples")
    whole = run("natural-instructions", out=tmp_path / "whole", **SMALL)
    needed, trainings = watch.answers, list(watch.trainings)
    watch.answers, watch.trainings = 0, []
    watch.interrupt_at = needed // 2
    with pytest.raises(KeyboardInterrupt):
        run("natural-instructions", out=tmp_path / "killed", **SMALL)
    watch.interrupt_at = -1
    resumed = run("natural-instructions", out=tmp_path / "killed", **SMALL)
    assert resumed.metrics == whole.metrics
    assert resumed.comparisons == whole.comparisons
    assert watch.trainings == trainings, "each arm was trained once"


def test_settings_are_tuned_on_other_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch)
    test = run("natural-instructions", out=tmp_path / "test", **SMALL).metrics["tasks"]
    tuned = run("natural-instructions", out=tmp_path / "tune", tune=True, **SMALL).metrics["tasks"]
    touched = {*tuned["seen"].values(), *tuned["unseen"].values()}
    assert not touched & {*test["unseen"].values()}


def test_seeds_have_the_same_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = script(monkeypatch)
    results = run(
        "natural-instructions", out=tmp_path / "ni", seeds=2, encodings=("none", "mixture"), **SMALL
    )
    assert len(results.metrics["scores"]["rouge_l"]["mixture"]["per_seed"]) == 2
    assert watch.taught["seed0-mixture"] != watch.taught["seed1-mixture"]


def test_a_mixture_has_all_five_encodings() -> None:
    [task, *_] = composed_tasks(5)
    write = writer("mixture", np.random.default_rng(0))
    drawn = {write(task, "x") for _ in range(200)}
    assert len(drawn) == len(MIXED) - 1  # composed examples are not explained: two are the same
    assert all(text.endswith("Input: x.\nOutput: ") for text in drawn)


def check(**options: Any) -> None:
    NaturalInstructions(NaturalInstructionsConfig(**options)).check()


def test_bad_settings_end_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"encodings is .*, expected none and at least one other"):
        check(encodings=("definition",))
    with pytest.raises(InputError, match="encodings"):
        check(encodings=("none", "none", "examples"))
    with pytest.raises(InputError, match="held_out is 'cooking', expected a task, or a category: extraction"):
        check(held_out=("cooking",))
    with pytest.raises(InputError, match="model"):
        check(model="openai:gpt@http://localhost")
    with pytest.raises(InputError, match="encodings"):
        NaturalInstructionsConfig(encodings=("some",))


def test_tasks_that_do_not_say_what_is_asked_are_named(tmp_path: Path) -> None:
    header, row = "input,output", '"input: {} {}\noutput: ",a'
    for name in ("task1", "task2"):
        (tmp_path / name).mkdir()
        rows = "\n".join([header, *(row.format(name, n) for n in range(9))])
        (tmp_path / name / "test.csv").write_text(rows + "\n")
    with pytest.raises(InputError, match=r"data is .*, expected tasks that say what is asked"):
        check(data=(tmp_path,))
    task = {
        "Definition": "Say a.",
        "Categories": ["kind"],
        "Instances": [{"input": f"{n}", "output": "a"} for n in range(9)],
    }
    (tmp_path / "task3.json").write_text(json.dumps(task))
    data = (*(tmp_path / name for name in ("task1", "task2")), tmp_path / "task3.json")
    method = NaturalInstructions(NaturalInstructionsConfig(data=data))
    method.check()
    assert "No definition, so that inputs stand alone: task1, task2." in method.notes


DATA = Path(__file__).parents[4] / "shared" / "data"


def test_the_published_files_are_read(tmp_path: Path) -> None:
    if not (DATA / "superni" / "task393").is_dir():
        pytest.skip("the published files are not here")
    method = NaturalInstructions(NaturalInstructionsConfig(data=(DATA / "superni", DATA / "superni_json")))
    method.check()
    categories = {each.name: each.category for each in method.tasks}
    analogies = {category for name, category in categories.items() if name.startswith("task115")}
    assert analogies == {"task1152"}
    assert "task393" not in categories
    assert categories["task648"] == "coreference_resolution"


def test_the_real_model_is_tuned_and_left_to_use(tmp_path: Path, smollm2: Any) -> None:
    folder = tmp_path / "ni"
    for number, asked in enumerate(("say the last letter", "count what is listed here")):
        task = {
            "Definition": [asked],
            "Categories": [f"kind {number}"],
            "Instances": [{"input": f"{number} {i}", "output": ["a"]} for i in range(10)],
        }
        (tmp_path / f"task{number}.json").write_text(json.dumps(task))
    options = {
        "data": (tmp_path / "task0.json", tmp_path / "task1.json"),
        "rows": 1,
        "test_rows": 2,
        "encodings": ("none", "definition"),
        "sft.lora.rank": 1,
        "max_tokens": 2,
    }
    results = run("natural-instructions", out=folder, **options)
    assert len(results.comparisons) == 4
    assert (folder / "artifacts" / "model" / "adapter_config.json").is_file()
    before = json.loads((folder / "results.json").read_text())["metrics"]
    shutil.rmtree(folder / "cells")
    again = run("natural-instructions", out=folder, **options)
    assert json.loads(json.dumps(again.metrics)) == before
