"""Reading the rows of a file that somebody else wrote: JSON lines or one JSON list, packed by gzip or not."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from biddable.errors import FileError, shown
from biddable.runs.codec import first_problem
from biddable.runs.files import parse_json, read_bytes

Model = TypeVar("Model", bound=BaseModel)

_GZIP = b"\x1f\x8b"
_POINTER = b"version https://git-lfs.github.com/spec/"
_EXPECTED = "expected JSON lines or a JSON list, as they are or packed by gzip"
_OTHERS = {
    _POINTER: "is a Git LFS pointer, not the file (`git lfs pull` fetches the file)",
    b"PAR1": f"is a Parquet file, {_EXPECTED}",
    b"PK\x03\x04": f"is a ZIP archive, {_EXPECTED}",
    b"(\xb5/\xfd": f"is packed by Zstandard, {_EXPECTED}",
    b"BZh": f"is packed by bzip2, {_EXPECTED}",
    b"\xfd7zXZ": f"is packed by xz, {_EXPECTED}",
}
"""What a file may be by its first bytes, none of which begins JSON."""


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for at, (name, _) in enumerate(pairs) if name in dict(pairs[:at]))
        raise ValueError(f"an object has the field {shown(twice)} twice")
    return found


def _no_number(name: str) -> float | None:
    return None if name == "NaN" else float(name)


_HOOKS: dict[str, Any] = {"object_pairs_hook": _once_each, "parse_constant": _no_number}
"""How rows are read: no field of one object twice, and NaN as null, for which tables write it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One value of a file.

    ``where`` is the file and its place there, ``name`` the place alone: "line 3", or "row 3" of a list.
    """

    value: Any
    where: str
    name: str


def read_values(path: str | Path) -> list[Row]:
    """The values of a file of JSON lines, blank ones skipped, or of one JSON list.

    The text is UTF-8, UTF-16 or UTF-32, with or without a byte order mark, and may be packed by gzip. A file
    that holds one object over several lines is one row. NaN is read as null.

    Raises:
        FileError: the file is missing or unreadable, of another kind (which is named), or not JSON; or an
            object has a field twice.
    """
    text = _text(path)
    first = text.lstrip()[:1]
    if first == "[":
        values = parse_json(text.encode(), path, first_line=1, **_HOOKS)
        return [Row(value, f"{path}: row {n}", f"row {n}") for n, value in enumerate(values, 1)]
    if first == "{" and (whole := _object(text)) is not None:
        return [Row(whole, f"{path}:1", "line 1")]
    return [
        Row(parse_json(line.encode(), path, first_line=n, **_HOOKS), f"{path}:{n}", f"line {n}")
        # Lines end at "\n" alone; splitlines would also cut at the other line ends that Unicode knows.
        for n, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]


def read_rows(path: str | Path, row: type[Model]) -> list[Model]:
    """Every row of a file, read as one published format has it.

    Raises:
        FileError: the file cannot be read, holds no rows, or a row (the first such is named) is not as it
            should be.
    """
    values = read_values(path)
    if not values:
        raise FileError(path, "expected a JSON list of rows")
    return [parsed(value, row) for value in values]


def parsed(row: Row, model: type[Model], *, strict: bool = False) -> Model:
    """A row as a pydantic model. Raises FileError: a field, which is named, is not as it should be."""
    try:
        return model.model_validate(row.value, strict=strict)
    except ValidationError as error:
        place, problem = first_problem(error)
        field = ".".join(map(str, place))
        raise FileError(row.where, f"{field}: {problem}" if field else "expected a JSON object") from error


def _text(path: str | Path) -> str:
    data = read_bytes(path)
    if data.startswith(_GZIP):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise FileError(path, f"is packed by gzip and damaged: {str(error).lower()}") from error
    for start, problem in _OTHERS.items():
        if data.startswith(start):
            raise FileError(path, problem)
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding.startswith("utf-8"):
            line = data.count(b"\n", 0, error.start) + 1
            raise FileError(path, "not UTF-8 text", line=line) from error
        raise FileError(path, f"not {encoding.upper()} text, as its first bytes have it") from error


def _object(text: str) -> dict[str, Any] | None:
    """The object that the whole text is, if it is one."""
    try:
        value = json.loads(text, **_HOOKS)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
