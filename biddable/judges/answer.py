"""A judge that asks for an answer, besides what another judge asks for."""

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
    """Another judge's verdict with one more check, ``answer:not_degenerate``: the text is an answer.

    Args:
        judge: the other judge; its scores are shares from 0 to 1.
    """

    judge: Judge = field(default_factory=RuleJudge)

    def __call__(
        self, tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
    ) -> list[Verdict]:
        """Verdicts as the other judge gives them, with the check; ``seeds`` are passed on.

        A degenerate text does not pass. The score is the share of all checks that are met, this one included;
        a judge without checks counts as one check.
        """
        verdicts = self.judge(tasks, responses, seeds=seeds)
        return [_with_answer(*row) for row in zip(tasks, responses, verdicts, strict=True)]


def _with_answer(task: Task, response: Response, verdict: Verdict) -> Verdict:
    fault = task_degeneracy(task, response.text)
    result = CheckResult(NOT_DEGENERATE, not fault, fault or "It is an answer of its own.")
    weight = max(1, len(verdict.checks))
    score = None if verdict.score is None else (verdict.score * weight + result.passed) / (weight + 1)
    critique = f"{verdict.critique} {fault}".strip()
    passed = verdict.passed and not fault
    return replace(verdict, score=score, passed=passed, critique=critique, checks=(*verdict.checks, result))
