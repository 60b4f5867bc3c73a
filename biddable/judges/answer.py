"""A judge that wants an answer, besides what another judge wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from biddable.judges.base import Judge
from biddable.judges.degenerate import task_degeneracy
from biddable.judges.ifeval.judge import RuleJudge
from biddable.types import CheckResult, Response, Task, Verdict

NOT_DEGENERATE = "answer:not_degenerate"
"""The check's name in a verdict."""


@dataclass(frozen=True)
class AnswerJudge:
    """Another judge's verdict, and that the text is an answer: one more check, ``answer:not_degenerate``."""

    judge: Judge = field(default_factory=RuleJudge)

    def __call__(self, tasks: Sequence[Task], responses: Sequence[Response]) -> list[Verdict]:
        """As the other judge; a degenerate text does not pass, and its score is that of one check more."""
        verdicts = self.judge(tasks, responses)
        return [_with_answer(*row) for row in zip(tasks, responses, verdicts, strict=True)]


def _with_answer(task: Task, response: Response, verdict: Verdict) -> Verdict:
    fault = task_degeneracy(task, response.text)
    found = CheckResult(NOT_DEGENERATE, not fault, fault or "It is an answer of its own.")
    checks = (*verdict.checks, found)
    weight = max(1, len(verdict.checks))  # a judge without checks gives one score for the whole
    score = None if verdict.score is None else (verdict.score * weight + found.passed) / (weight + 1)
    reason = f"{verdict.reason} {fault}".strip()
    return replace(verdict, score=score, passed=verdict.passed and not fault, reason=reason, checks=checks)
