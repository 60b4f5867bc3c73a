"""Logs of the same items beside a baseline: joined item by item, with paired tests of every metric."""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from biddable.errors import FileError, InputError, shown
from biddable.runs.significance import (
    FEW,
    detectable,
    holm,
    items_needed,
    mcnemar,
    paired_share_interval,
    right_alone,
    standard_error,
    t_p,
)
from biddable.runs.statistics import Floats, Interval, interval_kind, mean_interval
from biddable.suites.joining import By, Join, join
from biddable.suites.logs.base import Log, Logged, counted


@dataclass(frozen=True, slots=True)
class Paired:
    """One metric of a log beside the baseline's, over the items that both have.

    Attributes:
        metric: what is measured.
        name, baseline: of the two logs.
        n: items.
        mean, baseline_mean, difference: means of the metric, and the former minus the latter.
        interval: 95 % interval of the difference; None of a single item or source.
        interval_kind: what the interval is over.
        p: two-sided: McNemar's exact where the metric is 0 or 1 and items are independent, else the t test's.
        test: which of the two.
        p_holm: the same, corrected for all that are compared at once.
        gained, lost: items that only this log, or only the baseline, has right; None where a metric is not
            0 or 1.
        seen: the smallest difference that so many items show with a power of 80 %; None: none that a share
            can have.
        needed: the items that show a difference of ``points`` with that power; None: nothing varies.
    """

    metric: str
    name: str
    baseline: str
    n: int
    mean: float
    baseline_mean: float
    difference: float
    interval: Interval | None
    interval_kind: str
    p: float | None
    test: str
    p_holm: float | None
    gained: int | None
    lost: int | None
    seen: float | None
    needed: int | None


@dataclass(frozen=True, slots=True)
class LogComparison:
    """Logs of one suite beside their baseline.

    Attributes:
        suite: what was measured; empty where no log says.
        logs: the baseline first.
        joins: how each other log was joined to it.
        rows: every metric that both have, of each other log.
        settings: what the logs say of themselves and differ in: a name, and its value in each log.
        notes: what a reader must know.
        points: the difference, in the metric's unit, that ``needed`` is about.
    """

    suite: str
    logs: tuple[Log, ...]
    joins: tuple[Join, ...]
    rows: tuple[Paired, ...]
    settings: tuple[tuple[str, tuple[str, ...]], ...]
    notes: tuple[str, ...]
    points: float


def compare_logs(
    logs: Sequence[Log], *, baseline: str | None = None, by: By | None = None, points: float = 0.02
) -> list[LogComparison]:
    """Compare logs with a baseline, suite by suite.

    Where each log is of another suite, or a log does not say which, all are taken to be of one.

    Args:
        logs: two or more.
        baseline: the name of the log, or its path, that the others are compared with; the first by default.
        by: what items are joined by; by default what fits first: their id, their document, their prompt, or,
            where neither log has any of them, their place.
        points: the difference that ``needed`` is about.

    Raises:
        InputError: fewer than two logs, or no such baseline.
        FileError: logs without a common item or metric.
    """
    if len(logs) < 2:
        raise InputError("logs", [log.path for log in logs], "at least two")
    if not 0 < points < math.inf:
        raise InputError("points", points, "a number above 0")
    if len({log.path for log in logs}) == 1 and len({log.suite for log in logs}) == len(logs):
        suites = ", ".join(log.suite for log in logs)
        raise InputError("logs", logs[0].path, f"two models on one suite: it has one on each of {suites}")
    parts = [_told_apart(part) for part in _by_suite(logs)]
    named = [log for part in parts for log in part]
    if baseline is not None and not any(baseline in (log.name, log.path) for log in named):
        names = ", ".join(dict.fromkeys(log.name for log in named))
        raise InputError("baseline", baseline, f"one of the logs: {names}")
    left = [log for part in parts for log in part if len(part) == 1]
    compared = [_compare(part, baseline, by, points) for part in parts if len(part) > 1]
    if left:
        told = f"Only one log is of {', '.join(sorted({log.suite for log in left}))}: not compared."
        compared[0] = replace(compared[0], notes=(*compared[0].notes, told))
    return _corrected(compared)


def _told_apart(logs: Sequence[Log]) -> list[Log]:
    """Logs with names that tell them apart: with their files where models are the same."""

    def distinct(logs: Sequence[Log], more: Callable[[Log, int], str]) -> list[Log]:
        times = Counter(log.name for log in logs)
        return [
            replace(log, name=f"{log.name} ({more(log, place)})") if times[log.name] > 1 else log
            for place, log in enumerate(logs, 1)
        ]

    files = {log.path: os.path.basename(log.path.rstrip("/")) for log in logs}
    short = len({*files.values()}) == len(files)
    named = distinct(logs, lambda log, place: files[log.path] if short else log.path)
    return distinct(named, lambda log, place: str(place))


def _by_suite(logs: Sequence[Log]) -> list[list[Log]]:
    parts: defaultdict[str, list[Log]] = defaultdict(list)
    for log in logs:
        parts[log.suite].append(log)
    together = "" in parts or all(len(part) == 1 for part in parts.values())
    return [list(logs)] if together else list(parts.values())


def _compare(logs: Sequence[Log], baseline: str | None, by: By | None, points: float) -> LogComparison:
    first = next((log for log in logs if baseline in (log.name, log.path)), logs[0])
    kept, joins, rows, notes = [first], [], [], []
    problems: list[FileError] = []
    for log in logs:
        if log is first:
            continue
        try:
            joined = join(first, log, by)
            found, told = _paired(first, log, joined, points)
        except FileError as error:
            problems.append(error)
            continue
        kept.append(log)
        joins.append(joined)
        rows += found
        notes += [*_remarks(first, log, joined), *told]
    if not joins:
        raise problems[0]
    notes += [f"Left out: {problem}." for problem in problems]
    settings = _different(kept)
    if any(name == "tasks" for name, _ in settings):
        notes.insert(0, "Their task files differ: only items that both have are compared.")
    notes += [f"{log.name}: {note}" for log in kept for note in log.notes]
    suites = [*dict.fromkeys(log.suite for log in kept if log.suite)]
    if len(suites) > 1:
        notes.insert(0, f"They call what they measured differently: {', '.join(suites)}.")
    return LogComparison(" / ".join(suites), (*kept,), (*joins,), (*rows,), settings, (*notes,), points)


def _remarks(first: Log, second: Log, joined: Join) -> list[str]:
    notes = []
    alone = [(joined.only_first, first), (joined.only_second, second)]
    if any(n for n, _ in alone):
        parts = " and ".join(f"{n:,} only in {log.name}" for n, log in alone if n)
        shared = f"{counted(len(joined.pairs), 'item')} shared with {first.name}"
        notes.append(f"{second.name}: {shared}; {parts}: left out.")
    if joined.by == "position":
        notes.append(f"{second.name} is joined by place: a log does not say what was asked.")
    if joined.repeated:
        same = f"{counted(joined.repeated, 'item')} whose prompt stands several times in a log"
        notes.append(f"{second.name}: {same}: joined in the order in which they stand.")
    if joined.reworded:
        words = f"{counted(joined.reworded, 'item')} joined by {joined.by}, whose prompt differs between"
        notes.append(f"{words} {first.name} and {second.name}.")
    for _, log in alone:
        unread = sum(item.unparsable for item in log.items)
        if unread:
            notes.append(f"{log.name}: nothing could be read from {counted(unread, 'response')}.")
    return notes


def _different(logs: Sequence[Log]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The settings that at least two logs tell and that are not the same."""
    names = dict.fromkeys(name for log in logs for name in log.settings)
    found = []
    for name in names:
        told = [log.settings.get(name) for log in logs]
        known = [value for value in told if value is not None]
        if len(known) > 1 and any(value != known[0] for value in known):
            found.append((name, tuple("–" if value is None else _setting(value) for value in told)))
    return tuple(found)


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)


def _paired(first: Log, second: Log, joined: Join, points: float) -> tuple[list[Paired], list[str]]:
    """The metrics that both have, and what is to be said of the others."""
    mine, theirs = first.metrics, second.metrics
    metrics = [(name, name) for name in mine if name in theirs]
    notes = []
    if not metrics and len(mine) == len(theirs) == 1:
        metrics = [(mine[0], theirs[0])]
        notes.append(f"{mine[0]} of {first.name} is compared with {theirs[0]} of {second.name}.")
    if not metrics:
        has = f"it has {', '.join(theirs) or 'none'}"
        has += f", {first.path} {', '.join(mine) or 'none'}"
        raise FileError(second.path, f"no metric in common: {has}")
    alone = [name for name in dict.fromkeys([*mine, *theirs]) if (name in mine) != (name in theirs)]
    if alone and not notes:
        notes.append(f"Only one of {first.name} and {second.name} has {', '.join(alone)}: not compared.")
    rows = []
    for ours, other in metrics:
        pairs = [pair for pair in joined.pairs if ours in pair[0].metrics and other in pair[1].metrics]
        if missing := len(joined.pairs) - len(pairs):
            notes.append(f"{ours}: {counted(missing, 'item')} without a score in one log, left out.")
        if pairs:
            rows.append(_row(ours, other, first, second, pairs, points))
    if not rows:
        raise FileError(second.path, f"no item that it and {first.path} have both scored")
    return rows, notes


def _row(
    ours: str, other: str, first: Log, second: Log, pairs: Sequence[tuple[Logged, Logged]], points: float
) -> Paired:
    base = np.array([mine.metrics[ours] for mine, _ in pairs])
    scores = np.array([theirs.metrics[other] for _, theirs in pairs])
    base_mean, base_parts = _parts(base, np.array([mine.weights.get(ours, 1.0) for mine, _ in pairs]))
    mean, parts = _parts(scores, np.array([theirs.weights.get(other, 1.0) for _, theirs in pairs]))
    differences = mean - base_mean + parts - base_parts
    weighted = any(ours in mine.weights or other in theirs.weights for mine, theirs in pairs)
    clusters = _clusters([mine.source or theirs.source for mine, theirs in pairs])
    right = right_alone(base, scores) if not weighted else None
    exact = right is not None and clusters is None
    units = len(pairs) if clusters is None else len({*clusters})
    interval, kind, p, test, seen, needed = None, "", None, "", None, None
    if units > 1 and (exact or np.ptp(differences) > 0):
        interval, kind = (
            mean_interval(differences, clusters=clusters),
            interval_kind(differences, clusters=clusters),
        )
        p, test = t_p(differences, clusters=clusters), "t"
        deviation = standard_error(differences, clusters=clusters) * len(pairs) ** 0.5
        seen, needed = detectable(deviation, len(pairs)), items_needed(points, deviation)
        if right is not None and seen is not None and seen > max(base_mean, 1 - base_mean):
            seen = None  # so few that no share can differ enough
    if exact and right is not None:
        p, test = mcnemar(*right), "McNemar"
        if sum(right) < FEW:
            interval, kind = (
                paired_share_interval(*right, len(pairs)),
                f"Bonett–Price over {counted(len(pairs), 'case')}",
            )
    return Paired(
        metric=ours if ours == other else f"{ours} / {other}",
        name=second.name,
        baseline=first.name,
        n=len(pairs),
        mean=mean,
        baseline_mean=base_mean,
        difference=mean - base_mean,
        interval=interval,
        interval_kind=kind,
        p=p,
        test=test,
        p_holm=None,
        gained=right[0] if right else None,
        lost=right[1] if right else None,
        seen=seen,
        needed=needed,
    )


def _parts(values: Floats, weights: Floats) -> tuple[float, Floats]:
    """The weighted mean of items' values, and what each item adds to its error (the mean of a ratio's)."""
    mean = float((values * weights).sum() / weights.sum())
    return mean, (values - mean) * weights / weights.mean()


def _clusters(sources: Sequence[str]) -> list[str] | None:
    """What items are drawn with; an item without a source is by itself. None: all are."""
    if not any(sources):
        return None
    clusters = [f"source {source}" if source else f"item {place}" for place, source in enumerate(sources)]
    return clusters if len({*clusters}) < len(clusters) else None


def _corrected(compared: Sequence[LogComparison]) -> list[LogComparison]:
    """With p-values corrected for all that are there."""
    tested = [row.p for part in compared for row in part.rows if row.p is not None]
    corrected = iter(holm(tested))

    def of(row: Paired) -> Paired:
        return row if row.p is None else replace(row, p_holm=next(corrected))

    return [replace(part, rows=tuple(map(of, part.rows))) for part in compared]
