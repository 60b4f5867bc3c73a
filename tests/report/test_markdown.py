"""Results as Markdown, and that the README says what the published results say."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from biddable.report.markdown import accuracy_markdown, results_markdown
from biddable.runs.results import Results
from biddable.types import Comparison

ROOT = Path(__file__).parents[2]


def results() -> Results:
    compared = Comparison(
        "rules | followed", 0.25, 0.5, 0.25, (0.1, 0.4), 40, (0, 1), "higher", "held", "base", "spar_3"
    )
    compared = replace(compared, interval_kind="t over 2 seeds and 40 cases", p_value=0.03125)
    return Results(
        method="spar",
        comparisons=[compared],
        config={},
        environment={"cpu": "Some CPU", "cores": 2, "commit": "0123456789abcdef"},
        timing={"started": "2026-01-02T03:04:05+00:00", "seconds": 125.0},
        metrics={
            "accuracy": {
                "held-out": {
                    "base": {"passed": 0.25, "degenerate": 0.0},
                    "spar": {"passed": 0.5, "degenerate": 0.125},
                },
                "IFEval": {"base": {"passed": 0.171, "degenerate": 0.01}},
            }
        },
        notes=["the <b> teacher"],
    )


def test_comparisons_are_a_table_with_where_they_come_from_and_notes() -> None:
    assert results_markdown(results()).splitlines() == [
        "**The claim held.** 2026-01-02; 2 min 05 s; cpu Some CPU, cores 2, commit 0123456789",
        "",
        "| metric | method | against | difference [95 %] | cases × seeds | interval | claim |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        r"| rules \| followed | spar\_3: 0.500 | base: 0.250 | +0.250 [+0.100, +0.400] | 40 × 2 "
        "| t over 2 seeds and 40 cases; sign flips p = 0.031 | held (predicted higher) |",
        "",
        "- the &lt;b> teacher",
    ]


def test_a_control_claims_nothing() -> None:
    [claim] = results().comparisons
    control = replace(claim, role="control", verdict=None, interval_kind="", p_value=None)
    lines = results_markdown(results().model_copy(update={"comparisons": [claim, control]})).splitlines()
    assert lines[0].startswith("**The claim held; 1 control.**")
    assert lines[5].endswith("| 40 × 2 | – | control |")


def test_models_by_suite_with_a_dash_where_one_was_not_scored() -> None:
    assert accuracy_markdown(results()).splitlines()[:4] == [
        "|  | held-out | degenerate | IFEval | degenerate |",
        "| --- | --- | --- | --- | --- |",
        "| base | 25.0 % | 0.0 % | 17.1 % | 1.0 % |",
        "| spar | 50.0 % | 12.5 % | – | – |",
    ]


@pytest.fixture
def hooks():
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_shows_the_published_results_as_they_are(hooks) -> None:
    readme = (ROOT / "README.md").read_text()
    assert "<!-- accuracy: spar -->" in readme
    assert hooks.fill(readme) == readme, "write it anew: python docs/hooks.py"


def test_filling_twice_is_filling_once(hooks) -> None:
    once = hooks.fill("before\n<!-- results: spar -->\nafter\n")
    assert once.startswith("before\n<!-- results: spar -->\n**")
    assert once.endswith("<!-- end -->\nafter\n")
    assert hooks.fill(once) == once


def test_a_place_not_filled_yet_swallows_nothing_up_to_the_next(hooks) -> None:
    filled = hooks.fill("<!-- results: spar -->\nkept\n" + hooks.fill("<!-- accuracy: spar -->\n"))
    assert "\n<!-- end -->\nkept\n<!-- accuracy: spar -->\n" in filled
    assert filled.count("<!-- end -->") == 2
