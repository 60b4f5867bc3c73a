"""Rows that stand within one value of a file: under a name, under numbers, or as instances of a task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from biddable.tasks.formats import is_row
from biddable.tasks.rows import Row

_LISTS = ("data", "rows", "examples", "instances", "Instances")
"""Under what names a JSON object holds its rows."""


def rows_in(row: Row) -> Iterator[Row]:
    """The rows that one value of a file holds: itself, or those under it.

    Read are an object that holds its rows under one of ``_LISTS``, or under numbers; and instances of one
    instruction (Super-NaturalInstructions', Self-Instruct's and BIG-bench's, as ``task_prefix``).
    """
    value = row.value if isinstance(row.value, dict) else {}
    names = [name for name in _LISTS if _objects(value.get(name))]
    numbered = all(key.isdecimal() for key in value) and _objects(value)
    above: dict[str, Any] = {}
    if len(names) == 1:
        keys = ("Definition", "task_prefix", *(["instruction"] if names[0].lower() == "instances" else []))
        definition: Any = next((value[key] for key in keys if value.get(key)), None)
        if definition is not None:
            text = "\n".join(definition) if _texts(definition) else definition
            above["instruction"] = text.strip() if isinstance(text, str) else text
    # A row that says itself what is asked is no list of rows, whatever else it holds.
    if not numbered and (len(names) != 1 or (is_row(value) and not above)):
        yield row
        return
    name, inner = ("", value) if numbered else (names[0], value[names[0]])
    for key, each in inner.items() if isinstance(inner, dict) else enumerate(inner, 1):
        place = f"{name} {key}".strip()
        yield Row({**each, **above}, f"{row.where}: {place}", f"{row.name} {place}")


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _objects(value: Any) -> bool:
    inner = list(value.values()) if isinstance(value, dict) else value
    return isinstance(inner, list) and bool(inner) and all(isinstance(each, dict) for each in inner)
