"""EvalScope's files: ``reviews/MODEL/SUITE_SUBSET.jsonl``, which hold responses and scores.

``predictions`` hold responses without scores, and ``reports`` means: neither is a log of scored items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from biddable.errors import FileError
from biddable.suites.logs.base import (
    Log,
    Logged,
    as_number,
    asked_of,
    counted,
    group_of,
    id_of,
    merged,
    text_of,
)
from biddable.tasks.rows import Row

KIND = "EvalScope"
_LM_EVAL = {f"prompt_level_{how}": f"prompt_level_{how}_acc" for how in ("strict", "loose")}
"""What lm-eval calls the same. ``inst_level`` metrics here are means over prompts: lm-eval has others."""


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether this is a review, the score of one response."""
    return isinstance(row.get("sample_score"), dict)


def refused(row: Mapping[str, Any]) -> str | None:
    """Why a file of EvalScope that begins with this is no log of scored items, if it is one."""
    if "reviewed" in row or "model_spec" in row or ("raw_input" in row and "choices" in row):
        return "a file of EvalScope before 1.0, expected reviews of 1.0 or later"
    if isinstance(row.get("model_output"), dict) and "index" in row:
        return (
            "EvalScope's predictions, which hold no scores: expected its reviews (reviews/MODEL/SUITE.jsonl)"
        )
    if "dataset_name" in row and "metrics" in row and "model_name" in row:
        return "EvalScope's report, which holds means: expected its reviews (reviews/MODEL/SUITE.jsonl)"
    return None


def read(path: Path, rows: Sequence[Row]) -> Log:
    """The log of one file of reviews. Raises FileError: a line (named) is no review."""
    items = [_item(row) for row in rows]
    whole, repeated = merged(items, [(item.position, item.id, item.prompt) for item in items])
    notes = (
        [f"{counted(repeated, 'item')} answered several times: their scores are means."] if repeated else []
    )
    if len({item.position for item in whole}) < len(whole):
        whole = [replace(item, position=place) for place, item in enumerate(whole)]
        notes.append("An index stands for several items: they are numbered as they stand in the file.")
    name = _model(rows) or path.parent.name or path.stem
    return Log(name, str(path), path.stem, KIND, tuple(whole), {}, tuple(notes))


def by_suite(logs: Sequence[Log], suites: Sequence[str]) -> list[Log]:
    """Logs of the subsets of a suite (``mmlu_anatomy``) as one, where a report names the suite."""
    together: dict[tuple[str, str], list[Log]] = {}
    for log in logs:
        fitting = [each for each in suites if log.suite == each or log.suite.startswith(f"{each}_")]
        suite = max(fitting, key=len, default=log.suite)
        subset = log.suite.removeprefix(suite).strip("_")
        items = tuple(replace(item, group=item.group or subset) for item in log.items)
        together.setdefault((log.name, suite), []).append(replace(log, suite=suite, items=items))
    return [_joined(each) for each in together.values()]


def _joined(logs: Sequence[Log]) -> Log:
    if len(logs) == 1:
        return logs[0]
    items = [item for log in logs for item in log.items]
    numbered = tuple(replace(item, position=place) for place, item in enumerate(items))
    notes = tuple(dict.fromkeys(note for log in logs for note in log.notes))
    return replace(logs[0], path=str(Path(logs[0].path).parent), items=numbered, notes=notes)


def _item(row: Row) -> Logged:
    value = row.value
    if not isinstance(value, dict) or not recognises(value):
        raise FileError(row.where, "expected a review of EvalScope, with sample_score")
    sample = value["sample_score"]
    score = sample.get("score")
    values = score.get("value") if isinstance(score, dict) else None
    if not isinstance(score, dict) or not isinstance(values, dict):
        raise FileError(row.where, "sample_score.score.value: expected an object of numbers")
    position = next(
        (each for each in (sample.get("group_id"), value.get("index")) if isinstance(each, int)), None
    )
    if position is None:
        raise FileError(row.where, "index: expected an integer")
    numbers = {str(name): as_number(each) for name, each in values.items()}
    kept = sample.get("sample_metadata")
    meta: dict[str, Any] = kept if isinstance(kept, dict) else {}
    response = score.get("prediction")
    target = value.get("target")
    read_from = score.get("extracted_prediction")
    return Logged(
        position=position,
        metrics={_LM_EVAL.get(name, name): each for name, each in numbers.items() if each is not None},
        id=id_of(meta),
        prompt=asked_of(value.get("messages")),
        response=response if isinstance(response, str) else text_of(response),
        references=(target,) if isinstance(target, str) and target else (),
        group=group_of(meta),
        unparsable=bool(response) and read_from in (None, ""),
    )


def _model(rows: Sequence[Row]) -> str:
    for row in rows:
        turns = row.value.get("messages") if isinstance(row.value, dict) else None
        for turn in turns if isinstance(turns, list) else ():
            if isinstance(turn, dict) and turn.get("role") == "assistant" and turn.get("model"):
                return str(turn["model"])
    return ""
