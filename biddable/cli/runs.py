"""``biddable report`` and ``biddable compare``: looking at runs that are there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from biddable.cli.commands import Command
from biddable.cli.flags import written_as_flags
from biddable.cli.output import (
    json_option,
    print_json,
    print_results,
    print_table,
    replaceable,
    say_ending,
    tell,
)
from biddable.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from biddable.report.compare import Difference
    from biddable.suites.export import Format
    from biddable.suites.joining import By

RULES = "rules"


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.option(
    "--export",
    "to",
    type=click.Choice(["lm-eval", "inspect"]),
    help="Also write an evaluation's records as that tool's logs, into RUN/exports.",
)
@json_option
def report(run: str, to: Format | None, as_json: bool) -> None:
    """Print the results of a run or an evaluation, and write its page, RUN/report.html, anew.

    \b
    Examples:
      biddable report runs/spar
      biddable report runs/spar --json | jq .comparisons
      biddable report evals/first --export lm-eval
    """
    from biddable.report.page import write_report
    from biddable.runs.results import read_results
    from biddable.suites.store import is_evaluation, read_cells

    cells = read_cells(run) if to or is_evaluation(run) else []
    page, results = write_report(run), read_results(run)
    if cells and not as_json:
        from biddable.cli.evaluate import leaderboard_table
        from biddable.runs.next_steps import next_steps
        from biddable.suites.leaderboard import leaderboard

        baseline = results.comparisons[0].baseline_name if results.comparisons else None
        print_table(leaderboard_table(leaderboard(cells, baseline)))
        say_ending(page, next_steps(run, results.next_steps))
    else:
        print_results(results, run, page, as_json=as_json)
    if to:
        from biddable.suites.export import export

        for path in export(cells, Path(run, "exports", to), to):
            tell(f"written: {path}")


@click.command(cls=Command)
@click.argument("logs", nargs=-1, required=True, metavar="LOG…")
@click.option("--baseline", metavar="NAME", help="Whom the others are compared with.  [default: the first]")
@click.option(
    "--by",
    type=click.Choice(["id", "document", "prompt", "position"]),
    help="What items are joined by.  [default: the first of these that fits]",
)
@click.option("--tasks", metavar="FILE", help="The tasks of responses without scores, which are then judged.")
@click.option(
    "--judge",
    metavar="JUDGE",
    default=RULES,
    show_default=True,
    help="Who judges them (see `biddable judge`).",
)
@click.option(
    "--points",
    type=click.FloatRange(0, min_open=True),
    default=2.0,
    show_default=True,
    metavar="N",
    help="Say how many items it takes to see a difference of N points (hundredths).",
)
@click.option("--out", metavar="FILE", help="Also write an HTML page.")
@json_option
def compare(
    logs: tuple[str, ...],
    baseline: str | None,
    by: By | None,
    tasks: str | None,
    judge: str,
    points: float,
    out: str | None,
    as_json: bool,
) -> None:
    """Compare models item by item: is one better, by how much, and can that be believed?

    A LOG is an evaluation of `biddable eval` (one may hold several models), the samples that
    lm-evaluation-harness logs, a log of Inspect (.eval, .json), EvalScope's reviews, the verdicts of IFEval's
    code, or a file of responses with --tasks; or a folder of such. Items are joined, differences are paired,
    items that share a source count together, and p-values are corrected for their number.

    Two runs of methods are put side by side: their claims, metrics and settings.

    \b
    Examples:
      biddable compare evals/first --baseline smollm2
      biddable compare base/samples_gsm8k.jsonl tuned/samples_gsm8k.jsonl --out gsm8k.html
      biddable compare before.eval after.eval
      biddable compare a.jsonl b.jsonl --tasks input_data.jsonl
      biddable compare runs/spar runs/again
    """
    page = None if out is None else replaceable("--out", out)
    named = {"--baseline": baseline, "--by": by, "--tasks": tasks}
    if tasks is None and judge != RULES:
        raise InputError("--judge", judge, "--tasks FILE beside it: logs with scores are not judged again")
    if len(logs) == 2 and all(map(_is_method_run, logs)):
        for option, value in named.items():
            if value is not None:
                raise InputError(option, value, "nothing: two runs of methods are put side by side")
        _compare_runs(*logs, page=page, as_json=as_json)
    else:
        _compare_logs(logs, (tasks, judge), baseline, by, points / 100, page=page, as_json=as_json)
    if page is not None:
        tell(f"page: {out}")


def _is_method_run(path: str) -> bool:
    """Whether this is the folder of a run that has results and is no evaluation."""
    if not os.path.isfile(os.path.join(path, "results.json")):
        return False
    from biddable.runs.results import read_results

    return read_results(path).method != "eval"


def _compare_logs(
    logs: tuple[str, ...],
    judged: tuple[str | None, str],
    baseline: str | None,
    by: By | None,
    points: float,
    *,
    page: Path | None,
    as_json: bool,
) -> None:
    from biddable.report import logs as shown
    from biddable.suites.comparison import compare_logs
    from biddable.suites.logs import Own, read_logs

    tasks, judge = judged
    own = None if tasks is None else Own(tasks, judge)
    with written_as_flags(("baseline", "points")):
        found = [log for path in logs for log in read_logs(path, own)]
        compared = compare_logs(found, baseline=baseline, by=by, points=points)
    if tasks is not None and not any("judged by" in log.kind for log in found):
        tell(f"note: --tasks {tasks} was not needed: every log has scores.")
    if as_json:
        print_json(shown.as_json(compared))
    else:
        print_table(*shown.terminal_tables(compared))
        for note in dict.fromkeys(note for part in compared for note in part.notes):
            tell(f"note: {note}")
    if page is not None:
        shown.write_log_page(compared, page)


def _compare_runs(first: str, second: str, *, page: Path | None, as_json: bool) -> None:
    from dataclasses import asdict

    from biddable.report.compare import compare_runs, write_comparison
    from biddable.report.terminal import comparison_table

    runs = compare_runs(first, second)
    if as_json:
        print_json(asdict(runs))
    else:
        different = [row for row in runs.metrics if row[1] != row[2]]
        tables = [comparison_table(runs)] if runs.comparisons else []
        tables += [_table("metrics that differ", different)] if different else []
        tables += [_table("set differently", runs.config)] if runs.config else []
        print_table(*tables)
    if page is not None:
        write_comparison(first, second, page)


def _table(title: str, rows: list[Difference]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title, "A", "B", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    return table
