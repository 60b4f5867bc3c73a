"""``biddable data``: a data set without the rows that are not to be learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from biddable.cli.commands import Command
from biddable.cli.flags import written_as_flags
from biddable.cli.output import (
    executor_option,
    folder_name,
    json_option,
    print_results,
    print_table,
    say,
    say_ending,
    tell,
)
from biddable.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from biddable.runs.executors import Executor
    from biddable.runs.results import Results


class _Data(Command):
    """The command, whose settings are read when it is asked for."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Arguments and options, those of the settings too."""
        from biddable.cli.options import config_options
        from biddable.methods.curation_config import DataConfig

        if not any(parameter.name == "near" for parameter in self.params):
            self.params += map(_whole, config_options(DataConfig))
        return super().get_params(ctx)


def _whole(option: click.Option) -> click.Option:
    """The option itself, or, where what it takes may hold commas, one that leaves them alone."""
    if option.name != "against":
        return option
    return click.Option(["--against"], multiple=True, metavar="SUITE|FILE", help=option.help)


@click.command("data", cls=_Data, short_help="Make a data set better: drop, with reasons, what is no good.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option("--out", required=True, metavar="DIR", callback=folder_name, help="The run folder.")
@executor_option
@json_option
@click.pass_context
def data(
    ctx: click.Context,
    sources: tuple[str, ...],
    out: str,
    executor: Executor,
    as_json: bool,
    **settings: Any,
) -> None:
    """Make a data set better: drop what is not to be learned from, each row with a reason.

    SOURCE is a file, a folder, a run or hf:NAME with conversations or preferences (docs/data.md). The steps
    come in this order, each where it is asked for: read, length, degenerate, exact, one answer, near,
    contamination, judge, mixture. The page shows the rows, kept or dropped, with their nearest
    neighbours, at most 2,000 that are kept and 2,000 dropped for each reason; the folder stands for the data
    in every command. It goes on where it was killed, and with another --mix, --rows, --held-out or
    --min-score where the rows did not allow the first. The share held out may differ from --held-out, as near
    rows stay together; then it is said.

    \b
    Examples:
      biddable data chats.jsonl --near 0.7 --out runs/data
      biddable data alpaca.json more.csv --skip-bad --min-words 3 --mix 0.7,0.3 --out runs/data
      biddable data chats.jsonl --against ifeval:input_data.jsonl --held-out 0.1 --out runs/data
      biddable data chats.jsonl --judge runs/rm --min-score 0 --out runs/data
      biddable export runs/data ./for-trl --for trl
    """
    from biddable.cli.options import given
    from biddable.methods.datasets import curate
    from biddable.report.page import write_report
    from biddable.runs.next_steps import next_steps

    try:
        with written_as_flags(ctx.params):
            results = curate(sources, out=out, executor=executor, **given(ctx, settings))
    except InputError as error:
        if error.field != "--sources":
            raise
        raise InputError("SOURCE", error.value, error.expected, where=error.where) from None
    page = write_report(out)
    if as_json:
        print_results(results, out, page, as_json=True)
        return
    print_table(_funnel(results))
    rows = results.metrics["rows"]
    kept, aside, dropped = (f"{rows[name]:,}" for name in ("kept", "held_out", "dropped"))
    say(f"\n{kept} rows to learn from, {aside} held out, {dropped} dropped")
    for note in results.notes:
        tell(f"warning: {note}")
    say_ending(page, next_steps(out, results.next_steps))


def _funnel(results: Results) -> Table:
    """What each step kept, and why it dropped the rest."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("step")
    for column in ("rows", "kept"):
        table.add_column(column, justify="right")
    table.add_column("dropped for")
    for step, counts in results.metrics["steps"].items():
        reasons = ", ".join(f"{reason} ({number:,})" for reason, number in counts["reasons"].items())
        table.add_row(step, f"{counts['came']:,}", f"{counts['kept']:,}", Text(reasons))
    return table
