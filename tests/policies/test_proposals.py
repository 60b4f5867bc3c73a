"""Which task comes next: the numbers of the formula, and what is drawn where it says nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from biddable.errors import InputError
from biddable.policies.proposals import ProposalConfig, TaskStatistics, propose_task, value_of

ALWAYS = ProposalConfig(p_random=0.0)


def counted(**tasks: tuple[int, int]) -> TaskStatistics:
    stats = TaskStatistics(tuple(tasks))
    for task, (attempts, successes) in tasks.items():
        for i in range(attempts):
            stats.tried(task)
            if i < successes:
                stats.succeeded(task)
    return stats


def test_the_value_is_zone_and_ucb() -> None:
    stats = counted(a=(10, 3), b=(5, 5), c=(0, 0))
    ucb = [math.sqrt(math.log(16) / (n + 1)) for n in (10, 5, 0)]  # N counts all tasks
    weight = ProposalConfig(ucb_weight=5.0)
    assert [value_of(stats, task, weight) for task in "abc"] == pytest.approx(
        [1 - 0 + 5 * ucb[0], 1 - 0.7 + 5 * ucb[1], 1 - 0.3 + 5 * ucb[2]]
    )


def test_a_large_weight_takes_the_least_tried_and_a_small_one_the_zone() -> None:
    stats, rng = counted(zone=(10, 3), never=(0, 0), always=(10, 10)), np.random.default_rng(0)
    assert propose_task(stats, stats.tasks, rng, ALWAYS) == "never"
    assert propose_task(stats, stats.tasks, rng, ProposalConfig(p_random=0, ucb_weight=0)) == "zone"
    assert propose_task(stats, ["always"], rng, ALWAYS) == "always"


def test_random_tasks_are_drawn_as_often_as_asked() -> None:
    stats, rng = counted(a=(5, 0), b=(5, 5), c=(0, 0)), np.random.default_rng(0)
    drawn = [propose_task(stats, ["a", "c"], rng, ProposalConfig(p_random=0.5)) for _ in range(2000)]
    assert drawn.count("a") / 2000 == pytest.approx(0.25, abs=0.04)
    assert "b" not in drawn
    anything = {propose_task(stats, [], rng, ALWAYS) for _ in range(100)}
    assert anything == {"a", "b", "c"}, "where nothing can be done, any is drawn"


def test_balance_is_the_entropy_of_attempts() -> None:
    assert counted(a=(3, 0), b=(3, 1)).balance() == pytest.approx(1)
    assert counted(a=(6, 0), b=(0, 0)).balance() == pytest.approx(0)
    expected = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) / math.log(4)
    assert counted(a=(1, 0), b=(3, 0), c=(0, 0), d=(0, 0)).balance() == pytest.approx(expected)


def test_what_is_not_counted_is_one_line() -> None:
    with pytest.raises(InputError, match="tasks is 'none', expected at least one"):
        TaskStatistics(())
    with pytest.raises(InputError, match="tasks is 'a', expected texts that say what to do, each once"):
        TaskStatistics(("a", "b", "a"))
    stats = counted(a=(1, 1))
    for call in (stats.tried, stats.succeeded, stats.rate, lambda task: value_of(stats, task, ALWAYS)):
        with pytest.raises(InputError, match="task is 'other', expected one of the 1 tasks"):
            call("other")
    with pytest.raises(InputError, match="task is 'other'"):
        propose_task(stats, ["other"], np.random.default_rng(0), ALWAYS)
    with pytest.raises(InputError, match="no more than attempts"):
        stats.succeeded("a")
