"""Results as Markdown, for the manual and the README."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from biddable.errors import one_line
from biddable.report.formats import duration, number, plain, signed
from biddable.report.verdicts import summary, verdict_rows
from biddable.runs.results import Results

WHERE = ("gpu", "cpu", "cores", "torch", "commit")
COMMIT_LETTERS = 10
SHARES = ("passed", "degenerate")


def results_markdown(results: Results) -> str:
    """A run's comparisons as a table, with its verdicts, date, time, machine and notes."""
    rows = [
        (
            comparison.metric,
            f"{comparison.method_name}: {number(comparison.method, row.places)}",
            f"{comparison.baseline_name}: {number(comparison.baseline, row.places)}",
            f"{signed(comparison.difference, row.places)} "
            f"[{', '.join(signed(end, row.places) for end in comparison.interval)}]",
            f"{comparison.n} × {len(comparison.seeds)}",
            row.interval or "–",
            row.outcome,
        )
        for row in verdict_rows(results.comparisons, measured=results.method == "eval")
        for comparison in (row.comparison,)
    ]
    columns = ("metric", "method", "against", "difference [95 %]", "cases × seeds", "interval", "claim")
    made = f"**{summary(results.comparisons, measured=results.method == 'eval')}.** {_cell(_made(results))}"
    notes = "\n".join(f"- {_cell(note)}" for note in results.notes)
    return "\n\n".join(filter(None, (made, _table(columns, rows), notes)))


def accuracy_markdown(results: Results) -> str:
    """Models by task suite: share of tasks that count as done, and of texts that are no answers.

    They are read from ``metrics["accuracy"][suite][model]``, ``passed`` and ``degenerate``.
    """
    accuracy: dict[str, dict[str, Any]] = results.metrics["accuracy"]
    models = dict.fromkeys(model for suite in accuracy.values() for model in suite)
    rows = [
        (model, *(_percent(suite.get(model), what) for suite in accuracy.values() for what in SHARES))
        for model in models
    ]
    columns = ("", *(name for suite in accuracy for name in (suite, "degenerate")))
    return f"{_table(columns, rows)}\n\n{_cell(_made(results))}"


def _made(results: Results) -> str:
    """``2026-11-25; 1 h 05 min; AMD EPYC, …``."""
    facts = {name: plain(results.environment[name]) for name in WHERE if name in results.environment}
    if "commit" in facts:
        facts["commit"] = facts["commit"][:COMMIT_LETTERS]
    where = ", ".join(f"{name} {value}" for name, value in facts.items())
    date = str(results.timing.get("started", ""))[:10]
    took = duration(results.timing["seconds"]) if "seconds" in results.timing else ""
    return "; ".join(filter(None, (date, took, where)))


def _percent(model: dict[str, Any] | None, what: str) -> str:
    return "–" if model is None else f"{100 * model[what]:.1f} %"


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(columns), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """Text escaped for a cell of a Markdown table."""
    text = one_line(text)
    for mark in "\\|*_`":
        text = text.replace(mark, "\\" + mark)
    for link in ("](", "]["):
        text = text.replace(link, f"]\\{link[1]}")
    return text.replace("<", "&lt;")
