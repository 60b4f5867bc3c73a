from __future__ import annotations

import pytest

from biddable.errors import InputError
from biddable.search.best_of_n import best_of_n, best_of_n_refinement, iterative_refinement
from biddable.search.nodes import RefinementNode
from biddable.search.refiners import Refinement
from biddable.types import Verdict

from .scripted import Script, tasks

ROOTS = [RefinementNode("a"), RefinementNode("b")]
TASKS = tasks(2)


def by_number(tasks, responses, *, seeds=None):
    """A reward of its own scale that decides nothing, highest for the second and the sixth."""
    return [Verdict(-1.0 if r.text.endswith(("1", "5")) else -2.0, None) for r in responses]


def test_best_of_n_picks_among_independent_samples():
    asked = []

    def sample(tasks, responses, critiques, *, seeds):
        asked.extend(zip(tasks, responses, critiques, seeds, strict=True))
        return [Refinement(f"{task.id}, sample {i}") for i, task in enumerate(tasks)]

    results = best_of_n(TASKS, sample, by_number, n=3)
    assert [result.best.response for result in results] == ["t0, sample 1", "t1, sample 5"]
    assert [row[:3] for row in asked] == [(TASKS[0], "", "")] * 3 + [(TASKS[1], "", "")] * 3
    assert len({row[3] for row in asked}) == 6


def test_best_of_n_refinement_is_one_level():
    script = Script({"a2": 0.7, "b0": 0.4})
    results = best_of_n_refinement(TASKS, ROOTS, script.refine, script.judge, n=4)
    assert script.refined == [["a"] * 4 + ["b"] * 4]
    assert [(r.best.response, r.solved, r.expansions) for r in results] == [("a2", True, 4), ("b0", False, 4)]


def test_iterative_refinement_is_one_branch_until_it_passes():
    script = Script({"a0": 0.2, "a00": 1.0})
    results = iterative_refinement(TASKS, ROOTS, script.refine, script.judge, steps=4)
    assert [(r.best.response, r.solved, r.expansions) for r in results] == [
        ("a00", True, 2),
        ("b0000", False, 4),
    ]


def test_each_step_rewrites_the_last_rewriting_even_a_worse_one():
    script = Script({"a0": 0.4, "a00": 0.1, "b0": 0.9})
    iterative_refinement(TASKS, ROOTS, script.refine, script.judge, steps=3)
    assert script.refined == [["a", "b"], ["a0"], ["a00"]]


def test_no_tasks():
    with pytest.raises(InputError, match="roots is"):
        best_of_n([], Script().refine, Script().judge, n=2)


def test_no_samples():
    with pytest.raises(InputError, match="branching is 0"):
        best_of_n_refinement(TASKS, ROOTS, Script().refine, Script().judge, n=0)
