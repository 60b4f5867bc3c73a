"""The two corners of the tree that are methods of their own, and sampling without any refinement.

They are what tree search is measured against (SPaR, arXiv 2412.11605, figure 5): the same questions
and results, so accuracy can be drawn against ``expansions`` for all four.
"""

from __future__ import annotations

from collections.abc import Sequence

from biddable.judges.base import Judge
from biddable.search.nodes import RefinementNode, SearchResult
from biddable.search.refiners import Refiner
from biddable.search.tree import SearchSettings, tree_search
from biddable.types import Task


def best_of_n(
    tasks: Sequence[Task], sample: Refiner, judge: Judge, n: int, *, seeds: Sequence[int] | None = None
) -> list[SearchResult]:
    """Sample ``n`` answers to each task; the one with the highest score is best.

    Args:
        tasks: what is asked.
        sample: called with empty responses and critiques, of which it needs none.
        judge: scores the answers; a reward model will do as well as rules.
        n: answers to each task.
        seeds: see ``tree_search``.

    Returns:
        One result per task. Its root is an empty response that stands for "no answer yet".

    Raises:
        InputError: no tasks, or ``n`` is below 1.
    """
    roots = [RefinementNode("", value=float("-inf"))] * len(tasks)
    return best_of_n_refinement(tasks, roots, sample, judge, n, seeds=seeds)


def best_of_n_refinement(
    tasks: Sequence[Task],
    roots: Sequence[RefinementNode],
    refine: Refiner,
    judge: Judge,
    n: int,
    *,
    seeds: Sequence[int] | None = None,
) -> list[SearchResult]:
    """Rewrite each root ``n`` times; the one with the highest score is best: a tree of one level."""
    settings = SearchSettings(branching=n, beam_width=1, max_depth=1, budget=n)
    return tree_search(tasks, roots, refine, judge, settings, seeds=seeds)


def iterative_refinement(
    tasks: Sequence[Task],
    roots: Sequence[RefinementNode],
    refine: Refiner,
    judge: Judge,
    steps: int,
    *,
    seeds: Sequence[int] | None = None,
) -> list[SearchResult]:
    """Rewrite each root, then its rewriting, at most ``steps`` times: a tree of one branch."""
    settings = SearchSettings(branching=1, beam_width=1, max_depth=steps, budget=steps)
    return tree_search(tasks, roots, refine, judge, settings, seeds=seeds)
