"""Environments side by side while learning: one that breaks costs its episode and nothing else."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from biddable.errors import BiddableError, InputError
from biddable.policies.lanes import ATTEMPTS, Lanes


class Counting:
    """Ends each episode after three steps; breaks, or shows or pays something odd, when it is told to."""

    def __init__(self, breaks=(), odd=(), nan=()):
        self.breaks, self.odd, self.nan = set(breaks), set(odd), set(nan)
        self.total = self.steps = 0

    def reset(self, *, seed=None):
        self.steps = 0
        return {"number": np.zeros(2)}, {}

    def step(self, action):
        self.total += 1
        self.steps += 1
        if self.total in self.breaks:
            raise RuntimeError("the simulator\n fell over")
        seen = {"number": np.full(3 if self.total in self.odd else 2, self.steps)}
        reward = float("nan") if self.total in self.nan else 1.0
        return seen, reward, self.steps == 3, False, {"success": True}


def lanes(*envs) -> Lanes:
    return Lanes(envs, lambda seen: (seen["number"],), seed=0)


def step(made: Lanes):
    return made.step(np.zeros(len(made.envs), dtype=np.int64))


def test_one_that_breaks_begins_again_and_the_others_go_on(caplog) -> None:
    made = lanes(Counting(breaks=[2]), Counting())
    step(made)
    with caplog.at_level(logging.WARNING):
        rewards, over = step(made)
    assert (rewards.tolist(), over.tolist()) == ([0, 1], [True, False])
    assert made.seen[0].tolist() == [[0, 0], [2, 2]]
    assert [record.getMessage() for record in caplog.records] == [
        "the environment broke, another episode is begun: RuntimeError: the simulator fell over"
    ]
    assert len(made.ended) == 0, "it is not counted"
    for _ in range(3):
        step(made)
    assert list(made.ended) == [(True, 3), (True, 3)]


def test_one_that_breaks_before_any_episode_has_ended_leaves_progress_whole() -> None:
    made = lanes(Counting(breaks=[1]))
    step(made)
    assert (made.progress(1, 0.0).success, made.progress(1, 0.0).length) == (0, 0)


def test_one_that_keeps_breaking_is_given_up() -> None:
    made = lanes(Counting(breaks=range(1, ATTEMPTS + 1)))
    for _ in range(ATTEMPTS - 1):
        step(made)
    with pytest.raises(BiddableError, match="broke 3 times in a row, at last with RuntimeError"):
        step(made)
    now_and_then = lanes(Counting(breaks=[1, 3, 5, 7]))
    for _ in range(8):
        step(now_and_then)


def test_one_that_cannot_begin_again_is_given_up(monkeypatch) -> None:
    made = lanes(Counting(breaks=[1]))
    monkeypatch.setattr(made.envs[0], "reset", lambda: 1 / 0)
    with pytest.raises(BiddableError, match="at last with ZeroDivisionError"):
        step(made)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (Counting(odd=[1]), r"features is \(3,\), expected the shape \(2,\), as before"),
        (Counting(nan=[1]), "reward is .*nan.*, expected a number"),
    ],
)
def test_what_cannot_be_learned_from_is_one_line(env, message) -> None:
    with pytest.raises(InputError, match=message):
        step(lanes(env))
