"""Reading the rows of files that somebody else wrote: JSON, CSV, TSV and Parquet, packed by gzip or not.

This is the only place that opens such files. What the rows mean is for the modules beside this one to say.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from biddable.errors import EndpointError, FileError, InputError, MissingDependency, shown
from biddable.runs.codec import first_problem
from biddable.runs.files import parse_json, read_bytes
from biddable.runs.folder import artifact_of

Model = TypeVar("Model", bound=BaseModel)

_GZIP = b"\x1f\x8b"
_POINTER = b"version https://git-lfs.github.com/spec/"
_PARQUET = b"PAR1"
_EXPECTED = "expected JSON lines, a JSON list, CSV, TSV or Parquet, as they are or packed by gzip"
_OTHERS = {
    _POINTER: "is a Git LFS pointer, not the file (`git lfs pull` fetches the file)",
    b"PK\x03\x04": f"is a ZIP archive, {_EXPECTED}",
    b"(\xb5/\xfd": f"is packed by Zstandard, {_EXPECTED}",
    b"BZh": f"is packed by bzip2, {_EXPECTED}",
    b"\xfd7zXZ": f"is packed by xz, {_EXPECTED}",
}
"""What a file may be by its first bytes, none of which begins JSON."""
_HUB_NAME = re.compile(r"hf:([^/:\s]+(?:/[^/:\s]+)?)(?:/([^/:\s]+))?(?::(.+))?")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_OTHER_DELIMITERS = (";", "\t", "|")
"""What a CSV is cut at by programs that are set to a language whose decimals have a comma."""
_SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", *_DELIMITERS)
"""The files of a folder that are data."""


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = next(name for at, (name, _) in enumerate(pairs) if name in dict(pairs[:at]))
        raise ValueError(f"an object has the field {shown(twice)} twice")
    return fields


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


Broken = list[tuple[Row, FileError]]
"""Rows that cannot be read, each with what is wrong."""


def source_files(source: str | Path) -> list[Path]:
    """The files that a source names: itself; those of a folder, by name; or the data that a run left.

    Raises:
        FileError: a folder without a data file, or a run that left no data.
    """
    if not str(source):  # Path("") is the folder that one is in
        raise FileError(source, "no such file")
    path = artifact_of(source, "data")
    if not path.is_dir():
        return [path]
    inner = sorted(each for each in path.rglob("*") if _suffix(each) in _SUFFIXES and each.is_file())
    files = [file for file in inner if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not files:
        raise FileError(path, f"a folder without a file whose name ends in {', '.join(_SUFFIXES)} (or .gz)")
    return files


def read_hub(source: str) -> list[Row]:
    """The rows of a data set of the hub: ``hf:OWNER/NAME``, ``/CONFIG`` and ``:SPLIT`` (else train) after it.

    Raises:
        MissingDependency: the package ``datasets`` is not there.
        FileError: there is no such data set, configuration or split.
        EndpointError: the hub cannot be reached.
    """
    parts = _HUB_NAME.fullmatch(source)
    if not parts:
        raise FileError(source, "expected hf:OWNER/NAME[/CONFIG][:SPLIT]")
    name, config, split = parts.groups()
    import httpx

    try:
        import datasets
    except ImportError as error:
        raise MissingDependency("datasets", "pip install datasets") from error
    try:
        table = datasets.load_dataset(name, config, split=split or "train")
    except datasets.exceptions.DatasetNotFoundError as error:
        raise FileError(source, f"the hub has no such data set that may be read: {error}") from error
    except (ValueError, RuntimeError, FileNotFoundError) as error:
        raise FileError(source, f"cannot be read: {error}") from error
    except (OSError, httpx.HTTPError) as error:
        raise EndpointError(f"{source}: the hub cannot be reached: {error}") from error
    # As of Parquet; what JSON has nothing for, such as a picture, is a text that says what it was.
    return _numbered(to_jsonable_python(table.to_list(), bytes_mode="base64", fallback=str), source)


def read_values(path: str | Path, encoding: str | None = None, *, broken: Broken | None = None) -> list[Row]:
    """The values of a file: JSON lines (blank ones skipped), a JSON list, CSV or TSV with a header, Parquet.

    Which it is follows from its name for CSV and TSV, for the others from what it holds. Text is UTF-8,
    UTF-16 or UTF-32, with or without a byte order mark, unless ``encoding`` says what it is; any may be
    packed by gzip. A file that holds one JSON object over several lines is one row. NaN is read as null.
    Cells of CSV and TSV are texts, as they stand; a CSV whose header has semicolons, tabs or upright lines
    and no comma is cut at those.

    Args:
        path: the file.
        encoding: of its text.
        broken: gets the lines of JSON lines and tables that cannot be read, each as the row that it is and
            what is wrong with it; when None, the first of them is an error.

    Raises:
        FileError: the file is missing or unreadable, of another kind (which is named), or damaged; or an
            object has a field twice, a header a column twice, a line more or fewer cells than the header.
    """
    data = _unpacked(path)
    if data.startswith(_PARQUET):
        return _parquet(data, path)
    if _suffix(Path(path)) == ".parquet":
        raise FileError(path, "is no Parquet file, as its name has it")
    text = _text(data, path, encoding)
    if delimiter := _DELIMITERS.get(_suffix(Path(path))):
        return _table(text, path, delimiter, broken)
    first = text.lstrip()[:1]
    if first == "[":
        return _numbered(parse_json(text.encode(), path, first_line=1, **_HOOKS), path)
    if first == "{" and (whole := _object(text)) is not None:
        return [Row(whole, f"{path}:1", "line 1")]
    rows = []
    # Lines end at "\n" alone; splitlines would also cut at the other line ends that Unicode knows.
    for n, line in enumerate(text.split("\n"), 1):
        row = Row(line, f"{path}:{n}", f"line {n}")
        try:
            if line.strip():
                rows.append(replace(row, value=parse_json(line.encode(), path, first_line=n, **_HOOKS)))
        except FileError as error:
            _put(broken, row, error)
    return rows


def read_text(path: str | Path, encoding: str | None = None) -> str:
    """The whole text of a file (see ``read_values``), each of its lines ended by a line feed.

    Raises:
        FileError: the file is missing, unreadable or no text; so in ``read_cells``.
        InputError: there is no such encoding.
    """
    return _text(_unpacked(path), path, encoding).replace("\r\n", "\n")


def read_cells(path: str | Path, delimiter: str = ",") -> list[Row]:
    """The lines of a table of which the first may be no header, each as the list of its cells' texts.

    Raises:
        FileError: the file cannot be read as such a table, or holds no line.
    """
    lines = _delimited(_text(_unpacked(path), path), path, delimiter, csv.QUOTE_MINIMAL)
    rows = [Row(cells, f"{path}:{start}", f"line {start}") for start, cells in lines if cells]
    if not rows:
        raise FileError(path, "holds no rows")
    return rows


def require_rows(path: str | Path) -> list[Row]:
    """The rows of a file (see ``read_values``). Raises FileError also where there is none."""
    rows = read_values(path)
    if not rows:
        raise FileError(path, "holds no rows")
    return rows


def read_rows(path: str | Path, row: type[Model]) -> list[Model]:
    """Every row of a file, read as one published format has it.

    Raises:
        FileError: the file cannot be read, holds no rows, or a row (the first such is named) is not as it
            should be.
    """
    return [parsed(value, row) for value in require_rows(path)]


def parsed(row: Row, model: type[Model], *, strict: bool = False) -> Model:
    """A row as a pydantic model. Raises FileError: a field, which is named, is not as it should be."""
    try:
        return model.model_validate(row.value, strict=strict)
    except ValidationError as error:
        place, problem = first_problem(error)
        field = ".".join(map(str, place))
        raise FileError(row.where, f"{field}: {problem}" if field else "expected a JSON object") from error


def _suffix(path: Path) -> str:
    """How a file's name ends, without what says that it is packed."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


def _numbered(values: Sequence[Any], source: str | Path) -> list[Row]:
    return [Row(value, f"{source}: row {n}", f"row {n}") for n, value in enumerate(values, 1)]


def _unpacked(path: str | Path) -> bytes:
    data = read_bytes(path)
    if data.startswith(_GZIP):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise FileError(path, f"is packed by gzip and damaged: {str(error).lower()}") from error
    for start, problem in _OTHERS.items():
        if data.startswith(start):
            raise FileError(path, problem)
    return data


def _parquet(data: bytes, path: str | Path) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
        # Times, decimals and bytes become what JSON has: rows are written again as JSON.
        return _numbered(to_jsonable_python(table.to_pylist(), bytes_mode="base64"), path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileError(path, f"cannot be read as Parquet: {' '.join(str(error).split())}") from error


def _table(text: str, path: str | Path, delimiter: str, broken: Broken | None) -> list[Row]:
    """The rows of a text of delimited cells, of which the first line names the columns."""
    if delimiter == ",":
        delimiter = _delimiter(text, path)
    if delimiter != "\t":
        return _cells(text, path, delimiter, csv.QUOTE_MINIMAL, broken)
    # There are two kinds of TSV; in the other, a quotation mark is a character like any.
    quoted: Broken = []
    try:
        rows = _cells(text, path, delimiter, csv.QUOTE_MINIMAL, quoted)
    except FileError:
        return _cells(text, path, delimiter, csv.QUOTE_NONE, broken)
    if quoted:
        plain: Broken = []
        others = _cells(text, path, delimiter, csv.QUOTE_NONE, plain)
        if len(plain) < len(quoted):
            rows, quoted = others, plain
    for row, error in quoted:
        _put(broken, row, error)
    return rows


def _delimiter(text: str, path: str | Path) -> str:
    """What cuts the header of a CSV into several columns: a comma, else one of the others."""
    for delimiter in (",", *_OTHER_DELIMITERS):
        try:
            _, header = next(_delimited(text, path, delimiter, csv.QUOTE_MINIMAL), (1, []))
        except FileError:
            continue
        if len(header) > 1:
            return delimiter
    return ","


def _cells(
    text: str, path: str | Path, delimiter: str, quoting: Literal[0, 3], broken: Broken | None
) -> list[Row]:
    lines = _delimited(text, path, delimiter, quoting)
    start, header = next(lines, (1, []))
    if twice := [name for name in header if header.count(name) > 1]:
        raise FileError(path, f"two columns have the name {shown(twice[0])}", line=start)
    rows: list[Row] = []
    for start, cells in lines:
        row = Row(cells, f"{path}:{start}", f"line {start}")
        if cells and len(cells) != len(header):
            problem = f"{len(cells)} cells, the header has {len(header)}"
            _put(broken, row, FileError(path, problem, line=start))
        elif cells:
            rows.append(replace(row, value=dict(zip(header, cells, strict=True))))
    return rows


def _put(broken: Broken | None, row: Row, error: FileError) -> None:
    if broken is None:
        raise error
    broken.append((row, error))


def _delimited(
    text: str, path: str | Path, delimiter: str, quoting: Literal[0, 3]
) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line of a table, and the line of the file that it begins in."""
    csv.field_size_limit(sys.maxsize)  # else a cell of 128 kB, an article say, is refused
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, quoting=quoting)
    start = 1
    try:
        for cells in lines:
            yield start, cells
            start = lines.line_num + 1
    except csv.Error as error:
        kind = "TSV" if delimiter == "\t" else "CSV"
        raise FileError(path, f"not {kind}: {error}", line=start) from error


def _text(data: bytes, path: str | Path, given: str | None = None) -> str:
    if given:
        return _decoded(data, path, given)
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding.startswith("utf-8"):
            line = data.count(b"\n", 0, error.start) + 1
            hint = "`iconv -f cp1252 -t utf-8` turns the text of older Windows programs into it"
            raise FileError(path, f"not UTF-8 text ({hint})", line=line) from error
        raise FileError(path, f"not {encoding.upper()} text, as its first bytes have it") from error


def _decoded(data: bytes, path: str | Path, encoding: str) -> str:
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except (LookupError, ValueError) as error:
        if isinstance(error, UnicodeError):
            raise FileError(path, f"not {encoding} text, as which it is to be read") from error
        raise InputError("encoding", encoding, "the name of a text encoding: utf-8, cp1252") from None


def _object(text: str) -> dict[str, Any] | None:
    """The object that the whole text is, if it is one."""
    try:
        value = json.loads(text, **_HOOKS)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
