"""Values to bytes and back: JSON through pydantic, and lines that carry their own checksum.

Any type pydantic knows can be stored; the nouns of ``biddable.types`` come back equal.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

_SEAL = re.compile(rb'\{"crc32":"([0-9a-f]{8})","value":(.*)\}', re.DOTALL)


def encode(value: Any, type: Any) -> tuple[bytes, Any]:
    """``value`` as one line of JSON, and ``value`` as it will be read back from it.

    NaN and infinities are kept; arrays and tensors become lists.

    Raises:
        TypeError: ``value`` could not be read back as ``type``.
    """
    try:
        encoded = json.dumps(jsonable(value), separators=(",", ":")).encode()
        return encoded, decode(encoded, type)
    except (ValueError, TypeError) as error:
        detail = describe(error) if isinstance(error, ValidationError) else str(error)
        raise TypeError(f"not a value of {type}: {detail}") from error


def decode(data: bytes, type: Any) -> Any:
    """The value ``encode`` was given. Raises pydantic's ValidationError if ``data`` holds another type."""
    return _adapter(type).validate_json(data)


def jsonable(value: Any) -> Any:
    """``value`` as JSON would hold it: tuples as lists, dataclasses as objects, paths as strings."""
    return to_jsonable_python(value, fallback=_plain)


def seal(payload: bytes) -> bytes:
    """``payload`` (one line of JSON) with a checksum, again one line of JSON."""
    return b'{"crc32":"%08x","value":%s}' % (zlib.crc32(payload), payload)


def unseal(line: bytes) -> bytes | None:
    """What was sealed, or None if the line is not as it was written."""
    match = _SEAL.fullmatch(line)
    return match[2] if match and zlib.crc32(match[2]) == int(match[1], 16) else None


def digest(values: Iterable[Any]) -> str:
    """A hash of a sequence of values: 64 bits, equal for equal sequences in any process."""
    hashed = hashlib.sha256()
    for value in values:
        hashed.update(json.dumps(jsonable(value), sort_keys=True).encode() + b"\n")
    return hashed.hexdigest()[:16]


def describe(error: ValidationError) -> str:
    """The first thing pydantic found wrong, as ``steps[0].reward: …``."""
    place, problem = first_problem(error)
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return f"{where.lstrip('.')}: {problem}" if where else problem


def first_problem(error: ValidationError) -> tuple[tuple[int | str, ...], str]:
    """The first thing pydantic found wrong: where, as keys and indices, and what, to follow a colon."""
    first = error.errors(include_url=False, include_input=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    # Of a union pydantic names the alternative that it tried first, which is no place in the value.
    place = tuple(part for part in first["loc"] if not str(part).startswith("tuple["))
    return place, message[:1].lower() + message[1:]


@cache
def _adapter(type: Any) -> TypeAdapter[Any]:
    return TypeAdapter(type)


def _plain(value: Any) -> Any:
    """What pydantic cannot write by itself: NumPy arrays and scalars, and tensors."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value.__class__.__name__} cannot be written as JSON")
