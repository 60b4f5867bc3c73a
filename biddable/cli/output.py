"""Printing results: a table for people, or one JSON document for programs."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from biddable.errors import InputError, StorageError, one_line, printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment
    from rich.table import Table

    from biddable.runs.results import Results

WIDTH_OFF_TERMINAL = 120

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document instead of a table."
)


def _executor(ctx: click.Context, parameter: click.Parameter, name: str) -> Any:
    from biddable.runs.executors import named_executor

    try:
        return named_executor(name)
    except InputError as error:
        raise InputError("--executor", name, error.expected) from None


executor_option = click.option(
    "--executor",
    metavar="WHERE",
    callback=_executor,
    default="in-process",
    show_default=True,
    help="Where the work is done: in-process, processes:N (on this machine) or ray (a Ray cluster).",
)


def folder_name(ctx: click.Context, parameter: click.Parameter, out: str | None) -> str | None:
    """The callback of an option that names a folder. Raises InputError: an empty text names none."""
    if out is not None and not out.strip():
        raise InputError(parameter.opts[0], out, "the name of a folder")
    return out


def replaceable(option: str, out: str) -> Path:
    """The file that ``out`` names, through any links, to be written whole; its folder is made.

    Raises:
        InputError: it is a folder or a device, which must not be replaced by a file.
        StorageError: its folder cannot be made.
    """
    from biddable.runs.files import make_folder

    target = Path(os.path.realpath(out))
    if os.path.islink(target):
        raise InputError(option, out, "a file, not a link that leads to itself")
    if (os.path.exists(target) and not os.path.isfile(target)) or not target.name:
        raise InputError(option, out, "a file")
    make_folder(target.parent)
    return target


@contextmanager
def printing() -> Iterator[None]:
    """Print on stdout within this; it is flushed at the end. A closed pipe is left to click, a quiet end.

    Raises:
        StorageError: stdout is closed, or the disk it goes to is full.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError) or error.filename is not None:
            raise
        _let_go(sys.stdout)
        problem = "it is closed" if error.errno == errno.EBADF else (error.strerror or str(error)).lower()
        raise StorageError(f"the standard output cannot be written: {problem}") from error


def say(text: str) -> None:
    """``text`` on stdout, without what a terminal would obey. Raises StorageError as ``printing``."""
    with printing():
        click.echo(printable(text))


def tell(text: str) -> None:
    """``text`` as a line on stderr."""
    with telling():
        click.echo(one_line(text), err=True)


@contextmanager
def telling() -> Iterator[None]:
    """Print on stderr within this; where it is closed or full, that is lost and the work goes on."""
    try:
        yield
        sys.stderr.flush()
    except OSError:
        _let_go(sys.stderr)


def _let_go(stream: TextIO) -> None:
    # What it holds back would be tried again at exit, and end in a traceback there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_json(value: Any) -> None:
    """One indented JSON document on stdout."""
    from biddable.runs.codec import jsonable

    say(ascii_json(jsonable(value), indent=2, allow_nan=False))


def ascii_json(value: Any, **options: Any) -> str:
    """``value`` as ``json.dumps`` writes it, and no control character left raw, so that it may be printed."""
    return json.dumps(value, **options).replace("\x7f", "\\u007f")


def print_table(*tables: Table) -> None:
    """Tables on stdout, as wide as the terminal, or wide enough to be read in a log."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDTH_OFF_TERMINAL
    # Names are no markup: "[red]" is printed, and "[/x]" is no error.
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    with printing():
        for number, table in enumerate(tables):
            console.print(*[""] * (number > 0), _Shown(table), sep="\n")


class _Shown:
    """A table whose texts are ``printable``, whoever made it."""

    def __init__(self, table: Table):
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._table, options):
            yield segment._replace(text=printable(segment.text))


def print_results(results: Results, folder: str, page: Path, *, as_json: bool) -> None:
    """What came of a run, where its page is, and what to type next."""
    from biddable.runs.next_steps import next_steps

    steps = next_steps(folder, results.next_steps)
    if as_json:
        print_json({**dict(results), "folder": folder, "report": str(page), "next_steps": steps})
        return
    from biddable.report.terminal import result_table

    print_table(result_table(results))
    say_ending(page, steps)


def say_ending(page: Path, steps: Sequence[str]) -> None:
    """Where a run's page is, and what to type next."""
    say("\n".join((f"\nreport: {one_line(str(page))}", "next:", *(f"  {one_line(step)}" for step in steps))))
