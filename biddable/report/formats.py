"""Numbers, durations and nested settings as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MINUS = "−"
"""The typographic minus is as wide as a plus, so signed numbers stay aligned."""


def decimals(values: Iterable[float]) -> int:
    """Decimals for numbers of this size: three for rates, fewer for larger ones, none for larger counts."""
    known = [abs(value) for value in values]
    largest = max(known, default=0.0)
    if largest >= 10 and all(float(value).is_integer() for value in known):
        return 0
    if 0 < largest < 0.01:
        return min(12, 2 - math.floor(math.log10(largest)))
    return 3 if largest <= 1 else 2 if largest < 10 else 1 if largest < 1000 else 0


def number(value: float, places: int | None = None) -> str:
    """``value`` with thousands separators and ``places`` decimals; whole numbers keep none."""
    if isinstance(value, int):
        return f"{value:,}".replace("-", MINUS)
    places = decimals([value]) if places is None else places
    text = f"{value:,.{places}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", MINUS)


def signed(value: float, places: int | None = None) -> str:
    """Like ``number``, with a plus before what is above zero."""
    text = number(value, places)
    return text if text.startswith(MINUS) or not any(digit in text for digit in "123456789") else f"+{text}"


def duration(seconds: float) -> str:
    """``0.31 s``, ``42 s``, ``3 min 05 s``, ``2 h 07 min``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as ``("outer.inner", leaf)`` pairs, in order."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield prefix, value


def plain(value: Any) -> str:
    """A setting as text: lists with commas, numbers with at most six figures."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value)
    return str(value)


def column_decimals(cells: Iterable[Any]) -> int | None:
    """The decimals that align a column of numbers (and empty cells); None for a column of anything else."""
    filled = [cell for cell in cells if cell is not None]
    if not filled or any(isinstance(cell, bool) or not isinstance(cell, (int, float)) for cell in filled):
        return None
    return 0 if all(cell == int(cell) for cell in filled) else decimals(filled)
