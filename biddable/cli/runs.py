"""``biddable report`` and ``biddable compare``: looking at runs that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from biddable.cli.output import json_option, print_json, print_results, print_table, replaceable, tell

if TYPE_CHECKING:
    from rich.table import Table

    from biddable.report.compare import Difference


@click.command()
@click.argument("run", metavar="RUN")
@json_option
def report(run: str, as_json: bool) -> None:
    """Print a run's results and write its page, RUN/report.html, anew.

    \b
    Examples:
      biddable report runs/spar
      biddable report runs/spar --json | jq .comparisons
    """
    from biddable.report.page import write_report
    from biddable.runs.results import read_results

    page = write_report(run)
    print_results(read_results(run), run, page, as_json=as_json)


@click.command()
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@click.option("--out", metavar="FILE", help="Also write both, side by side, as an HTML page.")
@json_option
def compare(first: str, second: str, out: str | None, as_json: bool) -> None:
    """Put two runs side by side: their claims, metrics and settings.

    \b
    Examples:
      biddable compare runs/spar runs/again
      biddable compare runs/spar runs/again --out spar.html
    """
    from dataclasses import asdict

    from biddable.report.compare import compare_runs, write_comparison
    from biddable.report.terminal import comparison_table

    page = None if out is None else replaceable("--out", out)
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
        tell(f"page: {out}")


def _table(title: str, rows: list[Difference]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title, "A", "B", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    return table
