"""Our own evaluations: the cells of a folder that ``biddable eval`` writes, and runs of its earlier kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from biddable.errors import FileError
from biddable.runs.codec import digest
from biddable.runs.results import Results
from biddable.suites.instructions import COMPOSED_TASKS, composed
from biddable.suites.logs import plain
from biddable.suites.logs.base import Log, Logged
from biddable.suites.store import Cell
from biddable.types import Record, Task, last_turn

KIND = "biddable"


def cell_log(cell: Cell, folder: str | Path) -> Log:
    """The log of a cell. Of a perplexity each item's number is in nats, and the mean is one of nats."""
    perplexities = {metric.name: f"{metric.name}, nats" for metric in cell.metrics if metric.scale == "exp"}
    items = tuple(_item(place, record, perplexities) for place, record in enumerate(cell.records))
    asked = {name: value for name, value in cell.asked.items() if name != "weights"}
    settings = {**asked, "template": cell.template, "shots": cell.shots, "judge": cell.judge}
    settings |= {"max_tokens": cell.max_tokens, "strip_thinking": cell.strip_thinking}
    if shown := (cell.asked.get("shots") or [])[1:]:
        settings["shown before tasks"] = shown
    return Log(cell.model, str(folder), cell.suite, KIND, items, settings, cell.notes)


def run_log(folder: Path, results: Results, tasks: list[Task] | None, judge: str = plain.RULES) -> Log:
    """The log of a run of IFEval's kind, which keeps responses but not what came of each.

    Raises:
        FileError: ``tasks`` are needed and not there, or a file of the run cannot be read.
    """
    config = results.config
    if tasks is None:
        hint = "name its tasks (--tasks FILE), or evaluate again into a folder of suites"
        raise FileError(folder, f"an evaluation that keeps no verdict on each task: {hint}")
    tasks = tasks[: config.get("limit") or None]
    log = plain.read(folder / "artifacts" / "data" / "responses.jsonl", tasks, judge)
    notes = [*log.notes]
    if config.get("tasks") != digest(tasks):
        notes.append("The tasks named with --tasks may not be the ones that it was measured on.")
    settings: dict[str, Any] = {name: config.get(name) for name in ("tasks", "limit", "max_tokens")}
    name, suite = str(config.get("model") or folder.name), str(config.get("suite") or "")
    return Log(name, str(folder), suite, f"{KIND}, judged by {judge}", log.items, settings, tuple(notes))


def composed_tasks(results: Results) -> list[Task] | None:
    """The tasks of a run on the suite that makes its own; None of any other."""
    if results.config.get("suite") != "composed":
        return None
    return list(composed(results.config.get("limit") or COMPOSED_TASKS).tasks)


def _item(place: int, record: Record, renamed: dict[str, str]) -> Logged:
    task = record.task
    return Logged(
        position=place,
        metrics={renamed.get(name, name): value for name, value in record.metrics.items()},
        weights={renamed.get(name, name): value for name, value in record.weights.items()},
        id=task.id,
        document=digest([task]),
        prompt=last_turn(task.prompt),
        response=record.responses[0].text if record.responses else "",
        references=task.references,
        group=str(task.meta.get("group") or ""),
        source=str(task.meta.get("source") or ""),
        unparsable=bool(record.verdicts) and all(each.score is None for each in record.verdicts),
    )
