"""Files of stages: a value, or the journal of a mapped stage, a checksummed line for each finished batch.

The first line of a journal identifies the items of the batches, so that results of other items are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import ValidationError

from biddable.errors import FileError, InputError, RunError
from biddable.runs.codec import decode, describe, digest, encode, seal, unseal
from biddable.runs.files import LineFile, read_bytes

Item = TypeVar("Item")

_OTHER = "; it may be of another version: use another run folder, or delete the file to compute it again"
"""What to do about a stage that is whole and cannot be read."""


def split_batches(
    items: Sequence[Item], batch_size: int, key: Callable[[Item], Any]
) -> tuple[list[list[Item]], dict[str, Any]]:
    """The batches of a stage, and the header of its journal, which identifies the items.

    Raises:
        InputError: ``batch_size`` is below 1.
    """
    if batch_size < 1:
        raise InputError("batch_size", batch_size, "an integer of at least 1")
    batches = [list(items[start : start + batch_size]) for start in range(0, len(items), batch_size)]
    header = {
        "batch size": batch_size,
        "number of items": len(items),
        "digest of the items": digest(key(item) for item in items),
    }
    return batches, header


class BatchJournal:
    """Finished batches of one stage, by their number.

    Args:
        path: the file; created if missing.
        header: see ``split_batches``.
        type: the type of one result.

    Raises:
        RunError: the file belongs to other items or another batch size.
        FileError: a line other than the last is damaged.
    """

    def __init__(self, path: Path, header: dict[str, Any], type: Any):
        self._line_type = tuple[int, list[type]]
        self._file = LineFile(path, intact=lambda line: unseal(line) is not None)
        if not self._file.lines():
            self._file.append(seal(json.dumps(header).encode()), sync=True)
        self.finished = read_batches(path, header, type)

    def add(self, index: int, results: list[Any]) -> None:
        """Write batch ``index``; once this returns, the batch is never computed again."""
        payload, (_, as_read_back) = encode((index, results), self._line_type)
        self._file.append(seal(payload), sync=True)
        self.finished[index] = as_read_back

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_batches(path: Path, header: dict[str, Any], type: Any) -> dict[int, list[Any]]:
    """The finished batches in a journal, by their number; nothing is written.

    Raises:
        RunError: the file belongs to other items or another batch size.
        FileError: a line is damaged.
    """
    finished = {}
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        payload = unseal(line)
        if payload is None:
            raise FileError(path, "damaged; delete the file to compute the stage again", line=number)
        if number == 1:
            _check_header(path, stored=json.loads(payload), asked=header)
            continue
        try:
            index, results = decode(payload, tuple[int, list[type]])
        except ValidationError as error:
            raise FileError(path, f"{describe(error)}{_OTHER}", line=number) from error
        finished[index] = results
    return finished


def read_stage(path: Path, type: Any) -> Any:
    """The value of a finished stage. Raises FileError: it is damaged, or of another type."""
    payload = unseal(read_bytes(path).removesuffix(b"\n"))
    if payload is None:
        raise FileError(path, "damaged; delete the file to compute the stage again")
    try:
        return decode(payload, type)
    except ValidationError as error:
        raise FileError(path, f"{describe(error)}{_OTHER}") from error


def _check_header(path: Path, stored: dict[str, Any], asked: dict[str, Any]) -> None:
    for field, value in asked.items():
        if stored.get(field) != value:
            raise RunError(
                f"{path}: the {field} was {stored.get(field)}, is now {value}; "
                "use another run folder, or delete the file to compute the stage again"
            )
