"""FollowBench and LLMBar as suites."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from biddable.errors import InputError
from biddable.suites import judged
from biddable.suites.load import load_suite
from biddable.types import Record, Response, Task
from tests.doubles import Scripted

DATA = Path(__file__).parents[3] / "shared" / "data"


def row(level: int, instruction: str, target: str = "") -> dict[str, object]:
    return {
        "example_id": 1,
        "category": "c",
        "source": "s",
        "level": level,
        "instruction": instruction,
        "target": target,
    }


def write(path: Path, rows: list[dict[str, object]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return str(path)


def answered(task: Task, judge, text: str) -> Record:
    response = Response(text)
    return Record(task, (response,), tuple(judge([task], [response])))


def test_templates_are_judged_by_rule_and_levels_in_a_row_are_counted(tmp_path: Path) -> None:
    target = "{instruction}\nSo: {answer}"
    path = write(tmp_path / "example_constraints.json", [row(n, f"Do {n}.", target) for n in range(1, 6)])
    suite = load_suite(f"followbench:{path}")
    assert [task.meta["group"] for task in suite.tasks] == [f"level {n}" for n in range(1, 6)]
    assert len({task.meta["source"] for task in suite.tasks}) == 1
    texts = ["So: a", "So: b", "no", "So: d", "So: e"]
    assert suite.judge
    records = [answered(task, suite.judge, text) for task, text in zip(suite.tasks, texts, strict=True)]
    assert [metric.measure(records[2]) for metric in suite.metrics] == [0.0, 0.0]
    assert suite.totals(records) == {"csl": 2.0}
    assert suite.totals(records[:3]) == {}  # a group that was not asked whole


def test_constraints_are_judged_by_the_model_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "style_constraints.json", [row(n, f"Do {n}.") for n in range(6)])
    with pytest.raises(InputError, match=r"judge=runs/judge"):
        load_suite(f"followbench:{path}")
    scripted = Scripted("['YES', 'NO']")
    loaded: list[str] = []

    def load(self: object) -> Scripted:
        loaded.append(self.weights)  # type: ignore[attr-defined]
        return scripted

    monkeypatch.setattr(judged.LazyModel, "__call__", load)
    suite = load_suite(f"followbench:{path}?judge=mine")
    assert not loaded
    assert suite.judge
    record = answered(suite.tasks[1], suite.judge, "text")
    assert loaded == ["mine"]
    assert [metric.measure(record) for metric in suite.metrics] == [0.0, 0.5]
    # Two words are no answer on three constraints: nothing is known of the response.
    unknown = answered(suite.tasks[2], suite.judge, "text")
    assert [metric.measure(unknown) for metric in suite.metrics] == [None, None]


def test_what_needs_a_judge_is_left_out_and_said(tmp_path: Path) -> None:
    target = "{instruction}\nSo: {answer}"
    write(tmp_path / "example_constraints.json", [row(n, f"Do {n}.", target) for n in range(1, 6)])
    assert load_suite(f"followbench:{tmp_path}").notes == ()
    write(tmp_path / "style_constraints.json", [row(n, f"Do {n}.") for n in range(6)])
    suite = load_suite(f"followbench:{tmp_path}")
    assert len(suite.tasks) == 5
    assert suite.notes == ("5 of 10 tasks need a model to judge (judge=MODEL): left out.",)


def test_a_pair_is_shown_in_both_orders(tmp_path: Path) -> None:
    pair = {"input": "Say hi.", "output_1": "Hi.", "output_2": "A poem on hi.", "label": 1}
    path = write(tmp_path / "Natural" / "dataset.json", [pair, {**pair, "label": 2}])
    suite = load_suite(f"llmbar:{path}")
    assert [task.references for task in suite.tasks] == [("1",), ("2",), ("2",), ("1",)]
    first, turned, *_ = (str(task.prompt) for task in suite.tasks)
    assert first.index("A poem") > first.index("Hi.")
    assert turned.index("A poem") < turned.index("Hi.")
    scores = [(-1.0, -2.0)] * 4  # always the first
    records = [Record(task, scores=each) for task, each in zip(suite.tasks, scores, strict=True)]
    numbers = [suite.metrics[0].measure(record) for record in records]
    assert numbers == [1.0, 0.0, 0.0, 1.0]
    measured = [
        replace(record, metrics={"acc": number}) for record, number in zip(records, numbers, strict=True)
    ]
    assert suite.totals(measured) == {"consistent": 0.0}
    # Neither order of the first pair has an answer: nothing of it is consistent.
    refused = Response("", finish_reason="error", error="too long")
    lost = [Record(task, (refused,), metrics={"acc": 0.0}) for task in suite.tasks[:2]]
    assert suite.totals([*lost, *measured[2:]]) == {"consistent": 0.0}
    assert suite.totals(lost) == {}
    unread = [Record(task, (Response("both"),), metrics={"acc": 0.0}) for task in suite.tasks[:2]]
    assert suite.totals(unread) == {}


@pytest.mark.skipif(not (DATA / "llmbar").is_dir(), reason="the published LLMBar is not there")
def test_the_published_sets_are_read() -> None:
    assert len(load_suite(f"llmbar:{DATA / 'llmbar'}").tasks) == 2 * 419
    assert len(load_suite(f"followbench:{DATA / 'followbench'}").tasks) == 5 * 40
