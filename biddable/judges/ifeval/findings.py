"""Findings that several rules come to, in the same words: what was found and what was asked for."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

from biddable.judges.ifeval.arguments import plural, quoted
from biddable.judges.ifeval.language import LANGUAGES
from biddable.judges.ifeval.rule import Finding
from biddable.judges.patterns import EndlessPattern


def counted(count: int, noun: str, relation: str, asked: int) -> Finding:
    """``count`` things are there, where ``less than`` (or another relation) so many should be."""
    return compared(count, f"The response has {plural(count, noun)}", relation, asked)


def compared(count: int, statement: str, relation: str, asked: int) -> Finding:
    """The same with a statement of what was found."""
    passed = {
        "less than": count < asked,
        "at most": count <= asked,
        "at least": count >= asked,
        "exactly": count == asked,
    }[relation]
    were = "was" if asked == 1 else "were"
    return Finding(passed, f"{statement}, where {relation} {asked} {were} asked for.")


def all_there(keywords: Sequence[str], missing: Sequence[str]) -> Finding:
    """Every keyword should be found, and ``missing`` are not."""
    if missing:
        return Finding(False, f"The response lacks {quoted(missing)}, asked for as keywords.")
    return Finding(True, f"The response contains every keyword asked for: {quoted(keywords)}.")


def times(count: int, what: str, relation: str, asked: int) -> Finding:
    """A keyword, letter or heading is found so many times."""
    return compared(count, f'The response has "{what}" {plural(count, "time")}', relation, asked)


def none_there(used: Sequence[str]) -> Finding:
    """No forbidden word should be found, and ``used`` are."""
    if used:
        return Finding(False, f"The response uses {quoted(used)}, which it was told not to use.")
    return Finding(True, "The response uses none of the forbidden words.")


def language_finding(passed: bool, language: str, asked: str) -> Finding:
    """The response is in ``language`` (in words), where ``asked`` (a code) was asked for."""
    return Finding(passed, f"The response is in {language}, where {LANGUAGES[asked]} was asked for.")


def language_name(code: str) -> str:
    """English name where we have one."""
    return LANGUAGES.get(code, f'another language ("{code}")')


def paragraph_starts(pieces: Sequence[str], total: int, nth: int, first_word: str) -> Finding:
    """``total`` of the pieces should not be blank, and the ``nth`` should start with the word."""
    count = sum(1 for piece in pieces if piece.strip())
    if count != total:
        return counted(count, "paragraph", "exactly", total)
    start = pieces[nth - 1].split(maxsplit=1)
    if not start:
        return Finding(False, f'Paragraph {nth} is empty, where it was to start with "{first_word}".')
    word = re.split(r"[.,?!'\"]", start[0].lstrip("'").lstrip('"'), maxsplit=1)[0]
    passed = word.lower() == first_word.lower()
    return Finding(passed, f'Paragraph {nth} starts with "{word}", where "{first_word}" was asked for.')


def in_english(code: str | None, case: str) -> Finding:
    """The letters are as they should be; the language should be English, or not to be told."""
    if code in (None, "en"):
        return Finding(True, f"The response is in English, in {case} letters only.")
    return Finding(False, f"The response is in {case} letters only, but in {language_name(str(code))}.")


def within_time(check: Callable[..., Finding]) -> Callable[..., Finding]:
    """The check, which is not passed where a regular expression of the task's does not end."""

    @functools.wraps(check)
    def limited(*args: Any, **kwargs: Any) -> Finding:
        try:
            return check(*args, **kwargs)
        except EndlessPattern as error:
            return Finding(False, str(error))

    return limited
