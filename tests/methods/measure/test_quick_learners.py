"""Quick learners: subsets, splits, starts, curves; that a killed run ends the same; bad input in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biddable.errors import FileError, InputError
from biddable.experiments.cross_task import split_composed
from biddable.experiments.labels import (
    area,
    crossing_size,
    downstream,
    labelled_task,
    subset,
    subset_size,
)
from biddable.methods.base import prepare, run
from biddable.methods.measure.quick_learners import QuickLearners
from biddable.tasks.compose.instructed import composed_tasks
from tests.methods.measure.learning import answers, prompts, script

TOLD = {"sizes": ("0", "2", "6"), "test_rows": 4}
NAMED = {**TOLD, "start_rows": 1}
SMALL = {**NAMED, "number": 2}


def labelled(path: Path, n: int = 60, header: str = "text,label") -> Path:
    rows = [f"text number {i},{'spam' if i % 3 else 'None'}" for i in range(n)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("size", "rows"),
    [("0", 0), ("10", 10), ("500", 200), ("all", 200), ("6%", 12), ("0.1%", 1), ("100%", 200)],
)
def test_a_size_is_a_count_a_share_or_all(size: str, rows: int) -> None:
    assert subset_size(size, 200) == rows


@pytest.mark.parametrize("size", ["-1", "0%", "101%", "ten", "", "1.5", "nan%", "%"])
def test_other_sizes_are_refused(size: str) -> None:
    with pytest.raises(InputError, match=r"sizes is .*, expected a count such as 10"):
        subset_size(size, 200)


def test_subsets_are_nested_prefixes() -> None:
    [task, *_] = split_composed(composed_tasks(60))
    assert subset(task, "5").train == task.train[:5] == subset(task, "10").train[:5]
    order = np.random.default_rng(0).permutation(len(task.train)).tolist()
    assert subset(task, "3", order).train == tuple(task.train[i] for i in order[:3])


def test_curves_are_told_by_where_they_cross_and_by_their_area() -> None:
    curve = {0.0: 0.1, 10.0: 0.5, 100.0: 0.4}
    assert crossing_size(curve, 0.45) == 10.0
    assert crossing_size(curve, 0.6) is None
    assert area({0.0: 0.5, 3.0: 0.5}) == 0.5
    assert area({0.0: 0.0, 1.0: 1.0, 3.0: 1.0}) == pytest.approx(0.75)
    assert area({10.0: 0.3}) == 0.3


def test_labelled_texts_are_a_task_with_examples_that_are_not_scored(tmp_path: Path) -> None:
    task, notes = labelled_task(labelled(tmp_path / "mail.csv"))
    assert task.task.definition == "Classify the text. Answer with one of: None, spam."
    assert {each.output for each in task.task.positive} == {"None", "spam"}, "None is a label, not a gap"
    sides = [{str(row.meta["input"]) for row in side} for side in (task.train, task.validation, task.test)]
    shown = {each.input for each in task.task.positive}
    assert sum(map(len, sides)) + 2 == len(set.union(*sides, shown)) == 60
    assert not notes


def test_repeated_texts_are_one_row(tmp_path: Path) -> None:
    file = labelled(tmp_path / "mail.csv", 30)
    file.write_text(file.read_text() + "text number 1,spam\n")
    task, notes = labelled_task(file)
    assert notes == ["mail: 1 repeated texts left out."]
    assert len(task.train) + len(task.validation) + len(task.test) + 2 == 30


def test_tasks_with_enough_rows_and_of_different_categories_come_first() -> None:
    tasks = split_composed(composed_tasks(250))
    for seed in range(5):
        drawn = downstream(tasks, (), 3, 100, np.random.default_rng(seed))
        assert len({each.category for each in drawn}) == 3
        assert all(len(each.train) >= 100 for each in drawn)
    assert [each.name for each in downstream(tasks, ("opposite",), 3, 100, np.random.default_rng(0))] == [
        "opposite"
    ]


def test_starts_learn_the_same_rows_and_the_curve_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = script(monkeypatch, "tuned")
    options = {**NAMED, "tasks": ("last_item", "sorted_list"), "test_rows": 20}
    results = run("quick-learners", out=tmp_path / "ql", **options)
    assert watch.taught["seed0-plain-size1-0-labels"] == watch.taught["seed0-tuned-size1-0-labels"]
    assert len(watch.taught["seed0-plain-size2-1-labels"]) == 6
    assert not [name for name in watch.taught if "size0" in name], "nothing is learned of no labels"
    assert [(each.baseline_name, each.method_name) for each in results.comparisons] == [
        ("plain 0", "tuned 0"),
        ("plain 2", "tuned 2"),
        ("plain 6", "tuned 6"),
    ]
    assert results.metrics["crossing"]["tuned"] == 0, "this plain start never learns"
    assert results.metrics["curve"]["plain"].keys() == {"0.0", "2.0", "6.0"}
    assert any("with 0 labels a task" in note for note in results.notes)
    learned = "".join(prompts(watch.taught["seed0-start-tuned"]))
    assert "last of the listed words" not in learned
    assert "first of the listed words" not in learned
    assert (tmp_path / "ql" / "artifacts" / "model" / "weights").read_text().startswith("seed0-start-tuned")


def test_one_model_learns_all_tasks_and_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = script(monkeypatch)
    run("quick-learners", out=tmp_path / "ql", mode="mtl", **SMALL)
    assert len(watch.taught["seed0-plain-size2-0-labels"]) == 12
    left = (tmp_path / "ql" / "artifacts" / "model" / "weights").read_text()
    assert left.startswith("seed0-tuned-size2-0-labels")


def test_labels_of_a_file_and_two_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = script(monkeypatch)
    file = labelled(tmp_path / "mail.csv")
    options = {**TOLD, "starts": ("smollm2", "gemma3-270m"), "data": (file,)}
    results = run("quick-learners", out=tmp_path / "ql", **options)
    assert not [name for name in watch.taught if "start" in name]
    assert "Whether gemma3-270m was tuned on these tasks is not known here." in results.notes
    asked = prompts(watch.taught["seed0-tuned-size1-0-labels"])
    assert all("Answer with one of: None, spam." in text for text in asked)


def test_files_of_one_name_are_told_apart_and_the_start_met_no_classification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = script(monkeypatch)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        labelled(tmp_path / name / "val.csv")
    files = (tmp_path / "a" / "val.csv", tmp_path / "b" / "val.csv")
    results = run("quick-learners", out=tmp_path / "ql", data=files, **NAMED)
    assert [*results.metrics["tasks"]] == ["a-val", "b-val"]
    assert not any("pleased" in text for text in prompts(watch.taught["seed0-start-tuned"]))
    with pytest.raises(InputError, match="files of different names"):
        check(data=(files[0], files[0]))
    with pytest.raises(InputError, match="each file is a task"):
        check(data=files, tasks=("opposite",))
    with pytest.raises(InputError, match="number is 2, expected none where labelled texts are given"):
        prepare(QuickLearners, "smoke", {"data": files, "number": 2}).check()
    prepare(QuickLearners, "smoke", {"data": files}).check()  # what a preset sets may have no effect


@pytest.mark.parametrize(("batch", "expected"), [(2, [3, 1]), (4, [2, 1]), (8, [1, 1])])
def test_few_labels_get_as_many_steps_as_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, expected: list[int]
) -> None:
    watch = script(monkeypatch)
    run("quick-learners", out=tmp_path / "ql", equal="steps", **SMALL, **{"sft.batch_size": batch})
    epochs = [watch.configs[f"seed0-tuned-size{at}-0-labels"].epochs for at in (1, 2)]
    assert epochs == expected, "2 and 6 labels"


def test_random_subsets_and_a_bare_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = script(monkeypatch)
    run("quick-learners", out=tmp_path / "ql", subsets="random", bare_start=True, **SMALL)
    few, many = (watch.taught[f"seed0-plain-size{at}-0-labels"] for at in (1, 2))
    assert few == many[:2]
    bare = prompts(watch.taught["seed0-start-bare"])
    assert all(text.startswith("input: ") for text in bare)


def test_the_model_that_learned_most_is_left_in_whatever_order_sizes_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch)
    run("quick-learners", out=tmp_path / "ql", mode="mtl", **{**SMALL, "sizes": ("6", "0", "2")})
    left = (tmp_path / "ql" / "artifacts" / "model" / "weights").read_text()
    assert left.startswith("seed0-tuned-size0-0-labels")


def test_a_row_is_learned_with_the_same_answer_from_every_start_and_in_every_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = script(monkeypatch)
    for name, kind in (("task1", "Kind"), ("task2", "Other")):
        instances = [{"input": f"{name} {i}", "output": list("abcdefgh")} for i in range(20)]
        task = {"Definition": [f"do {name} so"], "Categories": [kind], "Instances": instances}
        (tmp_path / f"{name}.json").write_text(json.dumps(task))
    options = {**NAMED, "data": (tmp_path,), "tasks": ("task1",), "positive": 0}
    run("quick-learners", out=tmp_path / "ql", **options)
    many = answers(watch.taught["seed0-tuned-size2-0-labels"])
    assert answers(watch.taught["seed0-plain-size2-0-labels"]) == many
    assert answers(watch.taught["seed0-plain-size1-0-labels"]) == many[:2]
    assert len({*many}) > 1


def test_a_task_with_few_rows_to_score_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch)
    files = (labelled(tmp_path / "long.csv"), labelled(tmp_path / "short.csv", 10))
    options = {**NAMED, "data": files, "test_rows": 10, "sizes": ("0", "2")}
    results = run("quick-learners", out=tmp_path / "ql", **options)
    assert "4 rows of each task are scored: short has no more." in results.notes
    assert results.comparisons[0].n == 8


def test_validation_rows_are_scored_to_tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch)
    folder = tmp_path / "ql"
    run("quick-learners", out=folder, tune=True, tasks=("last_item",), **NAMED)
    [task] = [each for each in split_composed(composed_tasks(250)) if each.name == "last_item"]
    records = next((folder / "cells").iterdir()) / "records.jsonl"
    assert task.validation[0].id in records.read_text()
    assert task.test[0].id + '"' not in records.read_text()


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = script(monkeypatch, "tuned")
    whole = run("quick-learners", out=tmp_path / "whole", **SMALL)
    needed, trainings = watch.answers, list(watch.trainings)
    watch.answers, watch.trainings = 0, []
    watch.interrupt_at = needed // 2
    with pytest.raises(KeyboardInterrupt):
        run("quick-learners", out=tmp_path / "killed", **SMALL)
    watch.interrupt_at = -1
    resumed = run("quick-learners", out=tmp_path / "killed", **SMALL)
    assert resumed.metrics == whole.metrics
    assert resumed.comparisons == whole.comparisons
    assert watch.trainings == trainings


def check(**options: Any) -> None:
    prepare(QuickLearners, options=options).check()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"starts": ()}, "starts is"),
        ({"starts": ("a", "b", "c")}, "starts is"),
        ({"sizes": ()}, "sizes is"),
        ({"sizes": ("10", "10")}, "sizes is"),
        ({"sizes": ("0", "-5")}, "sizes is '-5'"),
        ({"sizes": ("150%",)}, "sizes is '150%'"),
        ({"positive": 3}, "positive is 3, expected at most 2"),
        ({"tasks": ("cooking",)}, "tasks is 'cooking'"),
        ({"starts": ("smollm2", "gemma3-270m"), "bare_start": True}, "bare_start"),
        ({"starts": ("openai:gpt@http://localhost",)}, "starts is"),
        ({"label": "stars"}, "label is 'stars', expected --data"),
        ({"starts": ("smollm2", "nowhere")}, "starts is 'nowhere'"),
    ],
)
def test_bad_settings_end_in_one_line(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        check(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a,b\n1,2\n", "the columns are"),
        ("text,label\nhello,\n", "expected a label"),
        ("text,label\nx,a\ny,a\n", "the label a alone"),
        ("text,label\nx,a\ny,b\n", "2 texts"),
        ("text,label\nx,C++\ny,C\nz,D\n", "the labels 'C', 'C\\+\\+' differ in no Latin letter or digit"),
        ("text,label\nx,да\ny,нет\n", "the labels 'да', 'нет' differ in no Latin letter"),
        ("", "mine.csv"),
    ],
)
def test_files_that_are_no_labels_end_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(text)
    with pytest.raises((InputError, FileError), match=problem) as caught:
        check(data=(file,))
    assert "\n" not in str(caught.value)


def test_the_real_model_learns_labels(tmp_path: Path, smollm2: Any) -> None:
    options = {
        "data": (labelled(tmp_path / "mail.csv", 20),),
        "sizes": ("2",),
        "starts": ("smollm2", "smollm2"),
        "test_rows": 2,
        "max_tokens": 2,
        "sft.lora.rank": 1,
    }
    results = run("quick-learners", out=tmp_path / "ql", **options)
    same = results.comparisons[0]
    assert same.difference == 0, "two equal starts learn the same"
    assert (tmp_path / "ql" / "artifacts" / "model" / "adapter_config.json").is_file()
