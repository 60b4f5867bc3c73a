"""Every error a user can cause or meet, each of which prints as one line.

The command line prints ``error: <message>`` and exits with ``exit_code``; from Python the same
message is the exception's text. 2 means the input was wrong, 1 that the world was (disk, network).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

MAX_SHOWN = 80
MAX_LINE = 4000

# Control characters (C0 but for tab and newline, DEL, C1), which a terminal obeys; the embeddings,
# overrides and isolates of text direction, which let a text look like another; halves of characters,
# which no encoding holds. Joiners and direction marks stay: Persian, Hindi and emoji are written with them.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAK = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_BREAKS = re.compile(rf"\s*{_BREAK.pattern}\s*")


def printable(text: str) -> str:
    """``text`` as it may be shown on a terminal: what would act on it stands as an escape, ``\\x1b``.

    Lines and tabs stay. Whatever a model, a server or a user's file says passes through here, or through
    ``one_line``, before it is printed.
    """
    return _UNSAFE.sub(_escaped, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """``text`` as ``printable`` gives it, on one line of at most ``MAX_LINE`` characters."""
    line = printable(_BREAKS.sub(" ", text).strip())
    return line if len(line) <= MAX_LINE else line[: MAX_LINE - 1] + "…"


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def shown(value: object) -> str:
    """``value`` as one short line."""
    try:
        text = " ".join(printable(repr(value)).split())
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list nested as deep
        text = f"{type(value).__name__} too large to be shown"
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def said(error: BaseException) -> str:
    """What an exception of whatever kind says, on one line: ``OSError: the simulator is gone``."""
    return one_line(" ".join(f"{type(error).__name__}: {error}".split())).removesuffix(":")


class BiddableError(Exception):
    """Base class: anything we raise on purpose."""

    exit_code = 1

    def __str__(self) -> str:
        return one_line(super().__str__())

    def __reduce__(self) -> tuple[Any, ...]:
        # Unpickled in the parent of a worker process, an exception is made from its text alone: not ours.
        return _again, (type(self), self.args), self.__dict__


def _again(kind: type[BiddableError], args: tuple[Any, ...]) -> BiddableError:
    error = kind.__new__(kind)
    error.args = args
    return error


class InputError(BiddableError, ValueError):
    """A field holds a value that cannot be used.

    Args:
        field: the name the user wrote it under (``--search.branching``, ``kwargs[1].relation``).
        value: what was found.
        expected: what would have been right, as a noun phrase ("an integer of at least 1").
        where: the file and line it stands in, when it came from a file.
    """

    exit_code = 2

    def __init__(self, field: str, value: object, expected: str, *, where: str | None = None):
        self.field, self.value, self.expected, self.where = field, value, expected, where
        place = f"{where}: " if where else ""
        super().__init__(f"{place}{field} is {shown(value)}, expected {expected}")

    def at(self, where: str) -> InputError:
        """The same error, with the place it happened in."""
        return type(self)(self.field, self.value, self.expected, where=where)


class FileError(BiddableError):
    """A file cannot be read as what it should be. ``line`` counts from 1."""

    exit_code = 2

    def __init__(self, path: str | Path, problem: str, *, line: int | None = None):
        name = _BREAK.sub(_escaped, str(path)) or "''"
        super().__init__(f"{name}:{line}: {problem}" if line else f"{name}: {problem}")


class MissingDependency(BiddableError):
    """A part that is an extra is used but not installed."""

    exit_code = 2

    def __init__(self, what: str, install: str):
        super().__init__(f"{what} is not installed; install it with: {install}")


class ModelError(BiddableError):
    """A model cannot be found, read or trusted (wrong checksum)."""

    exit_code = 2


class EndpointError(BiddableError):
    """A served model did not answer usefully in spite of the retries."""


class RunError(BiddableError):
    """A run folder cannot be used as asked (another configuration, in use, not a run)."""

    exit_code = 2


class SandboxError(BiddableError):
    """Programs that nobody vouches for cannot be shut in on this machine; none was run."""


class StorageError(BiddableError):
    """Writing failed: disk full, no permission. Nothing half-written is left."""
