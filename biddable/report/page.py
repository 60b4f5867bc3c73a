"""The page of a run: its claims, comparisons, figures and settings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biddable.errors import BiddableError, RunError
from biddable.methods.base import About
from biddable.registry import find
from biddable.report import charts, items
from biddable.report.formats import column_decimals, duration, flatten
from biddable.report.html import render
from biddable.report.svg import inline
from biddable.report.verdicts import summary, verdict_rows
from biddable.runs.figures import Figure, Items, Table, load_figures
from biddable.runs.files import write_atomic
from biddable.runs.results import read_results


def write_report(run_folder: str | Path) -> Path:
    """Write ``report.html`` (one file, needing no other) and ``plots/*.png`` into a run's folder.

    Returns the page's path.

    Raises:
        RunError: there is no such folder.
        FileError: ``results.json`` is missing, or it or ``figures.json`` cannot be read.
        StorageError: writing failed.
    """
    folder = Path(run_folder)
    if not os.path.isdir(folder):
        raise RunError(f"{folder}: no such run folder")
    results = read_results(folder)
    figures = load_figures(folder / "figures.json") if os.path.exists(folder / "figures.json") else []
    for name, chart in _named_charts(figures):
        write_atomic(folder / "plots" / f"{name}.png", charts.png(chart))
    page = folder / "report.html"
    measured = results.method == "eval"
    content = render(
        "report.html.j2",
        results=results,
        about=_about(results.method),
        evaluation=measured,
        summary=summary(results.comparisons, measured=measured),
        verdicts=verdict_rows(results.comparisons, measured=measured),
        blocks=[block_of(figure, f"figure-{index}") for index, figure in enumerate(figures, 1)],
        timing=timing_rows(results.timing),
    )
    write_atomic(page, content)
    return page


@dataclass(frozen=True, slots=True)
class Block:
    """A figure as its template takes it: tables of numbers, charts in both widths, data for the script."""

    figure: Figure
    anchor: str
    template: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    pictures: tuple[str, ...] = ()
    data: str = ""

    @property
    def places(self) -> list[int | None]:
        """The decimals of each column, None for a column of texts."""
        return [column_decimals([row[index] for row in self.rows]) for index in range(len(self.columns))]


def timing_rows(timing: dict[str, Any]) -> list[tuple[str, Any]]:
    """A run's timing as rows (name, value); seconds as durations."""
    return [
        (name, duration(value) if name == "seconds" or name.startswith("stages.") else value)
        for name, value in flatten(timing)
    ]


def _about(method: str) -> About | None:
    """The method's ``about``, or None where the method is not installed."""
    try:
        return find("methods", method).about
    except (BiddableError, ImportError, AttributeError):
        return None


def block_of(figure: Figure, anchor: str) -> Block:
    """A figure as its template takes it."""
    if isinstance(figure, Table):
        return Block(figure, anchor, "table", figure.columns, figure.rows)
    if isinstance(figure, Items):
        return Block(figure, anchor, "items", *items.overview(figure), data=items.embedded(figure))
    if isinstance(figure, charts.Chart):
        pictures = tuple(
            inline(charts.svg(figure, width), prefix=f"{anchor}-{width}-", classes=f"chart {width}")
            for width in charts.PIXELS
        )
        columns, rows = charts.tabulate(figure)
        return Block(figure, anchor, "chart", columns, rows, pictures)
    return Block(figure, anchor, figure.kind)


def _named_charts(figures: Sequence[Figure]) -> Iterator[tuple[str, charts.Chart]]:
    """Each chart with a file name made of its title; a second one of the same title gets a number."""
    uses: dict[str, int] = {}
    for figure in figures:
        if isinstance(figure, charts.Chart):
            name = re.sub(r"[^a-z0-9]+", "-", figure.title.lower()).strip("-")[:60] or figure.kind
            uses[name] = uses.get(name, 0) + 1
            yield (name if uses[name] == 1 else f"{name}-{uses[name]}"), figure
