"""``biddable methods``: what there is to run, and what came of it last time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from biddable.cli.commands import Command
from biddable.cli.output import json_option, print_json, print_table
from biddable.errors import FileError

if TYPE_CHECKING:
    from biddable.methods.base import Method


@dataclass(frozen=True, slots=True)
class _Row:
    family: str
    name: str
    title: str
    paper: str
    claim: str
    needs: str
    takes: str
    leaves: str
    minutes: dict[str, str]
    last_result: str | None


@click.command(cls=Command)
@click.argument("name", metavar="[NAME]", required=False)
@json_option
def methods(name: str | None, as_json: bool) -> None:
    """List the methods by family, or show one: its claim, what it needs, takes and leaves, its settings.

    The last result is that of runs/NAME, or else the published one in results/NAME.json.

    \b
    Examples:
      biddable methods
      biddable methods spar
      biddable methods --json
    """
    from biddable import registry

    if name is None:
        rows = [_row(each, method) for each, method in registry.items("methods")]
        if as_json:
            print_json(list(map(asdict, rows)))
        else:
            _print_list(rows)
        return
    method = registry.find("methods", name)
    row, settings = _row(name, method), _settings(method)
    if as_json:
        print_json({**asdict(row), "presets": method.presets, "settings": settings})
    else:
        _print_whole(row, method, settings)


def _row(name: str, method: type[Method]) -> _Row:
    about = method.about
    return _Row(
        family=method.family(),
        name=name,
        title=about.title,
        paper=about.citation,
        claim=about.claim,
        needs=about.needs,
        takes=about.takes,
        leaves=about.leaves,
        minutes=dict(about.minutes),
        last_result=_last_result(name),
    )


def _last_result(name: str) -> str | None:
    from biddable.report.verdicts import summary
    from biddable.runs.results import read_results

    for path in (Path("runs", name, "results.json"), Path("results", f"{name}.json")):
        if path.is_file():
            try:
                return summary(read_results(path).comparisons)
            except FileError as error:  # one damaged run must not hide the list
                return f"unreadable ({error})"
    return None


def _settings(method: type[Method]) -> list[dict[str, Any]]:
    """Every setting: its dotted name, its default as a flag writes it, and what it is."""
    from biddable.cli.options import shown
    from biddable.config import REQUIRED, walk

    return [
        {
            "name": setting.name,
            "default": None if setting.default is REQUIRED else shown(setting.default),
            "help": " ".join((setting.field.description or "").split()),
        }
        for setting in walk(method.Config)
    ]


def _print_list(rows: Sequence[_Row]) -> None:
    """A line for each method, below the name of its family."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    table.add_column("method", no_wrap=True)
    for column, ratio in (("what it is", 5), ("minutes", 2), ("last result", 5)):  # cut before a name is
        table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=ratio)
    for family, members in groupby(sorted(rows, key=lambda row: row.family), lambda row: row.family):
        table.add_row(Text(family, style="bold"))
        for row in members:
            minutes, last = row.minutes.get("default", ""), row.last_result or "none yet"
            table.add_row(*map(Text, (f"  {row.name}", row.title, minutes, last)))
    print_table(table)


def _print_whole(row: _Row, method: type[Method], settings: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from biddable.cli.flags import flag
    from biddable.cli.options import shown_preset

    about = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    about.add_column(style="bold")
    minutes = "\n".join(f"{preset}: {time}" for preset, time in row.minutes.items())
    fields = [(name, text) for name, text in asdict(row).items() if name not in ("minutes", "last_result")]
    for name, text in (*fields, ("minutes", minutes), ("last result", row.last_result or "none yet")):
        if text:
            about.add_row(Text(name), Text(text))
    for preset, values in method.presets.items():
        about.add_row(Text(f"preset {preset}"), Text(shown_preset(values)))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("setting", no_wrap=True, style="bold")
    table.add_column("default", max_width=30)
    table.add_column("what it is")
    for setting in settings:
        default = "required" if setting["default"] is None else setting["default"]
        table.add_row(*map(Text, (flag(setting["name"]), default, setting["help"])))
    print_table(about, table)
