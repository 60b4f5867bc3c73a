"""Our judges as a scorer of Inspect, and our tasks as its samples.

::

    from inspect_ai import Task, eval
    from biddable.suites.plugins.inspect_scorer import biddable_judge, samples

    eval(Task(samples("tasks.jsonl"), scorer=biddable_judge("rules")), model="openai/gpt-4o-mini")

This module needs the package ``inspect-ai``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from biddable.errors import MissingDependency
from biddable.runs.codec import jsonable
from biddable.suites.plugins.rows import checks, row_of, verdict_on
from biddable.tasks.data import read_tasks

try:
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser
    from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer, stderr
    from inspect_ai.solver import TaskState
except ImportError as error:
    raise MissingDependency("inspect_ai", "pip install inspect-ai") from error

_TURNS = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}


def samples(tasks: str | Path) -> MemoryDataset:
    """The tasks of a file (see ``read_tasks``) as a data set. Raises FileError."""
    made = [
        Sample(
            id=task.id,
            input=task.prompt
            if isinstance(task.prompt, str)
            else [_TURNS[turn.role](content=turn.content) for turn in task.prompt],
            target=list(task.references),
            metadata={**jsonable(task.meta), **row_of(task)},
        )
        for task in read_tasks(tasks)
    ]
    return MemoryDataset(made, name=Path(tasks).stem, location=str(tasks))


@scorer(metrics=[accuracy(), stderr()], name="biddable_judge")
def biddable_judge(judge: str = "rules") -> Scorer:
    """A judge (see ``load_judge``) of samples made by ``samples``: 1 where the response passes, else 0."""

    async def score(state: TaskState, target: Target) -> Score:
        # A judge may be a model: it must not hold up the samples that wait for a server.
        verdict = await asyncio.to_thread(verdict_on, judge, state.metadata, state.output.completion)
        return Score(
            value=float(bool(verdict.passed)),
            answer=state.output.completion,
            explanation=verdict.critique or None,
            metadata={"score": verdict.score, "failed": checks(verdict)},
        )

    return score
