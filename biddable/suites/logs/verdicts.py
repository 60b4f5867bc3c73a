"""The verdict files of IFEval's official code and of those that follow it (M-IFEval, IFBench).

``eval_results_strict.jsonl`` and ``eval_results_loose.jsonl``, a line for each prompt; which reading of the
rules a file holds is said by its name alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from biddable.errors import FileError, shown
from biddable.suites.logs.base import Log, Logged, id_of
from biddable.tasks.rows import Row

KIND = "IFEval's verdicts"
_READING = re.compile(r"[_. -]*(strict|loose)", re.IGNORECASE)
_ENDING = re.compile(r"\.(jsonl?|ndjson|parquet|csv)(\.gz)?$", re.IGNORECASE)


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether this is a verdict on the instructions of one prompt."""
    return "follow_instruction_list" in row


def read(path: Path, rows: Sequence[Row]) -> Log:
    """The log of one file. Raises FileError: a line (named) holds no verdict for each instruction."""
    stem = path.name.lower()
    reading = "strict_" if "strict" in stem else "loose_" if "loose" in stem else ""
    items = tuple(_item(place, row, reading) for place, row in enumerate(rows))
    return Log(path.parent.name or path.stem, str(path), "ifeval", KIND, items)


def model_of(log: Log) -> str:
    """What the names of a model's files have in common: the name without its reading of the rules."""
    return _READING.sub("", _ENDING.sub("", Path(log.path).name)).strip("_- .")


def joined(logs: Sequence[Log], folder: Path, model: str = "") -> Log:
    """The files of one model, which hold the same prompts in the same order, as one log.

    Args:
        logs: one for each file.
        folder: where they are.
        model: what the log is called; empty: as its folder is.

    Raises:
        FileError: they hold other prompts: another number of lines, or other instructions.
    """
    if len(logs) == 1:
        return replace(logs[0], name=model or logs[0].name)
    logs = sorted(logs, key=lambda log: not any(item.prompt for item in log.items))  # with texts first
    first = logs[0]
    items = list(first.items)
    for log in logs[1:]:
        if twice := {*log.metrics} & {*first.metrics}:
            raise FileError(log.path, f"holds {min(twice)}, as {Path(first.path).name} beside it does")
        if len(log.items) != len(items):
            raise FileError(
                log.path, f"{len(log.items)} verdicts, {Path(first.path).name} beside it has {len(items)}"
            )
        for place, other in enumerate(log.items):
            if other.group != items[place].group or (other.prompt and other.prompt != items[place].prompt):
                line = place + 1
                raise FileError(log.path, f"another prompt than in {Path(first.path).name}", line=line)
            items[place] = replace(
                items[place],
                metrics=items[place].metrics | other.metrics,
                weights=items[place].weights | other.weights,
            )
    path = first.path if model else str(folder)
    return replace(first, name=model or first.name, path=path, items=tuple(items))


def _item(place: int, row: Row, reading: str) -> Logged:
    value = row.value
    if not isinstance(value, dict) or not recognises(value):
        raise FileError(row.where, "expected a verdict of IFEval's code, with follow_instruction_list")
    followed, ids = value["follow_instruction_list"], value.get("instruction_id_list") or []
    sound = isinstance(followed, list) and followed and all(isinstance(each, bool) for each in followed)
    if not sound:
        problem = f"follow_instruction_list is {shown(followed)}, expected a list of true and false"
        raise FileError(row.where, problem)
    if not isinstance(ids, list):
        raise FileError(row.where, f"instruction_id_list is {shown(ids)}, expected a list")
    if ids and len(ids) != len(followed):
        raise FileError(row.where, f"{len(followed)} verdicts for {len(ids)} instructions")
    prompts, instructions = f"prompt_level_{reading}acc", f"inst_level_{reading}acc"
    return Logged(
        position=place,
        metrics={prompts: float(all(followed)), instructions: sum(followed) / len(followed)},
        weights={instructions: float(len(followed))},
        id=id_of(value),
        prompt=str(value.get("prompt") or ""),
        response=str(value.get("response") or ""),
        group=", ".join(map(str, ids)),
    )
