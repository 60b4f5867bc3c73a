"""Answers in a report, to be read: what no rule sees, a reader does."""

from __future__ import annotations

from collections.abc import Sequence

from biddable.runs.figures import Tree, TreeNode, Trees
from biddable.types import Task, Verdict

SHOWN = 12
"""As many of anything as a reader will look through in a report."""

Judged = tuple[Sequence[str], Sequence[Verdict]]
"""One model's answers to the tasks, and what a judge made of each."""


def answers_to_read(title: str, tasks: Sequence[Task], *models: Judged, note: str = "") -> Trees:
    """The first dozen tasks; below each the answer of one model after the other, with the checks it fails.

    Args:
        title: of the figure.
        tasks: what was asked.
        models: at least one, in the order to read them in; each has an answer to every task.
        note: who answered.
    """
    trees = (
        Tree(task.prompt[-1].content, _chain([(texts[at], verdicts[at]) for texts, verdicts in models]))
        for at, task in enumerate(tasks[:SHOWN])
    )
    return Trees(title, tuple(trees), note)


def _chain(answers: Sequence[tuple[str, Verdict]]) -> TreeNode:
    (text, verdict), *later = answers
    return TreeNode(
        text=text,
        value=verdict.score,
        failed=tuple(check.id for check in verdict.checks if not check.passed),
        children=(_chain(later),) if later else (),
        best=not later,
    )
