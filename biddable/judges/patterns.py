"""Regular expressions of others, searched within a time limit: one like ``(a+)+$`` may take ages on a text.

Expressions without repeats, alternatives and groups cannot, and are searched with ``re``; the others with
``regex``, which can be stopped. To ``regex`` the marks on letters (vowel signs of Hindi) belong to a word, to
``re`` they do not; that apart, the two find the same.
"""

from __future__ import annotations

import functools
import logging
import math
import re
from collections.abc import Callable
from typing import TypeVar

import regex

T = TypeVar("T")

LIMIT = 1.0
"""Seconds for one search."""
MOST_REPEATS = 100_000
"""The product of the counts in braces; ``regex`` writes nested ones out, and memory ends before time does."""

_MAY_BE_SLOW = re.compile(r"[*+?{|(]")
_COUNTS = re.compile(r"\{(\d*),?(\d*)\}")
_log = logging.getLogger(__name__)


class EndlessPattern(Exception):
    """A search that did not end within the limit; the message is one sentence that names the expression."""


class Pattern:
    """An expression of somebody else's, ready to search with.

    Args:
        source: the expression.
        frame: one of ours around it, with ``{}`` in its place.
        flags: none, or ``re.IGNORECASE``.

    Raises:
        re.error: it is not valid, or its counts are too large.
    """

    def __init__(self, source: str, frame: str = "{}", flags: re.RegexFlag = re.NOFLAG):
        whole = frame.replace("{}", source)
        self.source = source
        self._plain = re.compile(whole, flags)
        self._timed: regex.Pattern[str] | None = None
        if _MAY_BE_SLOW.search(source):
            counts = (max(map(int, filter(None, each)), default=1) for each in _COUNTS.findall(source))
            if math.prod(max(1, count) for count in counts) > MOST_REPEATS:
                raise re.error("counts in braces that are too large")
            try:
                self._timed = regex.compile(whole, int(flags))
            except regex.error as error:
                raise re.error(str(error)) from None

    def found_in(self, text: str) -> bool:
        """Whether there is a match.

        Raises:
            EndlessPattern: that could not be told within the limit.
        """
        if self._timed is None:
            return self._plain.search(text) is not None
        return _limited(self.source, functools.partial(self._timed.search, text)) is not None

    def count_in(self, text: str) -> int:
        """How many matches there are that do not overlap.

        Raises:
            EndlessPattern: that could not be told within the limit.
        """
        if self._timed is None:
            return len(self._plain.findall(text))
        return len(_limited(self.source, functools.partial(self._timed.findall, text)))


@functools.lru_cache(maxsize=1 << 10)
def pattern(source: str, frame: str = "{}", flags: re.RegexFlag = re.NOFLAG) -> Pattern:
    """The ``Pattern``, made once.

    Raises:
        re.error: as for ``Pattern``.
    """
    return Pattern(source, frame, flags)


def _limited(name: str, search: Callable[..., T]) -> T:
    try:
        return search(timeout=LIMIT)
    except TimeoutError:
        problem = f'The regular expression "{name}" did not end within {LIMIT:g} s on the response.'
        _say_once(problem)
        raise EndlessPattern(problem) from None


@functools.cache
def _say_once(problem: str) -> None:
    _log.warning("%s It counts as not followed.", problem)
