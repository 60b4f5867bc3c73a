"""``eval`` and ``judge``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from biddable.errors import InputError
from biddable.models import load
from biddable.runs.figures import load_figures
from biddable.suites import answers, evaluate
from biddable.suites.load import load_suite
from biddable.types import Prompt, Response, last_turn
from tests.doubles import Fickle, Parrot

from .conftest import Command
from .fakes import assert_one_line, write_lines

DATA = Path(__file__).parents[2] / "../shared/data/ifeval/input_data.jsonl"
ACCURACIES = {"prompt_strict", "inst_strict", "prompt_loose", "inst_loose"}
KEYS = ACCURACIES | {"per_type", "n_prompts", "n_instructions"}
HEADLINE = "prompt_level_strict_acc"
METRICS = {HEADLINE, "inst_level_strict_acc", "prompt_level_loose_acc", "inst_level_loose_acc"}
COUNTED = {"cut_off", "empty", "thinking"}

WORDS = "length_constraints:number_words"
NO_COMMA, LOWER, JSON = (
    "punctuation:no_comma",
    "change_case:english_lowercase",
    "detectable_format:json_format",
)


def example(key: int, prompt: str, *ids: str, **changes: Any) -> dict[str, Any]:
    row = {"key": key, "prompt": prompt, "instruction_id_list": list(ids), "kwargs": [{} for _ in ids]}
    return {**row, **changes}


def followable(*prompts: str) -> str:
    return write_lines("t.jsonl", [example(i, prompt, NO_COMMA) for i, prompt in enumerate(prompts, 1)])


@pytest.fixture
def files(biddable: Command) -> tuple[str, ...]:
    """Two prompts with three instructions. Followed: the first strictly, half of the second, loosely all."""
    tasks = [example(1, "Say it.", NO_COMMA), example(2, "Write it.", NO_COMMA, JSON)]
    responses = [
        {"prompt": "Say it.", "response": "No commas here."},
        {"prompt": "Write it.", "response": 'Here you are:\n{"it": 1}\nGood luck!'},
    ]
    return ("--tasks", write_lines("t.jsonl", tasks), "--responses", write_lines("r.jsonl", responses))


def test_judge_prints_one_object_with_these_keys(biddable: Command, files: tuple[str, ...]) -> None:
    result = biddable("judge", "ifeval", *files, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    matching = {"missing", "missing_tasks", "max_tokens", "left_out", "edited", "at_odds"}
    assert found.keys() == KEYS | COUNTED | matching
    assert (found["max_tokens"], found["left_out"], found["edited"], found["at_odds"]) == (None, {}, {}, {})
    assert (found["missing"], found["missing_tasks"], found["cut_off"], found["thinking"]) == (0, [], 0, 0)
    assert (found["n_prompts"], found["n_instructions"]) == (2, 3)
    assert found["prompt_strict"] == 0.5
    assert found["inst_strict"] == pytest.approx(2 / 3)
    assert (found["prompt_loose"], found["inst_loose"]) == (1.0, 1.0)
    assert found["per_type"] == {
        JSON: {"strict": 0.0, "loose": 1.0, "n": 1},
        NO_COMMA: {"strict": 1.0, "loose": 1.0, "n": 2},
    }


def test_judge_prints_a_table(biddable: Command, files: tuple[str, ...]) -> None:
    table = biddable("judge", "ifeval", *files).stdout
    lines = [line.split() for line in table.splitlines()]
    assert [NO_COMMA, "1.000", "1.000", "2"] in lines
    [prompts] = [line for line in lines if line[:1] == ["prompts"]]
    assert prompts[1] == "0.500"
    assert "50.0% of the responses repeat themselves" in table


def test_fixed_rules_are_those_that_mean_what_they_say(biddable: Command) -> None:
    rule = example(1, "p", "keywords:existence", kwargs=[{"keywords": ["art"]}])
    files = ("--tasks", write_lines("t", [rule]),
             "--responses", write_lines("r", [{"prompt": "p", "response": "a party"}]))  # fmt: skip
    published, fixed = (
        json.loads(biddable("judge", "ifeval", *files, "--json", *more).stdout) for more in ((), ("--fixed",))
    )
    assert (published["inst_strict"], fixed["inst_strict"]) == (1.0, 0.0)


GOOD_TASK = json.dumps(example(1, "p", NO_COMMA)).encode()
GOOD_RESPONSE = b'{"prompt": "p", "response": "r"}'


@pytest.mark.parametrize("damaged", ["tasks", "responses"])
@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "no such file"),
        ("folder", "director"),
        (b"", "holds no rows"),
        (b"\n\n", "holds no rows"),
        (b"{", ":1: not JSON"),
        (b"[1]", "row 1: "),
        (b"\xff\xff", ":1: not UTF-8"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "is a Git LFS pointer, not the file",
        ),
        (b"{}", ":1: "),
        (b'{"prompt": 3, "response": "r"}', ":1: "),
    ],
    ids=str,
)
def test_files_that_cannot_be_read(biddable: Command, damaged: str, content: Any, part: str) -> None:
    Path("tasks").write_bytes(GOOD_TASK)
    Path("responses").write_bytes(GOOD_RESPONSE)
    Path(damaged).unlink()
    if content == "folder":
        Path(damaged).mkdir()
    elif content is not None:
        Path(damaged).write_bytes(content)
    result = biddable("judge", "ifeval", "--tasks", "tasks", "--responses", "responses")
    assert_one_line(result, damaged, part)


@pytest.mark.parametrize(
    ("task", "part"),
    [
        (example(1, "p", "keywords:magic"), "keywords:magic"),
        (example(1, "p", "keywords:existence"), "keywords"),
        (
            example(1, "p", "keywords:forbidden_words", kwargs=[{"forbidden_words": ["(?i)foo"]}]),
            "kwargs[0].forbidden_words is ['(?i)foo'], expected ",
        ),
        (example(1, "other", NO_COMMA), "other"),
        (example(1, "p", NO_COMMA, kwargs=[]), ":1: kwargs"),
    ],
    ids=str,
)
def test_tasks_that_cannot_be_judged(biddable: Command, task: dict[str, Any], part: str) -> None:
    Path("responses").write_bytes(GOOD_RESPONSE)
    result = biddable("judge", "ifeval", "--tasks", write_lines("tasks", [task]), "--responses", "responses")
    assert_one_line(result, part)


@pytest.mark.parametrize(
    ("kwargs", "ids", "score"),
    [
        ([{"num_words": 5.0, "relation": "at least", "keyword": None}], [WORDS], 1.0),
        ([{"num_words": "5", "relation": "at least"}], [WORDS], 1.0),
        ({"num_words": 5, "relation": "at least"}, [WORDS], 1.0),
        ({"num_words": 5, "relation": "at least"}, [WORDS, NO_COMMA], 1.0),
        ({"num_words": 9, "relation": "at least"}, [WORDS, NO_COMMA], 0.0),
        ([None], [NO_COMMA], 1.0),
        (["{}"], [NO_COMMA], 1.0),
    ],
    ids=str,
)
def test_arguments_as_others_write_them(biddable: Command, kwargs: Any, ids: list[str], score: float) -> None:
    answers = write_lines("r", [{"prompt": "p", "response": "one two three four five"}])
    files = ("--tasks", write_lines("t", [example(1, "p", *ids, kwargs=kwargs)]), "--responses", answers)
    assert json.loads(biddable("judge", "ifeval", *files, "--json").stdout)["prompt_strict"] == score


@pytest.mark.parametrize(
    ("kwargs", "ids", "part"),
    [
        ([{"num_words": 5.5, "relation": "at least"}], [WORDS], "kwargs[0].num_words is 5.5"),
        ([{"colour": "red"}], [NO_COMMA], "kwargs[0].colour is 'red', expected no such argument"),
        ({"num_words": 5, "relation": "at least", "colour": "red"}, [WORDS, NO_COMMA], "kwargs[0].colour"),
        ([{}, {"num_words": 5, "relation": "at least"}], [WORDS, NO_COMMA], "kwargs[0].num_words is missing"),
    ],
    ids=str,
)
def test_arguments_that_no_rule_takes_are_never_passed_over(
    biddable: Command, kwargs: Any, ids: list[str], part: str
) -> None:
    files = ("--tasks", write_lines("t", [example(1, "p", *ids, kwargs=kwargs)]),
             "--responses", write_lines("r", [{"prompt": "p", "response": "one"}]))  # fmt: skip
    assert_one_line(biddable("judge", "ifeval", *files), "task 1", part)


def test_missing_responses_are_counted_and_those_to_other_tasks_too(biddable: Command) -> None:
    tasks = followable(*(f"Prompt {i}" for i in range(15)))
    answers = [{"prompt": f"Prompt {i}", "response": "Hills are quiet and green."} for i in (0, 1, 2, 99)]
    files = ("--tasks", tasks, "--responses", write_lines("r.jsonl", answers))
    result = biddable("judge", "ifeval", *files, "--json")
    found = json.loads(result.stdout)
    assert (found["prompt_strict"], found["missing"], len(found["missing_tasks"])) == (0.2, 12, 12)
    assert "12 of 15 tasks have no answer" in result.stderr
    assert "1 response belongs to none of the tasks." in result.stderr
    assert result.stderr.count("has no answer") == 10
    table = " ".join(biddable("judge", "ifeval", *files).stdout.split())
    assert "12 of 15 tasks have no answer and count as not followed." in table


def measured(result: Result, model: str, suite: str = "ifeval") -> dict[str, Any]:
    """What ``--json`` says of a model on a suite."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["suites"][suite][model]


def kept(folder: str, model: str = "") -> list[dict[str, Any]]:
    """The responses that the newest cell of a model keeps, as ``biddable judge`` reads them."""
    *_, cell = [each for each in json.loads(Path(folder, "cells.json").read_text()) if model in each]
    return [json.loads(line) for line in Path(folder, "cells", cell, "responses.jsonl").open()]


def test_eval_answers_scores_and_keeps_the_answers(biddable: Command, parrot: Parrot) -> None:
    tasks = [example(1, "no commas", NO_COMMA), example(2, "one, two", NO_COMMA), example(3, "ABC", LOWER)]
    arguments = ("eval", "parrot", "--suite", f"ifeval:{write_lines('t.jsonl', tasks)}", "--out", "e")
    result = biddable(*arguments, "--max-tokens", "7", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found.keys() == {"suites", "comparisons", "notes", "folder", "report", "next_steps"}
    assert (found["folder"], found["comparisons"]) == ("e", [])
    row = measured(result, "parrot")
    assert row.keys() >= METRICS | COUNTED | {"refused", "refused_tasks", "unparsable", "degenerate", "asked"}
    assert (row["n"], row["prompt_level_strict_acc"]) == (3, pytest.approx(1 / 3))
    assert row["intervals"]["prompt_level_strict_acc"][0] < 1 / 3 < row["intervals"][HEADLINE][1]
    assert row["asked"]["max_tokens"] == 7
    assert {how.temperature for how in parrot.samplings} == {0.0}
    assert {how.max_tokens for how in parrot.samplings} == {7}

    [cell] = {*json.loads(Path("e/cells.json").read_text())}
    answered = f"e/cells/{cell}/responses.jsonl"
    judged = json.loads(
        biddable("judge", "ifeval", "--tasks", "t.jsonl", "--responses", answered, "--json").stdout
    )
    assert {ours: row[ours] for ours in METRICS} == {
        ours: judged[ours.replace("_level", "").removesuffix("_acc")] for ours in METRICS
    }
    assert {name: group["value"] for name, group in row["groups"].items()} == {
        name: each["strict"] for name, each in judged["per_type"].items()
    }
    assert Path("e/report.html").exists()
    [shown] = [figure for figure in load_figures(Path("e/figures.json")) if figure.kind == "items"]
    assert [item.prompt for item in shown.items] == ["no commas", "one, two", "ABC"]
    assert [item.answers["parrot"].correct for item in shown.items] == [True, False, False]
    assert NO_COMMA in shown.items[1].answers["parrot"].notes[0]
    assert biddable("report", "e").exit_code == 0


def test_models_are_compared_with_the_baseline_task_by_task(
    biddable: Command, parrot: Parrot, monkeypatch: pytest.MonkeyPatch
) -> None:
    shouting = Parrot()

    def shout(prompt: Prompt, seed: int | None, sample: int) -> Response:
        text = last_turn(prompt)
        return Response(text if text == "say a" else f"{text}, yes")

    monkeypatch.setattr(shouting, "say", shout)
    models = {"plain": parrot, "loud": shouting}
    monkeypatch.setattr(load, "load_model", lambda name, **_: models[name])
    suite = f"ifeval:{followable(*(f'say {thing}' for thing in 'abcdefghijkl'))}"
    result = biddable("eval", "plain,loud", "--suite", suite, "--out", "e", "--json")
    [comparison] = json.loads(result.stdout)["comparisons"]
    assert (comparison["baseline_name"], comparison["method_name"]) == ("plain", "loud")
    assert comparison["metric"] == f"ifeval: {HEADLINE}"
    assert comparison["difference"] == pytest.approx(-11 / 12)
    assert re.search(
        r"-0\.917 \[-1\.\d+, -0\.\d+\] worse",
        table(biddable("eval", "plain", "--suite", suite, "--out", "e")),
    )
    asked = ("eval", "plain", "--suite", suite, "--out", "e", "--baseline")
    assert re.search(r"\+0\.917 \[\+0\.\d+, \+1\.\d+\] better", table(biddable(*asked, "loud")))
    assert_one_line(biddable(*asked, "quiet"), "--baseline is 'quiet', expected one of the models: plain")
    assert (parrot.calls, shouting.calls) == (1, 1)


def table(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def test_a_task_without_an_answer_is_named_counted_and_asked_again(biddable: Command, fickle: Fickle) -> None:
    suite = f"ifeval:{followable('say it now', 'refuse it', 'say it then')}"
    arguments = ("eval", "fickle", "--suite", suite, "--out", "e")
    result = biddable(*arguments, "--json")
    row = measured(result, "fickle")
    assert (row[HEADLINE], row["refused"]) == (pytest.approx(2 / 3), 1)
    assert row["refused_tasks"] == [{"task": "2", "reason": "400 Bad Request: content filter"}]
    said = "1 of 3 tasks have no answer and count as wrong: 2 (400 Bad Request: content filter)."
    assert f"warning: fickle on ifeval: {said}\n" in result.stderr
    assert row["degenerate"] == 1.0  # a parrot's answers, and not the one that is missing
    assert row["empty"] == 0
    refused = kept("e")[1]
    assert (refused["key"], refused["response"]) == ("2", "")
    assert (refused["error"], refused["finish_reason"]) == ("400 Bad Request: content filter", "error")
    assert "content filter" in Path("e/report.html").read_text()

    [cell] = {*json.loads(Path("e/cells.json").read_text())}
    answered = f"e/cells/{cell}/responses.jsonl"
    judged = biddable("judge", "ifeval", "--tasks", "t.jsonl", "--responses", answered)
    assert "task 2 has no answer: 400 Bad Request" in judged.stderr
    assert "1 of 3 tasks have no answer" in judged.stdout

    fickle.refuses = False
    again = measured(biddable(*arguments, "--json"), "fickle")
    assert (again[HEADLINE], again["refused"]) == (1.0, 0)
    assert len(fickle.chats) == 4  # only the one that had no answer
    assert "1 of 3 tasks" not in Path("e/report.html").read_text()


def test_nothing_answered_is_an_error_and_the_same_command_asks_again(
    biddable: Command, fickle: Fickle
) -> None:
    suite = f"ifeval:{followable('refuse it', 'refuse that')}"
    arguments = ("eval", "fickle", "--suite", suite, "--out", "e")
    assert_one_line(biddable(*arguments), "fickle", "none of 2 tasks", "400 Bad Request", exit_code=1)
    assert not Path("e/results.json").exists()
    assert not Path("e/cells").exists()
    fickle.refuses = False
    assert biddable(*arguments).exit_code == 0


def test_a_model_that_answers_nothing_does_not_end_the_others(
    biddable: Command, parrot: Parrot, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {"dead": Fickle(), "parrot": parrot}
    monkeypatch.setattr(load, "load_model", lambda name, **_: models[name])
    suite = f"ifeval:{followable('refuse it', 'refuse that')}"
    arguments = ("eval", "dead,parrot", "--suite", suite, "--out", "e", "--baseline", "dead")
    assert_one_line(biddable(*arguments), "dead: none of 2 tasks", exit_code=1)
    assert json.loads(Path("e/results.json").read_text())["metrics"]["ifeval"].keys() == {"parrot"}
    models["dead"].refuses = False
    assert biddable(*arguments).exit_code == 0
    assert parrot.calls == 1


def test_a_batch_that_a_model_refuses_whole_does_not_end_the_others(
    biddable: Command, parrot: Parrot, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = parrot.generate

    def generate(prompts: Sequence[Prompt], **options: Any) -> list[list[Response]]:
        if all("long" in last_turn(prompt) for prompt in prompts):
            raise InputError("prompt", f"{last_turn(prompts[0])}: 9000 tokens", "at most 8192")
        return said(prompts, **options)

    monkeypatch.setattr(parrot, "generate", generate)
    monkeypatch.setattr(answers, "BATCH", 2)
    suite = f"ifeval:{followable('say it now', 'say it then', 'long one', 'long two')}"
    row = measured(biddable("eval", "parrot", "--suite", suite, "--json"), "parrot")
    assert (row[HEADLINE], row["refused"]) == (0.5, 2)
    assert ["long one" in task["reason"] for task in row["refused_tasks"]] == [True, False]


def test_cut_off_answers_are_counted_with_the_limit(biddable: Command, fickle: Fickle) -> None:
    arguments = ("eval", "fickle", "--suite", f"ifeval:{followable('say it now', 'cut it here')}")
    result = biddable(*arguments)
    assert "1 of 2 answers (50.0%) were cut off at 1280 tokens (--max-tokens)." in result.stderr
    assert {how.max_tokens for how in fickle.samplings} == {1280}
    found = json.loads(biddable(*arguments, "--json").stdout)
    row = found["suites"]["ifeval"]["fickle"]
    assert (row["cut_off"], row["asked"]["max_tokens"]) == (1, 1280)
    assert "were cut off at 1280 tokens" in Path(found["report"]).read_text()


def test_thinking_is_counted_and_taken_off_on_demand(biddable: Command, fickle: Fickle) -> None:
    suite = f"ifeval:{followable('say it now', 'think of it now')}"
    arguments = ("eval", "fickle", "--suite", suite, "--out", "e", "--json")
    result = biddable(*arguments)
    row = measured(result, "fickle")
    assert (row[HEADLINE], row["thinking"], row["asked"]["strip_thinking"]) == (0.5, 1, False)
    assert "1 of 2 answers hold a block of thinking as part of the answer" in result.stderr
    assert "--strip-thinking takes it off" in result.stderr
    calls = fickle.calls
    result = biddable(*arguments, "--strip-thinking")
    row = measured(result, "fickle")
    assert (row[HEADLINE], row["thinking"], row["asked"]["strip_thinking"]) == (1.0, 1, True)
    assert "held a block of thinking, which was taken off" in result.stderr
    assert row["empty"] == 0
    assert fickle.calls == calls  # the answers were kept, whole
    assert kept("e")[1]["response"].startswith("<think>")

    [cell] = {*json.loads(Path("e/cells.json").read_text())}
    answered = f"e/cells/{cell}/responses.jsonl"
    judge = ("judge", "ifeval", "--tasks", "t.jsonl", "--responses", answered)
    assert json.loads(biddable(*judge, "--json").stdout)["prompt_strict"] == 0.5
    assert "1 of 2 answers hold a block of thinking" in biddable(*judge).stderr
    stripped = biddable(*judge, "--json", "--strip-thinking")
    assert json.loads(stripped.stdout)["prompt_strict"] == 1.0


def test_other_weights_under_the_same_name_are_another_cell(
    biddable: Command, parrot: Parrot, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("eval", "mine", "--suite", f"ifeval:{followable('say it')}", "--out", "e")
    for weights, cells, calls in (("first", 1, 1), ("second", 2, 2), ("first", 2, 2)):
        monkeypatch.setattr(evaluate, "model_identity", lambda model, found=weights: found)
        assert biddable(*arguments).exit_code == 0
        order = json.loads(Path("e/cells.json").read_text())
        assert (len({*order}), parrot.calls) == (cells, calls)
        newest = json.loads(Path("e/cells", order[-1], "cell.json").read_text())
        assert newest["asked"]["weights"] == weights


def test_a_tasks_file_changed_in_place_is_another_cell_and_is_not_compared(
    biddable: Command, parrot: Parrot
) -> None:
    options = ("--suite", f"ifeval:{followable('say it', 'say that')}", "--out", "e", "--baseline", "parrot")
    assert biddable("eval", "parrot,other", *options, "--json").exit_code == 0
    write_lines("t.jsonl", [example(1, "say it", LOWER), example(2, "say that", LOWER)])
    result = biddable("eval", "other", *options, "--json")
    assert measured(result, "other")["groups"].keys() == {LOWER}
    assert json.loads(result.stdout)["comparisons"] == []
    assert "warning: other and parrot answered other tasks on ifeval: not compared.\n" in result.stderr
    assert parrot.calls == 3
    both = json.loads(biddable("eval", "parrot,other", *options, "--json").stdout)
    assert len(both["comparisons"]) == 1


def test_a_model_made_for_few_tokens_is_given_half_of_them(
    biddable: Command, parrot: Parrot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from transformers import GPT2Config

    module = SimpleNamespace(config=GPT2Config(n_positions=64))
    monkeypatch.setattr(parrot, "module", module, raising=False)
    suite = f"ifeval:{followable('say it')}"
    row = measured(biddable("eval", "parrot", "--suite", suite, "--json"), "parrot")
    assert row["asked"]["max_tokens"] == 32
    assert {how.max_tokens for how in parrot.samplings} == {32}


def test_names_are_shown_as_they_are(biddable: Command, parrot: Parrot) -> None:
    result = biddable("eval", "[/bold]", "--suite", f"ifeval:{followable('say it')}", "--out", "e")
    assert "[/bold] on ifeval" in table(result)


def test_eval_again_asks_the_model_nothing(biddable: Command, parrot: Parrot) -> None:
    arguments = ("eval", "parrot", "--limit", "5")
    first, loads, calls = biddable(*arguments), parrot.loads, parrot.calls
    again = biddable(*arguments)
    assert (parrot.loads, parrot.calls) == (loads, calls) == (1, 1)
    assert again.stdout == first.stdout
    assert "composed" in first.stdout
    assert Path("evals/first/results.json").exists()


def test_composed_tasks_are_the_same_every_time(biddable: Command, parrot: Parrot) -> None:
    biddable("eval", "parrot", "--suite", "composed", "--limit", "4", "--out", "a")
    biddable("eval", "parrot", "--suite", "composed", "--limit", "6", "--out", "b")
    assert parrot.chats[:4] == parrot.chats[4:8]
    assert len(load_suite("composed").tasks) == 200


def test_commas_within_options_do_not_part_suites(biddable: Command, parrot: Parrot) -> None:
    followable("say it")
    for separated in (("--suite", "ifeval:t.jsonl,composed?tasks=2"),
                      ("--suite", "ifeval:t.jsonl", "--suite", "composed?tasks=2")):  # fmt: skip
        found = json.loads(biddable("eval", "parrot", *separated, "--json").stdout)
        assert found["suites"].keys() == {"ifeval", "composed"}
    rows = [{"input": "Is A so?\nOptions:\n(A) x\n(B) y", "target": "(A)"}]
    Path("bbh").mkdir()
    for name in ("snarks", "navigate"):
        Path("bbh", f"{name}.json").write_text(json.dumps({"examples": rows}))
    suite = "bbh:bbh?tasks=snarks,navigate,composed?tasks=2"
    found = json.loads(biddable("eval", "parrot", "--suite", suite, "--shots", "0", "--json").stdout)
    assert found["suites"]["bbh"]["parrot"]["groups"].keys() == {"snarks", "navigate"}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--suite", "ifeval"), ("suite ifeval", "PATH after the colon")),
        (("--suite", "ifeval:"), ("suite ifeval", "PATH after the colon")),
        (("--suite", "ifeval:gone.jsonl"), ("gone.jsonl", "no such file")),
        (("--suite", "ifeval:half.jsonl"), ("half.jsonl:1", "surrogates")),
        (("--suite", "ifeval:rules.jsonl"), ("keywords:magic",)),
        (("--suite", "ifevel:t.jsonl"), ("suite is 'ifevel:t.jsonl', expected ifeval",)),
        (("--suite", "composed:x"), ("suite composed", "nothing after the name")),
        (("--suite", "composed?task=3"), ("suite composed: option is 'task', expected tasks",)),
        (("--suite", "composed?tasks=many"), ("suite composed: tasks is 'many'", "integer")),
        (("--suite", "composed?tasks=0"), ("tasks is 0, expected an integer of at least 1",)),
        (("--suite", "composed?tasks"), ("composed?tasks", "option=value")),
        (("--suite", "composed?tasks=2&tasks=3"), ("the option tasks once",)),
        (("--suite", "composed,composed"), ("--suite is 'composed', expected each once",)),
        (("--suite", ","), ("--suite is [], expected at least one",)),
        (("--suite", "gone.toml"), ("gone.toml: no such file",)),
        (("--samples", "2"), ("--samples is 2, expected 1 at temperature 0",)),
        (("--judge", "polite"), ("judge is 'polite'",)),
        (("--shots", "-1"), ("--shots",)),
        (("--limit", "0"), ("--limit",)),
        (("--template", "chatty"), ("--template",)),
        (("--baseline", "other"), ("--baseline is 'other', expected one of the models: parrot",)),
        (("parrot",), ("is 'parrot', expected each once",)),
        (("--tasks", "t.jsonl"), ("--tasks",)),
        (("--timeout", "3"), ("--timeout is 3.0, expected nothing: parrot is not served",)),
    ],
    ids=str,
)
def test_eval_refuses_before_any_model_is_asked(
    biddable: Command, parrot: Parrot, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    write_lines("half.jsonl", [example(1, "half a \ud83d", NO_COMMA)])
    write_lines("rules.jsonl", [example(1, "p", "keywords:magic")])
    assert_one_line(biddable("eval", "parrot", *arguments), *parts)
    assert parrot.loads == 0
    assert not Path("evals").exists()


def test_a_folder_of_something_else_is_refused(biddable: Command, parrot: Parrot) -> None:
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine")
    assert_one_line(biddable("eval", "parrot", "--limit", "2", "--out", "full"), "full")
    assert [path.name for path in Path("full").iterdir()] == ["mine.txt"]


CONCEPTS = Path(__file__).parents[2] / "docs" / "concepts.md"
STRANGE = """
def unruly(limit: int = 2) -> Suite:
    return verifiable("unruly", [Task("t", "p")])

def void() -> Suite:
    return []

def hollow() -> Suite:
    return verifiable("hollow", [])
"""


@pytest.fixture
def others(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Suites of another package, one of which is the manual's."""
    [manual] = re.findall(r"```python\n([^`]*def first_steps.*?)```", CONCEPTS.read_text("utf-8"), re.DOTALL)
    folder = tmp_path_factory.mktemp("others")
    (folder / "other_suites.py").write_text(f"{manual}\n{STRANGE}", "utf-8")
    information = folder / "other_suites-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: other-suites\nVersion: 1\n")
    names = {"first-steps": "first_steps", "unruly": "unruly", "void": "void", "hollow": "hollow"}
    lines = [
        f"{name} = other_suites:{function}\n" for name, function in {**names, "composed": "void"}.items()
    ]
    (information / "entry_points.txt").write_text("[biddable.suites]\n" + "".join(lines))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "other_suites", raising=False)


@pytest.mark.usefixtures("others")
def test_a_suite_of_another_package_is_answered_and_scored(biddable: Command, parrot: Parrot) -> None:
    row = measured(biddable("eval", "parrot", "--suite", "first-steps", "--json"), "parrot", "first-steps")
    assert (row["n"], row[HEADLINE]) == (1, 1.0)
    listed = biddable("suites").stdout
    assert "first-steps" in listed
    assert "unruly?limit=…" in listed


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize(
    ("suite", "parts"),
    [
        ("unruly", ("task t", "at least one check")),
        ("void", ("suite void", "[]", "a Suite")),
        ("hollow", ("suite hollow", "no tasks")),
        ("followbenches", ("suite is 'followbenches', expected",)),
    ],
)
def test_a_suite_that_cannot_be_measured_is_refused_before_any_model_is_asked(
    biddable: Command, parrot: Parrot, suite: str, parts: tuple[str, ...]
) -> None:
    assert_one_line(biddable("eval", "parrot", "--suite", suite), *parts)
    assert parrot.loads == 0
    assert not Path("evals").exists()


@pytest.mark.usefixtures("others")
def test_others_cannot_take_the_name_of_a_suite_of_ours() -> None:
    assert len(load_suite("composed").tasks) == 200


def test_suites_are_listed_described_and_checked(biddable: Command) -> None:
    listed = biddable("suites").stdout
    assert all(name in listed for name in ("bbh:PATH", "composed?tasks=…", "ifeval:PATH?fixed=…"))
    assert json.loads(biddable("suites", "--json").stdout)["mmlu"]["needs"].startswith(":PATH")
    described = biddable("suites", "bbh").stdout
    assert "arXiv 2210.09261" in described
    assert "ask  generate, choose  [default: generate]" in described
    assert_one_line(biddable("suites", "bbhh"), "suite is 'bbhh', expected one of", "bbh")

    Path("mine.toml").write_text(
        'data = "d.csv"\nshots = 1\ntemplate = "Review: {{ text }}\\nIt is"\n'
        'labels = {0 = "bad", 1 = "good"}\ncolumns = {answer = "label"}\n'
    )
    Path("d.csv").write_text("text,label\nGreat.,1\nAwful.,0\n")
    checked = biddable("suites", "--validate", "mine.toml").stdout
    assert "Review: Great.\nIt is good\n\nReview: Awful.\nIt is\n" in checked
    assert "To choose among: 'bad', 'good'\nRight: 'bad'\n" in checked
    found = json.loads(biddable("suites", "--validate", "mine.toml", "--json").stdout)
    assert (found["tasks"], found["first"]["references"], found["metrics"]) == (1, ["bad"], ["acc"])
    Path("d.csv").write_text("text,lable\nGreat.,1\nAwful.,0\n")
    assert_one_line(biddable("suites", "--validate", "mine.toml"), "d.csv:2", "'label', expected 'lable'")
    assert_one_line(biddable("suites", "--validate", "bbh"), "bbh", "TOML")


def test_a_model_that_is_not_there_is_one_line(biddable: Command) -> None:
    Path("empty").mkdir()
    assert_one_line(biddable("eval", "empty", "--limit", "2"), "empty", "no model")
    assert_one_line(biddable("eval", "gpt", "--limit", "2"), "'gpt'", "smollm2")
    assert_one_line(biddable("eval"), "MODEL")


@pytest.mark.skipif(not DATA.exists(), reason="the published IFEval prompts are not beside the project")
def test_the_published_prompts_are_read(biddable: Command, parrot: Parrot) -> None:
    result = biddable("eval", "parrot", "--suite", f"ifeval:{DATA}", "--limit", "10", "--json")
    assert measured(result, "parrot")["n"] == 10


def test_how_servers_are_asked_is_told_to_served_models_alone(
    biddable: Command, parrot: Parrot, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {}

    def loaded(name: str, *, served: Any = None) -> Parrot:
        given[name] = served
        return parrot

    monkeypatch.setattr(load, "load_model", loaded)
    options = ("--suite", f"ifeval:{followable('say it', 'say that')}", "--timeout", "3")
    assert biddable("eval", "plain,openai:m@http://localhost:1", *options).exit_code == 0
    assert given["plain"] is None
    assert given["openai:m@http://localhost:1"].timeout_s == 3
