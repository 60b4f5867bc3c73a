"""Inspect's logs: ``.json``, and ``.eval``, a ZIP archive with a file for each sample.

Both hold version 2 of its log. Nothing is taken from an archive beyond ``MOST_BYTES`` for one member and
``MOST_IN_ALL`` together, whatever the archive says of their sizes.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from biddable.errors import FileError, shown
from biddable.runs.files import parse_json
from biddable.suites.logs.base import Log, Logged, as_number, asked_of, counted, group_of, merged, text_of

KIND = "Inspect"
VERSION = 2
MOST_BYTES = 256 * 2**20
MOST_IN_ALL = 4 * 2**30
MOST_SAMPLES = 500_000
_ZSTANDARD = 93
_WORDS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_ATTACHED = ("attachment://", "tc://")


def recognises(value: Mapping[str, Any]) -> bool:
    """Whether this is a whole log."""
    return (
        isinstance(value.get("eval"), dict) and "status" in value and ("samples" in value or "plan" in value)
    )


def read_json_log(path: Path, value: Mapping[str, Any]) -> Log:
    """The log of a ``.json`` file. Raises FileError: another version, or no samples in it."""
    _check_version(path, value)
    samples = value.get("samples")
    if not isinstance(samples, list):
        raise FileError(path, "an Inspect log without its samples (it was made with --no-log-samples?)")
    return _log(path, value, ((f"{path}: samples[{i}]", each) for i, each in enumerate(samples)))


def read_archive(path: Path) -> Log:
    """The log of an ``.eval`` file. Raises FileError: it is damaged, too large, or no such log."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if "header.json" not in members:
                begun = "_journal/start.json" in members
                problem = "an Inspect log that was not finished" if begun else "a ZIP archive that is no log"
                raise FileError(path, f"{problem}, expected header.json in it")
            names = sorted(name for name in members if name.startswith("samples/") and name.endswith(".json"))
            if len(names) > MOST_SAMPLES:
                raise FileError(path, f"{len(names):,} samples, expected at most {MOST_SAMPLES:,}")
            budget = _Budget(path, archive)
            header = budget.value(members["header.json"])
            if not isinstance(header, dict) or not isinstance(header.get("eval"), dict):
                raise FileError(path, "header.json is none of an Inspect log")
            _check_version(path, header)
            if not names:
                raise FileError(path, "an Inspect log without its samples (made with --no-log-samples?)")
            return _log(path, header, ((f"{path}: {name}", budget.value(members[name])) for name in names))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise FileError(path, f"a ZIP archive that cannot be read: {str(error).lower()}") from error


class _Budget:
    """Reads members of an archive, as long as they are not too large."""

    def __init__(self, path: Path, archive: zipfile.ZipFile):
        self.path, self.archive, self.left = path, archive, MOST_IN_ALL

    def value(self, member: zipfile.ZipInfo) -> Any:
        """The JSON value of a member."""
        most = min(MOST_BYTES, self.left)
        with self._opened(member) as file:
            data = file.read(most + 1)
        if len(data) > most:
            size = f"more than {most / 2**20:,.0f} MiB"
            raise FileError(self.path, f"{member.filename} in it is {size}, which is not read")
        self.left -= len(data)
        return parse_json(data, f"{self.path}: {member.filename}", first_line=1, parse_constant=_nothing)

    def _opened(self, member: zipfile.ZipInfo) -> IO[bytes]:
        if member.compress_type != _ZSTANDARD:
            return self.archive.open(member)
        # Inspect's newer logs; Python's zipfile knows Zstandard from 3.14 on.
        import pyarrow as pa

        if member.compress_size > MOST_BYTES:
            raise FileError(self.path, f"{member.filename} in it is too large to be read")
        packed = self._packed(member)
        return io.BufferedReader(_Unpacked(pa.CompressedInputStream(pa.py_buffer(packed), "zstd")))

    def _packed(self, member: zipfile.ZipInfo) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(member.header_offset)
            start = file.read(30)
            if len(start) < 30 or start[:4] != b"PK\x03\x04":
                raise zipfile.BadZipFile(f"{member.filename} is not where it should be")
            file.seek(int.from_bytes(start[26:28], "little") + int.from_bytes(start[28:30], "little"), 1)
            return file.read(member.compress_size)


class _Unpacked(io.RawIOBase):
    """A stream of Arrow as a file of Python's."""

    def __init__(self, stream: Any):
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _nothing(name: str) -> None:
    """NaN and infinities are no scores."""


def _check_version(path: Path, value: Mapping[str, Any]) -> None:
    if (version := value.get("version")) != VERSION:
        hint = f"expected version {VERSION} (`inspect log convert` writes older ones anew)"
        raise FileError(path, f"an Inspect log of version {shown(version)}, {hint}")


def _log(path: Path, header: Mapping[str, Any], samples: Iterable[tuple[str, Any]]) -> Log:
    facts = header["eval"]
    failed = 0
    items: list[Logged] = []
    for place, (where, sample) in enumerate(samples):
        if not isinstance(sample, dict) or "id" not in sample:
            raise FileError(where, "expected a sample with an id")
        failed += sample.get("error") is not None
        items.append(_item(place, sample))
    whole, repeated = merged(items, [item.id for item in items])
    ids = _list(_dictionary(facts, "dataset"), "sample_ids")
    order = {str(name): place for place, name in enumerate(ids)}
    whole.sort(key=lambda item: (order.get(item.id, len(order)), item.position))
    notes = []
    if repeated:
        notes.append(f"{counted(repeated, 'item')} with several epochs: their scores are means.")
    if failed:
        notes.append(f"{counted(failed, 'sample')} ended in an error.")
    if (status := header.get("status")) != "success":
        notes.append(f"The evaluation ended with the status {shown(status)}.")
    plan = _dictionary(header, "plan")
    config = _dictionary(plan, "config") | _dictionary(facts, "model_generate_config")
    solvers = [step.get("solver") for step in _list(plan, "steps") if isinstance(step, dict)]
    settings = {
        "task version": facts.get("task_version"),
        "task arguments": facts.get("task_args") or None,
        "dataset": _dictionary(facts, "dataset").get("name"),
        "solvers": ", ".join(map(str, solvers)),
        "epochs": _dictionary(facts, "config").get("epochs"),
        **{name: value for name, value in config.items() if as_number(value) is not None},
    }
    return Log(
        name=str(facts.get("model") or path.stem),
        path=str(path),
        suite=str(facts.get("task") or ""),
        kind=KIND,
        items=tuple(whole),
        settings={name: value for name, value in settings.items() if value not in (None, "")},
        notes=tuple(notes),
    )


def _item(place: int, sample: Mapping[str, Any]) -> Logged:
    attached = _dictionary(sample, "attachments")
    scores = _dictionary(sample, "scores")
    metrics = dict(_metrics(scores))
    values = [score.get("value") for score in scores.values() if isinstance(score, dict)]
    meta, target, given = _dictionary(sample, "metadata"), sample.get("target"), sample.get("input")
    asked = given if isinstance(given, str) else asked_of(given)
    return Logged(
        position=place,
        metrics=metrics,
        weights=_weights(scores),
        id=str(sample["id"]),
        prompt=_whole(asked, attached),
        response=_whole(_response(_dictionary(sample, "output")), attached),
        references=tuple(map(str, target)) if isinstance(target, list) else (str(target),) if target else (),
        group=group_of(meta),
        source=str(meta.get("source") or ""),
        unparsable=bool(values) and all(value == "N" or value is None for value in values),
    )


def _metrics(scores: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, score in scores.items():
        value = score.get("value") if isinstance(score, dict) else None
        parts = value.items() if isinstance(value, dict) else ()
        for part, inner in [(name, value), *((f"{name}/{key}", inner) for key, inner in parts)]:
            if (number := _number(inner)) is not None:
                yield part, number


def _weights(scores: Mapping[str, Any]) -> dict[str, float]:
    """What a score weighs, where its metadata says so (Inspect's own metrics weigh all the same)."""
    weights = {
        name: as_number(_dictionary(score, "metadata").get("weight"))
        for name, score in scores.items()
        if isinstance(score, dict)
    }
    return {name: weight for name, weight in weights.items() if weight}


def _number(value: Any) -> float | None:
    """As Inspect turns a score into a number."""
    if isinstance(value, str):
        word = _WORDS.get(value, _WORDS.get(value.lower()))
        if word is not None:
            return word
        try:
            value = float(value)
        except ValueError:
            return None
        return value if math.isfinite(value) else None
    return as_number(value)


def _response(output: Mapping[str, Any]) -> str:
    choices = output.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return text_of(message.get("content")) if isinstance(message, dict) else ""


def _whole(text: str, attached: Mapping[str, Any]) -> str:
    """A text that was put aside because it is long."""
    for start in _ATTACHED:
        if text.startswith(start):
            return str(attached.get(text.removeprefix(start), text))
    return text


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    inner = value.get(name)
    return inner if isinstance(inner, list) else []


def _dictionary(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}
