"""The command line. Each command reads its input, calls the library and prints; nothing is computed here."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import click

import biddable
from biddable.cli.act import act
from biddable.cli.chain import chain
from biddable.cli.chat import chat
from biddable.cli.commands import Group
from biddable.cli.data import data
from biddable.cli.evaluate import evaluate, suites
from biddable.cli.export import export
from biddable.cli.generate import generate
from biddable.cli.judge import judge
from biddable.cli.methods import methods
from biddable.cli.output import printing, tell, telling
from biddable.cli.pairs import pairwise, rate
from biddable.cli.run import run
from biddable.cli.runs import compare, report
from biddable.cli.serve import serve
from biddable.cli.train import train
from biddable.errors import BiddableError, StorageError, one_line, said

_RESUMABLE = ("run", "train", "data", "eval", "generate", "chain")

_ENVIRONMENT = {
    # The libraries' own bars and warnings stay off the terminal.
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Set before torch is imported; what a user has set stands."""

_TRACEBACK = "BIDDABLE_TRACEBACK"
"""Set to anything but 0, an error that nothing foresaw is shown whole, for a report of it."""


class _InterruptedError(BiddableError):
    exit_code = 130


class _Program(Group):
    """Ends whatever a user can cause in one line on stderr and an exit status of its own."""

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run a command line and exit."""
        _prepare()
        try:
            code = super().main(args, **{**extra, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as help_asked:
            with telling():
                help_asked.show()
            sys.exit(help_asked.exit_code)
        except click.ClickException as error:
            _end(f"error: {error.format_message()}", error.exit_code)
        except _InterruptedError as interruption:
            _end(str(interruption), interruption.exit_code)
        except click.Abort:
            _end("interrupted", _InterruptedError.exit_code)
        except BiddableError as error:
            _end(f"error: {error}", error.exit_code)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # a panic of a library in Rust is no Exception
            if os.environ.get(_TRACEBACK, "0") != "0":
                raise
            try:
                with printing():
                    pass  # click prints help by itself, and the standard output may not have taken it
            except StorageError as refusal:
                _end(f"error: {refusal}", refusal.exit_code)
            _end(f"error: {said(error)} (not foreseen: {_TRACEBACK}=1 shows where, for a report of it)", 1)
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            result = super().invoke(ctx)
            with printing():
                pass  # a closed pipe is met here, where click ends it quietly, not at exit
        except KeyboardInterrupt:
            resumes = "; the same command goes on where it stopped"
            note = resumes if ctx.invoked_subcommand in _RESUMABLE else ""
            raise _InterruptedError(f"interrupted{note}") from None
        return result


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(biddable.__version__, prog_name="biddable")
def main() -> None:
    """Make a model follow instructions better, and prove it.

    \b
    Try this first:
      biddable run spar --preset smoke           improve a small model, in minutes
      biddable eval smollm2 --suite composed     measure how well a model obeys
      biddable chat smollm2                      talk to it
    """


for _command in (
    methods,
    run,
    data,
    train,
    chain,
    evaluate,
    suites,
    judge,
    generate,
    chat,
    serve,
    act,
    compare,
    report,
    export,
):
    main.add_command(_command)


for _command in (pairwise, rate):
    judge.add_command(_command)


def _prepare() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if logging.lastResort is not None:  # what prints a warning where nobody has set logging up
        logging.lastResort.setFormatter(_OneLine())
    _open_standard_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does: a letter too many ends nothing


def _open_standard_streams() -> None:
    """Put something in the place of streams that are closed, so that no file gets their numbers.

    Reading finds nothing, what goes to stderr is lost, and writing to stdout fails: its number is open
    for reading only.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115 - open as long as the process is
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))


def _end(message: str, code: int) -> NoReturn:
    tell(message)
    sys.exit(code)
