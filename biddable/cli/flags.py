"""Fields of a configuration as they are written on the command line."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from biddable.errors import InputError


def flag(field: str) -> str:
    """``max_depth`` as ``--max-depth``, ``dpo.lr`` as ``--dpo.lr``."""
    return "--" + field.replace("_", "-")


@contextmanager
def written_as_flags(fields: Collection[str]) -> Iterator[None]:
    """An InputError about one of ``fields`` names it as the user wrote it."""
    try:
        yield
    except InputError as error:
        if error.field.partition("[")[0] not in fields:  # parts[1].share is of the flag --parts
            raise
        raise InputError(flag(error.field), error.value, error.expected, where=error.where) from None
