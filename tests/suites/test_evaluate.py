"""Whole evaluations: killed and resumed, extended, repeated, elsewhere; the numbers of a leaderboard."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import FileError, InputError, ModelError, RunError
from biddable.judges.ifeval import evaluate as official
from biddable.models import load
from biddable.runs import journal
from biddable.runs.executors import processes
from biddable.suites import answers
from biddable.suites.evaluate import evaluate, measured
from biddable.suites.instructions import composed
from biddable.suites.leaderboard import Leaderboard
from biddable.suites.metrics import JUDGED
from biddable.suites.store import read_cells
from biddable.tasks.fewshot import Shots
from biddable.types import Response, Task, Verdict, last_turn
from tests.doubles import Fickle, Parrot

from ..train.tiny import llama, local
from .models import Chooser, Served, choosing, writing

Models = Callable[..., None]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Models:
    """Models by name."""

    def name(**models: Any) -> None:
        monkeypatch.setattr(load, "load_model", lambda name, **_: models[name])

    return name


def knows(share: int) -> Chooser:
    """Takes the right choice for numbers below ``share``, the wrong one for others."""

    def likes(prompt: str, choice: str) -> float:
        number = int("".join(filter(str.isdigit, prompt)))
        right = "no" if number % 2 else "yes"
        return -1.0 if (choice.strip() == right) == (number < share) else -2.0

    return Chooser(likes)


def scores(board: Leaderboard) -> dict[tuple[str, str], float]:
    return {(row.cell.suite, row.cell.model): row.scores[0].value for row in board.rows}


def test_a_model_that_cannot_be_loaded_ends_no_other_models_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_model(name: str, **_: Any) -> Parrot:
        if name == "gone":
            raise ModelError("model gone is not installed")
        return Parrot()

    monkeypatch.setattr(load, "load_model", load_model)
    with pytest.raises(ModelError, match="model gone is not installed"):
        evaluate(["gone", "m"], writing(2), out=tmp_path / "e")
    results = json.loads((tmp_path / "e" / "results.json").read_text())
    assert list(results["metrics"]["echo"]) == ["m"]


def test_killed_twice_it_goes_on_and_ends_as_if_it_had_not_been(
    tmp_path: Path, named: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "BATCH", 2)
    undisturbed, killed = Parrot(), Parrot()
    named(m=undisturbed)
    evaluate("m", writing(8), out=tmp_path / "a")
    named(m=killed)
    for after in (1, 3):
        killed.interrupt_after = after
        with pytest.raises(KeyboardInterrupt):
            evaluate("m", writing(8), out=tmp_path / "b")
        assert not (tmp_path / "b" / "results.json").exists()
        assert not (tmp_path / "b" / "cells").exists()
    killed.interrupt_after = -1
    board = evaluate("m", writing(8), out=tmp_path / "b")
    assert scores(board) == {("echo", "m"): 1.0}
    assert killed.chats == undisturbed.chats
    files = [next((tmp_path / name).glob("cells/*/records.jsonl")).read_bytes() for name in "ab"]
    assert files[0] == files[1]
    results = [json.loads((tmp_path / name / "results.json").read_text()) for name in "ab"]
    assert results[0]["metrics"] == results[1]["metrics"]


def test_a_folder_grows_by_models_and_suites_and_repeating_asks_nobody(tmp_path: Path, named: Models) -> None:
    base, tuned, third = knows(2), knows(6), knows(8)
    named(base=base, tuned=tuned, third=third)
    out = tmp_path / "e"
    first = evaluate(["base", "tuned"], choosing(8), out=out)
    assert [(each.baseline_name, each.method_name, each.difference) for each in first.comparisons] == [
        ("base", "tuned", 0.5)
    ]
    assert measured(first)["even"]["base"]["chance"] == {"acc": 0.5, "acc_norm": 0.5}
    grown = evaluate("third", choosing(8), out=out)
    assert [each.method_name for each in grown.comparisons] == ["tuned", "third"]  # the first stays baseline
    both = evaluate("third", writing(2), out=out, baseline="tuned")
    assert [(row.cell.suite, row.cell.model) for row in both.rows] == [
        ("even", "base"), ("even", "tuned"), ("even", "third"), ("echo", "third"),
    ]  # fmt: skip
    assert {each.baseline_name for each in both.comparisons} == {"tuned"}
    asked = [(len(each.scored), each.calls) for each in (base, tuned, third)]
    again = evaluate(["base", "tuned", "third"], choosing(8), out=out)
    assert [(len(each.scored), each.calls) for each in (base, tuned, third)] == asked
    assert scores(again) == scores(both)


def test_other_settings_are_other_cells(tmp_path: Path, named: Models) -> None:
    model = knows(8)
    named(m=model)
    shown = choosing(4, shots={"": Shots("", ("Is 2 even? yes",))})
    for settings, texts in (({}, 8), ({"shots": 1}, 16), ({"limit": 2}, 20), ({"template": "none"}, 28)):
        board = evaluate("m", shown, out=tmp_path / "e", **settings)
        assert len(model.scored) == texts
    assert board.row("m", "even").n == 4
    assert model.scored[8][0].startswith("Is 2 even? yes\n\nIs 0 even?")
    evaluate("m", shown, out=tmp_path / "e", shots=1)
    assert len(model.scored) == 28


def test_what_cannot_be_compared_is_said(tmp_path: Path, named: Models) -> None:
    named(a=knows(2), b=knows(4))
    evaluate("a", choosing(4), out=tmp_path / "e")
    board = evaluate("b", choosing(4), out=tmp_path / "e", limit=3)
    assert (board.comparisons, board.notes[0]) == (
        (),
        "b and a answered other tasks on even: not compared.",
    )
    asked = choosing(4, shots={"": Shots("", ("Is 2 even? yes",))})
    board = evaluate("b", asked, out=tmp_path / "e", shots=1)
    assert len(board.comparisons) == 1
    assert "even: b was asked with solved examples 1, a with 0." in board.notes
    other = choosing(4, version="2")
    board = evaluate("b", other, out=tmp_path / "e")
    assert "b and a were judged by other judges on even: not compared." in board.notes
    written = choosing(4, ask="generate", judge=writing().judge)
    board = evaluate("b", written, out=tmp_path / "e")
    assert "b and a were asked and scored in other ways on even: not compared." in board.notes


def test_worker_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "BATCH", 3)
    weights = [str(local(llama(seed)).save(tmp_path / f"m{seed}")) for seed in (0, 1)]
    tasks = tuple(
        Task(f"t{i}", f"w{i} w{i + 1}", references=("w5",), choices=("w5", "w6", "w7")) for i in range(6)
    )
    suites = [choosing(tasks=tasks), writing(6)]
    here = evaluate(weights, suites, out=tmp_path / "here")
    assert len(here.comparisons) == 2
    evaluate(weights[:1], suites[:1], out=tmp_path / "there", executor=processes(2))
    [there] = read_cells(tmp_path / "there")
    assert there.records == here.row(weights[0], "even").cell.records
    assert all(record.prompt_tokens for record in there.records)
    again = evaluate(weights, suites, out=tmp_path / "here", executor=processes(2))  # starts no process
    assert scores(again) == scores(here)


def test_rules_are_counted_as_the_official_code_counts_them(tmp_path: Path, named: Models) -> None:
    class Obeying(Fickle):
        """Says what many rules want, and is sometimes refused."""

        def say(self, prompt: Any, seed: int | None, sample: int) -> Response:
            texts = (
                "one line, no more.",
                '```json\n{"a": 1}\n```',
                "## Title\n\n* a\n* b\n\nP.S. x",
                "",
            )
            if seed is not None and seed % 11 == 0:
                return Response("", finish_reason="error", error="refused")
            return Response(f"{texts[(seed or 0) % 4]}\n\n{last_turn(prompt)}")

    named(m=Obeying())
    suite = composed(44)
    board = evaluate("m", suite, out=tmp_path / "e")
    [cell] = read_cells(tmp_path / "e")
    report = official(suite.tasks, [record.responses[0] for record in cell.records])
    values = {score.metric: score.value for score in board.rows[0].scores}
    assert 0 < report.prompt_strict < 1
    assert values == {
        "prompt_level_strict_acc": pytest.approx(report.prompt_strict),
        "inst_level_strict_acc": pytest.approx(report.inst_strict),
        "prompt_level_loose_acc": pytest.approx(report.prompt_loose),
        "inst_level_loose_acc": pytest.approx(report.inst_loose),
    }
    groups = {group.name: (pytest.approx(group.value), group.n) for group in board.rows[0].groups}
    assert groups == {name: (found.strict, found.n) for name, found in report.per_type.items()}
    assert len(board.rows[0].unanswered) == 4 == len(report.unanswered)


def test_samples_are_drawn_and_their_numbers_are_means(tmp_path: Path, named: Models) -> None:
    model = Parrot()
    named(m=model)
    board = evaluate("m", writing(3), out=tmp_path / "e", samples=2, temperature=0.7)
    assert (model.asked[0]["n"], model.samplings[0].temperature) == (2, 0.7)
    assert scores(board) == {("echo", "m"): 0.5}  # the second sample of a parrot says so
    [cell] = read_cells(tmp_path / "e")
    assert [len(record.responses) for record in cell.records] == [2, 2, 2]
    with pytest.raises(InputError, match="samples is 2, expected 1 at temperature 0"):
        evaluate("m", writing(3), out=tmp_path / "f", samples=2)
    assert not (tmp_path / "f").exists()


def test_answers_that_name_nothing_are_unparsable(tmp_path: Path, named: Models) -> None:
    named(served=Served())
    board = evaluate("served", choosing(4), out=tmp_path / "e")
    row = board.rows[0]
    assert (row.unparsable, row.scores[0].value, row.by_text) == (1.0, 0.0, True)
    assert any("it gives no log-probabilities" in note for note in board.notes)
    from biddable.judges.reference import ReferenceJudge
    from biddable.suites.metrics import met

    judge = ReferenceJudge("gsm8k_strict")
    suite = writing(4, judge=judge, metrics=(met("exact_match", "reference:gsm8k_strict"),))
    assert evaluate("served", suite, out=tmp_path / "e").row("served", "echo").unparsable == 1.0


def test_any_judge_may_judge_instead(tmp_path: Path, named: Models) -> None:
    model = Parrot()
    named(m=model)
    evaluate("m", writing(2), out=tmp_path / "e")
    board = evaluate("m", writing(2), out=tmp_path / "e", judge="reference:prefix_match")
    assert [score.metric for score in board.rows[0].scores] == ["pass_rate", "score"]
    assert model.calls == 1


def test_texts_have_a_perplexity(tmp_path: Path) -> None:
    weights = str(local().save(tmp_path / "m"))
    (tmp_path / "a.txt").write_text("w1 w2 w3 w4")
    board = evaluate(weights, f"text:{tmp_path / 'a.txt'}", out=tmp_path / "e")
    bits, words = board.rows[0].scores
    assert (bits.metric, words.metric, bits.higher_is_better) == ("bits_per_byte", "word_perplexity", False)
    [cell] = read_cells(tmp_path / "e")
    nats = -cell.records[0].scores[0]
    assert words.value == pytest.approx(2.718281828 ** (nats / 4))


@pytest.mark.parametrize(
    ("models", "suites", "options", "problem"),
    [
        ([], writing(), {}, r"models is \[\], expected at least one"),
        ("m", [], {}, r"suite is \[\], expected at least one"),
        (["m", "m"], writing(), {}, "models is 'm', expected each once"),
        ("m", [writing(), writing()], {}, "suite is 'echo', expected each once"),
        ("m", writing(), {"baseline": "n"}, "baseline is 'n', expected one of the models: m"),
        ("m", writing(), {"limt": 3}, "limt is 3, expected one of the settings limit"),
        ("m", writing(), {"limit": 0}, "limit is 0"),
        ("m", "glue", {}, "suite is 'glue'"),
        ("m", choosing(), {"judge": "rules"}, "judge is 'rules', expected a suite whose answers are written"),
        ("m", choosing(), {"max_tokens": 9}, "max_tokens is 9, expected a suite whose answers are written"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_made(
    tmp_path: Path, named: Models, models: Any, suites: Any, options: dict[str, Any], problem: str
) -> None:
    named(m=Parrot())
    with pytest.raises(InputError, match=problem):
        evaluate(models, suites, out=tmp_path / "e", **options)
    assert not (tmp_path / "e").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, named: Models) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(RunError):
        evaluate("m", writing(), out=tmp_path)


def rated(judge: Any, n: int = 4) -> Any:
    """A suite whose responses ``judge`` rates."""
    return writing(n, judge=judge, metrics=JUDGED)


def test_what_a_judge_could_not_decide_is_left_out(tmp_path: Path, named: Models) -> None:
    def judge(tasks: Any, responses: Any, **_: Any) -> list[Verdict]:
        return [Verdict(None if task.id == "t0" else -2.0 - len(task.id), None) for task in tasks]

    named(m=Parrot(), n=Parrot())
    board = evaluate(["m", "n"], rated(judge), out=tmp_path / "e")
    row = board.row("m", "echo")
    # Rewards below 0: a missing one is not the best of all. Nothing passes or fails, so no share is shown.
    assert [(score.metric, score.value) for score in row.scores] == [("score", -4.0)]
    assert "m on echo: the judge gave 1 of 4 tasks no score: left out of it." in board.notes
    assert any("1 of 4 tasks without a number for one of them" in note for note in board.notes)
    [made] = board.comparisons
    assert (made.n, made.difference) == (3, 0.0)


def test_a_refused_task_has_no_reward_and_does_not_pass(tmp_path: Path, named: Models) -> None:
    class Refusing(Parrot):
        def generate(self, prompts: Any, **how: Any) -> Any:
            rows = super().generate(prompts, **how)
            error = Response("", finish_reason="error", error="refused")
            return [[error] if "w0" in last_turn(p) else row for p, row in zip(prompts, rows, strict=True)]

    def judge(tasks: Any, responses: Any, **_: Any) -> list[Verdict]:
        return [Verdict(-3.0, True) for _ in tasks]

    named(m=Refusing())
    board = evaluate("m", rated(judge), out=tmp_path / "e")
    assert {score.metric: score.value for score in board.rows[0].scores} == {"pass_rate": 0.75, "score": -3.0}
    assert "m on echo: 1 of 4 tasks have no answer and count as wrong: t0 (refused)." in board.notes


def test_a_judge_that_decides_nothing_is_refused_and_others_are_kept(tmp_path: Path, named: Models) -> None:
    def judge(tasks: Any, responses: Any, **_: Any) -> list[Verdict]:
        return [Verdict(None, None, "there is nothing to check") for _ in tasks]

    named(m=Parrot())
    undecided = replace(rated(judge), name="undecided")
    with pytest.raises(InputError, match="decides on the suite's tasks; it says: there is nothing to check"):
        evaluate("m", [undecided, writing(2)], out=tmp_path / "e")
    assert [cell.suite for cell in read_cells(tmp_path / "e")] == ["echo"]


def test_what_was_measured_in_another_way_before_is_said(tmp_path: Path, named: Models) -> None:
    named(m=Parrot())
    evaluate("m", writing(4), out=tmp_path / "e")
    board = evaluate("m", writing(4), out=tmp_path / "e", max_tokens=9, limit=3)
    [note] = [note for note in board.notes if "another way" in note]
    assert "m on echo" in note
    assert "tasks 4, now 3; limit of tokens 6, now 9" in note


def test_the_seconds_of_a_killed_cell_are_of_all_processes(
    tmp_path: Path, named: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Parrot):
        def generate(self, prompts: Any, **how: Any) -> Any:
            time.sleep(0.3)
            return super().generate(prompts, **how)

    monkeypatch.setattr(answers, "BATCH", 2)
    monkeypatch.setattr(journal, "SECONDS_BETWEEN_BEATS", 0)
    slow = Slow()
    slow.interrupt_after = 2
    named(m=slow)
    with pytest.raises(KeyboardInterrupt):
        evaluate("m", writing(8), out=tmp_path / "e")
    slow.interrupt_after = -1
    board = evaluate("m", writing(8), out=tmp_path / "e")
    assert board.rows[0].cell.seconds > 1.1
    seconds = board.rows[0].cell.seconds
    assert evaluate("m", writing(8), out=tmp_path / "e").rows[0].cell.seconds == seconds


def test_settings_of_written_answers_are_said_not_to_apply_to_choices(tmp_path: Path, named: Models) -> None:
    named(m=knows(4))
    board = evaluate("m", [choosing(), writing(2)], out=tmp_path / "e", max_tokens=5)
    assert "even: no answers are written, so --max-tokens did not apply." in board.notes
    with pytest.raises(InputError, match="max_tokens is 5, expected a suite whose answers are written"):
        evaluate("m", choosing(), out=tmp_path / "f", max_tokens=5)


def test_a_model_with_a_prompt_is_a_row_beside_the_one_without(tmp_path: Path, named: Models) -> None:
    asked = Parrot()
    named(m=asked)
    prompt = tmp_path / "p.txt"
    prompt.write_text("Be brief.")
    evaluate("m", writing(2), out=tmp_path / "e")
    board = evaluate("m", writing(2), out=tmp_path / "e", prompt=prompt, baseline="m")
    name = f"m with {prompt}"
    assert scores(board) == {("echo", "m"): 1.0, ("echo", name): 0.0}  # an echo says the prompt, too
    assert [last_turn(chat) for chat in asked.chats[2:]] == ["Be brief.\n\nsay w0", "Be brief.\n\nsay w1"]
    assert [(each.baseline_name, each.method_name) for each in board.comparisons] == [("m", name)]
    prompt.write_text("")
    with pytest.raises(FileError, match="expected an instruction"):
        evaluate("m", writing(2), out=tmp_path / "e", prompt=prompt)
