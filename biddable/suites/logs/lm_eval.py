"""The samples of lm-evaluation-harness (``--log_samples``), with the results file that stands beside them.

Read are the samples of 0.4: one JSON object an item and filter, in a ``samples_TASK_DATE.jsonl`` (at first
one JSON list a task).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from biddable.errors import BiddableError, FileError
from biddable.runs.codec import digest
from biddable.runs.files import read_json
from biddable.suites.logs.base import Log, Logged, as_number, counted, group_of, id_of, merged, prompt_of
from biddable.tasks.rows import Row

KIND = "lm-evaluation-harness"
_PLAIN = {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"}
_PLAIN |= {"doc_hash", "prompt_hash", "target_hash"}
_PERPLEXITIES = ("word_perplexity", "byte_perplexity", "bits_per_byte")
_NAME = re.compile(r"samples_(.+?)(?:_(\d{4}-\d\d-\d\dT[\d.:-]+))?\.jsonl?(?:\.gz)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT")
_SETTINGS = (
    "model_args",
    "limit",
    "gen_kwargs",
    "fewshot_seed",
    "model_dtype",
    "model_revision",
    "model_sha",
)
_FORMATS = ("chat_template_sha", "system_instruction_sha", "fewshot_as_multiturn", "lm_eval_version")


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether this is a sample."""
    return "doc" in row and "doc_id" in row and ("filtered_resps" in row or "resps" in row)


def refused(row: Mapping[str, Any]) -> str | None:
    """Why a file of the harness that begins with this is no log of items, if it is one."""
    if "doc_id" in row and "truth" in row and "prompt_0" in row:
        return "items that lm-evaluation-harness 0.3 wrote out, expected samples of 0.4 (--log_samples)"
    if "results" in row and ("versions" in row or "configs" in row):
        return "lm-evaluation-harness's table of results, expected its samples (samples_TASK_DATE.jsonl)"
    return None


def read(path: Path, rows: Sequence[Row]) -> Log:
    """The log of one file of samples. Raises FileError: a line (named) is no sample."""
    name_parts = _NAME.fullmatch(path.name)
    task, date = (name_parts[1], name_parts[2] or "") if name_parts else (path.stem, "")
    left_out: set[str] = set()
    filters = {str(row.value.get("filter", "none")) for row in rows if isinstance(row.value, dict)}
    items = [_item(row, len(filters) > 1, left_out) for row in rows]
    # An item has a line for each filter.
    whole, _ = merged(items, [(item.position, item.document) for item in items])
    results = _results(path.parent, task, date)
    settings = _settings(results, task)
    notes = [f"{name} is of all items together: left out." for name in sorted(left_out)]
    times = Counter(
        (item.position, item.document, str(row.value.get("filter")))
        for item, row in zip(items, rows, strict=True)
    )
    if twice := len({key[:2] for key, n in times.items() if n > 1}):
        notes.append(f"{counted(twice, 'item')} in several lines: their scores are means.")
    if len({item.position for item in whole}) < len(whole):
        whole = [replace(item, position=place) for place, item in enumerate(whole)]
        notes.append("A doc_id stands for several documents: items are numbered as they stand in the file.")
    if repeats := len({row.value["doc_id"] for row in rows if _repeated(row.value)}):
        notes.append(f"{counted(repeats, 'item')} answered several times; the first response is shown.")
    name = results.get("model_name") if isinstance(results.get("model_name"), str) else ""
    return Log(
        name or path.parent.name or path.stem, str(path), task, KIND, tuple(whole), settings, (*notes,)
    )


def _item(row: Row, filters: bool, left_out: set[str]) -> Logged:
    value = row.value
    if not isinstance(value, dict) or not recognises(value):
        raise FileError(row.where, "expected a sample of lm-evaluation-harness, with doc, doc_id and resps")
    position = value["doc_id"]
    if isinstance(position, bool) or not isinstance(position, int):
        raise FileError(row.where, "doc_id: expected an integer")
    doc = value["doc"] if isinstance(value["doc"], dict) else {"text": value["doc"]}
    metrics: dict[str, float] = {}
    weights: dict[str, float] = {}
    listed = value.get("metrics")
    names = listed if isinstance(listed, list) and listed else [name for name in value if name not in _PLAIN]
    for name in map(str, names):
        number, weight = _number(name, value.get(name))
        if number is None:
            left_out.update([name] * (value.get(name) is not None))
            continue
        # Of several filters each has a number; with one alone its name says nothing.
        full = f"{name},{value.get('filter', 'none')}" if filters else name
        full = f"{full}, nats" if name.endswith("perplexity") else full
        metrics[full] = number
        weights.update({full: weight} if weight != 1 else {})
    return Logged(
        position=position,
        metrics=metrics,
        weights=weights,
        id=id_of(doc),
        document=str(value.get("doc_hash") or digest([doc])),
        prompt=prompt_of(doc) or _context(value),
        response=_response(value),
        references=(str(value["target"]),) if value.get("target") not in (None, "") else (),
        group=group_of(doc),
        source=str(doc.get("source") or "") if isinstance(doc.get("source"), str) else "",
        unparsable=value.get("filtered_resps") in (["[invalid]"], "[invalid]"),
    )


def _number(name: str, value: Any) -> tuple[float | None, float]:
    """A metric's number and its weight; (None, 1) where it is none of one item."""
    if (number := as_number(value)) is not None:
        # LAMBADA's perplexity: of an item the log-probability, whose mean is turned round at the end.
        return (-number if name == "perplexity" else number), 1.0
    if not isinstance(value, list) or not value:
        return None, 1.0
    numbers = [as_number(each) for each in value]
    if name in _PERPLEXITIES and len(value) == 2 and None not in numbers and value[1] > 0:
        # Nats (of bits_per_byte, bits) with the words or bytes that they are of.
        unit = math.log(2) if name == "bits_per_byte" else 1.0
        return -value[0] / value[1] / unit, float(value[1])
    if all(isinstance(each, bool) for each in value):
        return sum(value) / len(value), float(len(value))
    return None, 1.0


def _context(value: Mapping[str, Any]) -> str:
    """What the model was given first; the same for all choices of an item."""
    given = _argument(value, 0, 0)
    if not isinstance(given, str):
        return ""
    try:
        turns = json.loads(given)  # a chat, where a template was not applied yet
    except ValueError:
        return given
    return str(turns[0]) if isinstance(turns, list) and len(turns) == 1 else given


def _argument(value: Mapping[str, Any], request: int, place: int) -> Any:
    """What stands at a place of one of an item's requests; None where nothing does."""
    arguments = value.get("arguments")
    if isinstance(arguments, dict):  # since 0.4.4
        asked = arguments.get(f"gen_args_{request}")
        return asked.get(f"arg_{place}") if isinstance(asked, dict) else None
    asked = arguments[request] if isinstance(arguments, list) and len(arguments) > request else None
    return asked[place] if isinstance(asked, list) and len(asked) > place else None


def _response(value: Mapping[str, Any]) -> str:
    """What the model wrote; of choices, the likeliest one."""
    responses = value.get("filtered_resps")
    if not isinstance(responses, list) or not responses:
        return ""
    if isinstance(responses[0], str):
        return responses[0]
    scores = [as_number(_float(each[0])) if isinstance(each, list) and each else None for each in responses]
    if any(score is None for score in scores) or len(responses) < 2:
        return ""
    best = max(range(len(scores)), key=lambda place: scores[place] or 0.0)
    return str(_argument(value, best, 1) or "")


def _float(value: Any) -> Any:
    """Newer samples hold log-probabilities as texts."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _repeated(value: Mapping[str, Any]) -> bool:
    """Whether a request was answered several times; [log-probability, is it the greedy one] is one answer."""
    responses = value.get("resps")
    first = responses[0] if isinstance(responses, list) and responses else None
    if not isinstance(first, list) or len(first) < 2 or not all(isinstance(each, str) for each in first):
        return False
    return not (len(first) == 2 and first[1] in ("True", "False"))


def _results(folder: Path, task: str, date: str) -> dict[str, Any]:
    """The table of results of the same evaluation, if it stands beside the samples.

    A table whose name has another date than the samples' is of another evaluation.
    """
    files = sorted(folder.glob("results*.json"), key=lambda file: date not in file.name)
    for file in files:
        if date and date not in file.name and _DATE.search(file.name):
            continue
        try:
            table = read_json(file)
        except BiddableError:
            continue
        if isinstance(table, dict) and isinstance(table.get("results"), dict) and task in table["results"]:
            return table
    return {}


def _settings(results: Mapping[str, Any], task: str) -> dict[str, Any]:
    def of(name: str) -> Any:
        part = results.get(name)
        return part.get(task) if isinstance(part, dict) else None

    config = results.get("config")
    plain = {"shots": of("n-shot"), "version": of("versions")}
    plain |= {name: config.get(name) for name in _SETTINGS} if isinstance(config, dict) else {}
    plain |= {name: results.get(name) for name in _FORMATS}
    return {name: value for name, value in plain.items() if value not in (None, "", {})}
