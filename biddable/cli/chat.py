"""``biddable chat``: talk to a model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import click

from biddable.cli.commands import Command
from biddable.cli.generate import prompt_option, sampling_options
from biddable.cli.output import say, tell
from biddable.cli.served import served_options
from biddable.errors import EndpointError, FileError, InputError
from biddable.tasks.chats import sendable

if TYPE_CHECKING:
    from biddable.models.openai import ServedOptions


@click.command(cls=Command)
@click.argument("model")
@click.option("--system", metavar="TEXT", help="A first message that says how to behave.")
@prompt_option
@sampling_options
@served_options
def chat(
    model: str,
    system: str | None,
    around: str | None,
    seed: int,
    served: ServedOptions | None,
    **sampling: object,
) -> None:
    """Talk to a model, on a terminal or through a pipe.

    /reset forgets the conversation, /exit (or the end of the input) ends it. With --prompt each line is an
    input by itself.

    \b
    Examples:
      biddable chat smollm2
      biddable chat smollm2 --temperature 0
      echo "Name three rivers." | biddable chat smollm2
    """
    from biddable.models.base import Sampling
    from biddable.models.choices import choose
    from biddable.models.load import load_model
    from biddable.tasks.templates import read_prompt
    from biddable.types import Chat, Message

    how = Sampling(**sampling)  # type: ignore[arg-type]
    opening: Chat = (Message("system", sendable("--system", system)),) if system is not None else ()
    template = None if around is None else read_prompt(around)
    if template is not None and system is not None:
        raise InputError("system", system, "none beside --prompt")
    loaded, talk = load_model(model, served=served), opening
    for turn, line in enumerate(_lines(), seed):
        if line == "/exit":
            return
        if line == "/reset":
            talk = opening
            continue
        asked = (*talk, Message("user", line))
        try:
            prompt = template.prompt((Message("user", line),)) if template else asked
            if template and template.choices:
                [answer] = choose(loaded, [prompt], template.choices)
            else:
                [[answer]] = loaded.generate([prompt], sampling=how, seeds=[turn])
            if answer.error:
                raise EndpointError(answer.error)
        except (InputError, EndpointError) as error:
            if not sys.stdin.isatty():
                raise
            tell(f"error: {error} (/reset forgets the conversation)")
            continue
        say(answer.text)
        talk = (*asked, Message("assistant", answer.text))


def _lines() -> Iterator[str]:
    """What the user says, a line at a time; blank lines are skipped."""
    if sys.stdin.isatty():
        yield from _typed()
        return
    for number, line in enumerate(_read(sys.stdin.buffer), 1):
        try:
            said = line.decode("utf-8-sig").strip()  # a shell may put a mark of the byte order first
        except UnicodeDecodeError:
            raise InputError("the input", line, "UTF-8 text", where=f"line {number}") from None
        if said:
            yield said


def _read(stream: BinaryIO) -> Iterator[bytes]:
    try:
        yield from stream
    except OSError as error:  # a folder, a stream that is open for writing only
        raise FileError("the input", f"cannot be read: {(error.strerror or str(error)).lower()}") from None


def _typed() -> Iterator[str]:
    import readline  # noqa: F401 - gives input() its line editing and history

    tell("/reset forgets the conversation, /exit ends it.")
    while True:
        try:
            said = input("> ").strip()
        except EOFError:
            tell("")
            return
        except UnicodeDecodeError:
            tell("error: the input is not UTF-8 text")
            continue
        if said:
            yield said
