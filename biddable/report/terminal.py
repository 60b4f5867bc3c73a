"""Results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from biddable.report.compare import RunComparison
from biddable.report.formats import flatten, number, plain, signed
from biddable.report.verdicts import VerdictRow, summary, verdict_rows
from biddable.runs.results import Results

_STYLES = {"held": "bold cyan", "not shown": "dim", "contradicted": "bold yellow", "control": "dim"}
_STYLES |= {"better": "cyan", "worse": "yellow"}


def result_table(results: Results) -> Table:
    """A run's comparisons: metric, baseline, method, difference [95 % interval], verdict.

    Of a run that compares nothing, what it measured.
    """
    if results.metrics and not results.comparisons:
        return _measured(results)
    measured = results.method == "eval"
    table = _table(
        summary(results.comparisons, measured=measured),
        ("metric", "baseline", "method", "difference", "verdict"),
    )
    for row in verdict_rows(results.comparisons, measured=measured):
        table.add_row(_name(row), *_cells(row))
    return table


def comparison_table(runs: RunComparison) -> Table:
    """Two runs' comparisons, those of one metric below each other."""
    title = f"A: {runs.names[0]}   B: {runs.names[1]}"
    table = _table(title, ("run", "metric", "baseline", "method", "difference", "verdict"))
    rows = verdict_rows([comparison for _, comparison in runs.labelled])
    for (label, _), row in zip(runs.labelled, rows, strict=True):
        table.add_row(label, _name(row), *_cells(row))
    return table


def _measured(results: Results) -> Table:
    named = [str(results.config[name]) for name in ("model", "suite") if results.config.get(name)]
    measured = " on ".join(named) if results.method == "eval" and named else summary(())
    table = Table(box=None, pad_edge=False)
    table.add_column(Text(f"{results.method}: {measured}"))  # a title would be broken at the table's width
    table.add_column("", justify="right")
    for name, value in flatten(results.metrics):
        table.add_row(Text(name), Text(number(value) if isinstance(value, float) else plain(value)))
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(
            column, justify="right" if column in ("baseline", "method", "difference") else "left"
        )
    return table


def _name(row: VerdictRow) -> Text:
    comparison = row.comparison
    against = f"\n{comparison.method_name} against {comparison.baseline_name}"
    name = Text(comparison.metric).append(against, style="dim")
    return name.append(f"\n{row.interval}", style="dim") if row.interval else name


def _cells(row: VerdictRow) -> list[Text]:
    """Baseline, method, difference with interval, verdict."""
    comparison, places = row.comparison, row.places
    low, high = (signed(end, places) for end in comparison.interval)
    return [
        Text(number(comparison.baseline, places)),
        Text(number(comparison.method, places)),
        Text(f"{signed(comparison.difference, places)} [{low}, {high}]"),
        Text(row.outcome, style=_STYLES[row.verdict]),
    ]
