"""Tree search by refinement: judge a response, rewrite it where it fell short, keep the best, go on.

Source: SPaR (Cheng et al., ICLR 2025, arXiv 2412.11605), section 2.3. A node is a response with its
critique and value; its children are rewritings of it. Two corners of the tree have names of their
own: one branch is iterative refinement, one level is best-of-N refinement.

Many trees grow at once: each is a coroutine (``rounds.drive``), so that a level of every tree is
rewritten in one call and judged in one call. Every request carries a seed made from its tree's seed
and its place in the tree: what comes of a tree does not depend on the others in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isnan
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import model_validator

from biddable.config import Count, settings
from biddable.errors import InputError
from biddable.judges.base import Judge
from biddable.search.nodes import RefinementNode, SearchResult
from biddable.search.refiners import Refinement, Refiner
from biddable.search.rounds import Steps, ask_until_answered, drive
from biddable.types import Response, Task, Verdict

SAMPLING_FLOOR = 1e-3
"""Added to every value when nodes are drawn, so that a level of zeros can be drawn from at all."""


@settings
class SearchSettings:
    """How a tree grows. The defaults are the paper's."""

    strategy: Literal["bfs", "dfs"] = "bfs"
    """bfs: level by level. dfs: the best child first, with backtracking."""
    branching: Count = 3
    """Branching factor: rewritings made of each node that is expanded."""
    beam_width: Count = 2
    """Nodes expanded further, of each level (bfs) or of each node's children (dfs)."""
    max_depth: Count = 3
    """Rewritings between the root and the deepest leaf."""
    threshold: float = 0.5
    """A node solves its tree when its value is strictly above this and its judge did not fail it."""
    budget: Count = 1000
    """Children that a tree may have; those without a score cost nothing."""
    select: Literal["greedy", "sample"] = "greedy"
    """greedy: keep the best. sample: draw without replacement, in proportion to the value."""
    refine_tries: Count = 9
    """Attempts at one rewriting before its slot is left empty (the paper's code: 3 outer times 3 inner)."""

    @model_validator(mode="after")
    def _consistent(self) -> SearchSettings:
        if self.beam_width > self.branching:
            raise InputError("beam_width", self.beam_width, f"at most branching, which is {self.branching}")
        return self


def tree_search(
    tasks: Sequence[Task],
    roots: Sequence[RefinementNode],
    refine: Refiner,
    judge: Judge,
    settings: SearchSettings | None = None,
    *,
    seeds: Sequence[int] | None = None,
) -> list[SearchResult]:
    """Grow a tree from each root, all at once, and return how each ended, in order.

    A child's value is the score of its verdict, and its critique the verdict's. Of a response without a score
    no child is made (``DecidingJudge`` asks a judge that samples more than once).

    Args:
        tasks: what was asked, one for each root.
        roots: the responses to improve, with their critiques and values. They are copied, not changed.
        refine: rewrites, for all trees in one call per round. Where no rewriting came it is asked again.
        judge: judges, for all trees in one call per round. A response is judged once per tree.
        settings: the same for all trees.
        seeds: one integer of at least 0 per root (default 0, 1, …). Given the same seeds and answers,
            the same questions are put in the same order, so that a journal of answers can be replayed.

    Raises:
        InputError: no roots; not one task or seed for each; a root without a value; an answer of the wrong
            kind; values below 0 that are to be drawn from.
    """
    settings = settings or SearchSettings()
    seeds = range(len(roots)) if seeds is None else seeds
    _require_roots(tasks, roots, seeds)
    trees = [_Tree(i, root, settings, seed) for i, (root, seed) in enumerate(zip(roots, seeds, strict=True))]

    def refinements(asked: list[RefineRequest]) -> list[Refinement | None]:
        rewritten = refine(
            [tasks[each.tree] for each in asked],
            [each.response for each in asked],
            [each.critique for each in asked],
            seeds=[each.seed for each in asked],
        )
        return [_checked_refinement(each) for each in rewritten]

    def verdicts(asked: list[JudgeRequest]) -> list[Verdict]:
        judged = judge(
            [tasks[each.tree] for each in asked],
            [Response(each.response) for each in asked],
            seeds=[each.seed for each in asked],
        )
        return [_checked_verdict(each, settings) for each in judged]

    return drive([tree.search() for tree in trees], {RefineRequest: refinements, JudgeRequest: verdicts})


class RefineRequest(NamedTuple):
    """A response to rewrite; ``tree`` is the root's place in the batch."""

    tree: int
    response: str
    critique: str
    seed: int


class JudgeRequest(NamedTuple):
    """A response to judge; ``tree`` is the root's place in the batch."""

    tree: int
    response: str
    seed: int


class _Slot(NamedTuple):
    """Where a child may come to stand."""

    parent: RefinementNode
    number: int

    @property
    def place(self) -> tuple[int, ...]:
        return (*self.parent.path, self.number)


class _Tree:
    """One tree while it grows. The methods that return ``Steps`` are coroutines."""

    def __init__(self, index: int, root: RefinementNode, settings: SearchSettings, seed: int):
        self.index, self.settings, self.seed = index, settings, seed
        self.root = RefinementNode(root.response, root.critique, root.value)
        self.budget = settings.budget
        self.verdicts: dict[str, Verdict] = {}

    def search(self) -> Steps[SearchResult]:
        bfs = self.settings.strategy == "bfs"
        solution = yield from self.breadth_first() if bfs else self.depth_first(self.root)
        # Failure returns the last maximum in pre-order: ties go to the later child and the deeper node.
        best = solution or max(reversed(list(self.root.walk())), key=lambda node: node.value)
        return SearchResult(best, self.root, self.settings.budget - self.budget, solution is not None)

    def breadth_first(self) -> Steps[RefinementNode | None]:
        frontier = [self.root]
        for depth in range(self.settings.max_depth):
            level = _ranked((yield from self.expand(frontier)))
            if solution := self.solution(level):
                return solution
            if self.budget <= 0:
                break
            frontier = self.keep(level, (depth,))
        return None

    def depth_first(self, node: RefinementNode) -> Steps[RefinementNode | None]:
        if node.depth == self.settings.max_depth:
            return None
        children = _ranked((yield from self.expand([node])))
        if solution := self.solution(children):
            return solution
        if self.budget <= 0:
            return None
        for child in self.keep(children, node.path):
            if solution := (yield from self.depth_first(child)):
                return solution
        return None

    def solution(self, ranked: list[RefinementNode]) -> RefinementNode | None:
        """The best node that solves the tree, if any does."""
        return next((node for node in ranked if self.solves(node)), None)

    def solves(self, node: RefinementNode) -> bool:
        return node.value > self.settings.threshold and self.verdicts[node.response].passed is not False

    def expand(self, parents: list[RefinementNode]) -> Steps[list[RefinementNode]]:
        """Fill ``branching`` slots under each parent, in order, as far as the budget reaches.

        The paper's code tests the budget *after* each child. So a depth-first search that comes back to
        a later sibling with nothing left still makes one child there, and ends below zero.
        """
        slots = [_Slot(parent, number) for parent in parents for number in range(self.settings.branching)]
        room = max(self.budget, 1)
        children: list[RefinementNode] = []
        while slots and len(children) < room:
            wave, slots = slots[: room - len(children)], slots[room - len(children) :]
            children += yield from self.fill(wave)
        self.budget -= len(children)
        return children

    def fill(self, slots: list[_Slot]) -> Steps[list[RefinementNode]]:
        """Rewrite, then judge. A slot for which no rewriting or no score comes stays empty."""
        refinements = yield from self.rewrite(slots)
        filled = [(slot, each) for slot, each in zip(slots, refinements, strict=True) if each]
        yield from self.judge(filled)
        return [
            slot.parent.add(each.response, verdict.critique, verdict.score, each.text)
            for slot, each in filled
            if (verdict := self.verdicts[each.response]).score is not None
        ]

    def rewrite(self, slots: list[_Slot]) -> Steps[list[Refinement | None]]:
        def ask(i: int, attempt: int) -> RefineRequest:
            parent, seed = slots[i].parent, self.derive_seed("refine", (*slots[i].place, attempt))
            return RefineRequest(self.index, parent.response, parent.critique, seed)

        return (yield from ask_until_answered(ask, len(slots), self.settings.refine_tries))

    def judge(self, filled: list[tuple[_Slot, Refinement]]) -> Steps[None]:
        """Judge what this tree has not judged before: each response once, whichever slots it came up in."""
        first_slots: dict[str, _Slot] = {}
        for slot, refinement in filled:
            if refinement.response not in self.verdicts:
                first_slots.setdefault(refinement.response, slot)
        if not first_slots:
            return
        verdicts = yield [
            JudgeRequest(self.index, response, self.derive_seed("judge", (*slot.place, 0)))
            for response, slot in first_slots.items()
        ]
        self.verdicts.update(zip(first_slots, verdicts, strict=True))

    def keep(self, ranked: list[RefinementNode], place: tuple[int, ...]) -> list[RefinementNode]:
        """The nodes to expand next, best first."""
        count = min(self.settings.beam_width, len(ranked))
        if self.settings.select == "greedy" or count == len(ranked):
            return ranked[:count]
        weights = np.array([node.value for node in ranked]) + SAMPLING_FLOOR
        rng = np.random.default_rng(self.derive_seed("select", place))
        drawn = rng.choice(len(ranked), size=count, replace=False, p=weights / weights.sum())
        return [ranked[i] for i in sorted(drawn)]

    def derive_seed(self, purpose: Literal["refine", "judge", "select"], place: tuple[int, ...]) -> int:
        key = (("refine", "judge", "select").index(purpose), *place)
        state = np.random.SeedSequence(self.seed, spawn_key=key).generate_state(1, np.uint64)
        return int(state[0]) >> 1  # 63 bits: what torch and served models take


def _ranked(nodes: list[RefinementNode]) -> list[RefinementNode]:
    """By value, highest first; equals stay in the order they were made."""
    return sorted(nodes, key=lambda node: -node.value)


def _require_roots(tasks: Sequence[Task], roots: Sequence[RefinementNode], seeds: Sequence[int]) -> None:
    if not roots:
        raise InputError("roots", list(roots), "at least one root")
    if len(tasks) != len(roots):
        raise InputError("tasks", len(tasks), f"one for each of {len(roots)} roots")
    if len(seeds) != len(roots) or any(seed < 0 for seed in seeds):
        raise InputError("seeds", list(seeds), f"{len(roots)} integers of at least 0, one per root")
    for root in roots:
        if isnan(root.value):
            raise InputError("root value", root.value, "a number")


def _checked_refinement(answer: Any) -> Refinement | None:
    if answer is not None and not isinstance(answer, Refinement):
        raise InputError("refine", answer, "a Refinement, or None where no rewriting came")
    return answer


def _checked_verdict(answer: Any, settings: SearchSettings) -> Verdict:
    if not isinstance(answer, Verdict):
        raise InputError("judge", answer, "a Verdict")
    if answer.score is not None and not isfinite(answer.score):
        raise InputError("score", answer.score, "a finite number, or None where there is none")
    if answer.score is not None and answer.score < 0 and settings.select == "sample":
        raise InputError("score", answer.score, "at least 0, to draw nodes by it (select=sample)")
    return answer
