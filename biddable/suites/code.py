"""Suites of programs to write, judged by running them."""

from __future__ import annotations

from biddable.errors import InputError
from biddable.judges.code import CodeJudge, Reading, estimate_pass_at_k
from biddable.models.base import Sampling
from biddable.suites.base import Metric, Suite
from biddable.tasks.humaneval import read_humaneval
from biddable.types import Record

# What follows these is no part of the function. "\ndef" is none of them: a chat model begins anew with it.
_STOPS = ("\nif __name__", "\nprint(", "\nassert ")


def humaneval(
    path: str, k: int = 1, instructed: bool = False, reading: Reading = "code", seconds: float = 3.0
) -> Suite:
    """HumanEval (Chen et al. 2021, arXiv 2107.03374): functions to write; their tests run in a sandbox.

    With ``k`` above 1 pass@k is counted too, of at least k samples at temperature 0.8. ``instructed`` puts
    a sentence before the prompt that asks a chat model to complete it.
    """
    if k < 1:
        raise InputError("k", k, "an integer of at least 1")
    tasks, _ = read_humaneval(path, instructed=instructed)
    return Suite(
        "humaneval",
        tuple(tasks),
        tuple(map(_pass_at, dict.fromkeys((1, k)))),
        judge=CodeJudge(reading, seconds),
        sampling=Sampling(max_tokens=512, temperature=0.8 if k > 1 else 0.0, stop=_STOPS),
        samples=k,
        version=f"1 {reading}",
        source="openai/human-eval on GitHub",
        license="MIT",
    )


def _pass_at(k: int) -> Metric:
    def measure(record: Record) -> float:
        passed = sum(verdict.passed is True for verdict in record.verdicts)
        return estimate_pass_at_k(len(record.verdicts), passed, k)

    return Metric(f"pass@{k}", measure)
