"""The command line. Each command reads its input, calls the library and prints; nothing is computed here."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import click

import biddable
from biddable.cli.chat import chat
from biddable.cli.evaluate import evaluate
from biddable.cli.generate import generate
from biddable.cli.judge import judge
from biddable.cli.methods import methods
from biddable.cli.run import run
from biddable.cli.runs import compare, report
from biddable.errors import BiddableError

_RESUMABLE = ("run", "eval")

_ENVIRONMENT = {
    # The libraries' own bars and warnings stay off the terminal.
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Set before torch is imported; what a user has set stands."""


class _InterruptedError(BiddableError):
    exit_code = 130


class _Program(click.Group):
    """Ends whatever a user can cause in one line on stderr and an exit status of its own."""

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run a command line and exit."""
        _prepare()
        try:
            code = super().main(args, **{**extra, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as help_asked:
            help_asked.show()
            sys.exit(help_asked.exit_code)
        except click.ClickException as error:
            _end(f"error: {error.format_message()}", error.exit_code)
        except _InterruptedError as interruption:
            _end(str(interruption), interruption.exit_code)
        except BiddableError as error:
            _end(f"error: {error}", error.exit_code)
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a closed pipe is met here, where click ends it quietly, not at exit
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


for _command in (methods, run, evaluate, judge, generate, chat, compare, report):
    main.add_command(_command)


def _prepare() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _end(message: str, code: int) -> NoReturn:
    click.echo(" ".join(message.split()), err=True)
    sys.exit(code)
