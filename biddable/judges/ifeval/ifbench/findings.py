"""Findings that IFBench's rules come to in the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from biddable.judges.ifeval.rule import Arg, Finding, Rule, register
from biddable.judges.ifeval.text import Text

SHOWN = 60
"""Characters of the response that a finding shows."""


def plain(
    id: str,
    description: str,
    followed: Callable[..., bool],
    *,
    otherwise: str,
    needs: Callable[[], str] = str,
    **args: Arg,
) -> None:
    """Register a rule that is followed or not and no more; ``otherwise`` says what is not."""

    def check(text: Text, **given: Any) -> Finding:
        passed = followed(text, **given)
        return Finding(passed, "The instruction is followed." if passed else otherwise)

    register(Rule(id, description, check, args, needs=needs))


def each(things: Sequence[Any], obeys: Callable[[Any], bool], noun: str, what: str) -> Finding:
    """Every thing should obey; the first that does not is named, as the ``noun`` that is not ``what``."""
    for number, thing in enumerate(things, start=1):
        if not obeys(thing):
            return Finding(False, f'The {noun} "{_short(thing)}" (number {number}) {what}.')
    return Finding(True, f"All of the {len(things)} {noun}s are as they should be.")


def pairs(things: Sequence[Any], obeys: Callable[[Any, Any], bool], noun: str, what: str) -> Finding:
    """Every two neighbours should obey; the first two that do not are named."""
    for number, (first, second) in enumerate(pairwise(things), start=1):
        if not obeys(first, second):
            return Finding(
                False,
                f'The {noun}s "{_short(first)}" and "{_short(second)}" (from number {number} on) {what}.',
            )
    return Finding(True, f"All of the {len(things)} {noun}s are as they should be.")


def _short(thing: object) -> str:
    """Enough of it to find it by."""
    text = str(thing)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
