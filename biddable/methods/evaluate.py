"""Measuring how well a model follows verifiable instructions, inside a run folder."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biddable import registry
from biddable.errors import EndpointError, InputError, RunError
from biddable.experiments.figures import SHOWN, answers_to_read
from biddable.judges.answer import AnswerJudge
from biddable.judges.ifeval.judge import bind
from biddable.judges.ifeval.report import IFEvalReport
from biddable.judges.ifeval.report import evaluate as score
from biddable.judges.thinking import without_thinking
from biddable.models.base import LanguageModel, Sampling, TrainableModel
from biddable.models.lazy import LazyModel
from biddable.models.load import model_identity
from biddable.runs.codec import digest
from biddable.runs.executors import Executor, in_process
from biddable.runs.figures import Bars, Figure, Table, Trees, save_figures
from biddable.runs.files import read_json, write_atomic
from biddable.runs.folder import is_run
from biddable.runs.run import Run
from biddable.suites.answers import Ask, answers, not_plain
from biddable.tasks.suites import Suite
from biddable.types import Response, Task, last_turn

if TYPE_CHECKING:
    from biddable.models.openai import ServedOptions

MAX_TOKENS = 1280
"""IFEval's published setting (lm-eval's, too). With a quarter of it, answers of 400 words are cut off."""


def evaluate(
    model: str,
    suite: str = "ifeval",
    *,
    tasks: str | Path | None = None,
    limit: int | None = None,
    max_tokens: int | None = None,
    strip_thinking: bool = False,
    out: str | Path | None = None,
    served: ServedOptions | None = None,
    executor: Executor = in_process,
) -> IFEvalReport:
    """Let a model answer a suite greedily, and score what it says by the published rules.

    The same call again goes on where it was killed, and asks again what could not be answered. The run's
    ``artifacts/data/responses.jsonl`` holds the answers in the benchmark's own format. A task whose answer
    could not be had counts as not followed; ``unanswered`` of the report says which and why.

    Args:
        model: what ``load_model`` takes.
        suite: ``ifeval``, the published benchmark, ``composed``, held-out tasks of ours in its form, or the
            name that another package's suite is registered under.
        tasks: the file of the suite; ``composed`` has none.
        limit: only the first so many tasks (default: all of a file, 200 composed ones).
        max_tokens: longest response (default ``MAX_TOKENS``, or half the context of a model here that is
            made for fewer than twice as many).
        strip_thinking: judge answers without their blocks of thinking; the answers are kept whole.
        out: the run folder (default ``evaluation_folder(model, suite)``).
        served: how a served model is asked.
        executor: where answers are computed (``biddable.runs.executors``).

    Raises:
        InputError: an unknown suite, a task file missing or not wanted, tasks that rules cannot judge.
        FileError: the task file cannot be read.
        RunError: the folder holds another run, or the answers of other weights.
        EndpointError: no task could be answered.
    """
    suite_tasks = load_suite(suite, tasks, limit)
    config = {
        "model": model,
        "model_identity": model_identity(model),
        "suite": suite,
        "tasks": digest(suite_tasks),
        "limit": limit,
        "max_tokens": max_tokens,
    }
    folder = Path(out or evaluation_folder(model, suite))
    _require_same_weights(folder, config)
    with Run.open(folder, "eval", config, seed=0, executor=executor) as run:
        responses = _answers(run, model, suite_tasks, max_tokens, served)
        if all(response.error for response in responses):
            said = f"none of {len(responses)} tasks was answered; the first: {responses[0].error}"
            raise EndpointError(f"{model}: {said}")
        lines = [_line(task, found) for task, found in zip(suite_tasks, responses, strict=True)]
        write_atomic(run.artifact("data", "responses.jsonl"), "".join(lines))
        report = score(suite_tasks, responses, strip_thinking=strip_thinking)
        shown = _to_read(suite_tasks, responses, strip_thinking)
        figures = [_accuracies(report), _by_type(report), *_unanswered(report), shown]
        save_figures(run.folder / "figures.json", figures)
        run.describe(sentence_splitter=report.sentence_splitter)
        most = run.environment.get("max_tokens", max_tokens)
        run.finish([], metrics={**measured(report), "max_tokens": most}, notes=remarks(report, most))
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
    """``summarize``, and what is no part of the benchmark: degenerate, missing and cut-off answers."""
    return {
        **summarize(report),
        "degenerate": report.degenerate,
        "refused": len(report.unanswered),
        "cut_off": report.cut_off,
        "empty": report.empty,
        "thinking": report.thinking,
        "thinking_removed": report.thinking_removed,
    }


def remarks(report: IFEvalReport, max_tokens: int | None = None) -> list[str]:
    """What a reader of the scores must know, a sentence each; ``max_tokens`` is the limit of the answers."""
    n, missing = report.n_prompts, len(report.unanswered)
    found = [f"{missing} of {n} tasks have no answer and count as not followed."] if missing else []
    return found + not_plain(
        n,
        cut_off=report.cut_off,
        max_tokens=max_tokens,
        empty=report.empty,
        thinking=report.thinking,
        thinking_removed=report.thinking_removed,
    )


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


def _require_same_weights(folder: Path, config: dict[str, Any]) -> None:
    """Say what it means where a run was begun with other weights under the same name."""
    if not is_run(folder):
        return
    begun = read_json(folder / "config.json").get("config", {})
    same_name = begun.get("model") == config["model"]
    if same_name and begun.get("model_identity", config["model_identity"]) != config["model_identity"]:
        raise RunError(
            f"{folder}: the weights of {config['model']} are not those that gave the answers in it; "
            "choose another folder (--out), or remove this one"
        )


def _answers(
    run: Run, model: str, tasks: Sequence[Task], max_tokens: int | None, served: ServedOptions | None
) -> list[Response]:
    """The response to each task. One that could not be had in an earlier try is asked for again."""

    lazy = LazyModel(model, served)
    [(source, limit)] = run.map("model", [model], Facts(lazy, max_tokens), tuple[str, int], 1)
    run.describe(model_source=source, max_tokens=limit)
    ask = Ask(lazy, Sampling(max_tokens=limit, temperature=0.0))
    return [row[0] for row in answers(run, "responses", ask, [task.prompt for task in tasks])]


@dataclass(frozen=True)
class Facts:
    """Where a model came from and how long its answers may be, by the process that has it."""

    model: LazyModel
    max_tokens: int | None

    def __call__(self, batch: Sequence[str]) -> list[tuple[str, int]]:
        """The same for each name of a batch."""
        found = self.model()
        limit = self.max_tokens or default_max_tokens(found)
        return [(getattr(found, "source", found.name), limit) for _ in batch]


def default_max_tokens(model: LanguageModel) -> int:
    """``MAX_TOKENS``, or half the context of a model here that is made for fewer than twice as many."""
    if not isinstance(model, TrainableModel):
        return MAX_TOKENS
    from biddable.models.plain import context_of

    return min(MAX_TOKENS, context_of(model.module.config) // 2)


def _line(task: Task, response: Response) -> str:
    row = {"key": task.id, "prompt": last_turn(task.prompt), "response": response.text}
    row["finish_reason"] = response.finish_reason
    return json.dumps({**row, "error": response.error} if response.error else row) + "\n"


def _accuracies(report: IFEvalReport) -> Table:
    rows = (
        ("tasks (prompts)", report.n_prompts, report.prompt_strict, report.prompt_loose),
        ("instructions", report.n_instructions, report.inst_strict, report.inst_loose),
    )
    note = f"{report.degenerate:.0%} of answers say nothing: they loop, copy the request or are too short."
    return Table("Share followed", ("of", "n", "strict", "loose"), rows, note=note)


def _by_type(report: IFEvalReport) -> Bars:
    return Bars(
        "Instructions followed, by type",
        tuple(report.per_type),
        {
            "strict": tuple(found.strict for found in report.per_type.values()),
            "loose": tuple(found.loose for found in report.per_type.values()),
        },
        unit="share followed",
    )


def _unanswered(report: IFEvalReport) -> list[Figure]:
    if not report.unanswered:
        return []
    return [Table("Tasks without an answer", ("task", "reason"), report.unanswered)]


def _to_read(tasks: Sequence[Task], responses: Sequence[Response], strip_thinking: bool) -> Trees:
    shown = list(zip(tasks[:SHOWN], responses[:SHOWN], strict=True))
    texts = [without_thinking(found.text) if strip_thinking else found.text for _, found in shown]
    verdicts = AnswerJudge()([task for task, _ in shown], [Response(text) for text in texts])
    answers = [
        f"(no answer: {found.error})" if found.error else text
        for (_, found), text in zip(shown, texts, strict=True)
    ]
    return answers_to_read("Answers to read", [task for task, _ in shown], (answers, verdicts))
