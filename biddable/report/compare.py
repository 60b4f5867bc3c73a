"""Two runs side by side: the same metrics, what came of them, and what was set differently."""

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

    ``comparisons`` pairs those of one metric against one baseline; None where a run has no such.
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
        """Every comparison there is, led by "A" or "B" for its run, those that match next to each other."""
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
    one, two = _results(Path(first)), _results(Path(second))
    return RunComparison(
        names=(str(first), str(second)),
        methods=(one.method, two.method),
        comparisons=_matched(one.comparisons, two.comparisons),
        metrics=_side_by_side(one.metrics, two.metrics),
        config=_different(_side_by_side(one.config, two.config)),
        environment=_different(_side_by_side(one.environment, two.environment)),
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
    one: Iterable[Comparison], two: Iterable[Comparison]
) -> list[tuple[Comparison | None, Comparison | None]]:
    """Comparisons of one metric against one baseline; the methods may have different names."""
    firsts, seconds = _keyed(one), _keyed(two)
    return [(firsts.get(key), seconds.get(key)) for key in {**firsts, **seconds}]


def _keyed(comparisons: Iterable[Comparison]) -> dict[tuple[str, str, int], Comparison]:
    keyed: dict[tuple[str, str, int], Comparison] = {}
    for each in comparisons:
        again = sum(key[:2] == (each.metric, each.baseline_name) for key in keyed)
        keyed[each.metric, each.baseline_name, again] = each
    return keyed


def _side_by_side(one: dict[str, Any], two: dict[str, Any]) -> list[Difference]:
    """Every setting of either run, as texts that differ where the values do."""
    first, second = dict(flatten(one)), dict(flatten(two))
    return [(name, *_texts(name, first, second)) for name in {**first, **second}]


def _texts(name: str, first: dict[str, Any], second: dict[str, Any]) -> tuple[str, str]:
    if name not in first:
        return "absent", plain(second[name])
    if name not in second:
        return plain(first[name]), "absent"
    one, two = first[name], second[name]
    exact = one != two and plain(one) == plain(two)  # 0.1 and 0.1000000001, or 1 and "1"
    return (repr(one), repr(two)) if exact else (plain(one), plain(two))


def _different(rows: Iterable[Difference]) -> list[Difference]:
    return [(name, one, two) for name, one, two in rows if one != two]
