"""How long a busy server asks to be left alone, from its headers or from what it says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_WAIT_S = 60.0

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"([0-9]+(?:\.[0-9]+)?)\s*(milliseconds?|ms|minutes?|mins?|m|seconds?|secs?|s|hours?|hrs?|h)(?![a-z])"
_TOLD = re.compile(
    rf"(?:again|retry|retrying|wait|retrydelay)\b[^0-9]{{0,40}}((?:{_PART}[\s,]*(?:and\s+)?)+)"
)


def asked_wait(headers: Mapping[str, str], message: str) -> float:
    """Seconds to wait, at most ``MAX_WAIT_S``; 0 where the server says nothing of it.

    Read are ``retry-after-ms`` and ``Retry-After`` (seconds or an HTTP date), and where neither is there
    the words of the message: “try again in 1m30s”, “retry after 20 seconds”.
    """
    milliseconds = headers.get("retry-after-ms", "")
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", milliseconds):
        return min(float(milliseconds) / 1000, MAX_WAIT_S)
    return retry_after(headers.get("Retry-After", "")) or _told(message)


def retry_after(header: str) -> float:
    """Seconds that a Retry-After header (seconds or an HTTP date) asks for, at most ``MAX_WAIT_S``."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", header):
        return min(float(header), MAX_WAIT_S)
    try:
        until = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return 0.0
    seconds = (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), MAX_WAIT_S)


def _told(message: str) -> float:
    match = _TOLD.search(message.lower())
    if match is None:
        return 0.0
    seconds = sum(float(number) * _unit(unit) for number, unit in re.findall(_PART, match[1]))
    return min(seconds, MAX_WAIT_S)


def _unit(name: str) -> float:
    return _SECONDS["ms" if name.startswith(("ms", "milli")) else name[0]]
