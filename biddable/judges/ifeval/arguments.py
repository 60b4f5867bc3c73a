"""The kinds of arguments that rules take, and how their values read in a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from biddable.judges.ifeval.language import LANGUAGES
from biddable.judges.ifeval.rule import Arg
from biddable.judges.patterns import Pattern

RELATIONS = ("less than", "at least")

Compiled = Callable[[str], Pattern]
"""What a rule makes of an argument: the very expression that it searches with."""


def plural(count: int, noun: str) -> str:
    """``1 word``, ``2 words``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def quoted(items: Sequence[str]) -> str:
    """``"a", "b"``."""
    return ", ".join(f'"{item}"' for item in items)


class _Count(int):
    """A number that a description shows with its noun: ``{num_words:word}`` gives ``30 words``."""

    def __format__(self, noun: str) -> str:
        return plural(int(self), noun) if noun else str(int(self))


def _whole(value: Any) -> Any:
    """5 for 5.0, "5" and NumPy's 5, as what went through a table or another tool has it; else the value."""
    value = _plain(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,18}(\.0+)?\s*", value):
        return int(float(value)) if "." in value else int(value)
    return value


def _plain(value: Any) -> Any:
    """What a NumPy scalar or array holds, as the columns of a table give it; others as they are."""
    return value.tolist() if hasattr(value, "tolist") else value


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_compiled_by(compiled: Compiled) -> Callable[[Any], bool]:
    def accepts(value: Any) -> bool:
        try:
            return _is_text(value) and bool(compiled(value))
        except (re.error, ValueError, OverflowError, RecursionError):
            # The latter three for (?a)(?u), a{9999999999} and ((((…
            return False

    return accepts


def _is_list_of(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and len(value) > 0 and all(map(accepts, value))


COUNT = Arg(_is_count, "an integer of at least 0", _Count, _whole)
ORDINAL = Arg(lambda value: _is_count(value) and value > 0, "an integer of at least 1", read=_whole)
RELATION = Arg(lambda value: value in RELATIONS, '"less than" or "at least"')
LETTER = Arg(lambda value: _is_text(value) and len(value) == 1, "one character, not a blank")
TEXT = Arg(_is_text, "text that is not blank", str.strip)
TEXTS = Arg(_is_list_of(_is_text), "a non-empty list of texts", quoted, _plain)
LANGUAGE = Arg(
    lambda value: isinstance(value, str) and value in LANGUAGES,
    "an ISO 639-1 code among " + " ".join(LANGUAGES),
    lambda code: LANGUAGES[code],
    lambda value: value.lower().replace("_", "-") if isinstance(value, str) else value,
)


def pattern(compiled: Compiled) -> Arg:
    """Text of which ``compiled`` makes a regular expression.

    What is valid by itself may not be so in the expression of a rule: ``(?i)`` may stand only at the start
    of one, and ``\\Z`` in lower case means nothing.
    """
    return Arg(
        _is_compiled_by(compiled), "text that makes a valid regular expression in this rule", str.strip
    )


def patterns(compiled: Compiled) -> Arg:
    """Several such texts."""
    expected = "a non-empty list of texts that make valid regular expressions in this rule"
    return Arg(_is_list_of(_is_compiled_by(compiled)), expected, quoted, _plain)
