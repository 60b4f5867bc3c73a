"""Cells in other tools' formats: the samples and results of lm-evaluation-harness, and logs of Inspect.

What is written are the files that those tools write of evaluations of their own (lm-eval 0.4.13; version 2 of
Inspect's log), so that what reads theirs reads ours.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from biddable.runs.codec import digest, jsonable
from biddable.runs.files import replacing, write_atomic
from biddable.suites.instructions import LOOSE
from biddable.suites.metrics import chosen
from biddable.suites.store import Cell, Counted
from biddable.types import Prompt, Record, Response

Format = Literal["lm-eval", "inspect"]
_OUTPUT = {"generate": "generate_until", "choose": "multiple_choice", "perplexity": "loglikelihood_rolling"}
_INSTRUCTIONS = ("inst_level_strict_acc", "inst_level_loose_acc")
_STOPPED = {"stop": "stop", "length": "max_tokens", "error": "unknown"}


def export(
    cells: Sequence[Cell], folder: str | Path, to: Format, *, now: datetime | None = None
) -> list[Path]:
    """Write cells in another tool's format and return the files: for each model and suite one with its items.

    For lm-eval those are ``MODEL/samples_SUITE_DATE.jsonl`` and a ``MODEL/results_DATE.json``, for Inspect
    ``DATE_SUITE_MODEL.eval``.

    Args:
        cells: what is written.
        folder: where to; made if missing.
        to: which tool's format.
        now: the time that the files name (default: this moment).

    Raises:
        StorageError: writing failed.
    """
    now = now or datetime.now(UTC)
    write = _write_lm_eval if to == "lm-eval" else _write_inspect
    return write(cells, Path(folder), now)


def _write_lm_eval(cells: Sequence[Cell], folder: Path, now: datetime) -> list[Path]:
    date = now.replace(tzinfo=None).isoformat(timespec="microseconds").replace(":", "-")
    written = []
    for model in dict.fromkeys(cell.model for cell in cells):
        own = [cell for cell in cells if cell.model == model]
        place = folder / re.sub(r'["<>:/|\\?*\[\]]+', "__", model)
        for name, cell in zip(_task_names(own), own, strict=True):
            path = place / f"samples_{name}_{date}.jsonl"
            lines = [json.dumps(each, ensure_ascii=False) + "\n" for each in lm_eval_samples(cell)]
            write_atomic(path, "".join(lines).encode("utf-8", "replace"))
            written.append(path)
        text = json.dumps(lm_eval_results(own, now), indent=2, ensure_ascii=False)
        write_atomic(place / f"results_{date}.json", text.encode("utf-8", "replace"))
        written.append(place / f"results_{date}.json")
    return written


def lm_eval_samples(cell: Cell) -> list[dict[str, Any]]:
    """The rows of a file of samples, one for each record."""
    rows = []
    for place, record in enumerate(cell.records):
        doc, prompt = _doc(record), _prompt_text(record.task.prompt)
        arguments, responses = _requests(cell, record, prompt)
        target = record.task.references[0] if record.task.references else ""
        row = {
            "doc_id": place,
            "doc": doc,
            "target": target,
            "arguments": {f"gen_args_{i}": pair for i, pair in enumerate(arguments)},
            "resps": [
                [each] if isinstance(each, list) and cell.ask == "choose" else each for each in responses
            ],
            "filtered_resps": [each if cell.ask == "choose" else each[0] for each in responses],
            "filter": "none",
            "metrics": list(record.metrics),
            "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
            "prompt_hash": _hash(prompt),
            "target_hash": _hash(target),
        }
        rows.append(
            row | {name: _sample_value(name, value, record) for name, value in record.metrics.items()}
        )
    return rows


def lm_eval_results(cells: Sequence[Cell], now: datetime) -> dict[str, Any]:
    """The table of results of one model's cells."""
    names = _task_names(cells)
    by_name = list(zip(names, cells, strict=True))
    model = cells[0].model
    return {
        "results": {name: _means(name, cell) for name, cell in by_name},
        "group_subtasks": {name: [] for name in names},
        "configs": {name: _config(name, cell) for name, cell in by_name},
        "versions": {name: cell.judge for name, cell in by_name},
        "n-shot": {name: cell.shots for name, cell in by_name},
        "higher_is_better": {
            name: {metric.name: metric.higher_is_better for metric in cell.metrics} for name, cell in by_name
        },
        "n-samples": {
            name: {"original": len(cell.records), "effective": len(cell.records)} for name, cell in by_name
        },
        "config": {"model": "biddable", "model_args": f"pretrained={model}", "limit": None},
        "git_hash": None,
        "date": now.timestamp(),
        "task_hashes": {name: cell.tasks for name, cell in by_name},
        "model_source": "biddable",
        "model_name": model,
        "model_name_sanitized": re.sub(r'["<>:/|\\?*\[\]]+', "__", model),
        "chat_template": None,
        "total_evaluation_time_seconds": str(sum(cell.seconds for cell in cells)),
    }


def _means(name: str, cell: Cell) -> dict[str, Any]:
    row: dict[str, Any] = {"alias": name, "sample_len": len(cell.records)}
    for metric in cell.metrics:
        mean, error = _mean(cell, metric.name)
        row[f"{metric.name},none"] = math.exp(mean) if metric.scale == "exp" else mean
        # The error of a mean of nats is none of the perplexity's.
        row[f"{metric.name}_stderr,none"] = "N/A" if error is None or metric.scale == "exp" else error
    return row | {f"{name},none": value for name, value in cell.totals.items()}


def _mean(cell: Cell, metric: str) -> tuple[float, float | None]:
    """A metric's mean, and its standard error where all records weigh the same."""
    records = [record for record in cell.records if metric in record.metrics]
    values = np.array([record.metrics[metric] for record in records], dtype=np.float64)
    weights = np.array([record.weights.get(metric, 1.0) for record in records], dtype=np.float64)
    mean = float((values * weights).sum() / weights.sum())
    if len(values) < 2 or (weights != weights[0]).any():
        return mean, None
    return mean, float(values.std(ddof=1) / math.sqrt(len(values)))


def _config(name: str, cell: Cell) -> dict[str, Any]:
    return {
        "task": name,
        "output_type": _OUTPUT[cell.ask],
        "num_fewshot": cell.shots,
        "metric_list": [
            {"metric": metric.name, "higher_is_better": metric.higher_is_better} for metric in cell.metrics
        ],
        "metadata": {"version": cell.judge, "template": cell.template, "source": cell.source},
    }


def _doc(record: Record) -> dict[str, Any]:
    """A task as a row whose columns have one type in all tasks."""
    task = record.task
    return {
        "id": task.id,
        "prompt": _prompt_text(task.prompt),
        "choices": list(task.choices),
        "references": list(task.references),
        "group": str(task.meta.get("group") or ""),
        "source": str(task.meta.get("source") or ""),
        "checks": json.dumps(jsonable(list(task.checks))),
        "meta": json.dumps(jsonable(task.meta)),
    }


def _prompt_text(prompt: Prompt) -> str:
    """A raw text or a single turn as it is, a longer chat as JSON."""
    if isinstance(prompt, str):
        return prompt
    return prompt[0].content if len(prompt) == 1 else json.dumps(jsonable(list(prompt)), ensure_ascii=False)


def _requests(cell: Cell, record: Record, prompt: str) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """What was asked for an item, and what came: for each choice its log-probability, else all responses."""
    if cell.ask == "choose" and record.scores:
        pairs = [{"arg_0": prompt, "arg_1": choice} for choice in record.task.choices]
        # Whether a choice is what the model would have written by itself is not known.
        return pairs, [[str(score), "None"] for score in record.scores]
    if cell.ask == "perplexity":
        return [{"arg_0": prompt}], [[str(score) for score in record.scores]]
    if cell.ask == "choose":
        return [{"arg_0": prompt, "arg_1": ""}], [
            [record.responses[0].text if record.responses else "", "None"]
        ]
    sampling = dict(jsonable(cell.asked.get("sampling") or {}))
    how = {"until": list(sampling.get("stop") or []), "max_gen_toks": cell.max_tokens}
    if "temperature" in sampling:
        how |= {"temperature": sampling["temperature"], "do_sample": sampling["temperature"] > 0}
    return [{"arg_0": prompt, "arg_1": how}], [[each.text for each in record.responses] or [""]]


def _sample_value(name: str, value: float, record: Record) -> Any:
    """A metric of an item as lm-eval holds it: lists where items weigh differently."""
    weight = record.weights.get(name)
    if weight is None:
        return value
    if name.endswith("perplexity"):
        return [-value * weight, weight]
    if name == "bits_per_byte":
        return [-value * weight * math.log(2), weight]
    if name in _INSTRUCTIONS and (followed := _followed(record, loose="loose" in name)):
        return followed
    met = value * weight
    if weight == int(weight) and abs(met - round(met)) < 1e-6 and 0 <= met <= weight:
        return [place < round(met) for place in range(int(weight))]
    return value


def _followed(record: Record, *, loose: bool) -> list[bool]:
    """Which instructions are followed, in order; empty where samples differ, or a judge has no rules."""
    readings = {
        tuple(check.passed for check in verdict.checks if check.id.startswith(LOOSE) == loose)
        for verdict in record.verdicts
    }
    return list(readings.pop()) if len(readings) == 1 else []


def _task_names(cells: Sequence[Cell]) -> list[str]:
    """A name for each cell of one model; "a:b" and "a_b" are told apart by a number."""
    names: list[str] = []
    for cell in cells:
        name, number = _file_name(cell.suite), 1
        while (tried := name if number == 1 else f"{name}_{number}") in names:
            number += 1
        names.append(tried)
    return names


def _file_name(suite: str) -> str:
    return re.sub(r"\W", "_", suite)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _write_inspect(cells: Sequence[Cell], folder: Path, now: datetime) -> list[Path]:
    written = []
    for cell in cells:
        log = inspect_log(cell, now)
        named = f"{_file_name(cell.suite)}_{_file_name(Path(cell.model).name)}_{log['eval']['eval_id'][:8]}"
        path = folder / f"{now.isoformat(timespec='seconds').replace(':', '-')}_{named}.eval"
        with replacing(path) as temporary:
            _pack(temporary, log)
        written.append(path)
    return written


def inspect_log(cell: Cell, now: datetime) -> dict[str, Any]:
    """A cell as version 2 of Inspect's log: what its ``.json`` holds."""
    created = now.isoformat(timespec="seconds")
    name = digest([cell.name])
    facts = {
        "eval_id": name,
        "run_id": name,
        "task_id": name,
        "created": created,
        "task": cell.suite,
        "task_version": cell.judge,
        "task_args": {"shots": cell.shots, "template": cell.template},
        "dataset": {
            "name": cell.suite,
            "location": cell.source or None,
            "samples": len(cell.records),
            "sample_ids": [record.task.id for record in cell.records],
            "shuffled": False,
        },
        "model": cell.model,
        "config": {"epochs": 1},
        "scorers": [{"name": _scorer(metric)} for metric in cell.metrics],
        "metadata": {"license": cell.license, "notes": list(cell.notes), "ask": cell.ask}
        | {"totals": cell.totals},
    }
    return {
        "version": 2,
        "status": "success",
        "eval": facts,
        "plan": {"name": "plan", "steps": [{"solver": cell.ask, "params": {}}], "config": _generation(cell)},
        "results": {
            "total_samples": len(cell.records),
            "completed_samples": len(cell.records),
            "scores": [_score(cell, metric) for metric in cell.metrics],
        },
        "stats": {
            "started_at": created,
            "completed_at": created,
            "model_usage": {cell.model: _usage(cell.records)},
        },
        "samples": [_sample(cell, record) for record in cell.records],
    }


def _generation(cell: Cell) -> dict[str, Any]:
    return {"max_tokens": cell.max_tokens} if cell.ask == "generate" else {}


def _scorer(metric: Counted) -> str:
    """What a metric is called, of which Inspect takes the mean: that of a perplexity is one of nats."""
    return f"{metric.name}, nats" if metric.scale == "exp" else metric.name


def _score(cell: Cell, metric: Counted) -> dict[str, Any]:
    mean, error = _mean(cell, metric.name)
    numbers = {"mean": mean, "stderr": error}
    return {
        "name": _scorer(metric),
        "scorer": _scorer(metric),
        "metrics": {
            name: {"name": name, "value": value} for name, value in numbers.items() if value is not None
        },
    }


def _sample(cell: Cell, record: Record) -> dict[str, Any]:
    task = record.task
    asked = task.prompt if isinstance(task.prompt, str) else jsonable(list(task.prompt))
    turns = [{"role": "user", "content": asked}] if isinstance(asked, str) else list(asked)
    answers = record.responses or (Response(chosen(record) or "" if task.choices else ""),)
    choices = [
        {
            "message": {"role": "assistant", "content": each.text, "source": "generate"},
            "stop_reason": _STOPPED[each.finish_reason],
        }
        for each in answers
    ]
    critique = " ".join(verdict.critique for verdict in record.verdicts if verdict.critique)
    names = {metric.name: _scorer(metric) for metric in cell.metrics}
    scores = {
        names.get(name, name): {
            "value": value,
            "answer": answers[0].text,
            "explanation": critique or None,
            "metadata": {"weight": record.weights[name]} if name in record.weights else None,
        }
        for name, value in record.metrics.items()
    }
    output = {"model": cell.model, "choices": choices, "usage": _usage([record])}
    errors = [each.error for each in answers if each.error]
    return {
        "id": task.id,
        "epoch": 1,
        "input": asked,
        "choices": list(task.choices) or None,
        "target": list(task.references),
        "messages": [*turns, choices[0]["message"]],
        "output": output | ({"error": errors[0]} if errors else {}),
        "scores": scores,
        "metadata": jsonable({**task.meta, "checks": list(task.checks), "scores": list(record.scores)}),
        "store": {},
        "events": [],
        "attachments": {},
    }


def _usage(records: Sequence[Record]) -> dict[str, int]:
    read = sum(record.prompt_tokens for record in records)
    written = sum(len(each.token_ids) for record in records for each in record.responses)
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}


def _pack(path: Path, log: dict[str, Any]) -> None:
    """A log as the archive that Inspect keeps: a header, a file for each sample, and their summaries."""
    header = {name: value for name, value in log.items() if name != "samples"}
    kept = ("id", "epoch", "input", "choices", "target", "scores", "metadata")
    summaries = [{name: sample[name] for name in kept} | {"completed": True} for sample in log["samples"]]
    start = {"version": log["version"], "eval": log["eval"], "plan": log["plan"]}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        members = {
            "_journal/start.json": start,
            **{f"samples/{each['id']}_epoch_1.json": each for each in log["samples"]},
            "_journal/summaries/1.json": summaries,
            "summaries.json": summaries,
            "header.json": header,
        }
        for name, value in members.items():
            archive.writestr(name, json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
