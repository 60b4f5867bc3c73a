"""One model on one suite: its answers as a stage of a run, judged and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from biddable.config import Count, settings
from biddable.errors import EndpointError, InputError
from biddable.judges.summary import judge_responses
from biddable.judges.thinking import without_thinking
from biddable.models.lazy import LazyModel
from biddable.models.load import model_identity
from biddable.runs.codec import digest
from biddable.runs.run import Run
from biddable.suites.answers import map_again
from biddable.suites.asking import Answer, Asking, Query
from biddable.suites.base import Metric, Suite, by_meta, check_suite
from biddable.suites.metrics import JUDGED
from biddable.suites.store import Cell, Counted, cell_name, write_cell
from biddable.tasks.templates import PromptTemplate, Template, read_prompt
from biddable.types import Record, Task, Verdict

if TYPE_CHECKING:
    from biddable.models.openai import ServedOptions


@settings
class EvaluateSettings:
    """How models are asked, where it is not as the suites say."""

    limit: Count | None = None
    """Only so many tasks of each suite, as many of each of its groups, from the first."""
    shots: int | None = None
    """Solved examples before each task, at most."""
    samples: Count | None = None
    """Responses to each task; its numbers are their means. Default: as the suite needs, mostly 1."""
    temperature: float | None = None
    """0: the likeliest token. Above 0 responses are drawn."""
    max_tokens: Count | None = None
    """Longest response."""
    template: Template = "auto"
    """Prompts as a user's turn (chat), as raw text (none), or (auto) a turn where there is a template."""
    prompt: Path | None = None
    """What stands around every task: a run that found a prompt, its prompt.json, or a text file."""
    judge: str | None = None
    """Who judges written responses (see ``load_judge``)."""
    strip_thinking: bool = False
    """Judge responses without their blocks of thinking; they are kept whole."""


def as_asked(suite: Suite, settings: EvaluateSettings) -> Suite:
    """A suite with what the settings change of it. Raises InputError: it cannot be measured so."""
    if settings.judge is not None and suite.ask == "generate":
        from biddable.judges.load import load_judge

        judge, version = load_judge(settings.judge), f"{suite.version} {settings.judge}"
        # Groups and totals of the suite are of its own metrics.
        suite = replace(
            suite,
            judge=judge,
            version=version,
            metrics=JUDGED,
            groups=by_meta,
            totals=lambda records: {},
        )
    sampling = suite.sampling
    if settings.temperature is not None:
        sampling = replace(sampling, temperature=settings.temperature)
    if settings.max_tokens is not None:
        sampling = replace(sampling, max_tokens=settings.max_tokens)
    samples = suite.samples if settings.samples is None else settings.samples
    if samples < suite.samples:
        raise InputError("samples", samples, f"at least {suite.samples}, which {suite.name} counts over")
    if samples > 1 and sampling.temperature == 0 and suite.ask == "generate":
        raise InputError("samples", samples, "1 at temperature 0, where all are the same")
    k = suite.k if settings.shots is None else settings.shots
    tasks = suite.tasks if settings.limit is None else _limited(suite.tasks, settings.limit)
    suite = replace(suite, tasks=tasks, sampling=sampling, samples=samples, k=k)
    check_suite(suite)
    return suite


def called(model: str | Path, settings: EvaluateSettings) -> str:
    """What a model is called in records and leaderboards: with its prompt, where one stands around tasks."""
    return str(model) if settings.prompt is None else f"{model} with {settings.prompt}"


def _limited(tasks: Sequence[Task], limit: int) -> tuple[Task, ...]:
    """So many tasks, as many of each group (``meta["group"]``) as can be, from the first, in their order."""
    turns: dict[str, int] = {}
    ranks = []
    for place, task in enumerate(tasks):
        group = str(task.meta.get("group", ""))
        turns[group] = turns.get(group, 0) + 1
        ranks.append((turns[group], place))
    return tuple(tasks[place] for place in sorted(place for _, place in sorted(ranks)[:limit]))


def evaluate_cell(
    run: Run,
    model: str | Path | LazyModel,
    suite: Suite,
    settings: EvaluateSettings | None = None,
    *,
    identity: str | None = None,
    served: ServedOptions | None = None,
    name: str | None = None,
    again: bool = False,
) -> Cell:
    """One model's answers to one suite, as stages of a run, and kept in its folder.

    Args:
        run: any run; a method's, too.
        model: what ``load_model`` takes; or a lazy model, which several cells load once.
        suite: a checked suite.
        settings: how the model is asked.
        identity: what tells its weights from others under that name (default ``model_identity``).
        served: how a served model is asked.
        name: what the model is called in records and leaderboards (default: as it was named).
        again: whether answers that could not be had before the run was killed are asked for again, which no
            later stage of the run may depend on.
    """
    lazy = model if isinstance(model, LazyModel) else LazyModel(model, served)
    settings = settings or EvaluateSettings()
    name = name or called(lazy.weights, settings)
    around = None if settings.prompt is None else read_prompt(settings.prompt)
    weights = model_identity(lazy.weights) if identity is None else identity
    asked = _identity(suite, settings, weights, around)
    cell = cell_name(suite.name, name, asked)
    asking = Asking(
        lazy,
        suite.ask,
        suite.sampling,
        suite.samples,
        settings.template,
        suite.k,
        suite.separator,
        around,
    )
    # 1. Answers, [tasks], from the journal or the model.
    answers = _answers(run, cell, asking, suite, again=again)
    reasons = [each.error for answer in answers for each in answer.responses]
    if reasons and all(reasons):
        raise EndpointError(
            f"{name}: none of {len(answers)} tasks of {suite.name} was answered; {reasons[0]}"
        )

    # 2. Verdicts, [tasks][samples]; of suites that ask to choose there are none.
    verdicts = _verdicts(suite, answers, settings.strip_thinking)

    # 3. Numbers. A metric that no answer has is none of this cell's: a reward model does not say what passes.
    rows = zip(suite.tasks, answers, verdicts, strict=True)
    records = [_record(suite, *row) for row in rows]
    answered = [record for record in records if not any(each.error for each in record.responses)]
    metrics = [each for each in suite.metrics if any(each.name in record.metrics for record in answered)]
    if not metrics:
        critique = next((each.critique for record in answered for each in record.verdicts), "")
        expected = "a judge that decides on the suite's tasks"
        raise InputError("judge", settings.judge or suite.name, f"{expected}; it says: {critique}")
    kept = Cell(
        name=cell,
        model=name,
        suite=suite.name,
        asked=asked,
        metrics=tuple(_counted(metric, suite.tasks) for metric in metrics),
        ask=suite.ask,
        template=answers[0].template,
        shots=suite.k,
        max_tokens=answers[0].limit,
        judge=suite.version,
        seconds=run.seconds(cell),
        strip_thinking=settings.strip_thinking,
        totals=suite.totals(records),
        source=suite.source,
        license=suite.license,
        notes=suite.notes,
        records=tuple(_only(record, metrics) for record in records),
    )
    write_cell(run.folder, kept)
    return kept


def _identity(
    suite: Suite, settings: EvaluateSettings, weights: str, around: PromptTemplate | None
) -> dict[str, Any]:
    """All that the answers depend on."""
    shots = digest([group, each] for group, each in sorted(suite.shots.items())) if suite.shots else ""
    return {
        "weights": weights,
        "tasks": digest(suite.tasks),
        "ask": suite.ask,
        "shots": [suite.k, shots, suite.separator],
        "sampling": suite.sampling if suite.ask == "generate" else None,
        "samples": suite.samples,
        "template": settings.template,
        "priors": digest(map(suite.prior, suite.tasks)) if suite.prior else "",
        **({} if around is None else {"prompt": digest([asdict(around)])}),
    }


def _answers(run: Run, cell: str, asking: Asking, suite: Suite, *, again: bool) -> list[Answer]:
    """The answer to each task."""
    queries = [
        Query(
            prompt=task.prompt,
            choices=task.choices if suite.ask == "choose" else (),
            shots=suite.shots_of(task),
            prior=suite.prior(task) if suite.prior else None,
            seed=seed,
        )
        for seed, task in enumerate(suite.tasks)
    ]
    return map_again(
        run,
        cell,
        queries,
        asking,
        Answer,
        lambda answer: any(each.error for each in answer.responses),
        key=lambda query: (query.prompt, query.choices),
        some=again,
    )


def _verdicts(suite: Suite, answers: Sequence[Answer], strip: bool) -> list[tuple[Verdict, ...]]:
    if suite.judge is None or suite.ask != "generate":
        return [()] * len(answers)
    tasks = [task for task, answer in zip(suite.tasks, answers, strict=True) for _ in answer.responses]
    responses = [response for answer in answers for response in answer.responses]
    if strip:
        responses = [replace(each, text=without_thinking(each.text)) for each in responses]
    verdicts = iter(judge_responses(suite.judge, tasks, responses))
    return [tuple(next(verdicts) for _ in answer.responses) for answer in answers]


def _record(suite: Suite, task: Task, answer: Answer, verdicts: tuple[Verdict, ...]) -> Record:
    # Token ids and their log-probabilities would make a file of records five times as long.
    responses = tuple(replace(each, logprobs=()) for each in answer.responses)
    bare = Record(
        task,
        responses,
        verdicts,
        answer.scores,
        answer.priors,
        shots=answer.shots,
        prompt_tokens=answer.prompt_tokens,
    )
    refused = any(each.error for each in responses)
    numbers = {each.name: each.unanswered if refused else each.measure(bare) for each in suite.metrics}
    metrics = {name: float(number) for name, number in numbers.items() if number is not None}
    weights = {each.name: float(each.weight(bare)) for each in suite.metrics if each.weight}
    headline = metrics.get(suite.metrics[0].name)
    groups = () if headline is None else tuple(suite.groups(bare, headline))
    return replace(bare, metrics=metrics, weights=weights, groups=groups)


def _only(record: Record, metrics: Sequence[Metric]) -> Record:
    names = {metric.name for metric in metrics}
    return replace(record, metrics={name: each for name, each in record.metrics.items() if name in names})


def _counted(metric: Metric, tasks: Sequence[Task]) -> Counted:
    chance = fmean(map(metric.chance, tasks)) if metric.chance else None
    return Counted(metric.name, metric.higher_is_better, metric.scale, chance)
