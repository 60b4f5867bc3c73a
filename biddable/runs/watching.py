"""A program under bwrap and all its processes, watched while they run and ended where they pass a limit."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Stopped = Literal["time", "memory", "output"]

_CHUNK = 65536
_PAUSE = 0.02
"""Seconds between two looks at how much memory a program takes."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a process printed, how it ended (None where it was stopped), at which limit, after how long."""

    code: int | None
    stdout: bytes
    stderr: bytes
    stopped: Stopped | None
    seconds: float


def watched(process: subprocess.Popen[bytes], seconds: float, memory: int, output: int) -> Watched:
    """Read what a program prints until it has ended or passes a limit, at which it is killed.

    Args:
        process: bwrap, with pipes for both outputs.
        seconds: wall clock it may take.
        memory: bytes that all its processes may take.
        output: bytes it may print on each output; what is beyond is left out.
    """
    start = time.monotonic()
    assert process.stdout is not None
    assert process.stderr is not None
    printed = {process.stdout: bytearray(), process.stderr: bytearray()}
    stopped: Stopped | None = None
    with process.stdout, process.stderr, selectors.DefaultSelector() as waiting:
        for pipe in printed:
            waiting.register(pipe, selectors.EVENT_READ)
        try:
            while process.poll() is None or waiting.get_map():
                elapsed = time.monotonic() - start
                if elapsed > seconds:
                    stopped = "time"
                elif any(len(each) > output for each in printed.values()):
                    stopped = "output"
                elif sum(map(_resident, _family(process.pid))) > memory:
                    stopped = "memory"
                if stopped:
                    break
                _read_waiting(waiting, printed)
        finally:
            _end(process)
    if process.returncode == 128 + signal.SIGXCPU:
        stopped = "time"
    out, err = (bytes(each[:output]) for each in printed.values())
    code = None if stopped else process.returncode
    return Watched(code, out, err, stopped, time.monotonic() - start)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program's first process: the kernel ends the others with it, and then bwrap ends."""
    children = _children(process.pid)
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    if not children:
        process.kill()
    process.wait()


def _read_waiting(waiting: selectors.BaseSelector, printed: dict[Any, bytearray]) -> None:
    if not waiting.get_map():
        time.sleep(_PAUSE)
        return
    for key, _ in waiting.select(_PAUSE):
        if chunk := os.read(key.fd, _CHUNK):
            printed[key.fileobj] += chunk
        else:
            waiting.unregister(key.fileobj)


def _family(pid: int) -> Iterator[int]:
    """A process and all that come from it."""
    yield pid
    for child in _children(pid):
        yield from _family(child)


def _children(pid: int) -> list[int]:
    try:
        threads = [Path(f"/proc/{pid}/task/{each}/children") for each in os.listdir(f"/proc/{pid}/task")]
        return [int(child) for thread in threads for child in thread.read_text().split()]
    except OSError:  # it has just ended
        return []


def _resident(pid: int) -> int:
    """Bytes of memory a process takes."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
