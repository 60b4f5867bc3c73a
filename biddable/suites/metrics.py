"""What suites count, by the names that lm-evaluation-harness has for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

from biddable.suites.base import Metric
from biddable.types import Record, Task, Verdict


def chance(task: Task) -> float:
    """The share of a task's choices that are right."""
    return sum(choice in task.references for choice in task.choices) / len(task.choices)


def chosen(record: Record, length: Callable[[str], int] = lambda text: 1) -> str | None:
    """The choice with the highest log-probability per ``length`` of its text, the first of equal ones.

    Where the model gave no log-probabilities, the choice that its response was taken for, or None.
    """
    choices = record.task.choices
    if not record.scores:
        return next((each.text for each in record.responses if each.text in choices), None)
    scores = [score / length(choice) for score, choice in zip(record.scores, choices, strict=True)]
    return choices[scores.index(max(scores))]


def _right(length: Callable[[str], int] = lambda text: 1) -> Callable[[Record], float]:
    return lambda record: float(chosen(record, length) in record.task.references)


ACC = Metric("acc", _right(), chance=chance)
"""The likeliest choice is a right one."""
ACC_NORM = Metric("acc_norm", _right(len), chance=chance)
"""The same with log-probabilities per character."""


def _right_beside_prior(record: Record) -> float:
    """The choice gains most by the task's content."""
    if not record.priors:
        return _right()(record)
    gains = [score - prior for score, prior in zip(record.scores, record.priors, strict=True)]
    return float(record.task.choices[gains.index(max(gains))] in record.task.references)


ACC_MUTUAL_INFO = Metric("acc_mutual_info", _right_beside_prior, chance=chance)
"""The choice whose log-probability rises most over that after a prompt without content is a right one
(Holtzman et al. 2021, Surface Form Competition)."""


def _right_in_both_orders(record: Record) -> float:
    """The right of two letters has the larger sum of log-probabilities over both orders."""
    if not record.priors:
        return _right()(record)
    gains = [score - prior for score, prior in zip(record.scores, record.priors, strict=True)]
    right = record.task.choices.index(record.task.references[0])
    return float(gains[right] > gains[1 - right])


ACC_DEBIASED = Metric("acc_debiased", _right_in_both_orders, chance=chance)
"""Of two responses shown as A and B, and then as B and A (the prompt of the priors), the right one is chosen
by the letters' log-probabilities over both (INSTRUCTEVAL, arXiv 2306.04757)."""


def mean_of_groups(metric: str, name: str) -> Callable[[Sequence[Record]], dict[str, float]]:
    """A total ``name``: the mean of a metric's means over the groups of tasks."""

    def total(records: Sequence[Record]) -> dict[str, float]:
        groups: dict[str, list[float]] = {}
        for record in records:
            groups.setdefault(str(record.task.meta.get("group", "")), []).append(record.metrics[metric])
        return {name: fmean(map(fmean, groups.values()))}

    return total


def _right_mass(record: Record) -> float:
    """The probability of the right choices among all."""
    if not record.scores:
        return _right()(record)
    highest = max(record.scores)
    weights = [math.exp(score - highest) for score in record.scores]
    rows = zip(record.task.choices, weights, strict=True)
    return sum(weight for choice, weight in rows if choice in record.task.references) / sum(weights)


MC2 = Metric("mc2", _right_mass, chance=chance)
"""The probability of the right choices among all of a task's (TruthfulQA)."""


def _of_verdicts(number: Callable[[Verdict], float]) -> Callable[[Record], float]:
    """The mean over a record's samples."""
    return lambda record: fmean(map(number, record.verdicts))


def passed(name: str) -> Metric:
    """The share of responses that pass."""
    return Metric(name, _of_verdicts(lambda verdict: float(bool(verdict.passed))))


def score(name: str) -> Metric:
    """The mean of the judge's scores, shares all; a response without one counts as 0."""
    return Metric(name, _of_verdicts(lambda verdict: verdict.score or 0.0))


def decided(number: Callable[[Verdict], float | None]) -> Callable[[Record], float | None]:
    """The mean over those of a record's samples that have the number; None where none has."""

    def measure(record: Record) -> float | None:
        numbers = [each for each in map(number, record.verdicts) if each is not None]
        return fmean(numbers) if numbers else None

    return measure


# Of any judge: what it could not decide is left out, for its scores may be below 0.
JUDGED = (
    Metric("pass_rate", decided(lambda verdict: verdict.passed)),
    Metric("score", decided(lambda verdict: verdict.score), unanswered=None),
)
"""What any judge says of responses: whether they pass, and its scores."""


def met(name: str, check: str) -> Metric:
    """The share of responses that meet the check of that name."""

    def measure(verdict: Verdict) -> float:
        return float(any(each.passed for each in verdict.checks if each.id == check))

    return Metric(name, _of_verdicts(measure))


def _text(record: Record) -> str:
    return str(record.task.prompt)


def _bytes(record: Record) -> int:
    return len(_text(record).encode())


def _words(record: Record) -> int:
    return len(_text(record).split())


BITS_PER_BYTE = Metric(
    "bits_per_byte",
    lambda record: -record.scores[0] / _bytes(record) / math.log(2),
    weight=_bytes,
    higher_is_better=False,
    unanswered=None,
)
WORD_PERPLEXITY = Metric(
    "word_perplexity",
    lambda record: -record.scores[0] / _words(record),
    weight=_words,
    scale="exp",
    higher_is_better=False,
    unanswered=None,
)
