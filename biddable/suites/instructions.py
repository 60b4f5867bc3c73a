"""Verifiable instructions as suites: IFEval and what is written in its form, and composed tasks of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from biddable.errors import InputError
from biddable.judges.ifeval import prompts
from biddable.judges.ifeval.judge import as_text, bind, loose_finding, strict_finding
from biddable.judges.ifeval.punkt import sentence_splitter_name
from biddable.judges.ifeval.report import IFEvalReport
from biddable.models.base import Sampling
from biddable.suites.answers import not_plain
from biddable.suites.base import Metric, Suite
from biddable.types import CheckResult, Record, Response, Task, Verdict

MAX_TOKENS = 1280
"""IFEval's published setting (lm-eval's, too). With a quarter of it, answers of 400 words are cut off."""
COMPOSED_TASKS = 200
LOOSE = "loose "
"""Before the name of a check that was read loosely."""

IFEVAL_FILE = (
    "the benchmark's input_data.jsonl (folder instruction_following_eval/data of the GitHub repository "
    "google-research/google-research), or the suite composed, which needs no file"
)

M_IFEVAL_FILE = "fr_input_data.jsonl and the like (folder data of the GitHub repository shisa-ai/M-IFEval)"
IFBENCH_FILE = "IFBench_test.jsonl (folder data of the GitHub repository allenai/IFBench)"


@dataclass(frozen=True)
class BothReadings:
    """Rules read strictly and loosely: a check for each reading of each rule. ``fixed``: repaired rules."""

    fixed: bool = False

    def __call__(
        self, tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
    ) -> list[Verdict]:
        """The score is the share of rules that are followed; all have to be, read strictly, to pass."""
        return [self._verdict(task, each) for task, each in zip(tasks, responses, strict=True)]

    def _verdict(self, task: Task, response: Response) -> Verdict:
        text = as_text(response.text, f"response to task {task.id}")
        bound = bind(task, fixed=self.fixed)
        strict = [strict_finding(check, text) for check in bound]
        loose = [loose_finding(check, text, each) for check, each in zip(bound, strict, strict=True)]
        named = [(check.id, each) for check, each in zip(task.checks, strict, strict=True)]
        named += [(LOOSE + check.id, each) for check, each in zip(task.checks, loose, strict=True)]
        passed = [each.passed for each in strict]
        failed = " ".join(each.reason for each in strict if not each.passed)
        checks = tuple(CheckResult(id, each.passed, each.reason) for id, each in named)
        return Verdict(fmean(passed), all(passed), failed, checks)


def _followed(loose: bool, count: Callable[[Sequence[bool]], float]) -> Callable[[Record], float]:
    """A number of the rules that were followed in one reading, the mean over samples."""

    def measure(record: Record) -> float:
        readings = [
            [check.passed for check in verdict.checks if check.id.startswith(LOOSE) == loose]
            for verdict in record.verdicts
        ]
        return fmean(map(count, readings))

    return measure


def _rules(record: Record) -> float:
    return float(len(record.task.checks))


def _all(passed: Sequence[bool]) -> float:
    return float(all(passed))


METRICS = (
    Metric("prompt_level_strict_acc", _followed(False, _all)),
    Metric("inst_level_strict_acc", _followed(False, fmean), weight=_rules),
    Metric("prompt_level_loose_acc", _followed(True, _all)),
    Metric("inst_level_loose_acc", _followed(True, fmean), weight=_rules),
)


def by_rule(record: Record, headline: float) -> Iterable[tuple[str, float]]:
    """A record counts in the group of each of its rules, read strictly; without an answer as not followed."""
    for verdict in record.verdicts:
        yield from () if verdict.checks else ((check.id, 0.0) for check in record.task.checks)
        for check in verdict.checks:
            if not check.id.startswith(LOOSE):
                yield check.id, float(check.passed)


def verifiable(name: str, tasks: Sequence[Task], *, fixed: bool = False, **facts: str) -> Suite:
    """A suite of tasks with checks; those whose rules cannot be decided here are left out, and named.

    Raises:
        InputError: a check that no rule knows, wrong arguments, or no task that can be decided.
    """
    ready = prompts.decidable(tasks, fixed=fixed)
    if tasks and not ready.tasks:
        raise InputError("tasks", len(tasks), f"one whose rules can be decided here: {ready.left_out[0][1]}")
    for task in ready.tasks:  # before a model answers for an hour
        bind(task, fixed=fixed)
    return Suite(
        name,
        ready.tasks,
        METRICS,
        judge=BothReadings(fixed),
        sampling=Sampling(max_tokens=MAX_TOKENS, temperature=0.0),
        groups=by_rule,
        version=f"{'fixed' if fixed else 'official'} rules, sentences by {sentence_splitter_name()}",
        notes=tuple(prompts.remarks(ready.tasks, ready.left_out)),
        **facts,  # type: ignore[arg-type]  # source, license
    )


def ifeval(path: str, fixed: bool = False) -> Suite:
    """IFEval (Zhou et al. 2023, arXiv 2311.07911), or any file in its form; the file is behind the colon."""
    from biddable.tasks.ifeval import load_ifeval

    return verifiable("ifeval", load_ifeval(path), fixed=fixed, source=IFEVAL_FILE, license="Apache-2.0")


def ifbench(path: str, fixed: bool = False) -> Suite:
    """IFBench (Pyatkin et al. 2025, arXiv 2507.02833): 58 constraints that models were not trained on."""
    from biddable.tasks.ifeval import load_ifeval

    return verifiable(
        "ifbench", load_ifeval(path), fixed=fixed, source=IFBENCH_FILE, license="ODC-BY-1.0, rules Apache-2.0"
    )


def m_ifeval(path: str, fixed: bool = False) -> Suite:
    """M-IFEval (Dussolle et al. 2025, arXiv 2502.04688) in one language or several, which its name tells."""
    from biddable.tasks.ifeval import load_ifeval

    tasks = load_ifeval(path)
    languages = sorted({check.id.partition(":")[0] for task in tasks for check in task.checks})
    name = "-".join(["m-ifeval", *languages])
    return verifiable(name, tasks, fixed=fixed, source=M_IFEVAL_FILE, license="Apache-2.0")


def composed(tasks: int = COMPOSED_TASKS) -> Suite:
    """Held-out tasks of our own, in IFEval's form; it needs no file."""
    from biddable.tasks.compose import Composer

    if tasks < 1:
        raise InputError("tasks", tasks, "an integer of at least 1")
    # Tasks that were made from one request are not independent.
    made = [
        replace(task, meta={**task.meta, "source": task.meta["base"]})
        for task in Composer("test").sample(tasks)
    ]
    return verifiable("composed", made, source="composed here", license="Apache-2.0")


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
