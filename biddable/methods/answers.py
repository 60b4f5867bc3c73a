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


def not_plain(
    n: int,
    *,
    cut_off: int,
    max_tokens: int | None,
    empty: int,
    thinking: int,
    thinking_removed: bool,
) -> list[str]:
    """What ``n`` answers are besides plain texts, a sentence each; none where all are.

    Args:
        n: how many answers there are.
        cut_off: those that reached the limit of tokens.
        max_tokens: that limit, where it is known.
        empty: those without any text.
        thinking: those that hold a block of thinking, or did before it was removed.
        thinking_removed: whether it was.
    """
    found = []
    if cut_off:
        limit = f"{max_tokens} tokens (--max-tokens)" if max_tokens else "the limit of tokens"
        found.append(f"{cut_off} of {n} answers ({cut_off / n:.1%}) were cut off at {limit}.")
    if empty:
        found.append(f"{empty} of {n} answers are empty.")
    if thinking and thinking_removed:
        found.append(f"{thinking} of {n} answers held a block of thinking, which was taken off.")
    elif thinking:
        found.append(
            f"{thinking} of {n} answers hold a block of thinking as part of the answer; "
            "--strip-thinking takes it off."
        )
    return found


def _chain(answers: Sequence[tuple[str, Verdict]]) -> TreeNode:
    (text, verdict), *later = answers
    return TreeNode(
        text=text,
        value=verdict.score,
        failed=tuple(check.id for check in verdict.checks if not check.passed),
        children=(_chain(later),) if later else (),
        best=not later,
    )
