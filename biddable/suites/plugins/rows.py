"""Tasks as the rows of those tools' data sets, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from biddable.judges.base import Judge
from biddable.runs.codec import decode, encode
from biddable.types import Response, Task, Verdict

FIELD = "biddable_task"
"""The column that holds the whole task as JSON; other columns are for people."""


def row_of(task: Task) -> dict[str, str]:
    """A task as a column."""
    return {FIELD: encode(task, Task)[0].decode()}


def verdict_on(judge: str, row: Mapping[str, Any], response: str) -> Verdict:
    """What a judge (see ``load_judge``) says of a response to the task of a row."""
    task: Task = decode(str(row[FIELD]).encode(), Task)
    [verdict] = _judge(judge)([task], [Response(response)])
    return verdict


def numbers(verdict: Verdict) -> dict[str, float]:
    """A verdict as metrics: whether it passed, and its score; what could not be read counts as 0."""
    return {"passed": float(bool(verdict.passed)), "score": verdict.score or 0.0}


def checks(verdict: Verdict) -> str:
    """What failed, as JSON."""
    return json.dumps({check.id: check.reason for check in verdict.checks if not check.passed})


@cache
def _judge(judge: str) -> Judge:
    from biddable.judges.load import load_judge

    return load_judge(judge)
