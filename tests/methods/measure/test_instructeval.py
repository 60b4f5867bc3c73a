"""INSTRUCTEVAL's claim about data: what each set teaches, in equal steps; suites beside; resuming."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biddable.errors import FileError, InputError
from biddable.experiments.cross_task import split_composed
from biddable.experiments.remarks import add_decided
from biddable.experiments.scores import ArmScores
from biddable.methods.base import run
from biddable.methods.measure.instructeval import (
    InstructEval,
    InstructEvalConfig,
    clean_lessons,
    misanswered,
    noisy_lessons,
    shuffled_lessons,
    wrong,
)
from biddable.tasks.compose.skills import skill_tasks
from tests.methods.measure.learning import answers, prompts, script

SMALL = {"number": 4, "rows": 3, "amount": 3, "test_rows": 3}
TASKS = split_composed(skill_tasks(60))


def test_answers_are_those_of_other_rows() -> None:
    rng = np.random.default_rng(0)
    moved = misanswered(["a", "b", "c", "d"], rng)
    assert sorted(moved) == ["a", "b", "c", "d"]
    assert all(old != new for old, new in zip("abcd", moved, strict=True))
    assert misanswered(["a", "a"], rng) == ["a", "a"]


def test_sets_differ_in_their_answers_and_their_number_alone() -> None:
    rng = np.random.default_rng(0)
    for each in TASKS[:12]:
        clean, shuffled = clean_lessons(each, 6), shuffled_lessons(each, 6, rng)
        assert [row.id for _, row, _ in clean] == [row.id for _, row, _ in shuffled]
        assert Counter(answer for *_, answer in clean) == Counter(answer for *_, answer in shuffled)
        assert wrong(clean) == 0
        noisy = noisy_lessons(each, 24, 0.5, rng)
        assert len({row.id for _, row, _ in noisy}) == min(24, len(each.train))
        assert [row.id for _, row, _ in noisy][:6] == [row.id for _, row, _ in clean]
        assert 0 < wrong(noisy) <= 0.5
    plural = next(each for each in TASKS if each.name == "plural")
    assert wrong(shuffled_lessons(plural, 6, rng)) == 1
    assert wrong(noisy_lessons(plural, 20, 0.5, rng)) == 0.5


def test_all_arms_learn_as_many_lessons_of_the_same_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = script(monkeypatch)
    results = run("instructeval", out=tmp_path / "r", **SMALL)
    taught = {name: watch.taught[f"seed0-{name}"] for name in ("shuffled", "noisy", "clean")}
    assert {len(chats) for chats in taught.values()} == {4 * 3 * 3}
    assert {watch.configs[name] for name in watch.configs} == {watch.configs["seed0-clean"]}
    asked = {name: [chat[1].content for chat in chats] for name, chats in taught.items()}
    assert Counter(asked["clean"]) == Counter(asked["shuffled"])
    assert set(Counter(asked["clean"]).values()) == {3}
    assert {*asked["clean"]} < {*asked["noisy"]}
    assert len({*prompts(taught["clean"])}) == 1, "the system text"
    data = results.metrics["data"]
    assert data["seed0 clean"]["wrong"] == 0
    assert data["seed0 clean"]["wrong"] < data["seed0 noisy"]["wrong"] < data["seed0 shuffled"]["wrong"]
    assert sorted(answers(taught["clean"])) == sorted(answers(taught["shuffled"]))


def test_what_is_scored_was_not_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = script(monkeypatch)
    results = run("instructeval", out=tmp_path / "r", **SMALL)
    learned, unseen = results.metrics["learned"], results.metrics["unseen"]
    assert not {*learned.values()} & {*unseen.values()}
    shown = {chat[1].content for chats in watch.taught.values() for chat in chats}
    cells = [json.loads(path.read_text()) for path in (tmp_path / "r" / "cells").glob("*/cell.json")]
    assert {cell["suite"] for cell in cells} == {"rows of tasks"}
    for path in (tmp_path / "r" / "cells").glob("*/records.jsonl"):
        for line in path.read_text().splitlines():
            assert json.loads(line)["task"]["prompt"][1]["content"] not in shown


def test_better_data_make_a_better_model_and_suites_stand_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, "clean")
    crass = tmp_path / "crass.csv"
    rows = (f"Somebody sings {n}.;And if he had slept?;Silence {n}.;Noise.\n" for n in range(8))
    crass.write_text("Premise;Question;Right;Wrong\n" + "".join(rows))
    options = {
        **SMALL,
        "held_out": ("last_item", "reversed_list"),
        "test_rows": 20,
        "suites": (f"crass:{crass}?style=instructeval",),
    }
    results = run("instructeval", out=tmp_path / "r", **options)
    names = list(dict.fromkeys(each.metric for each in results.comparisons))
    assert names == [
        "held-out rows: prefix_match, 0 shots",
        "unseen tasks: prefix_match, 0 shots",
        "crass: prefix_match, 3 shots",
    ]
    claims = {
        (each.baseline_name, each.method_name): each
        for each in results.comparisons
        if each.metric == names[1]
    }
    pairs = [("shuffled", "clean"), ("noisy", "clean"), ("shuffled", "noisy"), ("untuned", "clean")]
    assert list(claims) == pairs
    assert claims["shuffled", "clean"].verdict == "held"
    assert claims["shuffled", "noisy"].verdict == "not shown"
    assert any(note.startswith("crass: prefix_match, 3 shots: every arm is at 0") for note in results.notes)
    missing = "without INSTRUCTEVAL's mmlu, bbh, drop, humaneval"
    assert f"The average in % is the mean of {'; '.join(names)}, {missing}." in results.notes
    average = results.metrics["average in %"]
    assert average["clean"] > average["shuffled"]
    assert (tmp_path / "r" / "artifacts" / "model" / "weights").read_text().startswith("seed0-clean")


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = script(monkeypatch, "clean")
    whole = run("instructeval", out=tmp_path / "whole", seeds=2, **SMALL)
    needed, trainings = watch.answers, list(watch.trainings)
    assert len(trainings) == 6
    watch.trainings = []
    for interrupt in (needed // 4, needed // 3):
        watch.answers, watch.interrupt_at = 0, interrupt
        with pytest.raises(KeyboardInterrupt):
            run("instructeval", out=tmp_path / "killed", seeds=2, **SMALL)
    watch.interrupt_at = -1
    resumed = run("instructeval", out=tmp_path / "killed", seeds=2, **SMALL)
    assert resumed.metrics == whole.metrics
    assert resumed.comparisons == whole.comparisons
    assert watch.trainings == trainings, "each set was learned once"


def test_settings_are_tuned_on_what_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch)
    test = run("instructeval", out=tmp_path / "test", **SMALL).metrics
    tuned = run("instructeval", out=tmp_path / "tune", tune=True, **SMALL).metrics
    assert not {*tuned["learned"].values(), *tuned["unseen"].values()} & {*test["unseen"].values()}


def check(**options: Any) -> None:
    InstructEval(InstructEvalConfig(**options)).check()


def test_bad_settings_end_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="suite is 'mmul:x', expected mmlu"):
        check(suites=("mmul:x",))
    with pytest.raises(FileError, match="nowhere"):
        check(suites=(f"mmlu:{tmp_path / 'nowhere'}",))
    with pytest.raises(InputError, match="suites is 'composed', expected each suite once"):
        check(suites=("composed?tasks=2", "composed?tasks=3"))
    (tmp_path / "t.txt").write_text("One.")
    with pytest.raises(
        InputError, match="suites is 'text', expected suites of tasks that have right answers"
    ):
        check(suites=(f"text:{tmp_path / 't.txt'}",))
    with pytest.raises(InputError, match="held_out is 'cooking', expected a task, or a category"):
        check(held_out=("cooking",))
    with pytest.raises(InputError, match="model"):
        check(model="openai:gpt@http://localhost")
    for options in ({"rows": 1}, {"amount": 1}, {"noise": 0}, {"noise": 1.5}):
        with pytest.raises(InputError, match=next(iter(options))):
            InstructEvalConfig(**options)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match=r"empty: holds no file named TASK.json"):
        check(data=(tmp_path / "empty",))


def test_what_is_not_decided_for_one_arm_is_left_out_for_all() -> None:
    scores = ArmScores()
    found = {
        "s": {("a", None): [1.0, None, 0.0], ("b", 0): [0.0, 1.0, 1.0], ("b", 1): [1.0, 1.0, 1.0]},
        "t": {("a", None): [None], ("b", 0): [1.0], ("b", 1): [1.0]},
    }
    assert add_decided(scores, found) == [
        "s: 1 of 3 tasks were not decided for every arm, and are left out.",
        "t: 1 of 1 tasks were not decided for every arm, and are left out.",
    ]
    assert scores.values("a", "s").tolist() == [[1.0, 0.0]]
    assert scores.values("b", "s").tolist() == [[0.0, 1.0], [1.0, 1.0]]
    assert not scores.arms("t")
