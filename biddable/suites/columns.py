"""What stands in the columns of a row of somebody's, as a suite of their own reads it."""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Mapping
from typing import Any

from biddable.errors import FileError, shown
from biddable.tasks.rows import Row

_LABEL = re.compile(r"\W*([A-Za-z])\W*")


def cell_of(row: Row, field: str, column: str) -> Any:
    """What stands in a column, or at a path into one; along a list, of each of its entries."""
    if column in row.value:
        return row.value[column]
    value: Any = row.value
    for part in column.split("."):
        if isinstance(value, list) and not part.isdigit():
            if not all(isinstance(each, dict) and part in each for each in value):
                raise no_column(row, field, column)
            value = [each[part] for each in value]
        elif isinstance(value, list) and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            raise no_column(row, field, column)
    return value


def no_column(row: Row, field: str, column: str) -> FileError:
    """That a row has no such column, with the nearest, or those that there are."""
    known = [str(name) for name in row.value]
    near = difflib.get_close_matches(column, known, n=3, cutoff=0.6)
    listed = " or ".join(map(shown, near)) if near else ", ".join(map(shown, known[:12]))
    return FileError(row.where, f"{field}: there is no column {shown(column)}, expected {listed}")


def text_of(row: Row, column: str, value: Any) -> str:
    """A cell as text; a whole number without its point, as tables with gaps have them."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool):
        value = str(value).lower()
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise FileError(row.where, f"{column} is {shown(value)}, expected a text or a number")
    return str(value)


def place_of(text: str, how: str) -> int | None:
    """The index that an answer names: an index, a number from 1, or a letter ("B", "(b)")."""
    if how == "letter":
        found = _LABEL.fullmatch(text.strip())
        return string.ascii_uppercase.index(found[1].upper()) if found else None
    return int(text) - (how == "number") if text.strip().isdecimal() else None
