"""``compare`` on logs: what is printed, the JSON, the page, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biddable.runs.results import write_results
from tests.suites.logs.made import inspect_log, lines, sample, verdicts

from .conftest import Command
from .fakes import assert_one_line


def write_two() -> None:
    lines(Path("a/samples_t.jsonl"), [sample(i, float(i % 3 == 0)) for i in range(60)])
    lines(Path("b/samples_t.jsonl"), [sample(i, float(i % 3 != 1)) for i in range(60)])


def test_two_logs_are_compared_item_by_item(biddable: Command) -> None:
    write_two()
    result = biddable("compare", "a", "b", "--out", "page.html")
    assert result.exit_code == 0, result.output
    [row] = [line.split() for line in result.stdout.splitlines() if line.startswith("exact_match")]
    assert row[:6] == ["exact_match", "B", "60", "0.333", "0.667", "+0.333"]
    assert "20/0" in row
    assert "joined by document: 60 in both" in result.stdout
    assert "page: page.html" in result.stderr
    page = Path("page.html").read_text("utf-8")
    assert "1 of 1 difference" in page
    assert "Name a river." in page


def test_json_holds_all_numbers(biddable: Command) -> None:
    write_two()
    [part] = json.loads(biddable("compare", "a", "b", "--json", "--points", "5").stdout)
    assert (part["baseline"], part["points"]) == ("a", 0.05)
    assert part["joined"] == [
        {"log": "b", "by": "document", "both": 60, "only_baseline": 0, "only_log": 0, "reworded": 0}
    ]
    [row] = part["comparisons"]
    assert (row["gained"], row["lost"], row["verdict"]) == (20, 0, "higher")
    assert row["interval"][0] > 0
    turned = json.loads(biddable("compare", "a", "b", "--json", "--baseline", "b").stdout)
    assert turned[0]["comparisons"][0]["verdict"] == "lower"


def test_a_folder_of_several_models_is_compared_within(biddable: Command) -> None:
    for name, followed in (("one", [[True], [False]]), ("two", [[True], [True]])):
        verdicts(Path("logs", name, "eval_results_strict.jsonl"), followed)
    result = biddable("compare", "logs")
    assert result.exit_code == 0, result.output
    assert "prompt_level_strict_acc" in result.stdout


def test_what_the_logs_say_is_noted(biddable: Command) -> None:
    for name, status in (("a", "success"), ("b", "cancelled")):
        Path(f"{name}.json").write_text(json.dumps(inspect_log(["C", "I"], status=status)))
    result = biddable("compare", "a.json", "b.json")
    assert "note: openai/some (b.json): The evaluation ended with the status 'cancelled'." in result.stderr


def test_responses_are_judged_by_their_tasks(biddable: Command) -> None:
    task: dict[str, Any] = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    lines(Path("t.jsonl"), [task | {"key": i, "prompt": f"say {i}"} for i in range(3)])
    lines(Path("a.jsonl"), [{"key": i, "response": "one, two"} for i in range(3)])
    lines(Path("b.jsonl"), [{"key": i, "response": "one two"} for i in range(3)])
    assert_one_line(biddable("compare", "a.jsonl", "b.jsonl"), "a.jsonl", "--tasks FILE")
    found = json.loads(biddable("compare", "a.jsonl", "b.jsonl", "--tasks", "t.jsonl", "--json").stdout)
    assert found[0]["comparisons"][0]["difference"] == 1.0


def test_no_option_is_left_aside_in_silence(biddable: Command) -> None:
    write_two()
    assert_one_line(biddable("compare", "a", "b", "--judge", "answer"), "--judge is 'answer'", "--tasks FILE")
    plain: dict[str, Any] = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    lines(Path("t.jsonl"), [plain | {"key": 1, "prompt": "say"}])
    result = biddable("compare", "a", "b", "--tasks", "t.jsonl")
    assert "note: --tasks t.jsonl was not needed: every log has scores." in result.stderr
    for name in ("one", "two"):
        facts: dict[str, Any] = {"schema_version": 1, "method": "spar", "comparisons": [], "config": {}}
        write_results(Path(name, "results.json"), facts | {"environment": {}, "timing": {}})
    assert biddable("compare", "one", "two").exit_code == 0
    refused = biddable("compare", "one", "two", "--baseline", "one")
    assert_one_line(refused, "--baseline is 'one'", "two runs of methods")
    assert_one_line(biddable("compare", "one", "a"), "results of the method spar")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("a",), ("logs is ['a/samples_t.jsonl']", "at least two")),
        (("a", "b", "--points", "inf"), ("--points is inf", "a number above 0")),
        (("a", "b", "--baseline", "c"), ("--baseline is 'c'", "one of the logs: a, b")),
        (("a", "gone"), ("gone: no such file",)),
        (("a", "empty"), ("empty: holds no log",)),
        (("a", "text.txt"), ("text.txt:1: not JSON",)),
        (("a", "v"), ("eval_results_strict.jsonl", "no item in common with a")),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    biddable: Command, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    write_two()
    Path("empty").mkdir()
    Path("text.txt").write_text("hello")
    rows = [{"follow_instruction_list": [True], "prompt": "quite another"}]
    lines(Path("v/eval_results_strict.jsonl"), rows)
    assert_one_line(biddable("compare", *arguments, "--out", "page.html"), *parts)
    assert not Path("page.html").exists()


@pytest.mark.usefixtures("parrot")
@pytest.mark.parametrize(("tool", "files"), [("lm-eval", 2), ("inspect", 1)])
def test_an_evaluation_is_reported_exported_and_compared(biddable: Command, tool: str, files: int) -> None:
    for name in ("one", "two"):
        biddable("eval", "parrot", "--suite", "composed", "--limit", "3", "--out", name)
    result = biddable("report", "one", "--export", tool)
    assert result.exit_code == 0, result.output
    assert "prompt_level_strict_acc" in result.stdout
    assert "No claim" not in result.stdout
    written = [line.removeprefix("written: ") for line in result.stderr.splitlines() if "written: " in line]
    assert len(written) == files
    assert all(Path(path).is_file() for path in written)
    both = json.loads(biddable("compare", "two", f"one/exports/{tool}", "--json").stdout)
    assert both[0]["joined"][0]["by"] == "id"
    assert {row["difference"] for row in both[0]["comparisons"]} == {0.0}


def test_only_an_evaluation_is_exported(biddable: Command) -> None:
    Path("run").mkdir()
    assert_one_line(biddable("report", "run", "--export", "inspect"), "run: no evaluation")
