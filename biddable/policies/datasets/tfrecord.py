"""TFRecord files and the ``tf.Example`` messages in them, without TensorFlow.

Sources: TFRecord, https://www.tensorflow.org/tutorials/load_data/tfrecord (length, CRC32C of it, content,
CRC32C of it); protocol buffers' encoding, https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from biddable.errors import FileError

Values = list[bytes] | NDArray[np.float32] | NDArray[np.int64]
"""What a feature of a ``tf.Example`` holds."""

_HEADER = struct.Struct("<QI")
_MASK = 0xA282EAD8
_POLYNOMIAL = 0x82F63B78
_LANES = 256
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def offsets(path: Path) -> list[int]:
    """Where each record of a file begins; a last one that is cut short counts, and is found when it is read.

    Raises:
        FileError: no such file, or a length with another checksum.
    """
    if not path.is_file():
        raise FileError(path, "no such file")
    places, size = [], path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while at < size:
            places.append(at)
            at += _HEADER.size + _length(file, at, path, len(places) - 1) + 4
            if at <= size:
                file.seek(at)
    return places


def record(path: Path, offset: int, number: int) -> bytes:
    """The content of the record that begins at ``offset``; ``number`` is for errors.

    Raises:
        FileError: it is cut short or has another checksum.
    """
    with path.open("rb") as file:
        file.seek(offset)
        length = _length(file, offset, path, number)
        if offset + _HEADER.size + length + 4 > path.stat().st_size:
            raise FileError(path, f"record {number} is cut short")
        content, crc = file.read(length), file.read(4)
    if _masked(content) != int.from_bytes(crc, "little"):
        raise FileError(path, f"record {number} is damaged: its checksum is another one")
    return content


def example(content: bytes, wanted: Container[str]) -> dict[str, Values]:
    """The features of a ``tf.Example`` whose names are ``wanted``.

    Raises:
        ValueError: the message is not whole.
    """
    found: dict[str, Values] = {}
    view = memoryview(content)
    for field, features in _fields(view):
        if field != 1:
            continue
        for _, entry in _fields(features):
            pair = dict(_fields(entry))
            name = bytes(pair.get(1, b"")).decode()
            if name in wanted:
                found[name] = _values(pair.get(2, memoryview(b"")))
    return found


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli) of ``data``.

    Equal pieces are run through the table side by side, then put together: the checksum of a piece, followed
    by as many zeros as what comes after it, is a linear map of its checksum.
    """
    table = _table()
    width = len(data) // _LANES
    crc = 0xFFFFFFFF
    if width:
        block = np.frombuffer(data, np.uint8, _LANES * width).reshape(_LANES, width)
        lanes = np.zeros(_LANES, np.uint32)
        lanes[0] = crc
        for column in np.ascontiguousarray(block.T):
            lanes = table[(lanes ^ column) & 0xFF] ^ (lanes >> 8)
        shift = _zeros(width)
        crc = int(lanes[0])
        for lane in lanes[1:].tolist():
            crc = _apply(shift, crc) ^ lane
    rest = table.tolist() if len(data) > _LANES * width else []
    for byte in data[_LANES * width :]:
        crc = rest[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _length(file: BinaryIO, offset: int, path: Path, number: int) -> int:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise FileError(path, f"record {number} is cut short")
    length, crc = _HEADER.unpack(header)
    if _masked(header[:8]) != crc:
        raise FileError(path, f"record {number} is damaged: the checksum of its length is another one")
    return int(length)


def _masked(data: bytes) -> int:
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF


@cache
def _table() -> NDArray[np.uint32]:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint32(_POLYNOMIAL), values >> 1)
    return values.astype(np.uint32)


Shift = tuple[tuple[int, ...], ...]


@cache
def _zeros(count: int) -> Shift:
    """What ``count`` zero bytes do to a checksum, as four tables, one for each of its bytes."""
    columns = [1 << bit for bit in range(32)]
    power = [_one_zero(column) for column in columns]
    while count:
        if count & 1:
            columns = [_combine(power, column) for column in columns]
        power = [_combine(power, column) for column in power]
        count >>= 1
    return tuple(tuple(_combine(columns, value << (8 * byte)) for value in range(256)) for byte in range(4))


def _one_zero(crc: int) -> int:
    return int(_table()[crc & 0xFF]) ^ (crc >> 8)


def _combine(columns: list[int], crc: int) -> int:
    """The linear map with these columns, of ``crc``."""
    result = 0
    for column in columns:
        if not crc:
            break
        if crc & 1:
            result ^= column
        crc >>= 1
    return result


def _apply(shift: Shift, crc: int) -> int:
    low, second, third, high = shift
    return low[crc & 0xFF] ^ second[(crc >> 8) & 0xFF] ^ third[(crc >> 16) & 0xFF] ^ high[crc >> 24]


def _fields(view: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field of a message."""
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        kind = key & 7
        if kind == _BYTES:
            size, at = _varint(view, at)
        elif kind in {_FIXED32, _FIXED64}:
            size = 4 if kind == _FIXED32 else 8
        elif kind == _VARINT:
            size = _varint(view, at)[1] - at
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if at + size > len(view):
            raise ValueError("a field is cut short")
        yield key >> 3, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(view):
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number is cut short")


def _values(feature: memoryview) -> Values:
    """A feature: a list of bytes, of floats or of integers, packed or one by one."""
    for kind, content in _fields(feature):
        pieces = [piece for field, piece in _fields(content) if field == 1]
        if kind == 1:
            return [bytes(piece) for piece in pieces]
        joined = b"".join(pieces)
        return np.frombuffer(joined, "<f4") if kind == 2 else _varints(joined)
    return []


def _varints(content: bytes) -> NDArray[np.int64]:
    """All integers of a packed list."""
    data = np.frombuffer(content, np.uint8)
    if not len(data):
        return np.zeros(0, np.int64)
    ends = np.flatnonzero(data < 0x80)
    if not len(ends) or ends[-1] != len(data) - 1:
        raise ValueError("a number is cut short")
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(data)) - np.repeat(starts, ends - starts + 1)
    if place.max() > 9:
        raise ValueError("an integer of more than 64 bits")
    shifted = (data & 0x7F).astype(np.uint64) << (7 * place).astype(np.uint64)
    return np.bitwise_or.reduceat(shifted, starts).view(np.int64)
