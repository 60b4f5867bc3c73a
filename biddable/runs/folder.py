"""Locking a run folder: it must be new or hold the same run, and no other process may hold it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO, Any

from biddable.errors import FileError, RunError, shown
from biddable.runs.files import is_temporary, make_folder, read_json, remove_temporaries, storing, write_json

_LOCK = ".lock"
_CONFIG = "config.json"
_ABSENT = object()

SECONDS_TO_LOCK = 0.3
"""How long to try: who asks whether a run is held (``is_held``) holds it for a moment."""


class ChangedRun(RunError):
    """The folder holds a run with another method, config or seed."""


def take_folder(folder: Path, identity: dict[str, Any]) -> IO[str]:
    """Make ``folder`` a run with ``identity``, or check that it is one, and lock it.

    Returns the lock, held until it is closed or the process ends, however it ends.

    Raises:
        RunError: the folder holds something else, another run, or one that a living process holds.
        StorageError: the folder cannot be written.
    """
    with storing(folder):
        _check_new_or_run(folder)
        make_folder(folder)
        lock = _lock(folder)
    try:
        remove_temporaries(folder)
        if (folder / _CONFIG).exists():
            check_same(folder, identity)
        else:
            write_json(folder / _CONFIG, identity)
    except BaseException:
        lock.close()
        raise
    return lock


def is_run(path: str | Path) -> bool:
    """Whether ``path`` is a run folder."""
    # Unlike Path.is_file, os.path.isfile takes any name: one that is too long is no file.
    return os.path.isfile(os.path.join(path, _CONFIG)) and os.path.isfile(os.path.join(path, _LOCK))


def is_held(folder: Path) -> bool:
    """Whether a living process holds the run in ``folder``."""
    try:
        with open(folder / _LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def check_same(folder: Path, identity: dict[str, Any]) -> None:
    """Raise ChangedRun, naming the first difference, unless the run in ``folder`` is the one asked for."""
    stored = read_json(folder / _CONFIG)
    if not isinstance(stored, dict):
        raise FileError(folder / _CONFIG, "damaged: expected an object; use another folder")
    if difference := first_difference(stored, identity, ""):
        raise ChangedRun(f"{folder}: {told(difference)}; use another folder")


def artifact_of(path: str | Path, *parts: str) -> Path:
    """The artifact of a run, where ``path`` is a run folder, else ``path`` itself.

    So whatever takes a model or a data file takes the run that left one:
    ``artifact_of("runs/first", "model")`` is ``runs/first/artifacts/model``.

    Raises:
        FileError: the run left no such artifact.
    """
    if not is_run(path):
        return Path(path)
    artifact = Path(path, "artifacts", *parts)
    if not artifact.exists():
        raise FileError(path, f"this run left no {'/'.join(parts)} under artifacts/")
    return artifact


def _check_new_or_run(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RunError(f"{folder}: is a file, expected a folder")
    # A run killed while it was being made holds no more than these.
    content = [path for path in folder.iterdir() if path.name != _LOCK and not is_temporary(path)]
    if content and not is_run(folder):
        raise RunError(f"{folder}: holds files but no run; choose a new or an empty folder")


def _lock(folder: Path) -> IO[str]:
    lock = open(folder / _LOCK, "a+")  # noqa: SIM115 - it stays open as long as the run does
    deadline = time.monotonic() + SECONDS_TO_LOCK
    while not _locked(lock):
        if time.monotonic() > deadline:
            lock.seek(0)
            holder = lock.read()
            lock.close()
            raise RunError(f"{folder}: in use by process {holder}")
        time.sleep(0.01)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def first_difference(stored: Any, asked: Any, field: str) -> tuple[str, Any, Any] | None:
    """The first ``(field, stored, asked)`` in which two JSON values differ."""
    if isinstance(stored, dict) and isinstance(asked, dict):
        pairs = [
            (f"{field}.{name}".lstrip("."), stored.get(name, _ABSENT), asked.get(name, _ABSENT))
            for name in {**asked, **stored}
        ]
    elif isinstance(stored, list) and isinstance(asked, list) and len(stored) == len(asked):
        pairs = [(f"{field}[{index}]", *pair) for index, pair in enumerate(zip(stored, asked, strict=True))]
    else:
        return None if stored == asked else (field, stored, asked)
    differences = (first_difference(was, now, name) for name, was, now in pairs)
    return next(filter(None, differences), None)


def told(difference: tuple[str, Any, Any]) -> str:
    """What ``first_difference`` gave, in words."""
    field, *values = difference
    was, now = ("absent" if value is _ABSENT else shown(value) for value in values)
    return f"{field} was {was}, is now {now}"
