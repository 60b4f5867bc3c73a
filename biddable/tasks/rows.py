"""Reading a JSON list of rows of one published format."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from biddable.errors import FileError
from biddable.runs.codec import first_problem
from biddable.runs.files import read_json

Row = TypeVar("Row", bound=BaseModel)


def read_rows(path: Path, row: type[Row]) -> list[Row]:
    """Every row of a file that holds one JSON list.

    Raises:
        FileError: the file cannot be read, holds no rows, or a row is not as it should be: the first
            such row is named, counted from 1.
    """
    content = read_json(path)
    if not isinstance(content, list) or not content:
        raise FileError(path, "expected a JSON list of rows")
    try:
        return TypeAdapter(list[row]).validate_python(content)  # type: ignore[valid-type]
    except ValidationError as error:
        (number, *field), problem = first_problem(error)
        place = ".".join([f"row {int(number) + 1}", *map(str, field)])
        raise FileError(path, f"{place}: {problem}") from error
