"""Two runs side by side: comparisons, metrics, and the settings that differ."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biddable.errors import RunError
from biddable.report.formats import flatten, plain
from biddable.report.html import render
from biddable.report.verdicts import verdict_rows
from biddable.runs.files import write_atomic
from biddable.runs.results import Results, read_results
from biddable.types import Comparison

Difference = tuple[str, str, str]
"""A name and what it is in the first and in the second run, "absent" included."""


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs' results, matched.

    ``comparisons`` pairs those of one metric and one baseline; None where a run has none.
    ``config`` and ``environment`` hold what differs, ``metrics`` every metric of either run.
    """

    names: tuple[str, str]
    methods: tuple[str, str]
    comparisons: list[tuple[Comparison | None, Comparison | None]]
    metrics: list[Difference]
    config: list[Difference]
    environment: list[Difference]

    @property
    def labelled(self) -> list[tuple[str, Comparison]]:
        """All comparisons, each after "A" or "B" for its run, matching ones next to each other."""
        return [
            (label, side)
            for pair in self.comparisons
            for label, side in zip("AB", pair, strict=True)
            if side is not None
        ]


def compare_runs(first: str | Path, second: str | Path) -> RunComparison:
    """Match two runs' results.

    Raises:
        RunError: one of the folders is not there.
        FileError: a ``results.json`` is missing or cannot be read.
    """
    first_results, second_results = _results(Path(first)), _results(Path(second))
    return RunComparison(
        names=(str(first), str(second)),
        methods=(first_results.method, second_results.method),
        comparisons=_matched(first_results.comparisons, second_results.comparisons),
        metrics=_side_by_side(first_results.metrics, second_results.metrics),
        config=_different(_side_by_side(first_results.config, second_results.config)),
        environment=_different(_side_by_side(first_results.environment, second_results.environment)),
    )


def write_comparison(first: str | Path, second: str | Path, page: str | Path) -> Path:
    """Write two runs side by side as one HTML file and return its path.

    Raises:
        RunError, FileError: as ``compare_runs``.
        StorageError: writing failed.
    """
    runs = compare_runs(first, second)
    rows = verdict_rows([comparison for _, comparison in runs.labelled])
    write_atomic(page, render("comparison.html.j2", runs=runs, rows=rows))
    return Path(page)


def _results(folder: Path) -> Results:
    if not os.path.isdir(folder):
        raise RunError(f"{folder}: no such run folder")
    return read_results(folder)


def _matched(
    first: Iterable[Comparison], second: Iterable[Comparison]
) -> list[tuple[Comparison | None, Comparison | None]]:
    """Comparisons of one metric against one baseline; the methods may have different names."""
    firsts, seconds = _keyed(first), _keyed(second)
    return [(firsts.get(key), seconds.get(key)) for key in {**firsts, **seconds}]


def _keyed(comparisons: Iterable[Comparison]) -> dict[tuple[str, str, int], Comparison]:
    keyed: dict[tuple[str, str, int], Comparison] = {}
    for comparison in comparisons:
        repeats = sum(key[:2] == (comparison.metric, comparison.baseline_name) for key in keyed)
        keyed[comparison.metric, comparison.baseline_name, repeats] = comparison
    return keyed


def _side_by_side(first: dict[str, Any], second: dict[str, Any]) -> list[Difference]:
    """All settings of either run as texts; texts differ where values do."""
    first_flat, second_flat = dict(flatten(first)), dict(flatten(second))
    return [(name, *_texts(name, first_flat, second_flat)) for name in {**first_flat, **second_flat}]


def _texts(name: str, first: dict[str, Any], second: dict[str, Any]) -> tuple[str, str]:
    if name not in first:
        return "absent", plain(second[name])
    if name not in second:
        return plain(first[name]), "absent"
    values = first[name], second[name]
    rounded = plain(values[0]), plain(values[1])
    if values[0] != values[1] and rounded[0] == rounded[1]:  # 0.1 and 0.1000000001, or 1 and "1"
        return repr(values[0]), repr(values[1])
    return rounded


def _different(rows: Iterable[Difference]) -> list[Difference]:
    return [(name, first, second) for name, first, second in rows if first != second]
