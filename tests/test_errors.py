"""Errors say the same on the other side of a process border."""

from __future__ import annotations

import copy
import pickle

import pytest

from biddable.errors import BiddableError, FileError, InputError, MissingDependency, RunError
from biddable.runs.executors import processes

ERRORS = [
    BiddableError("the browser died"),
    InputError("branch", 0, "an integer of at least 1", where="tasks.jsonl:3"),
    FileError("tasks.jsonl", "damaged", line=3),
    MissingDependency("Ray", "pip install ray"),
    RunError("in use"),
]


def refuse(batch: list[int]) -> list[int]:
    raise InputError("batch", batch, "something else")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("through", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_is_the_same_on_the_other_side(error, through) -> None:
    again = through(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.exit_code == error.exit_code


def test_what_a_worker_process_refuses_is_said_as_it_is() -> None:
    with pytest.raises(InputError, match=r"batch is \[1\], expected something else"):
        list(processes(1)(refuse, [(0, [1])]))
