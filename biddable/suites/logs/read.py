"""``read_logs``: the logs at a path, whoever wrote them, told by what they hold."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from biddable.errors import BiddableError, FileError
from biddable.runs.files import read_json
from biddable.runs.results import read_results
from biddable.suites.logs import evalscope, inspect_log, lm_eval, ours, plain, verdicts
from biddable.suites.logs.base import Log, counted
from biddable.suites.store import ORDER, is_evaluation, read_cell, read_cells
from biddable.tasks.rows import require_rows

EXPECTED = (
    "expected an evaluation of ours, samples of lm-evaluation-harness, a log of Inspect, reviews of "
    "EvalScope or verdicts of IFEval's code; or responses, and --tasks FILE"
)
MOST_FILES = 10_000
_SUFFIXES = (".jsonl", ".json", ".ndjson", ".eval", ".parquet", ".csv", ".jsonl.gz", ".json.gz")
_ARCHIVE = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Own:
    """How responses without scores are judged: their file of tasks, and the judge (see ``load_judge``)."""

    tasks: str | Path
    judge: str = plain.RULES


class _Unscored(FileError):
    """A file that is no log of scored items, but may stand beside one."""


def read_logs(path: str | Path, own: Own | None = None) -> list[Log]:
    """The logs at a path: of a file one; of a folder one for each model and suite in it.

    Args:
        path: a file or a folder; which tool wrote it is told by what it holds.
        own: how responses without scores are judged.

    Raises:
        FileError: there is nothing, no log, or one that is damaged or of another version.
    """
    place = Path(path)
    if is_evaluation(place):
        return _held(place, [ours.cell_log(cell, place) for cell in read_cells(place)])
    if os.path.isfile(place / "cell.json"):
        return [ours.cell_log(read_cell(place), place)]
    if os.path.isfile(place / "results.json") and "schema_version" in _object(place / "results.json"):
        return [_run(place, own)]
    if os.path.isdir(place):
        return _folder(place, own)
    return [_file(place, own)]


def _held(place: Path, logs: list[Log]) -> list[Log]:
    if not logs:
        raise FileError(place, "an evaluation without any answers yet")
    return logs


def _object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    return value if isinstance(value, dict) else {}


def _run(place: Path, own: Own | None) -> Log:
    results = read_results(place)
    if results.method != "eval":
        raise FileError(
            place, f"results of the method {results.method}, no log: compared only with another run's"
        )
    if own is None:
        return ours.run_log(place, results, ours.composed_tasks(results))
    return ours.run_log(place, results, plain.read_asked(own.tasks, own.judge), own.judge)


def _file(path: Path, own: Own | None) -> Log:
    """The log in a file. Raises FileError (``_Unscored`` where it is of a known kind without scores)."""
    if _start(path).startswith(_ARCHIVE):
        return inspect_log.read_archive(path)
    rows = require_rows(path)
    first = rows[0].value
    if not isinstance(first, dict):
        raise FileError(path, f"no log that is known, {EXPECTED}")
    if inspect_log.recognises(first):
        return inspect_log.read_json_log(path, first)
    for reader in (lm_eval, evalscope, verdicts):
        if reader.recognises(first):
            return reader.read(path, rows)
    if problem := lm_eval.refused(first) or evalscope.refused(first):
        raise _Unscored(path, problem)
    if not _is_response(first):
        raise _Unscored(path, f"no log that is known, {EXPECTED}")
    if own is None:
        raise _Unscored(path, "responses without scores: name their tasks (--tasks FILE, and --judge SPEC)")
    return plain.read(path, plain.read_asked(own.tasks, own.judge), own.judge)


def _start(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(4)
    except (OSError, ValueError):  # said by who reads the whole
        return b""


def _is_response(row: Mapping[str, Any]) -> bool:
    return any(name in row for name in ("response", "responses", "output", "error"))


def _folder(folder: Path, own: Own | None) -> list[Log]:
    files = [
        each for each in sorted(folder.rglob("*")) if each.name.lower().endswith(_SUFFIXES) and each.is_file()
    ]
    files = [
        file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]
    if len(files) > MOST_FILES:
        raise FileError(
            folder, f"{len(files):,} files, expected at most {MOST_FILES:,}: name the logs themselves"
        )
    ours_inside = [each.parent for each in files if each.name == ORDER and is_evaluation(each.parent)]
    logs: list[Log] = [log for each in ours_inside for log in read_logs(each)]
    beside: dict[Path, FileError] = {}
    for file in files:
        if any(each in file.parents for each in ours_inside):
            continue
        try:
            logs.append(_file(file, own))
        except FileError as error:
            beside[file] = error
    if not logs:
        raise next(iter(beside.values()), FileError(folder, f"holds no log, {EXPECTED}"))
    return _noted(_combined(logs, list(beside)), beside, folder)


def _combined(logs: list[Log], beside: list[Path]) -> list[Log]:
    """The files that a tool writes of one evaluation as one log; of lm-eval's repeated ones, the last."""
    readings: defaultdict[tuple[Path, str], list[Log]] = defaultdict(list)
    samples: dict[tuple[Path, str, str], Log] = {}
    others: list[Log] = []
    for log in logs:
        if log.kind == verdicts.KIND:
            readings[Path(log.path).parent, verdicts.model_of(log)].append(log)
        elif log.kind == lm_eval.KIND:
            key = Path(log.path).parent, log.name, log.suite
            if key in samples:  # names end in dates, and files come in the order of their names
                again = f"Earlier samples of the same are left aside: {samples[key].path}."
                log = replace(log, notes=(*log.notes, again))
            samples[key] = log
        elif log.kind != evalscope.KIND:
            others.append(log)
    models = Counter(folder for folder, _ in readings)
    joined = [
        verdicts.joined(each, folder, model if models[folder] > 1 else "")
        for (folder, model), each in readings.items()
    ]
    suites = [name for file in beside if isinstance(name := _object_or_none(file).get("dataset_name"), str)]
    reviews = evalscope.by_suite([log for log in logs if log.kind == evalscope.KIND], suites)
    return [*joined, *samples.values(), *others, *reviews]


def _object_or_none(file: Path) -> dict[str, Any]:
    if file.suffix != ".json":
        return {}
    try:
        return _object(file)
    except BiddableError:
        return {}


def _noted(logs: list[Log], beside: Mapping[Path, FileError], folder: Path) -> list[Log]:
    """The files of the folder that are not read, told with the first log: where they are damaged, each."""
    notes = [str(error) for error in beside.values() if not isinstance(error, _Unscored)]
    known = {"predictions", "reports"}
    unknown = [
        file
        for file, error in beside.items()
        if isinstance(error, _Unscored)
        and not known & {*file.relative_to(folder).parts}
        and not file.name.startswith("results")
    ]
    if unknown:
        more = ", …" if len(unknown) > 1 else ""
        notes.append(f"{counted(len(unknown), 'file')} without scores left aside: {unknown[0].name}{more}.")
    return [replace(logs[0], notes=(*logs[0].notes, *notes)), *logs[1:]]
