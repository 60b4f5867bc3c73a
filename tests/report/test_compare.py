"""Two runs side by side: what matches, what differs, what only one of them has."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from biddable.errors import FileError, RunError
from biddable.report.compare import compare_runs, write_comparison
from biddable.report.terminal import comparison_table, result_table
from biddable.report.verdicts import summary, verdict_rows
from biddable.runs.results import Results, read_results, write_results
from biddable.types import Comparison

from .demo import COMPARISONS, write_demo_run
from .parsing import parse


def printed(table: Any, width: int = 120) -> str:
    console = Console(width=width, record=True, file=StringIO())
    console.print(table)
    return console.export_text()


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """The demo run, and another method's that shares two of its comparisons and most of its settings."""
    first, second = write_demo_run(tmp_path / "first", []), write_demo_run(tmp_path / "second", [])
    results = read_results(second)
    results.method = "other"
    results.comparisons = [
        replace(COMPARISONS[2], method_name="other pairs"),
        replace(COMPARISONS[0], method_name="other"),
        replace(COMPARISONS[0], metric="only here"),
    ]
    results.config = {**results.config, "search": {"strategy": "dfs", "branch": 3, "keep": 2}}
    results.metrics = {"pairs": 900, "extra": None}
    write_results(second / "results.json", results)
    return first, second


def test_comparisons_match_by_metric_and_baseline(runs: tuple[Path, Path]) -> None:
    compared = compare_runs(*runs)
    assert compared.methods == ("demo", "other")
    assert [
        (first and first.metric, second and second.method_name) for first, second in compared.comparisons
    ] == [
        ("strict prompt accuracy", "other"),
        ("strict prompt accuracy", None),
        ("string similarity of a pair", "other pairs"),
        ("words per answer", None),
        (None, "SPaR, 3 iterations"),
    ]
    assert [label for label, _ in compared.labelled] == ["A", "B", "A", "A", "B", "A", "B"]


def test_repeated_comparisons_match_in_order(runs: tuple[Path, Path]) -> None:
    twice = [COMPARISONS[0], replace(COMPARISONS[0], n=77)]
    for folder in runs:
        write_results(folder / "results.json", read_results(folder).model_copy(update={"comparisons": twice}))
    pairs = compare_runs(*runs).comparisons
    assert [(first and first.n, second and second.n) for first, second in pairs] == [(256, 256), (77, 77)]


def test_only_what_differs_is_listed_of_the_settings(runs: tuple[Path, Path]) -> None:
    compared = compare_runs(*runs)
    assert compared.config == [("search.strategy", "bfs", "dfs"), ("search.gate", "0.5", "absent")]
    assert compared.environment == []
    assert compared.metrics == [
        ("pairs", "1200", "900"),
        ("solved.bfs", "0.52", "absent"),
        ("solved.best of n", "0.41", "absent"),
        ("extra", "absent", "none"),
    ]


def test_settings_that_only_print_alike_are_still_different(runs: tuple[Path, Path]) -> None:
    for folder, rate in zip(runs, (0.1, 0.1 + 1e-12), strict=True):
        results = read_results(folder)
        write_results(folder / "results.json", results.model_copy(update={"config": {"rate": rate}}))
    assert [name for name, *_ in compare_runs(*runs).config] == ["rate"]


def test_the_page_shows_both_runs(runs: tuple[Path, Path], tmp_path: Path) -> None:
    path = write_comparison(*runs, tmp_path / "pages" / "comparison.html")
    parsed = parse(path.read_text("utf-8"))
    assert parsed.problems == []
    assert [each.text for each in parsed.all("span", "run")] == list("ABAABAB")
    assert [each.text for each in parsed.all("h2")] == ["Metrics", "Set differently"]
    assert len(parsed.all("span", "badge")) == 7


def test_equal_runs_have_nothing_set_differently(runs: tuple[Path, Path], tmp_path: Path) -> None:
    parsed = parse(write_comparison(runs[0], runs[0], tmp_path / "same.html").read_text("utf-8"))
    assert [each.text for each in parsed.all("h2")] == ["Metrics"]


def test_a_missing_run_is_named(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nowhere: no such run folder"):
        compare_runs(runs[0], tmp_path / "nowhere")
    (runs[1] / "results.json").unlink()
    with pytest.raises(FileError, match="no such file"):
        write_comparison(*runs, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_terminal_shows_difference_interval_and_verdict(runs: tuple[Path, Path]) -> None:
    text = printed(result_table(read_results(runs[0])))
    assert "2 of 4 claims held, 1 not shown, 1 contradicted" in text
    first = next(line for line in text.splitlines() if line.startswith("strict prompt accuracy"))
    assert " ".join(first.split()) == (
        "strict prompt accuracy 0.212 0.297 +0.085 [+0.041, +0.130] held (predicted higher)"
    )


def test_a_terminal_shows_two_runs_below_each_other(runs: tuple[Path, Path]) -> None:
    text = printed(comparison_table(compare_runs(*runs)), width=140)
    assert [line[0] for line in text.splitlines() if line[:2] in ("A ", "B ")] == list("ABAABAB")


def test_names_are_no_terminal_markup(runs: tuple[Path, Path]) -> None:
    results = read_results(runs[0])
    results.comparisons = [replace(COMPARISONS[0], metric="[red]x[/red]")]
    assert "[red]x[/red]" in printed(result_table(results))


@pytest.mark.parametrize(
    ("verdicts", "line"),
    [
        ((), "No claim was tested"),
        (("held",), "The claim held"),
        (("not shown",), "The claim was not shown"),
        (("contradicted",), "The claim was contradicted"),
        (("held", "held"), "All 2 claims held"),
        (("held", "contradicted"), "1 of 2 claims held, 1 contradicted"),
        (("not shown", "not shown"), "0 of 2 claims held, 2 not shown"),
    ],
)
def test_the_summary_counts_every_verdict(verdicts: tuple[Any, ...], line: str) -> None:
    assert summary([replace(COMPARISONS[0], verdict=verdict) for verdict in verdicts]) == line


def test_controls_are_counted_beside_the_claims() -> None:
    control = replace(COMPARISONS[0], role="control", verdict=None)
    assert summary([COMPARISONS[0], control]) == "The claim held; 1 control"
    assert summary([control, control]) == "No claim was tested; 2 controls"


def test_a_control_prints_its_numbers_and_no_verdict() -> None:
    kind = "t over 3 seeds and 256 cases"
    control = replace(COMPARISONS[0], role="control", verdict=None, interval_kind=kind, p_value=0.25)
    results = Results(method="m", comparisons=[control], config={}, environment={}, timing={})
    shown = printed(result_table(results))
    assert "control" in shown
    assert "+0.085" in shown
    assert f"{kind}; sign flips p = 0.25" in shown
    assert not any(word in shown for word in ("held", "not shown", "contradicted", "predicted"))


def test_an_exact_tie_still_has_a_scale() -> None:
    tie = Comparison("m", 5.0, 5.0, 0.0, (0.0, 0.0), 3, (0,), "higher", "not shown")
    assert verdict_rows([tie])[0].scale == 1.0


def test_many_seeds_are_counted() -> None:
    row = verdict_rows([replace(COMPARISONS[0], seeds=tuple(range(12)))])[0]
    assert row.seeds == "12 seeds"
    assert verdict_rows([replace(COMPARISONS[0], seeds=(7,))])[0].seeds == "seed 7"


def test_results_without_comparisons_make_a_table_too() -> None:
    results = Results(method="m", comparisons=[], config={}, environment={}, timing={})
    assert "No claim was tested" in printed(result_table(results))
    found = printed(
        result_table(results.model_copy(update={"metrics": {"solved": {"bfs": 0.52}, "pairs": 3}}))
    )
    assert "m: No claim was tested" in found
    assert [line.split() for line in found.splitlines()[1:]] == [["solved.bfs", "0.520"], ["pairs", "3"]]


def test_of_an_evaluation_what_was_measured_is_said() -> None:
    facts: dict[str, Any] = {"config": {"model": "smollm2", "suite": "ifeval"}, "metrics": {"strict": 0.25}}
    results = Results(method="eval", comparisons=[], environment={}, timing={}, **facts)
    found = printed(result_table(results))
    assert "eval: smollm2 on ifeval" in found
    assert "No claim" not in found
