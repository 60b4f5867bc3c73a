"""Figures that many experiments show: answers and pairs to read, search trees, losses, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from biddable.judges.answer import AnswerJudge
from biddable.runs.figures import Curves, DiffPair, Diffs, Point, Tree, TreeNode, Trees
from biddable.runs.run import Run
from biddable.search.nodes import RefinementNode, SearchResult
from biddable.types import Preference, Response, Task, Verdict, last_turn

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
        Tree(last_turn(task.prompt), _chain([(texts[at], verdicts[at]) for texts, verdicts in models]))
        for at, task in enumerate(tasks[:SHOWN])
    )
    return Trees(title, tuple(trees), note)


def search_trees(title: str, tasks: Sequence[Task], results: Sequence[SearchResult]) -> Trees:
    """Search trees to browse: two thirds solved and one third not, where there are as many."""
    order = sorted(range(len(results)), key=lambda i: (not results[i].solved, i))
    shown = dict.fromkeys([*order[: SHOWN * 2 // 3], *order[-SHOWN // 3 :]])
    return Trees(
        title,
        tuple(_tree(tasks[i], results[i]) for i in shown),
        note="Two thirds were solved and one third were not, where there are as many.",
    )


def pairs_to_read(title: str, pairs: Sequence[Preference]) -> Diffs:
    """The first dozen pairs, as word-level differences."""
    return Diffs(
        title,
        tuple(
            DiffPair(last_turn(pair.prompt), pair.rejected, pair.chosen, labels=("rejected", "chosen"))
            for pair in pairs[:SHOWN]
        ),
    )


def losses(run: Run, stages: Mapping[str, str], note: str = "") -> list[Curves]:
    """Losses by step of the trainings of a run; none in a process that follows another's run.

    Args:
        run: the run.
        stages: stage of each training -> what to call it.
        note: what the losses are.
    """
    curves = {title: run.logged(stage, "loss") for stage, title in stages.items()}
    series = {title: tuple(Point(*row) for row in rows) for title, rows in curves.items() if rows}
    if not series:
        return []
    return [Curves("Training: loss by step", "optimizer step", "loss of the step's batch", series, note=note)]


def logged(run: Run, stage: str, title: str, metrics: Sequence[str]) -> list[Curves]:
    """Metrics of a training by step; none in a process that follows another's run."""
    curves = {metric: run.logged(stage, metric) for metric in metrics}
    series = {metric: tuple(Point(*row) for row in rows) for metric, rows in curves.items() if rows}
    return [Curves(title, "optimizer step", "mean over the batch", series)] if series else []


def _tree(task: Task, result: SearchResult) -> Tree:
    judge = AnswerJudge()

    def node(at: RefinementNode) -> TreeNode:
        checks = judge([task], [Response(at.response)])[0].checks
        return TreeNode(
            text=at.response,
            value=at.value,
            failed=tuple(check.id for check in checks if not check.passed),
            critique=at.critique,
            children=tuple(node(child) for child in at.children),
            best=at is result.best,
        )

    return Tree(prompt=last_turn(task.prompt), root=node(result.root))


def _chain(answers: Sequence[tuple[str, Verdict]]) -> TreeNode:
    (text, verdict), *later = answers
    return TreeNode(
        text=text,
        value=verdict.score,
        failed=tuple(check.id for check in verdict.checks if not check.passed),
        children=(_chain(later),) if later else (),
        best=not later,
    )
