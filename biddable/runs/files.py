"""Files that are whole or not there, and reading that says in one line what is wrong and where.

Everything the library writes goes through ``replacing`` (a file or a folder that appears at once)
or ``LineFile`` (a file that grows by whole lines); every JSON file it reads, through ``read_json``,
``read_jsonl`` or, where somebody else wrote it, ``biddable.tasks.rows``.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from biddable.errors import FileError, StorageError

_TEMPORARY = ".biddable-tmp"

_REASONS = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the system allows",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.EROFS: "the file system is read-only",
    errno.EIO: "the disk reports an input/output error",
    errno.ENOTDIR: "part of the path is a file, not a folder",
    errno.EISDIR: "a folder of that name is in the way",
    errno.ENOTEMPTY: "a folder of that name is in the way",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "the name is a link that leads to itself",
    errno.EBUSY: "it is in use",
    errno.ETXTBSY: "it is in use",
    errno.ENXIO: "it is a device without a reader",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
}


def cache_folder() -> Path:
    """The folder that converted models, cached responses and compiled loops are kept in."""
    if explicit := os.environ.get("BIDDABLE_CACHE"):
        return Path(explicit)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "biddable"


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write into a StorageError that names ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        raise StorageError(f"{_REASONS[error.errno]} while writing {path}") from error


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, unless they are there. Raises StorageError."""
    with storing(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
        except FileNotFoundError as error:  # /proc, or a link that leads nowhere
            raise StorageError(f"no folder can be made there while writing {folder}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name beside ``path`` to write a file or a folder under; at the end it becomes ``path``.

    It is synced before it is renamed, so even after a power cut ``path`` is the old or the new one,
    whole. If anything fails, what was written is removed. Missing parent folders are made.

    Raises:
        StorageError: the disk is full, permission is missing …
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_TEMPORARY}")
    with storing(path):
        make_folder(path.parent)
        try:
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            _sync_one(path.parent)
        except BaseException:
            _remove(temporary)
            raise


def write_atomic(path: str | Path, content: bytes | str) -> None:
    """Write a whole file or none (text as UTF-8).

    Raises:
        StorageError: the disk is full, permission is missing …; the old file, if any, still stands.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(data)


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically. Raises ValueError for NaN and infinities."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed process left half-written under ``folder``, which nobody else may be using."""
    for leftover in list(folder.rglob(f".*{_TEMPORARY}")):
        _remove(leftover)


def is_temporary(path: Path) -> bool:
    """Whether ``path`` is one of the half-written files ``remove_temporaries`` removes."""
    return path.name.startswith(".") and path.name.endswith(_TEMPORARY)


def read_json(path: str | Path) -> Any:
    """The content of a JSON file. Raises FileError: missing, unreadable, or not JSON."""
    return parse_json(read_bytes(path), path, first_line=1)


def read_toml(path: str | Path) -> dict[str, Any]:
    """The content of a TOML file. Raises FileError: missing, unreadable, or not TOML (the line is named)."""
    data = read_bytes(path)
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise FileError(path, "not UTF-8 text", line=data.count(b"\n", 0, error.start) + 1) from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
        line = int(place[1]) if place and place[1] else data.rstrip().count(b"\n") + 1
        problem = str(error)[: place.start()] if place else str(error)
        raise FileError(path, f"not TOML: {problem}", line=line) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand brackets
        raise FileError(path, f"not TOML that can be read: {error}") from None


def read_bytes(path: str | Path) -> bytes:
    """The content of a file. Raises FileError: missing or unreadable."""
    with _reading(path):
        return Path(path).read_bytes()


def content_digest(path: Path) -> str:
    """A digest of the content of a file, or of the names and contents of a folder's files.

    Hidden files of a folder do not count. Raises FileError: missing or unreadable.
    """
    with _reading(path):
        if not path.is_dir():
            with path.open("rb") as file:
                return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()[:32]
        names = sorted(each.relative_to(path) for each in path.rglob("*") if each.is_file())
    visible = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    lines = "".join(f"{name.as_posix()}\0{content_digest(path / name)}\n" for name in visible)
    return "sha256:" + hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()[:32]


def read_jsonl(path: str | Path) -> Iterator[tuple[int, Any]]:
    """Each ``(line number from 1, value)`` of a JSON-lines file; blank lines are skipped.

    Raises:
        FileError: the file is missing or unreadable, or a line (named) is not JSON.
    """
    with _reading(path), open(path, "rb") as file:
        # Binary lines end at "\n" alone; text lines would also be cut at the other line ends Unicode knows.
        for number, line in enumerate(file, 1):
            if content := line.strip():
                yield number, parse_json(content, path, first_line=number)


class LineFile:
    """A file that grows by whole lines; opening it repairs what a kill left at its end.

    Args:
        path: the file; it is created if missing, its folder must be there.
        intact: says of a line (without its newline) whether it was written whole. A last line that
            was not is what a kill or a power cut leaves: it is cut off.
    """

    def __init__(self, path: Path, intact: Callable[[bytes], bool]):
        self.path = path
        with storing(path):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            _sync_one(path.parent)
            content = path.read_bytes()
            end = content.rfind(b"\n") + 1
            last_line = content[: max(end - 1, 0)].rpartition(b"\n")[2]
            if end and not intact(last_line):
                end -= len(last_line) + 1
            os.ftruncate(self._fd, end)

    def lines(self) -> list[bytes]:
        """Every line so far, without the newlines."""
        return self.path.read_bytes().split(b"\n")[:-1]

    def append(self, line: bytes, *, sync: bool) -> None:
        """Add a line. ``sync`` waits until it would survive a power cut; a kill it survives anyway.

        Raises:
            StorageError: the disk is full …; the file is as long as before.
        """
        before = os.fstat(self._fd).st_size
        with storing(self.path):
            try:
                rest = memoryview(line + b"\n")
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
                if sync:
                    os.fsync(self._fd)
            except BaseException:
                os.ftruncate(self._fd, before)
                raise

    def close(self) -> None:
        """Close the file; it cannot be appended to any more."""
        os.close(self._fd)


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise FileError(path, "no such file") from error
    except OSError as error:
        raise FileError(path, f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:  # the system has no such name: a zero byte, half a character
        raise FileError(path, "cannot be the name of a file") from error


def parse_json(data: bytes, path: str | Path, *, first_line: int, **hooks: Any) -> Any:
    """The value of a JSON text that starts in that line of ``path``; ``hooks`` are those of ``json.loads``.

    Raises:
        FileError: it is not JSON, or a hook raises a ValueError, which says why it cannot be read.
    """
    try:
        return json.loads(data.decode("utf-8-sig"), **hooks)
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg[0].lower()}{error.msg[1:]} at column {error.colno}"
        raise FileError(path, problem, line=first_line + error.lineno - 1) from error
    except UnicodeDecodeError as error:
        line = first_line + data.count(b"\n", 0, error.start)
        raise FileError(path, "not UTF-8 text", line=line) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand brackets
        raise FileError(path, f"not JSON that can be read: {error}", line=first_line) from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file, or a folder with all that is in it, is on the disk."""
    if path.is_dir():
        for inner in path.rglob("*"):
            if not inner.is_symlink():
                _sync_one(inner)
    _sync_one(path)


def _sync_one(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
