"""Files for commands to read, and what a failed command must look like."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import Result


def write_lines(path: str, rows: Sequence[Any]) -> str:
    """Write JSON lines; gives the path."""
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def assert_one_line(result: Result, *parts: str, exit_code: int = 2) -> None:
    """A command that failed said why in one line on stderr, naming ``parts``, and nothing else."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n")
    for part in parts:
        assert part in result.stderr
