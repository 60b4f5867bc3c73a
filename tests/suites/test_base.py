from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from biddable.errors import InputError
from biddable.suites.base import Suite, check_suite
from biddable.tasks.fewshot import Shots
from biddable.types import Task

from .models import choosing, writing


@pytest.mark.parametrize(
    ("suite", "changes", "problem"),
    [
        (choosing(), {"tasks": ()}, "suite even is 'no tasks', expected at least one"),
        (choosing(), {"metrics": ()}, "no metrics"),
        (writing(), {"judge": None}, "no judge"),
        (choosing(), {"k": -1}, "shots is -1"),
        (choosing(), {"tasks": choosing().tasks * 2}, "2 tasks with the id 't0'"),
        (choosing(), {"tasks": (Task("a", "p"),)}, r"task a is \[\], expected at least two choices"),
        (choosing(), {"tasks": (Task("a", "p", (), ("x",), {}, ("x", "x")),)}, "at least two choices"),
        (choosing(), {"tasks": (Task("a", "p", (), ("z",), {}, ("x", "y")),)}, r"\['z'\], expected right"),
        (choosing(), {"tasks": (Task("a", "p", (), (), {}, ("x", "y")),)}, r"\[\], expected right answers"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused(suite: Suite, changes: dict[str, Any], problem: str) -> None:
    check_suite(suite)
    with pytest.raises(InputError, match=problem):
        check_suite(replace(suite, **changes))


def test_a_choice_may_stand_twice_as_in_published_sets() -> None:
    check_suite(replace(choosing(), tasks=(Task("a", "p", (), ("x",), {}, ("x", "y", "x")),)))


def test_shots_are_those_of_the_group_or_of_all() -> None:
    suite = choosing(shots={"law": Shots("Law."), "": Shots("All.")})
    assert suite.shots_of(Task("a", "p", meta={"group": "law"})).description == "Law."
    assert suite.shots_of(Task("a", "p", meta={"group": "art"})).description == "All."
    assert choosing().shots_of(Task("a", "p")) == Shots()
