"""Our judges, called by the real lm-evaluation-harness and the real Inspect."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import MissingDependency
from biddable.suites.logs import read_logs
from biddable.suites.plugins.rows import FIELD, numbers, row_of, verdict_on
from biddable.types import Check, Task, Verdict, user

from ..logs.made import lines

TASKS = [Task(str(i), user(f"Say {i}"), (Check("punctuation:no_comma"),)) for i in range(3)]
ANSWERS = ["one", "one, two", "three"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    plain: dict[str, Any] = {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    return lines(tmp_path / "tasks.jsonl", [plain | {"key": i, "prompt": f"Say {i}"} for i in range(3)])


def test_a_row_holds_the_whole_task() -> None:
    rows = [row_of(task) for task in TASKS]
    assert [verdict_on("rules", row, text).passed for row, text in zip(rows, ANSWERS, strict=True)] == [
        True,
        False,
        True,
    ]
    assert [*rows[0]] == [FIELD]
    assert numbers(Verdict(None, False)) == {"passed": 0.0, "score": 0.0}


def test_lm_eval_asks_and_our_judge_decides(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm_eval = pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.models.dummy import DummyLM

    from biddable.suites.plugins.lm_eval_task import lm_eval_task

    class Says(DummyLM):
        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            return [ANSWERS[int(request.args[0].split()[-1])] for request in requests]

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    task = lm_eval_task("mine", file, judge="rules")
    found = lm_eval.simple_evaluate(model=Says(), tasks=[task], log_samples=True, bootstrap_iters=0)
    assert found["results"]["mine"]["passed,none"] == pytest.approx(2 / 3)
    assert found["results"]["mine"]["score,none"] == pytest.approx(2 / 3)

    tracker = EvaluationTracker(output_path=str(tmp_path / "out"))
    tracker.general_config_tracker.log_experiment_args("dummy", "pretrained=says", "", "", False)
    tracker.save_results_aggregated(
        {key: value for key, value in found.items() if key not in ("samples", "configs")}, found["samples"]
    )
    tracker.save_results_samples("mine", found["samples"]["mine"])
    [log] = read_logs(tmp_path / "out")
    assert (log.name, log.suite, log.kind) == ("says", "mine", "lm-evaluation-harness")
    assert [item.metrics["passed"] for item in log.items] == [1.0, 0.0, 1.0]
    assert [item.response for item in log.items] == ANSWERS


def test_inspect_asks_and_our_judge_decides(file: Path, tmp_path: Path) -> None:
    inspect_ai = pytest.importorskip("inspect_ai", reason="inspect_ai is not installed")
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    from biddable.suites.plugins.inspect_scorer import biddable_judge, samples

    outputs = [ModelOutput.from_content("mockllm/model", text) for text in ANSWERS]
    for output in outputs:  # else the mock counts tokens with a tokenizer that it fetches
        output.usage = ModelUsage(input_tokens=3, output_tokens=2, total_tokens=5)
    task = inspect_ai.Task(samples(file), scorer=biddable_judge("rules"), name="mine")
    [log] = inspect_ai.eval(
        task,
        model=get_model("mockllm/model", custom_outputs=outputs),
        log_dir=str(tmp_path / "logs"),
        display="none",
        max_samples=1,
    )
    assert log.status == "success", log.error
    assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(2 / 3)
    assert '"punctuation:no_comma"' in log.samples[1].scores["biddable_judge"].metadata["failed"]
    [read] = read_logs(log.location)
    assert [item.metrics for item in read.items] == [{"biddable_judge": value} for value in (1.0, 0.0, 1.0)]
    assert [item.response for item in read.items] == ANSWERS


@pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is not None, reason="inspect_ai is installed")
def test_without_inspect_one_line_says_so() -> None:
    sys.modules.pop("biddable.suites.plugins.inspect_scorer", None)
    with pytest.raises(MissingDependency, match="pip install inspect-ai"):
        importlib.import_module("biddable.suites.plugins.inspect_scorer")
