"""Measuring how well a model follows verifiable instructions, inside a run folder."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biddable import registry
from biddable.errors import InputError
from biddable.judges.answer import AnswerJudge
from biddable.judges.ifeval.judge import bind
from biddable.judges.ifeval.report import IFEvalReport
from biddable.judges.ifeval.report import evaluate as score
from biddable.methods.answers import SHOWN, answers_to_read
from biddable.models.base import LanguageModel, Sampling
from biddable.models.load import load_model
from biddable.runs.figures import Bars, Trees, save_figures
from biddable.runs.files import write_atomic
from biddable.runs.run import Run
from biddable.tasks.suites import Suite
from biddable.types import Response, Task

BATCH = 128
"""Responses between two entries of the journal: what an interruption can lose, decoded side by side."""


def evaluate(
    model: str,
    suite: str = "ifeval",
    *,
    tasks: str | Path | None = None,
    limit: int | None = None,
    max_tokens: int = 320,
    out: str | Path | None = None,
) -> IFEvalReport:
    """Let a model answer a suite greedily, and score what it says by the published rules.

    The same call again goes on where it was killed. The run's ``artifacts/data/responses.jsonl`` holds the
    answers in the benchmark's own format.

    Args:
        model: what ``load_model`` takes.
        suite: ``ifeval``, the published benchmark, ``composed``, held-out tasks of ours in its form, or the
            name that another package's suite is registered under.
        tasks: the file of the suite; ``composed`` has none.
        limit: only the first so many tasks (default: all of a file, 200 composed ones).
        max_tokens: longest response.
        out: the run folder (default ``evaluation_folder(model, suite)``).

    Raises:
        InputError: an unknown suite, a task file missing or not wanted, tasks that rules cannot judge.
        FileError: the task file cannot be read.
    """
    suite_tasks = load_suite(suite, tasks, limit)
    config = {"model": model, "suite": suite, "limit": limit, "max_tokens": max_tokens}
    with Run.open(out or evaluation_folder(model, suite), "eval", config, seed=0) as run:
        texts = _answers(run, model, suite_tasks, max_tokens)
        lines = [json.dumps({"prompt": prompt, "response": text}) + "\n" for prompt, text in texts.items()]
        write_atomic(run.artifact("data", "responses.jsonl"), "".join(lines))
        report = score(suite_tasks, texts)
        save_figures(run.folder / "figures.json", [_by_type(report), _to_read(suite_tasks, texts)])
        run.describe(sentence_splitter=report.sentence_splitter)
        run.finish([], metrics=measured(report))
    return report


def evaluation_folder(model: str, suite: str) -> Path:
    """Where an evaluation is kept unless told otherwise: ``runs/eval-ifeval-smollm2``."""
    return Path("runs", re.sub(r"[^\w.-]+", "-", f"eval-{suite}-{model}"))


def load_suite(suite: str, path: str | Path | None, limit: int | None) -> list[Task]:
    """The first ``limit`` tasks of a suite, each of which the rules can judge. Raises as ``evaluate``."""
    load: Suite = registry.find("suites", suite)
    tasks = load(path, limit)
    if not tasks:
        raise InputError("tasks", path and str(path), f"something that the suite {suite} finds tasks in")
    for task in tasks:  # before the model answers for an hour
        bind(task)
    return tasks


def measured(report: IFEvalReport) -> dict[str, Any]:
    """``summarize``, and the share of degenerate responses, which is no part of the benchmark."""
    return {**summarize(report), "degenerate": report.degenerate}


def summarize(report: IFEvalReport) -> dict[str, Any]:
    """The scores without the outcomes they were counted from."""
    return {
        "prompt_strict": report.prompt_strict,
        "inst_strict": report.inst_strict,
        "prompt_loose": report.prompt_loose,
        "inst_loose": report.inst_loose,
        "per_type": {
            name: {"strict": found.strict, "loose": found.loose, "n": found.n}
            for name, found in report.per_type.items()
        },
        "n_prompts": report.n_prompts,
        "n_instructions": report.n_instructions,
    }


def _answers(run: Run, model: str, tasks: Sequence[Task], max_tokens: int) -> dict[str, str]:
    """The response to each prompt."""

    @functools.cache  # a resumed run may need no model at all
    def loaded() -> LanguageModel:
        found = load_model(model)
        run.describe(model_source=getattr(found, "source", found.name))
        return found

    greedy = Sampling(max_tokens=max_tokens, temperature=0.0)

    def answer(batch: list[Task]) -> list[Response]:
        return [rows[0] for rows in loaded().generate([task.prompt for task in batch], sampling=greedy)]

    responses = run.map("responses", tasks, answer, Response, BATCH)
    return {task.prompt[-1].content: found.text for task, found in zip(tasks, responses, strict=True)}


def _by_type(report: IFEvalReport) -> Bars:
    return Bars(
        "Instructions followed, by type",
        tuple(report.per_type),
        {
            "loose": tuple(found.loose for found in report.per_type.values()),
            "strict": tuple(found.strict for found in report.per_type.values()),
        },
        unit="share followed",
    )


def _to_read(tasks: Sequence[Task], texts: Mapping[str, str]) -> Trees:
    shown = tasks[:SHOWN]
    answers = [texts[task.prompt[-1].content] for task in shown]
    verdicts = AnswerJudge()(shown, [Response(text) for text in answers])
    return answers_to_read("Answers to read", shown, (answers, verdicts))
