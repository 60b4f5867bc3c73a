"""Leaderboards: the scores of cells with their intervals, and what a reader must know beside them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from statistics import fmean
from typing import Any

import numpy as np

from biddable.errors import InputError
from biddable.judges.degenerate import degeneracy, task_degeneracy
from biddable.judges.thinking import has_thinking, without_thinking
from biddable.runs.codec import jsonable
from biddable.runs.compare import compare, verdict_on
from biddable.runs.significance import FEW, paired_share_interval, right_alone
from biddable.runs.statistics import Interval, interval_of, mean_interval, share_interval
from biddable.suites.answers import not_plain
from biddable.suites.metrics import chosen
from biddable.suites.store import Cell, Counted
from biddable.types import Comparison, Record, Task, as_chat

NAMED = 3
"""Tasks without an answer that a remark names; all are in the records."""


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's mean over the records of a cell, with its 95 % interval; None of a single record."""

    metric: str
    value: float
    interval: Interval | None
    chance: float | None
    higher_is_better: bool


@dataclass(frozen=True, slots=True)
class Group:
    """The headline within a group of ``n`` numbers."""

    name: str
    value: float
    n: int


@dataclass(frozen=True, slots=True)
class Row:
    """One model on one suite.

    Attributes:
        cell: whose row it is.
        scores: of every metric, the headline first.
        groups: the headline by group.
        n: tasks.
        unanswered: tasks that got no answer, by id, with the reason; they count as wrong.
        unparsable: share of responses in which the judge found nothing to judge, or that name no choice.
        degenerate: share that repeat themselves, copy the request or say nothing.
        cut_off, empty, thinking: responses that reached the limit of tokens, are blank, or hold a block of
            thinking.
        prompt_tokens, tokens: read and written in all.
    """

    cell: Cell
    scores: tuple[Score, ...]
    groups: tuple[Group, ...]
    n: int
    unanswered: tuple[tuple[str, str], ...]
    unparsable: float
    degenerate: float
    cut_off: int
    empty: int
    thinking: int
    prompt_tokens: int
    tokens: int

    @property
    def refused(self) -> int:
        """How many tasks got no answer."""
        return len(self.unanswered)

    @property
    def by_text(self) -> bool:
        """Whether choices were read from what the model wrote: it gives no log-probabilities."""
        return self.cell.ask == "choose" and not any(record.scores for record in self.cell.records)


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Rows by suite and model, and each model's headline beside the baseline's.

    ``notes`` says what could not be compared, and what a reader must know, a sentence each.
    """

    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]

    def row(self, model: str, suite: str) -> Row:
        """The row of a model on a suite. Raises KeyError: there is none."""
        for row in self.rows:
            if (row.cell.model, row.cell.suite) == (model, suite):
                return row
        raise KeyError((model, suite))


def leaderboard(cells: Sequence[Cell], baseline: str | None = None) -> Leaderboard:
    """The scores of cells; with a baseline, paired differences of every other model's headlines.

    Raises:
        InputError: the baseline is none of the models.
    """
    models = list(dict.fromkeys(cell.model for cell in cells))
    if baseline is not None and baseline not in models:
        raise InputError("baseline", baseline, f"one of the models: {', '.join(models)}")
    suites = list(dict.fromkeys(cell.suite for cell in cells))
    ordered = sorted(cells, key=lambda cell: (suites.index(cell.suite), models.index(cell.model)))
    rows = tuple(map(row_of, ordered))
    comparisons, notes = [], []
    for cell in ordered:
        first = next((each for each in ordered if (each.model, each.suite) == (baseline, cell.suite)), None)
        if first is None or cell is first:
            continue
        if reason := unlike(first, cell):
            notes.append(f"{cell.model} and {first.model} {reason} on {cell.suite}: not compared.")
            continue
        both = [pair for pair in zip(first.records, cell.records, strict=True) if _scored(pair, cell)]
        if len(both) < len(cell.records):
            notes.append(
                f"{cell.model} and {first.model} on {cell.suite}: {len(cell.records) - len(both)} of "
                f"{len(cell.records)} tasks without a number for one of them, left out of the comparison."
            )
        if len(both) > 1:
            made = compared(first, cell, both)
            if made.difference and made.interval[0] == made.interval[1]:
                same = f"by {made.difference:+.3g} on each of the {made.n} tasks of {cell.suite}"
                notes.append(f"{cell.model} and {first.model} differ {same}: no interval, not compared.")
            else:
                comparisons.append(made)
        notes += asked_otherwise(first, cell)
    notes += [note for row in rows for note in remarks(row)]
    # A note of a suite is that of each of its cells.
    return Leaderboard(rows, tuple(comparisons), tuple(dict.fromkeys(notes)))


def unlike(first: Cell, cell: Cell) -> str:
    """Why two cells of a suite cannot be compared; empty where they can."""
    if cell.tasks != first.tasks:
        return "answered other tasks"
    if (cell.ask, cell.metrics[0].name) != (first.ask, first.metrics[0].name):
        return "were asked and scored in other ways"
    if cell.judge != first.judge:
        return "were judged by other judges"
    return ""


def asked_otherwise(first: Cell, cell: Cell) -> list[str]:
    """In what two cells that are compared were asked differently, a sentence each."""
    asked = {
        "the template": (cell.template, first.template),
        "solved examples": (cell.shots, first.shots),
        "a limit of tokens": (cell.max_tokens, first.max_tokens),
        "blocks of thinking": tuple("taken off" if each.strip_thinking else "kept" for each in (cell, first)),
    }
    told = [
        f"{cell.suite}: {cell.model} was asked with {what} {ours}, {first.model} with {theirs}."
        for what, (ours, theirs) in (asked | _drawn(cell, first)).items()
        if ours != theirs and (what != "a limit of tokens" or cell.ask == "generate")
    ]
    before = [(each.asked.get("shots") or [0])[1:] for each in (cell, first)]
    if cell.shots == first.shots and before[0] != before[1]:
        told.append(f"{cell.suite}: what {cell.model} and {first.model} were shown before tasks differs.")
    return told


def _drawn(cell: Cell, first: Cell) -> dict[str, tuple[Any, Any]]:
    """How two cells' responses were written, beside their length."""
    ours, theirs = (
        {"samples": each.asked.get("samples")} | dict(jsonable(each.asked.get("sampling") or {}))
        for each in (cell, first)
    )
    return {name: (ours[name], theirs.get(name)) for name in ours if name != "max_tokens"}


def _scored(pair: Sequence[Record], cell: Cell) -> bool:
    """Whether both records have the headline."""
    return all(cell.metrics[0].name in record.metrics for record in pair)


def compared(baseline: Cell, cell: Cell, both: Sequence[tuple[Record, Record]]) -> Comparison:
    """Two cells' headlines on tasks that have both, paired and, where tasks share a source, clustered."""
    metric = cell.metrics[0]
    before, after = zip(*both, strict=True)
    clusters = sources(after)
    few = clusters is not None and len({*clusters}) < 2
    base, scores = headline_values(before, metric), headline_values(after, metric)
    made = compare(
        f"{cell.suite}: {metric.name}",
        base,
        scores,
        seeds=(0,),
        predicted="higher" if metric.higher_is_better else "lower",
        clusters=None if few else clusters,
        baseline_name=baseline.model,
        method_name=cell.model,
    )
    right = right_alone(base, scores)
    if clusters is not None or right is None or sum(right) >= FEW:
        return made
    interval = paired_share_interval(*right, made.n)  # as compare_logs has it
    kind = f"Bonett–Price over {made.n} cases"
    return replace(made, interval=interval, verdict=verdict_on(interval, made.predicted), interval_kind=kind)


def row_of(cell: Cell) -> Row:
    """The numbers of a cell."""
    records = cell.records
    answered = [
        (record, each, verdict)
        for record in records
        for each, verdict in zip_longest(record.responses, record.verdicts)
        if not each.error
    ]
    written = [(record.task, each) for record, each, _ in answered] if cell.ask == "generate" else []
    texts = [
        (task, without_thinking(each.text) if cell.strip_thinking else each.text) for task, each in written
    ]
    if cell.ask == "choose":
        unread = [chosen(record) is None for record, _, _ in answered]
    else:
        unread = [verdict is not None and verdict.score is None for _, _, verdict in answered]
    return Row(
        cell=cell,
        scores=tuple(_score(records, metric) for metric in cell.metrics),
        groups=_groups(records),
        n=len(records),
        unanswered=tuple(
            (record.task.id, reason)
            for record in records
            if (reason := next((each.error for each in record.responses if each.error), ""))
        ),
        unparsable=_share(unread),
        degenerate=_share([_is_degenerate(task, text) for task, text in texts]),
        cut_off=sum(each.finish_reason == "length" for _, each in written),
        empty=sum(not text.strip() for _, text in texts),
        thinking=sum(has_thinking(each.text) for _, each in written),
        prompt_tokens=sum(record.prompt_tokens for record in records),
        tokens=sum(len(each.token_ids) for _, each in written),
    )


def remarks(row: Row) -> list[str]:
    """What a reader of a row must know, a sentence each."""
    cell, n, written = row.cell, row.n, sum(len(record.responses) for record in row.cell.records)
    said = []
    if row.refused:
        named = ", ".join(f"{id} ({reason})" for id, reason in row.unanswered[:NAMED])
        more = f" and {row.refused - NAMED} more" if row.refused > NAMED else ""
        first = next(each for each in cell.records if each.task.id == row.unanswered[0][0])
        count = "count as wrong" if cell.metrics[0].name in first.metrics else "are left out"
        said.append(f"{row.refused} of {n} tasks have no answer and {count}: {named}{more}.")
    if row.by_text:
        said.append("it gives no log-probabilities, so choices are read from what it writes.")
    said += not_plain(
        written,
        cut_off=row.cut_off,
        max_tokens=cell.max_tokens,
        empty=row.empty,
        thinking=row.thinking,
        thinking_removed=cell.strip_thinking,
    )
    kept = [record.shots for record in cell.records]
    if cell.shots and min(kept) < cell.shots:
        most = f"{fmean(kept):.1f} were shown, on average: others did not fit, or there are no more."
        said.append(f"Of {cell.shots} solved examples {most}")
    for metric in cell.metrics:
        missing = n - sum(metric.name in record.metrics for record in cell.records)
        if missing > row.refused:
            said.append(f"the judge gave {missing} of {n} tasks no {metric.name}: left out of it.")
    return [f"{cell.model} on {cell.suite}: {each}" for each in said] + [
        f"{cell.suite}: {note}" for note in cell.notes
    ]


def sources(records: Sequence[Record]) -> list[Hashable] | None:
    """What each record shares with those that it is not independent of; None where all are independent."""
    named = [record.task.meta.get("source") for record in records]
    shared: list[Hashable] = [
        ("task", record.task.id) if name is None else str(name)
        for name, record in zip(named, records, strict=True)
    ]
    return shared if len({*shared}) < len(shared) else None


def _score(records: Sequence[Record], metric: Counted) -> Score:
    records = [record for record in records if metric.name in record.metrics]
    values, weights = _columns(records, metric)
    mean = float((values * weights).sum() / weights.sum())
    ends = _interval(values, weights, sources(records))
    if metric.scale == "exp":
        mean, ends = math.exp(mean), None if ends is None else (math.exp(ends[0]), math.exp(ends[1]))
    return Score(metric.name, mean, ends, metric.chance, metric.higher_is_better)


def _interval(values: np.ndarray, weights: np.ndarray, clusters: list[Hashable] | None) -> Interval | None:
    """Of a weighted mean: Wilson's of a share, t of a mean, a bootstrap of a ratio."""
    if len(values) < 2 or (clusters is not None and len({*clusters}) < 2):
        return None
    if (weights != weights[0]).any():
        return interval_of(lambda v, w: float((v * w).sum() / w.sum()), values, weights, clusters=clusters)
    share = np.isin(values, (0.0, 1.0)).all()
    if share and (clusters is None or np.ptp(values) == 0):
        units = len(values) if clusters is None else len({*clusters})
        return share_interval(round(float(values.mean()) * units), units)
    low, high = mean_interval(values, clusters=clusters)
    return (max(0.0, low), min(1.0, high)) if share else (low, high)


def _columns(records: Sequence[Record], metric: Counted) -> tuple[np.ndarray, np.ndarray]:
    values = np.array([record.metrics[metric.name] for record in records], dtype=np.float64)
    return values, np.array([record.weights.get(metric.name, 1.0) for record in records], dtype=np.float64)


def headline_values(records: Sequence[Record], metric: Counted) -> list[float]:
    """One number for each record, whose plain mean is the metric's weighted one."""
    values, weights = _columns(records, metric)
    mean = (values * weights).sum() / weights.sum()
    # What an item adds to the error of a ratio; with equal weights its value.
    return [float(value) for value in mean + (values - mean) * weights / weights.mean()]


def _groups(records: Sequence[Record]) -> tuple[Group, ...]:
    numbers: defaultdict[str, list[float]] = defaultdict(list)
    for record in records:
        for name, value in record.groups:
            numbers[name].append(value)
    return tuple(Group(name, fmean(values), len(values)) for name, values in sorted(numbers.items()))


def _is_degenerate(task: Task, text: str) -> bool:
    if task.references:  # a word may be the whole answer
        request = "\n".join(turn.content for turn in as_chat(task.prompt) if turn.role == "user")
        return bool(degeneracy(request, text, may_copy=True, brief=True))
    return bool(task_degeneracy(task, text))


def _share(of: Sequence[bool]) -> float:
    return sum(of) / len(of) if of else 0.0
