"""What happened in a run and when: one line for each event, from which the time spent is added up.

This is the only place that looks at the clock. Each line holds ``clock``, the seconds since the run
was opened, so that neither a changed wall clock nor the pause between two openings is counted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from biddable.runs.files import LineFile

SECONDS_BETWEEN_BEATS = 1.0


class Journal:
    """The ``journal.jsonl`` of a run; stages are ``started``, and ``finished`` or ``stopped`` by an error."""

    def __init__(self, path: Path):
        self._file = LineFile(path, intact=is_json)
        self._opened = time.monotonic()
        self._last = 0.0
        self.write("opened")

    def write(self, event: str, **fields: Any) -> None:
        """Add an event."""
        self._last = time.monotonic() - self._opened
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = {"event": event, **fields, "clock": round(self._last, 3), "at": now}
        # Unsynced: a kill loses nothing, a power cut at most some seconds of the time spent.
        self._file.append(json.dumps(line).encode(), sync=False)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note when a stage starts and how it ends."""
        self.write("started", stage=stage)
        try:
            yield
        except BaseException:
            self.write("stopped", stage=stage)
            raise
        self.write("finished", stage=stage)

    def beat(self) -> None:
        """Note, at most once a second, that work goes on: if it is killed, its time is known up to here."""
        if time.monotonic() - self._opened - self._last >= SECONDS_BETWEEN_BEATS:
            self.write("alive")

    def timing(self) -> dict[str, Any]:
        """Seconds spent in all and in each stage, over every time the run was opened, and when it began."""
        events = entries(self._file, "event", "clock", "at")
        total = 0.0
        stages: dict[str, float] = {}
        running: dict[str, float] = {}
        for event, following in zip(events, [*events[1:], {"event": "opened"}], strict=True):
            clock, stage = event["clock"], event.get("stage", "")
            if event["event"] == "started":
                running[stage] = clock
            elif event["event"] in ("finished", "stopped"):
                stages[stage] = stages.get(stage, 0.0) + clock - running.pop(stage, clock)
            if following["event"] == "opened":
                total += clock
                for cut_off, since in running.items():
                    stages[cut_off] = stages.get(cut_off, 0.0) + clock - since
                running.clear()
        return {
            "started": events[0]["at"],
            "opened": sum(event["event"] == "opened" for event in events),
            "seconds": round(total, 3),
            "stages": {stage: round(seconds, 3) for stage, seconds in stages.items()},
        }

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def is_json(line: bytes) -> bool:
    """Whether a line was written whole."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def entries(file: LineFile, *fields: str) -> list[dict[str, Any]]:
    """The lines of a file that is not synced: after a power cut some may be damaged, which are left out.

    So are lines without one of ``fields``.
    """
    lines = [json.loads(line) for line in file.lines() if is_json(line)]
    return [line for line in lines if set(fields) <= line.keys()]
