"""What the tests of methods that act share."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMAND = "import biddable, sys; biddable.run(sys.argv[1], out=sys.argv[2], **eval(sys.argv[3]))"


@pytest.fixture
def killed_run(tmp_path) -> Callable[..., Path]:
    """Starts a method in a process of its own and kills it once a stage's journal has more than ``lines``."""

    def kill(method: str, settings: dict[str, Any], stage: str, lines: int) -> Path:
        folder = tmp_path / "killed"
        process = subprocess.Popen([sys.executable, "-c", COMMAND, method, str(folder), repr(settings)])
        journal = folder / "stages" / f"{stage}.jsonl"
        deadline = time.monotonic() + 120
        while not (journal.exists() and len(journal.read_bytes().splitlines()) > lines):
            assert time.monotonic() < deadline
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        return folder

    return kill
