"""Compared logs as tables for a terminal, as JSON, and as a page on which every item can be read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from biddable.errors import shown
from biddable.report.formats import decimals, number, signed
from biddable.report.html import render
from biddable.report.page import Block, block_of
from biddable.runs.codec import jsonable
from biddable.runs.figures import Answer, Bars, Cell, Figure, Item, Items, Table
from biddable.runs.files import write_atomic
from biddable.suites.comparison import LogComparison, Paired
from biddable.suites.logs.base import Log, Logged, counted

if TYPE_CHECKING:
    from rich.table import Table as Printed

LONGEST_TITLE = 120
SURE = 0.05
"""Corrected p-values below this are called differences."""


def letters(part: LogComparison) -> dict[str, str]:
    """A letter for each log, "A" the baseline; numbers where there are more than letters."""
    names = [log.name for log in part.logs]
    return {
        name: ascii_uppercase[i] if i < len(ascii_uppercase) else str(i + 1) for i, name in enumerate(names)
    }


def verdict(row: Paired) -> str:
    """``better``, ``worse`` or ``not shown``, by the sign of the difference and the corrected p-value."""
    if row.p_holm is None or row.p_holm >= SURE:
        return "not shown"
    return "higher" if row.difference > 0 else "lower"


def summary(compared: Sequence[LogComparison]) -> str:
    """How many differences were shown, in one sentence."""
    rows = [row for part in compared for row in part.rows]
    shown = sum(verdict(row) != "not shown" for row in rows)
    how = " (Holm's correction for that many)" if len(rows) > 1 else ""
    return f"{shown} of {counted(len(rows), 'difference')} {'is' if shown == 1 else 'are'} shown at 5 %{how}."


def terminal_tables(compared: Sequence[LogComparison]) -> list[Printed]:
    """Of each suite the logs and how they were joined, the metrics, and what was set differently."""
    tables = []
    for part in compared:
        tables += [_logs(part), _metrics(part)]
        if part.settings:
            tables.append(
                _printed(
                    "set differently",
                    ("", *letters(part).values()),
                    [(name, *values) for name, values in part.settings],
                )
            )
    return tables


def as_json(compared: Sequence[LogComparison]) -> list[dict[str, Any]]:
    """All that was computed, without the items themselves."""
    return [
        {
            "suite": part.suite,
            "baseline": part.logs[0].name,
            "logs": [
                {
                    "name": log.name,
                    "path": log.path,
                    "kind": log.kind,
                    "suite": log.suite,
                    "items": len(log.items),
                }
                | {"settings": {name: _plain(value) for name, value in log.settings.items()}}
                for log in part.logs
            ],
            "joined": [
                {"log": log.name, "by": join.by, "both": len(join.pairs), "only_baseline": join.only_first}
                | {"only_log": join.only_second, "reworded": join.reworded}
                for log, join in zip(part.logs[1:], part.joins, strict=True)
            ],
            "points": part.points,
            "comparisons": [{**asdict(row), "verdict": verdict(row)} for row in part.rows],
            "set_differently": {name: list(values) for name, values in part.settings},
            "notes": list(part.notes),
        }
        for part in compared
    ]


def _plain(value: Any) -> Any:
    """A setting as JSON holds it; a log may say infinity."""
    if isinstance(value, str | bool | int | None):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else shown(jsonable(value))


def write_log_page(compared: Sequence[LogComparison], page: str | Path) -> Path:
    """Write compared logs as one HTML file and return its path. Raises StorageError."""
    names = list(dict.fromkeys(log.name for part in compared for log in part.logs))
    title = f"{', '.join(names[1:])} against {names[0]}"
    title = title if len(title) <= LONGEST_TITLE else f"{counted(len(names), 'log')} compared"
    figures = [(part, [*_figures(part)]) for part in compared]
    shown = [
        _Part(part.suite, part.notes, tuple(block_of(f, f"suite-{i}-{j}") for j, f in enumerate(drawn, 1)))
        for i, (part, drawn) in enumerate(figures, 1)
    ]
    write_atomic(page, render("logs.html.j2", title=title, summary=summary(compared), parts_of_page=shown))
    return Path(page)


@dataclass(frozen=True, slots=True)
class _Part:
    suite: str
    notes: tuple[str, ...]
    blocks: tuple[Block, ...]


def _logs(part: LogComparison) -> Printed:
    rows: list[tuple[str, ...]] = []
    joins = [None, *part.joins]
    for (name, letter), log, join in zip(letters(part).items(), part.logs, joins, strict=True):
        how = "the baseline" if join is None else f"joined by {join.by}: {len(join.pairs):,} in both"
        rows.append((letter, name, log.kind, f"{len(log.items):,}", how))
    return _printed(part.suite, ("", "log", "written by", "items", ""), rows, right=(3,))


def _metrics(part: LogComparison) -> Printed:
    known = letters(part)
    rows = []
    for row in part.rows:
        places = decimals([row.mean, row.baseline_mean])
        interval = "" if row.interval is None else ", ".join(signed(end, places) for end in row.interval)
        numbers = (
            number(row.baseline_mean, places),
            number(row.mean, places),
            signed(row.difference, places),
        )
        alone = "" if row.gained is None else f"{row.gained:,}/{row.lost:,}"
        seen = "" if row.seen is None else number(row.seen, places)
        needed = "" if row.needed is None else f"{row.needed:,}"
        row_of = (row.metric, known[row.name], f"{row.n:,}", *numbers, interval, probability(row.p_holm))
        rows.append((*row_of, alone, seen, needed))
    columns = ("metric", "", "items", "A", "log's", "difference", "95 %", "p", "alone", "sees", "needs")
    table = _printed("", columns, rows, right=range(2, len(columns)))
    table.caption = _text(
        f"{summary([part])} Alone: items that only this log / only A has right. Sees: the smallest "
        "difference that so many items show with 80 % power. Needs: the items that show one of "
        f"{part.points:g}."
    )
    table.caption_justify = "left"
    return table


def probability(p: float | None) -> str:
    """``0.03``, or ``< 0.0001``."""
    return "" if p is None else "<0.0001" if p < 1e-4 else f"{p:.2g}"


def _printed(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> Printed:
    from rich.table import Table as Printed

    table = Printed(box=None, pad_edge=False, title_justify="left", title_style="bold")
    table.title = _text(title) if title else None
    for place, column in enumerate(columns):
        table.add_column(_text(column), justify="right" if place in right else "left")
    for row in rows:
        table.add_row(*map(_text, row))
    return table


def _text(text: str) -> Any:
    from rich.text import Text

    return Text(text)


def _figures(part: LogComparison) -> list[Figure]:
    columns = ("metric", "log", "items", "A", "log's", "difference", "from", "to", "p", "shown")
    known = letters(part)
    rows: list[tuple[Cell, ...]] = []
    for row in part.rows:
        low, high = row.interval or (None, None)
        means = (row.n, row.baseline_mean, row.mean, row.difference, low, high)
        rows.append((row.metric, known[row.name], *means, probability(row.p_holm), verdict(row)))
    note = (
        "From and to: the 95 % interval of the paired difference. p: McNemar's exact test where an item is "
        "right or wrong, else a paired t test, by Holm's correction for all that are compared."
    )
    figures: list[Figure] = [_joined(part), Table(_title(part, "Differences"), columns, (*rows,), note=note)]
    return [*figures, _power(part), _means(part), *_settings(part), _items(part)]


def _title(part: LogComparison, title: str) -> str:
    return f"{title} on {part.suite}" if part.suite else title


def _joined(part: LogComparison) -> Table:
    columns = ("", "log", "written by", "items", "joined by", "in both", "path")
    joins = [("", None), *((join.by, len(join.pairs)) for join in part.joins)]
    rows = tuple(
        (letter, name, log.kind, len(log.items), *joined, log.path)
        for (name, letter), log, joined in zip(letters(part).items(), part.logs, joins, strict=True)
    )
    return Table(_title(part, "Logs"), columns, rows, note="A is the baseline.")


def _power(part: LogComparison) -> Table:
    columns = ("metric", "log", "only log right", "only A right", "sees", "needs", "interval")
    known = letters(part)
    rows = tuple(
        (row.metric, known[row.name], row.gained, row.lost, row.seen, row.needed, row.interval_kind)
        for row in part.rows
    )
    note = (
        "Sees: the smallest difference that so many items show with a power of 80 %. Needs: the items that "
        f"show a difference of {part.points:g}. Both follow from how much items' differences vary."
    )
    return Table(_title(part, "What so many items can show"), columns, rows, note=note)


def _means(part: LogComparison) -> Bars:
    metrics = tuple(dict.fromkeys(row.metric for row in part.rows))
    first = tuple(_first(part, metric) for metric in metrics)
    series: dict[str, tuple[float | None, ...]] = {part.logs[0].name: first}
    for log in part.logs[1:]:
        means = {row.metric: row.mean for row in part.rows if row.name == log.name}
        series[log.name] = tuple(means.get(metric) for metric in metrics)
    return Bars(
        _title(part, "Means"), metrics, series, note="Over the items that a log and the baseline both have."
    )


def _first(part: LogComparison, metric: str) -> float:
    return next(row.baseline_mean for row in part.rows if row.metric == metric)


def _settings(part: LogComparison) -> list[Figure]:
    if not part.settings:
        return []
    columns = ("setting", *(log.name for log in part.logs))
    return [
        Table(
            _title(part, "Set differently"), columns, tuple((each, *values) for each, values in part.settings)
        )
    ]


def _items(part: LogComparison) -> Items:
    """Every item of the baseline that another log has, with each log's response."""
    first = part.logs[0]
    answers: dict[int, dict[str, Answer]] = {}
    metric = part.rows[0].metric.split(" / ")
    places = {id(item): place for place, item in enumerate(first.items)}
    for log, join in zip(part.logs[1:], part.joins, strict=True):
        for mine, theirs in join.pairs:
            found = answers.setdefault(places[id(mine)], {first.name: _answer(mine, metric[0])})
            found[log.name] = _answer(theirs, metric[-1])
    named = _names(first)
    items = tuple(
        Item(
            named[place],
            part.suite or "items",
            first.items[place].group,
            first.items[place].prompt or "(the log does not say what was asked)",
            first.items[place].references,
            found,
        )
        for place, found in sorted(answers.items())
    )
    note = f"Right and wrong by {metric[0]}."
    return Items(_title(part, "Items"), tuple(log.name for log in part.logs), items, note=note)


def _names(log: Log) -> list[str]:
    """Names of items that differ."""
    ids = [item.id for item in log.items]
    if all(ids) and len({*ids}) == len(ids):
        return ids
    return [f"{place}. {item.id}".removesuffix(". ") for place, item in enumerate(log.items, 1)]


def _answer(item: Logged, metric: str) -> Answer:
    value = item.metrics.get(metric)
    correct = None if value not in (0.0, 1.0) else value == 1.0
    notes = tuple(f"{name}: {each:.4g}" for name, each in item.metrics.items())
    return Answer(
        item.response, correct, value, (*notes, *(["nothing could be read from it"] * item.unparsable))
    )
