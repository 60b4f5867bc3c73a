"""Logs whose values are others than they should be are read, or refused in one line: no traceback."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import BiddableError
from biddable.report.logs import as_json, terminal_tables
from biddable.suites.comparison import compare_logs
from biddable.suites.logs import read_logs

from .made import PROMPTS, archive, inspect_log, lines, review, sample

JUNK: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    10**400,
    "",
    "x",
    [],
    [[]],
    {},
    {"a": [1]},
    [1, "a"],
    [True],
]
JUNK += [float("nan"), float("inf"), [0, 0], [1, 0], "C"]
RESULTS = {"results": {"t": {}}, "n-shot": {"t": 1}, "config": {"limit": 1}, "model_name": "m"}


def choices() -> list[Any]:
    arguments = {f"gen_args_{i}": {"arg_0": "q", "arg_1": " a"} for i in range(2)}
    scores = [["-1", "True"], ["-2", "False"]]
    more = {
        "word_perplexity": [-3.0, 2],
        "l": [True, False],
        "metrics": ["exact_match", "word_perplexity", "l"],
    }
    chosen = {"arguments": arguments, "resps": [[each] for each in scores], "filtered_resps": scores}
    return [sample(i, 1.0, **chosen, **more) for i in range(4)]


def followed() -> list[Any]:
    names = {"instruction_id_list": ["a", "b"], "response": "r"}
    return [names | {"follow_instruction_list": [True, False], "prompt": PROMPTS[i]} for i in range(4)]


def inspected() -> dict[str, Any]:
    log = inspect_log(["C", "I", "P", 0.5], plan={"steps": [{"solver": "x"}], "config": {"temperature": 1.0}})
    log["samples"][0]["scores"]["match"]["metadata"] = {"weight": 2.0}
    log["samples"][2]["input"] = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    log["eval"]["dataset"]["sample_ids"] = [1, 2, 3, 4]
    return log


MADE: dict[str, Any] = {
    "samples": lambda: [sample(i, float(i % 2)) for i in range(4)],
    "choices": choices,
    "verdicts": followed,
    "reviews": lambda: [review(i, {"prompt_level_strict": 1.0, "x": 0.5}) for i in range(4)],
    "json": inspected,
    "eval": inspected,
}


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*place, key)
        yield from places(value[key], (*place, key))


def damaged(value: Any, rng: random.Random) -> Any:
    value = copy.deepcopy(value)
    *above, last = rng.choice([*places(value)])
    inner = value
    for key in above:
        inner = inner[key]
    if rng.random() < 0.2 and isinstance(inner, dict):
        del inner[last]
    else:
        inner[last] = copy.deepcopy(rng.choice(JUNK))
    return value


@pytest.mark.parametrize("kind", MADE)
def test_no_damage_ends_in_a_traceback(tmp_path: Path, kind: str) -> None:
    rng = random.Random(0)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for _ in range(120):
        whole, broken = MADE[kind](), damaged(MADE[kind](), rng)
        if kind == "json":
            for name, log in (("a", whole), ("b", broken)):
                (tmp_path / name / "log.json").write_text(json.dumps(log))
        elif kind == "eval":
            try:
                archive(tmp_path / "b" / "log.eval", broken)
            except (KeyError, TypeError, IndexError):  # what the archive itself is made of
                continue
            archive(tmp_path / "a" / "log.eval", whole)
        else:
            lines(tmp_path / "a" / "samples_t.jsonl", whole)
            lines(tmp_path / "b" / "samples_t.jsonl", broken)
            (tmp_path / "b" / "results_t.json").write_text(json.dumps(damaged(RESULTS, rng)))
        try:
            compared = compare_logs([*read_logs(tmp_path / "a"), *read_logs(tmp_path / "b")])
        except BiddableError:  # each prints as one line
            continue
        json.dumps(as_json(compared), allow_nan=False)
        assert terminal_tables(compared)
