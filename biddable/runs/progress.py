"""Progress on stderr: a bar on a terminal, else a plain line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from biddable.errors import one_line

SECONDS_BETWEEN_LINES = 10.0

_bars: list[Any] = []
"""The display on the terminal, when there is one: rich draws a single one, so inner bars join it."""


@contextmanager
def progress(total: int, description: str) -> Iterator[Callable[[int], None]]:
    """Yield ``advance(n)``, which says that ``n`` more of ``total`` are done. Nothing goes to stdout."""
    show = _bar if sys.stderr and sys.stderr.isatty() else _lines
    with show(total, one_line(description)) as advance:
        yield advance


@contextmanager
def _bar(total: int, description: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    if _bars:
        outer = _bars[-1]
        task = outer.add_task(description, total=total)
        try:
            yield lambda n: outer.advance(task, n)
        finally:
            outer.remove_task(task)
        return

    # A name is no markup: "[/x]" would be an error.
    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Redirecting would carry what others print to stdout over to stderr.
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as bars:
        task = bars.add_task(description, total=total)
        _bars.append(bars)
        try:
            yield lambda n: bars.advance(task, n)
        finally:
            _bars.pop()


@contextmanager
def _lines(total: int, description: str) -> Iterator[Callable[[int], None]]:
    done, last = 0, time.monotonic()

    def advance(n: int) -> None:
        nonlocal done, last
        done += n
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            with suppress(OSError):  # a log that is full or closed must not end the work
                print(f"{description}: {done}/{total}", file=sys.stderr, flush=True)

    yield advance
