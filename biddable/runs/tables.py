"""The nouns as Parquet files: what one run leaves under ``artifacts/data`` for the next.

The schema follows from the noun's own fields: texts, numbers, lists and structs become columns that any
Parquet reader understands; free-form fields (``args``, ``meta``, observations, actions) become texts
that hold JSON.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from biddable.errors import FileError, InputError
from biddable.runs.codec import describe, jsonable
from biddable.runs.files import replacing

Noun = TypeVar("Noun")

_SCALARS = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}


def write_parquet(path: str | Path, rows: Sequence[Noun], type: type[Noun]) -> None:
    """Write nouns of one type (``Task``, ``Response``, ``Preference``, ``Episode`` …), whole or not at all.

    Prompts are chats or, in all rows, raw text.

    Raises:
        InputError: some prompts are chats and some raw text.
        StorageError: the disk is full, permission is missing …
    """
    cells = [_convert(jsonable(row), type, json.dumps) for row in rows]
    raw = {isinstance(row["prompt"], str) for row in cells if "prompt" in row}
    if len(raw) > 1:
        raise InputError("prompt", "chats and raw text", f"one of them in a table of {type.__name__}")
    table = pa.Table.from_pylist(cells, schema=schema(type, raw=raw == {True}))
    with replacing(Path(path)) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_parquet(path: str | Path, type: type[Noun]) -> list[Noun]:
    """Read nouns of one type; columns that are not fields of it are ignored.

    Where all columns that have no default are there, others may be missing, as in files written before
    such a field was: they hold their default.

    Raises:
        FileError: the file is missing or no Parquet, a column is missing or of another type, or a row
            (counted from 1) holds what the noun cannot.
    """
    try:
        stored = pq.ParquetFile(path).schema_arrow
        columns = stored.names
        raw = "prompt" in columns and stored.field("prompt").type == pa.string()
        expected = schema(type, raw=raw)
        missing = [name for name in expected.names if name not in columns]
        if any(name in missing for name in _without_default(type)):
            raise FileError(path, f"no column {', '.join(missing)}: not a table of {type.__name__}")
        there = pa.schema([field for field in expected if field.name not in missing])
        table = pq.read_table(path, columns=there.names).select(there.names).cast(there)
    except FileNotFoundError as error:
        raise FileError(path, "no such file") from error
    except (pa.ArrowException, OSError) as error:
        raise FileError(path, f"cannot be read as Parquet: {' '.join(str(error).split())}") from error
    adapter = TypeAdapter(type)
    nouns = []
    for number, row in enumerate(table.to_pylist(), 1):
        try:
            nouns.append(adapter.validate_python(_convert(row, type, json.loads)))
        except ValidationError as error:
            raise FileError(path, f"row {number}: {describe(error)}") from error
        except (ValueError, TypeError) as error:
            raise FileError(path, f"row {number}: not JSON in a free-form field: {error}") from error
    return nouns


def _without_default(type: Any) -> list[str]:
    none = dataclasses.MISSING
    fields = dataclasses.fields(type)
    return [field.name for field in fields if field.default is none and field.default_factory is none]


def schema(type: Any, *, raw: bool = False) -> pa.Schema:
    """The columns a noun is written in; ``raw``: its prompt is raw text, and no chat."""
    columns = list(_arrow_type(type))
    return pa.schema([pa.field("prompt", pa.string()) if raw and c.name == "prompt" else c for c in columns])


def _arrow_type(hint: Any) -> pa.DataType:
    if hint in _SCALARS:
        return _SCALARS[hint]
    if dataclasses.is_dataclass(hint):
        return pa.struct([(name, _arrow_type(inner)) for name, inner in get_type_hints(hint).items()])
    if get_origin(hint) is tuple:
        return pa.list_(_arrow_type(get_args(hint)[0]))
    if get_origin(hint) is UnionType:
        return _arrow_type(_without_none(hint))
    return pa.string()  # a choice of words, or free-form as JSON


@cache
def _has_free_form(hint: Any) -> bool:
    if hint in _SCALARS or get_origin(hint) is Literal:
        return False
    if dataclasses.is_dataclass(hint):
        return any(map(_has_free_form, get_type_hints(hint).values()))
    if get_origin(hint) is tuple:
        return _has_free_form(get_args(hint)[0])
    return get_origin(hint) is not UnionType or _has_free_form(_without_none(hint))


def _convert(plain: Any, hint: Any, free_form: Callable[[Any], Any]) -> Any:
    """A plain value of type ``hint``, with ``free_form`` applied to each part that is free-form."""
    if not _has_free_form(hint):
        return plain
    if dataclasses.is_dataclass(hint):
        inner = get_type_hints(hint)
        return plain and {
            name: _convert(plain[name], inner[name], free_form) for name in inner if name in plain
        }
    if get_origin(hint) is tuple:
        return plain and [_convert(part, get_args(hint)[0], free_form) for part in plain]
    return free_form(plain)


def _without_none(hint: Any) -> Any:
    """The first kind that a union names: of a prompt, the chat."""
    return next(part for part in get_args(hint) if part is not NoneType)
