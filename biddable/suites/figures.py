"""Figures of a leaderboard: scores, groups, and every answered task to read."""

from __future__ import annotations

from collections.abc import Sequence

from biddable.runs.figures import Answer, Bars, Cell, Figure, Item, Items, Table
from biddable.suites.aggregate import averages
from biddable.suites.instructions import LOOSE
from biddable.suites.leaderboard import Leaderboard, Row, Score
from biddable.suites.metrics import chosen
from biddable.types import Record, as_chat


def figures(board: Leaderboard) -> list[Figure]:
    """A leaderboard as its page shows it."""
    suites = dict.fromkeys(row.cell.suite for row in board.rows)
    by_suite = {suite: [row for row in board.rows if row.cell.suite == suite] for suite in suites}
    drawn: list[Figure] = [_scores(board), _asked(board.rows)]
    drawn += [
        _groups(suite, rows) for suite, rows in by_suite.items() if any(len(row.groups) > 1 for row in rows)
    ]
    return [*drawn, items(board)]


def _scores(board: Leaderboard) -> Table:
    columns = ("suite", "model", "metric", "score", "from", "to", "chance", "n")
    cells: list[tuple[Cell, ...]] = []
    for row in board.rows:
        for score in row.scores:
            low, high = score.interval or (None, None)
            named = (
                row.cell.suite,
                row.cell.model,
                score.metric + ("" if score.higher_is_better else " (lower is better)"),
            )
            cells.append((*named, score.value, low, high, score.chance, row.n))
        for name, value in row.cell.totals.items():
            cells.append((row.cell.suite, row.cell.model, name, value, None, None, None, row.n))
    for each in averages(board):
        low, high = each.interval or (None, None)
        cells.append(("average", each.model, each.name, each.value, low, high, None, len(each.parts)))
    note = "From and to: the 95 % interval. Chance: what choosing blindly scores."
    return Table("Leaderboard", columns, tuple(cells), note=note)


def _asked(rows: Sequence[Row]) -> Table:
    asked = ("suite", "model", "asked by", "template", "shots")
    columns = (*asked, "refused", "unparsable", "degenerate", "cut off", "read", "written", "seconds")
    how = {"generate": "generate", "choose": "log-probability", "perplexity": "log-probability"}
    return Table(
        "How they were asked, and what answers are besides plain ones",
        columns,
        tuple(
            (
                row.cell.suite,
                row.cell.model,
                "written choice" if row.by_text else how[row.cell.ask],
                row.cell.template,
                row.cell.shots,
                row.refused,
                row.unparsable,
                row.degenerate,
                row.cut_off,
                row.prompt_tokens,
                row.tokens,
                round(row.cell.seconds, 1),
            )
            for row in rows
        ),
        note="Unparsable, degenerate: shares of the responses. Template none: prompts are "
        "raw text. Read, written: tokens.",
    )


def _groups(suite: str, rows: Sequence[Row]) -> Bars:
    names = tuple(dict.fromkeys(group.name for row in rows for group in row.groups))
    series = {}
    for row in rows:
        values = {group.name: group.value for group in row.groups}
        series[row.cell.model] = tuple(values.get(name) for name in names)
    return Bars(f"{suite} by group", names, series, unit=rows[0].scores[0].metric)


def items(board: Leaderboard) -> Items:
    """Every task with what each model said to it."""
    models = tuple(dict.fromkeys(row.cell.model for row in board.rows))
    answered: dict[tuple[str, str], Item] = {}
    for row in board.rows:
        metric = row.scores[0]
        for record in row.cell.records:
            # Tasks of one id may differ where a suite was asked with other data: they are other items.
            task, text = record.task, "\n\n".join(turn.content for turn in as_chat(record.task.prompt))
            key = (
                row.cell.suite,
                task.id if row.cell.tasks == _tasks(board, row) else f"{task.id} ({row.cell.tasks})",
            )
            group = str(task.meta.get("group", ""))
            item = answered.setdefault(key, Item(key[1], row.cell.suite, group, text, task.references, {}))
            item.answers[row.cell.model] = _answer(record, metric)
    return Items("Every task and what came of it", models, tuple(answered.values()))


def _tasks(board: Leaderboard, row: Row) -> str:
    return next(each.cell.tasks for each in board.rows if each.cell.suite == row.cell.suite)


def _answer(record: Record, metric: Score) -> Answer:
    value = record.metrics.get(metric.metric)
    if reason := next((each.error for each in record.responses if each.error), ""):
        return Answer(f"(no answer: {reason})", False, value)
    if record.scores and not record.task.choices:  # a text whose likelihood was measured
        sign = 1 if metric.higher_is_better else -1
        return Answer("", None, None if value is None else sign * value)
    if record.task.choices and record.scores:
        rows = zip(record.task.choices, record.scores, strict=True)
        notes = tuple(f"{choice}: {score:.2f} nats" for choice, score in rows)
        return Answer(chosen(record) or "", value == 1.0, value, notes)
    text = "\n\n— another sample —\n\n".join(each.text for each in record.responses)
    notes = tuple(
        f"{check.id}: {check.reason}" if check.reason else check.id
        for verdict in record.verdicts
        for check in verdict.checks
        if not check.passed and not check.id.startswith(LOOSE)
    )
    if record.verdicts:
        read = any(verdict.score is not None and verdict.passed is not None for verdict in record.verdicts)
    else:
        read = chosen(record) is not None
    return Answer(text, value == 1.0 if read else None, value, notes)
