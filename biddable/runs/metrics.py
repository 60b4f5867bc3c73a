"""Curves: one line for each step of each training stage, never two for the same step."""

from __future__ import annotations

import json
import math
from pathlib import Path

from biddable.runs.files import LineFile, write_atomic
from biddable.runs.journal import entries, is_json


class Metrics:
    """The ``metrics.jsonl`` of a run: lines of ``stage``, ``step`` and named numbers.

    Steps of a stage only grow. A step at or before the last one of its stage means that the stage goes
    on from an earlier point than the killed process had reached: that step and all later ones of
    the stage are dropped before the line is added.
    """

    def __init__(self, path: Path):
        self._path = path
        self._file = LineFile(path, intact=is_json)
        self._last: dict[str, int] = {}
        for entry in entries(self._file, "stage", "step"):
            self._last[entry["stage"]] = entry["step"]

    def add(self, stage: str, step: int, metrics: dict[str, float]) -> None:
        """Add a line. What is not finite is written as null, which every JSON reader takes."""
        if step <= self._last.get(stage, step - 1):
            self._drop(stage, step)
        numbers = {name: float(value) if math.isfinite(value) else None for name, value in metrics.items()}
        self._file.append(json.dumps({"stage": stage, "step": step, **numbers}).encode(), sync=False)
        self._last[stage] = step

    def curve(self, stage: str, name: str) -> list[tuple[int, float]]:
        """(step, number) of a stage, in order; without what was not finite."""
        entries_of_stage = (
            entry for entry in entries(self._file, "stage", "step") if entry["stage"] == stage
        )
        return [(entry["step"], entry[name]) for entry in entries_of_stage if entry.get(name) is not None]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _drop(self, stage: str, first: int) -> None:
        stays = [
            entry
            for entry in entries(self._file, "stage", "step")
            if entry["stage"] != stage or entry["step"] < first
        ]
        self._file.close()
        write_atomic(self._path, "".join(json.dumps(entry) + "\n" for entry in stays))
        self._file = LineFile(self._path, intact=is_json)
