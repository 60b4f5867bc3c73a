"""Responses without scores, judged here: by the rules of their tasks, or by another judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from biddable.errors import InputError
from biddable.suites.logs.base import Log, Logged, counted
from biddable.tasks.responses import load_responses, match
from biddable.types import Response, Task, Verdict, last_turn

KIND = "responses"
RULES = "rules"


def read_asked(tasks: str | Path, judge: str) -> list[Task]:
    """The tasks of a file: with rules for ``rules``, else with what any judge needs. Raises FileError."""
    from biddable.tasks.data import read_tasks
    from biddable.tasks.ifeval import load_ifeval

    return load_ifeval(tasks) if judge == RULES else read_tasks(tasks)


def read(path: Path, tasks: Sequence[Task], judge: str) -> Log:
    """The log of a file of responses to tasks.

    Raises:
        FileError: the responses cannot be read or belong to none of the tasks.
        InputError: there is no such judge, or it cannot judge these tasks.
    """
    if judge == RULES:
        return judged_by_rules(path, tasks)
    from biddable.judges.load import load_judge
    from biddable.judges.summary import judge_responses

    responses, notes = _matched(path, tasks)
    verdicts = judge_responses(load_judge(judge), tasks, responses)
    metrics = [_metrics(verdict) for verdict in verdicts]
    if not any(metrics):
        raise InputError("--judge", judge, "a judge that gives these tasks a verdict or a score")
    items = [
        replace(_item(place, task, response), metrics=numbers, unparsable=verdict.score is None)
        for place, (task, response, verdict, numbers) in enumerate(
            zip(tasks, responses, verdicts, metrics, strict=True)
        )
    ]
    return Log(path.stem, str(path), "", f"{KIND}, judged by {judge}", tuple(items), {"judge": judge}, notes)


def judged_by_rules(path: Path, tasks: Sequence[Task]) -> Log:
    """The log of a file of responses to tasks with rules: IFEval's four accuracies.

    A task without a response counts as not followed; one whose rules cannot be decided here is left out.
    """
    from biddable.judges.ifeval import prompts
    from biddable.judges.ifeval.report import evaluate

    responses, notes = _matched(path, tasks)
    ready = prompts.decidable(tasks)
    notes += tuple(prompts.remarks(ready.tasks, ready.left_out))
    left_out = dict(ready.left_out)
    places = [place for place, task in enumerate(tasks) if task.id not in left_out]
    report = evaluate(ready.tasks, [responses[place] for place in places])
    items = []
    for place, outcome in zip(places, report.outcomes, strict=True):
        n = len(outcome.strict)
        readings = {"strict": outcome.strict, "loose": outcome.loose}
        metrics = {f"prompt_level_{name}_acc": float(all(each)) for name, each in readings.items()}
        weights = {f"inst_level_{name}_acc": float(n) for name in readings}
        metrics |= {f"inst_level_{name}_acc": sum(each) / n for name, each in readings.items()}
        items.append(replace(_item(place, tasks[place], responses[place]), metrics=metrics, weights=weights))
    return Log(path.stem, str(path), "ifeval", f"{KIND}, judged by rules", tuple(items), {}, notes)


def _matched(path: Path, tasks: Sequence[Task]) -> tuple[tuple[Response, ...], tuple[str, ...]]:
    matched = match(tasks, load_responses(path), path)
    notes = []
    if missing := sum(bool(response.error) for response in matched.responses):
        notes.append(f"{counted(missing, 'task')} of {len(tasks):,} without a response, counted as failed.")
    return matched.responses, (*notes, *matched.notes)


def _item(place: int, task: Task, response: Response) -> Logged:
    return Logged(
        position=place,
        metrics={},
        id=task.id,
        prompt=last_turn(task.prompt),
        response=response.text,
        references=task.references,
        group=str(task.meta.get("group") or ", ".join(check.id for check in task.checks)),
        source=str(task.meta.get("source") or ""),
    )


def _metrics(verdict: Verdict) -> dict[str, float]:
    values = {"passed": verdict.passed, "score": verdict.score}
    return {name: float(value) for name, value in values.items() if value is not None}
