"""Our own evaluations as logs: cells of a folder, and runs of the earlier kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import FileError
from biddable.runs.codec import digest
from biddable.runs.results import write_results
from biddable.suites.comparison import compare_logs
from biddable.suites.instructions import composed
from biddable.suites.logs import Own, read_logs
from biddable.suites.store import Cell, Counted, write_cell
from biddable.types import Record, Response, Task, Verdict, last_turn

from .made import lines


def cell(model: str, right: list[bool], *, tasks: str = "1f", **facts: Any) -> Cell:
    records = tuple(
        Record(
            Task(
                f"t{i}", f"What is {i}?", references=(str(i),), meta={"group": "sums", "source": f"p{i // 2}"}
            ),
            (Response(str(i)),),
            (Verdict(float(each), each) if each else Verdict(None, False),),
            metrics={"exact_match": float(each), "ppl": 1.5},
            weights={"ppl": 3.0},
        )
        for i, each in enumerate(right)
    )
    asked = {"weights": model, "tasks": tasks, "shots": [0, "", ""]}
    metrics = (Counted("exact_match"), Counted("ppl", False, "exp"))
    plain = {"ask": "generate", "template": "chat", "shots": 0, "max_tokens": 9, "judge": "1", "seconds": 1.0}
    return Cell(f"s-{model}-{tasks}", model, "s", asked, metrics, **(plain | facts), records=records)  # type: ignore[arg-type]


def test_a_folder_of_cells_is_a_log_for_each_model(tmp_path: Path) -> None:
    write_cell(tmp_path, cell("m", [True, False, True, False]))
    write_cell(tmp_path, cell("n", [True, True, True, True], template="none"))
    logs = read_logs(tmp_path)
    assert [(log.name, log.suite) for log in logs] == [("m", "s"), ("n", "s")]
    first = logs[0].items[1]
    assert (first.id, first.prompt, first.response, first.group) == ("t1", "What is 1?", "1", "sums")
    assert (first.metrics, first.weights) == ({"exact_match": 0.0, "ppl, nats": 1.5}, {"ppl, nats": 3.0})
    assert [item.unparsable for item in logs[0].items] == [False, True, False, True]
    [part] = compare_logs(logs)
    assert part.rows[0].difference == 0.5
    assert part.rows[0].interval_kind == "t over 2 clusters of 4 cases"
    assert part.settings == (("template", ("chat", "none")),)
    assert read_logs(tmp_path / "cells" / "s-m-1f")[0].name == "m"


def test_cells_of_other_task_files_are_told(tmp_path: Path) -> None:
    write_cell(tmp_path / "a", cell("m", [True, False, True]))
    write_cell(tmp_path / "b", cell("n", [True, False], tasks="2c"))
    [part] = compare_logs([*read_logs(tmp_path / "a"), *read_logs(tmp_path / "b")])
    assert part.notes[0] == "Their task files differ: only items that both have are compared."
    assert "n: 2 items shared with m; 1 only in m: left out." in part.notes


def test_a_folder_above_evaluations_holds_their_logs(tmp_path: Path) -> None:
    write_cell(tmp_path / "a", cell("m", [True]))
    write_cell(tmp_path / "b", cell("n", [True]))
    assert [log.name for log in read_logs(tmp_path)] == ["m", "n"]


def earlier_run(folder: Path, suite: str, tasks: list[Task]) -> Path:
    """A run as ``biddable eval`` left it before there were cells."""
    lines(
        folder / "artifacts" / "data" / "responses.jsonl",
        [{"key": task.id, "prompt": last_turn(task.prompt), "response": "yes"} for task in tasks],
    )
    config = {"model": "m", "suite": suite, "tasks": digest(tasks), "limit": len(tasks), "max_tokens": 9}
    plain = {"schema_version": 1, "method": "eval", "comparisons": [], "config": config}
    write_results(folder / "results.json", plain | {"environment": {}, "timing": {}})
    return folder


def test_an_earlier_run_is_judged_again(tmp_path: Path) -> None:
    folder = earlier_run(tmp_path / "run", "composed", list(composed(5).tasks))
    [log] = read_logs(folder)
    assert (log.name, log.suite, len(log.items), log.notes) == ("m", "composed", 5, ())
    assert log.metrics[0] == "prompt_level_strict_acc"


def test_an_earlier_run_of_a_file_needs_the_file(tmp_path: Path) -> None:
    row = {"key": 1, "prompt": "say", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    tasks = lines(tmp_path / "tasks.jsonl", [row])
    folder = earlier_run(tmp_path / "run", "ifeval", [Task("1", "say")])
    with pytest.raises(
        FileError, match=r"run: an evaluation that keeps no verdict on each task: name its tasks"
    ):
        read_logs(folder)
    [log] = read_logs(folder, Own(tasks))
    assert log.items[0].metrics["prompt_level_strict_acc"] == 1.0
    assert log.notes == ("The tasks named with --tasks may not be the ones that it was measured on.",)


def test_a_run_of_a_method_is_no_log(tmp_path: Path) -> None:
    folder = earlier_run(tmp_path / "run", "composed", [])
    results = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(results | {"method": "spar"}))
    with pytest.raises(FileError, match="results of the method spar"):
        read_logs(folder)
