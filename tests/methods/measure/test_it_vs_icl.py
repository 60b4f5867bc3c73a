"""Instruction tuning against in-context learning: prompts, sides, correlations, and resuming."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biddable.errors import FileError, InputError
from biddable.experiments.cross_task import SplitTask, split_composed
from biddable.experiments.samplegen import (
    END,
    MARK,
    WORDINGS,
    drawn,
    extract_answer,
    regular_lessons,
    render_direct,
    render_regular,
    render_samplegen,
    samplegen_lessons,
    split_for_samplegen,
)
from biddable.experiments.task_pool import read_pool
from biddable.methods.base import prepare, run
from biddable.methods.measure.it_vs_icl import (
    CHANCE,
    DIRECT,
    ICL,
    PIPELINE,
    PROPOSED,
    TUNED,
    ItVsIcl,
    ItVsIclConfig,
    first_line_judge,
)
from biddable.tasks.compose.skills import CODE, code_task, skill_tasks
from biddable.types import Response, Task
from tests.methods.measure.learning import Learned, answers, script

TOLD = {"number": 12, "items": 3}
SMALL = {**TOLD, "rows": 2}
TASKS = split_composed(skill_tasks(20))


POOL = split_composed([*skill_tasks(60), code_task(60)])
NAMES = [each.name for each in POOL]


def meant(prompt: Any) -> tuple[SplitTask, Task]:
    """The task and the row of a prompt, by its definition or its examples."""
    text = prompt if isinstance(prompt, str) else prompt[-1].content
    if MARK in text:
        shown = re.findall(r"Example \d: (.*)\nAnswer \d: (.*)\n", text)
        given = text.rpartition("\nSolution: ")[2].partition("\n")[0]
    else:
        shown, given = [], text.partition("\nInput: ")[2].partition("\n")[0]
    for each in POOL:
        known = {(row.meta["input"], row.references[0]) for row in each.train}
        if (shown and {*shown} <= known) or (not shown and text.startswith(each.task.definition)):
            for row in each.test:
                if row.meta["input"] == given:
                    return each, row
    raise LookupError(text)


class Knows(Learned):
    """Solves every other task, with examples or tuned; without, one in four; proposes what it was shown."""

    def say(self, prompt: Any, seed: int | None, sample: int) -> Response:
        self.watch.answers += 1
        if self.watch.answers == self.watch.interrupt_at:
            raise KeyboardInterrupt
        each, row = meant(prompt)
        text = str(row.meta["input"])
        if not isinstance(prompt, str) and "two examples" in prompt[0].content:
            said = render_samplegen(each.train[:2], text) if at(each.name) % 3 else "I do not know."
            return Response(f"{said} {row.references[0]} {END}")
        able = (
            at(each.name) % 2 == 0
            if MARK in str(prompt) or "tuned" in self.weights
            else at(each.name) % 4 == 0
        )
        return Response(f" {row.references[0]}\nInput: more" if able else "\nnothing")


def at(name: str) -> int:
    return NAMES.index(name)


@pytest.fixture
def knowing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``Knows`` for every model, the tuned ones by their name."""
    from biddable.models import load

    watch = script(monkeypatch)

    def loaded(weights: str | Path, **_: Any) -> Knows:
        path = Path(weights, "weights")
        name = path.read_text() if path.exists() else str(weights)
        return Knows("tuned" if "twin" in name or name == "tuned" else "base", watch)

    monkeypatch.setattr(load, "load_model", loaded)
    monkeypatch.setattr("biddable.methods.measure.it_vs_icl.require_trainable", lambda model: None)
    return watch


def test_what_each_condition_shows() -> None:
    each = TASKS[0]
    system, question = render_regular(each.task, "a, b", 2)
    assert (system.role, question.content) == ("system", f"Task: {each.task.definition}\nText: a, b")
    bare = render_direct(each.task, "a, b")
    assert bare == f"{each.task.definition}\nInput: a, b\nOutput:"
    assert system.content not in bare
    shown = render_samplegen(each.train[:2], "a, b")
    assert shown.startswith(
        f"Example 1: {each.train[0].meta['input']}\nAnswer 1: {each.train[0].references[0]}"
    )
    assert shown.endswith(f"Solution: a, b\n{MARK}")
    assert each.task.definition not in shown


def test_answers_are_read_out() -> None:
    assert extract_answer(f"Example 1: x\n{MARK} yes {END}\n{MARK} no") == "yes"
    assert extract_answer("yes") == ""
    assert extract_answer(f"{MARK} yes") == "yes", "the end was cut off"
    judge, task = first_line_judge(), Task("t", "q", references=("two words",))
    texts = (" two words\nmore", "\n\n Two words.", f"two words {END} x", "", "other\ntwo words")
    scores = [verdict.score for verdict in judge([task] * 5, [Response(text) for text in texts])]
    assert scores == [1, 1, 1, None, 0]


def test_no_question_is_its_own_example() -> None:
    for each in TASKS:
        questions, pool = split_for_samplegen(each.train, 2)
        assert not {row.meta["input"] for row in questions} & {row.meta["input"] for row in pool}
        assert not {row.id for row in each.test} & {row.id for row in (*questions, *pool)}
    row = TASKS[0].train[0]
    with pytest.raises(InputError, match="expected no question in its own pool of examples"):
        split_for_samplegen([row, row], 1)
    with pytest.raises(InputError, match=r"examples is 9, expected at most 5, half of a task's rows"):
        split_for_samplegen(TASKS[0].train, 9)
    assert len({id(each) for each in drawn(TASKS[0].train, 5, np.random.default_rng(0))}) == 5


def test_lessons_are_of_the_other_tasks_in_all_wordings() -> None:
    regular = regular_lessons(TASKS[:2], 12)
    assert len(regular) == 24
    starts = {wording.partition("{")[0] for wording in WORDINGS}
    assert all(any(chat[1].content.startswith(start) for chat in regular) for start in starts)
    proposing = samplegen_lessons(TASKS[:1], 3, 2, np.random.default_rng(0))
    for chat in proposing:
        assert chat[-1].content.count("Example ") == 2
        assert chat[-1].content.endswith(f" {END}")
        assert extract_answer(chat[-1].content)


def test_twins_are_made_of_tasks_that_are_not_scored(tmp_path: Path, knowing: Any) -> None:
    results = run("it-vs-icl", out=tmp_path / "r", samplegen=True, **SMALL)
    learned, scored = results.metrics["learned"], results.metrics["scores"][TUNED]
    assert len(scored) >= 5
    assert not {*learned} & {*scored}
    categories = {each.name: each.category for each in TASKS}
    assert not {*learned.values()} & {categories[name] for name in scored}
    assert len(knowing.taught["seed0-twin"]) == 2 * len(learned)
    assert {"seed0-twin", "seed0-samplegen-twin"} == {*knowing.trainings}
    assert len(answers(knowing.taught["seed0-samplegen-twin"])) == 2 * len(learned)
    assert CODE.name not in scored


def test_rho_is_that_of_the_tasks_and_beats_direct_prompting(tmp_path: Path, knowing: Any) -> None:
    results = run("it-vs-icl", out=tmp_path / "r", samplegen=True, **{**SMALL, "items": 6, "number": 24})
    claims = {(each.metric, each.method_name): each for each in reversed(results.comparisons)}
    metric = "Spearman's rho over tasks (rouge_l)"
    found = claims[metric, f"{TUNED} and {ICL}"]
    assert found.verdict == "held"
    assert results.metrics["rho"][ICL]["permutation_p"] < 0.01
    assert "by permutations p = " in found.interval_kind
    assert found.baseline == 0
    assert len([each for each in results.comparisons if each.role == "control"]) == 2
    beside = [each for each in results.comparisons if each.baseline_name == f"{TUNED} and {DIRECT}"]
    assert len(beside) == 1
    assert beside[0].difference > 0
    assert any("above chance" in each.metric for each in results.comparisons)
    assert any("are at 0 in both and share a rank." in note for note in results.notes)
    scores = results.metrics["scores"]
    assert {*scores} == {DIRECT, ICL, TUNED, PROPOSED, PIPELINE, "commonest answer"}
    assert 0 < results.metrics["samplegen"]["unmarked"] < results.metrics["samplegen"]["proposals"]
    figures = json.loads((tmp_path / "r" / "figures.json").read_text())
    [scatter] = [figure for figure in figures if figure["kind"] == "scatter"]
    assert len(scatter["series"][ICL]) == len(scores[TUNED])


def test_models_that_know_nothing_have_no_rho(
    tmp_path: Path, knowing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "at", lambda name: 1)
    results = run("it-vs-icl", out=tmp_path / "r", **SMALL)
    assert {each.role for each in results.comparisons} == {"control"}
    assert any("all tasks score the same in one of them" in note for note in results.notes)
    assert any(note.startswith("All tasks score the same in base direct") for note in results.notes)


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path, knowing: Any) -> None:
    whole = run("it-vs-icl", out=tmp_path / "whole", samplegen=True, **SMALL)
    needed, trainings = knowing.answers, list(knowing.trainings)
    knowing.answers, knowing.trainings = 0, []
    for interrupt in (needed // 3, needed // 2):
        knowing.interrupt_at, knowing.answers = interrupt, 0
        with pytest.raises(KeyboardInterrupt):
            run("it-vs-icl", out=tmp_path / "killed", samplegen=True, **SMALL)
    knowing.interrupt_at = -1
    resumed = run("it-vs-icl", out=tmp_path / "killed", samplegen=True, **SMALL)
    assert resumed.metrics == whole.metrics
    assert resumed.comparisons == whole.comparisons
    assert knowing.trainings == trainings, "each twin was made once"


def test_a_tuned_model_of_ones_own_is_asked_everything(
    tmp_path: Path, knowing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("biddable.methods.measure.it_vs_icl.model_identity", str)
    results = run("it-vs-icl", out=tmp_path / "r", base="base", tuned="tuned", **TOLD)
    assert knowing.trainings == []
    assert len(results.metrics["scores"][TUNED]) == 12
    assert any(note.startswith("Whether tuned was made from base") for note in results.notes)
    assert not (tmp_path / "r" / "artifacts" / "model").exists()


def check(**options: Any) -> None:
    prepare(ItVsIcl, options=options).check()


def bbh(root: Path, tasks: int, rows: int = 12) -> Path:
    root.mkdir()
    for name in "abcdefgh"[:tasks]:
        examples = [
            {"input": f"{name} {n}?\nOptions:\n(A) {name}\n(B) no", "target": "(A)" if n else "(Z)"}
            for n in range(rows)
        ]
        (root / f"{name}.json").write_text(json.dumps({"examples": examples}))
    return root


def test_bbh_is_read_with_its_options_spelled_out(tmp_path: Path) -> None:
    method = ItVsIcl(ItVsIclConfig(data=(bbh(tmp_path / "bbh", 6),), tuned="x", base="y", number=6))
    method.check()
    assert [each.name for each in method.tasks] == list("abcdef")
    row = method.tasks[0].test[0]
    assert row.meta["input"] == "a 1?\nOptions: a; no"
    assert row.references == ("a",)
    assert "a: 1 rows whose answer is none of their options left out." in method.notes


def test_a_rho_that_is_not_there_is_not_compared() -> None:
    method = ItVsIcl(ItVsIclConfig())
    method.proposals = Counter()
    names, rising = "abcdef", [n / 10 for n in range(6)]
    scores = {arm: dict(zip(names, rising, strict=True)) for arm in (DIRECT, TUNED, PIPELINE)}
    scores |= {ICL: dict.fromkeys(names, 0.5), CHANCE: dict.fromkeys(names, 0.0)}
    comparisons, notes = method._correlations(scores, [0])
    assert [each.method_name for each in comparisons] == [f"{TUNED} and {PIPELINE}"]
    assert any("all tasks score the same in one of them" in note for note in notes)


def test_bbh_tasks_without_a_published_prompt_are_read_beside_others(tmp_path: Path) -> None:
    folder = bbh(tmp_path / "bbh", 6)
    (tmp_path / "cot-prompts").mkdir()
    (tmp_path / "cot-prompts" / "a.txt").write_text("-----\nSay a.\n\nQ: x\nA: So the answer is a.\n")
    tasks, notes = read_pool([folder])
    assert [(each.name, each.task.definition) for each in tasks][:2] == [("a", "Say a."), ("b", "")]
    assert len(tasks) == 6
    assert "No definition, so that inputs stand alone: b, c, d, e, f." in notes


def test_rows_that_the_score_cannot_compare_are_left_out(tmp_path: Path) -> None:
    folder = bbh(tmp_path / "bbh", 6)
    answers = {"brackets": ["] )"] * 12, "signs": [*"+++", *"x" * 9], "russian": ["да", "нет"] * 6}
    for name, targets in answers.items():
        examples = [{"input": f"{name} {n}", "target": target} for n, target in enumerate(targets)]
        (folder / f"{name}.json").write_text(json.dumps({"examples": examples}))
    method = ItVsIcl(ItVsIclConfig(data=(folder,), tuned="x", base="y"))
    method.check()
    assert {each.name: len(each.test) for each in method.tasks} == {**dict.fromkeys("abcdef", 4), "signs": 1}
    assert "brackets is left out: no row to score remains." in method.notes
    assert "signs: 3 rows left out, whose answers rouge_l cannot compare." in method.notes
    method = ItVsIcl(ItVsIclConfig(data=(folder,), tuned="x", base="y", score="exact_match"))
    method.check()
    assert {each.name for each in method.tasks} == {*"abcdef", "russian", "signs"}


def test_bad_settings_end_in_one_line(tmp_path: Path) -> None:
    data = bbh(tmp_path / "bbh", 4)
    with pytest.raises(InputError, match=r"data is '4 of 4 tasks', expected at least 5 to score"):
        check(data=(data,), tuned="x", base="y")
    with pytest.raises(InputError, match=r"data is .*one task a, not several"):
        check(data=(data, data), tuned="x", base="y")
    with pytest.raises(InputError, match="tuned is 'smollm2', expected another model than base"):
        check(tuned="smollm2")
    with pytest.raises(
        InputError, match=r"held_out is .*, expected nothing: it has an effect only without --tuned"
    ):
        check(tuned="x", held_out=("sum",))
    with pytest.raises(InputError, match="held_out is 'cooking', expected a task, or a category: arithmetic"):
        check(held_out=("cooking",))
    with pytest.raises(InputError, match=r"examples is 50, expected at most .* the rows to learn from of"):
        check(examples=50)
    with pytest.raises(InputError, match="examples is 16, expected at most"):
        check(examples=16, samplegen=True)
    with pytest.raises(InputError, match="score"):
        ItVsIclConfig(score="bertscore")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match=r"empty: holds no file named TASK.json"):
        check(data=(tmp_path / "empty",))


DATA = Path(__file__).parents[4] / "shared" / "data"


def test_the_published_files_are_read() -> None:
    if not (DATA / "bbh").is_dir():
        pytest.skip("the published files are not here")
    method = ItVsIcl(ItVsIclConfig(data=(DATA / "superni", DATA / "superni_json", DATA / "bbh")))
    method.check()
    names = {each.name for each in method.tasks}
    assert "task1152" in names
    assert not names & {"task1153", "task393", "logical_deduction_three_objects"}
    assert len(names) == 39
    assert any(note.startswith("movie_recommendation: 1 rows whose answer is none") for note in method.notes)


def test_the_real_model_has_a_twin_made_and_left_to_use(tmp_path: Path, smollm2: Any) -> None:
    folder = tmp_path / "r"
    options = {
        "data": (bbh(tmp_path / "bbh", 7),),
        "held_out": tuple("abcde"),
        "items": 1,
        "rows": 1,
        "max_tokens": 2,
    }
    results = run("it-vs-icl", out=folder, **options)
    assert len(results.metrics["scores"][ICL]) == 5
    assert (folder / "artifacts" / "model" / "adapter_config.json").is_file()
