"""The benchmark's scores: prompt and instruction accuracy, strict and loose, with their uncertainty."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from biddable.errors import InputError, shown
from biddable.judges.degenerate import task_degeneracy
from biddable.judges.ifeval.judge import as_text, bind, loose_finding, strict_finding
from biddable.judges.ifeval.punkt import sentence_splitter_name
from biddable.judges.thinking import has_thinking, without_thinking
from biddable.types import Response, Task, last_turn

Metric = Literal["prompt_strict", "inst_strict", "prompt_loose", "inst_loose"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Which of a task's instructions were followed, in order, read strictly and loosely.

    ``degenerate``: the response is no answer, whatever it follows (see ``biddable.judges.degenerate``).
    """

    task_id: str
    strict: tuple[bool, ...]
    loose: tuple[bool, ...]
    degenerate: bool = False


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Fractions of ``n`` instructions that were followed."""

    strict: float
    loose: float
    n: int


@dataclass(frozen=True, slots=True)
class IFEvalReport:
    """The four accuracies, as fractions, and what they are made of.

    ``prompt_*`` counts prompts all of whose instructions were followed, ``inst_*`` instructions; the latter
    is the larger unless prompts with many instructions go much worse than those with few. ``per_type`` is by
    instruction id, ``per_group`` by its part before the last colon. ``degenerate``, the share of responses
    that are no answers, is ours and changes none of the other numbers. ``sentence_splitter`` says which Punkt
    parameters counted the sentences.

    The rest tells of answers that are not plain ones. ``unanswered`` holds the id of each task whose answer
    could not be had, and which so counts as not followed, with the reason. ``cut_off`` answers reached the
    limit of tokens, ``empty`` ones hold no text. ``thinking`` answers held a block of thinking, which was
    taken off before judging if ``thinking_removed``.
    """

    prompt_strict: float
    inst_strict: float
    prompt_loose: float
    inst_loose: float
    per_group: dict[str, Accuracy]
    per_type: dict[str, Accuracy]
    n_prompts: int
    n_instructions: int
    degenerate: float
    sentence_splitter: str
    outcomes: tuple[Outcome, ...] = field(repr=False)
    unanswered: tuple[tuple[str, str], ...] = ()
    cut_off: int = 0
    empty: int = 0
    thinking: int = 0
    thinking_removed: bool = False

    @property
    def average(self) -> float:
        """The plain mean of the four accuracies, as SPaR reports it."""
        return (self.prompt_strict + self.inst_strict + self.prompt_loose + self.inst_loose) / 4

    def interval(self, metric: Metric, *, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
        """A 95 % confidence interval.

        Wilson's binomial interval for the prompt accuracies. Instructions of one prompt stand or fall
        together, so the instruction accuracies get a percentile bootstrap that resamples whole prompts.
        """
        results = [
            outcome.strict if metric.endswith("strict") else outcome.loose for outcome in self.outcomes
        ]
        if metric.startswith("prompt"):
            return _wilson(sum(map(all, results)), len(results))
        return _bootstrap(results, resamples, seed)


def evaluate(
    tasks: Sequence[Task],
    responses: Mapping[str, str] | Sequence[Response],
    *,
    fixed: bool = False,
    strip_thinking: bool = False,
) -> IFEvalReport:
    """Score responses by the rules of their tasks.

    Args:
        tasks: what was asked.
        responses: one for each task, in order; or texts by the exact text of the task's prompt. One with an
            ``error`` is no answer: it follows nothing.
        fixed: use the repaired variants of the rules. Published scores do not.
        strip_thinking: judge what is left without blocks of thinking (``biddable.judges.thinking``).

    Raises:
        InputError: no tasks, a task whose prompt has no response, a response that is not a string, or
            ill-formed checks.
    """
    if not tasks:
        raise InputError("tasks", tasks, "at least one task")
    answers = _one_each(tasks, responses)
    thinking = sum(has_thinking(answer.text) for answer in answers)
    if strip_thinking:
        answers = [replace(answer, text=without_thinking(answer.text)) for answer in answers]
    outcomes = tuple(_outcome(task, answer, fixed) for task, answer in zip(tasks, answers, strict=True))
    ids = [check.id for task in tasks for check in task.checks]
    strict = [passed for outcome in outcomes for passed in outcome.strict]
    loose = [passed for outcome in outcomes for passed in outcome.loose]
    return IFEvalReport(
        prompt_strict=_mean(all(outcome.strict) for outcome in outcomes),
        inst_strict=_mean(strict),
        prompt_loose=_mean(all(outcome.loose) for outcome in outcomes),
        inst_loose=_mean(loose),
        per_group=_by_name([id.rpartition(":")[0] for id in ids], strict, loose),
        per_type=_by_name(ids, strict, loose),
        n_prompts=len(tasks),
        n_instructions=len(ids),
        degenerate=_mean(outcome.degenerate for outcome in outcomes),
        sentence_splitter=sentence_splitter_name(),
        outcomes=outcomes,
        unanswered=tuple(
            (task.id, answer.error) for task, answer in zip(tasks, answers, strict=True) if answer.error
        ),
        cut_off=sum(answer.finish_reason == "length" for answer in answers),
        empty=sum(not answer.text.strip() and not answer.error for answer in answers),
        thinking=thinking,
        thinking_removed=strip_thinking,
    )


def _one_each(tasks: Sequence[Task], responses: Mapping[str, str] | Sequence[Response]) -> list[Response]:
    if isinstance(responses, Mapping):
        responses = [Response(_response(task, responses)) for task in tasks]
    if len(responses) != len(tasks):
        raise InputError("responses", len(responses), f"as many as there are tasks ({len(tasks)})")
    for task, response in zip(tasks, responses, strict=True):
        as_text(response.text, f"response to task {task.id}")
    return list(responses)


def _response(task: Task, responses: Mapping[str, Any]) -> Any:
    prompt = last_turn(task.prompt)
    if prompt not in responses:
        raise InputError(f"response to task {task.id}", None, f"a response whose prompt is {shown(prompt)}")
    return responses[prompt]


def _outcome(task: Task, response: Response, fixed: bool) -> Outcome:
    text = as_text(response.text, f"response to task {task.id}")
    bound = bind(task, fixed=fixed)
    strict = [strict_finding(check, text) for check in bound]
    loose = [loose_finding(check, text, finding) for check, finding in zip(bound, strict, strict=True)]
    return Outcome(
        task.id,
        tuple(finding.passed for finding in strict),
        tuple(finding.passed for finding in loose),
        not response.error and bool(task_degeneracy(task, response.text)),
    )


def _mean(values: Iterable[bool]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def _by_name(names: Sequence[str], strict: Sequence[bool], loose: Sequence[bool]) -> dict[str, Accuracy]:
    rows: defaultdict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for name, *row in zip(names, strict, loose, strict=True):
        rows[name].append((row[0], row[1]))
    return {
        name: Accuracy(
            _mean(strict for strict, _ in outcomes), _mean(loose for _, loose in outcomes), len(outcomes)
        )
        for name, outcomes in sorted(rows.items())
    }


def _wilson(followed: int, n: int) -> tuple[float, float]:
    """Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference"."""
    z = 1.959963984540054
    share = followed / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)


def _bootstrap(results: Sequence[Sequence[bool]], resamples: int, seed: int) -> tuple[float, float]:
    import numpy as np

    followed = np.array([sum(row) for row in results])
    asked = np.array([len(row) for row in results])
    drawn = np.random.default_rng(seed).integers(len(results), size=(resamples, len(results)))
    low, high = np.quantile(followed[drawn].sum(axis=1) / asked[drawn].sum(axis=1), (0.025, 0.975))
    return float(low), float(high)
