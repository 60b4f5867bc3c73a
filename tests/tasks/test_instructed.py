"""Composed tasks with instructions: what they say, that answers are right, and that nothing repeats."""

from __future__ import annotations

from itertools import combinations

import pytest

from biddable.experiments.cross_task import ALIKE, similarity, word_pairs
from biddable.tasks.compose.instructed import composed_tasks
from biddable.tasks.superni import Instructed

TASKS = {task.name: task for task in composed_tasks(60)}


def pairs(name: str) -> list[tuple[str, str]]:
    return [(str(row.meta["input"]), row.references[0]) for row in TASKS[name].instances]


def test_there_are_tasks_of_several_categories() -> None:
    assert len(TASKS) >= 12
    assert len({task.categories[0] for task in TASKS.values()}) >= 6


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_inputs_differ_from_each_other_and_from_the_examples(task: Instructed) -> None:
    shown = [each.input for each in (*task.positive, *task.negative)]
    inputs = [str(row.meta["input"]) for row in task.instances]
    assert len({*inputs, *shown}) == len(inputs) + len(shown) == len(inputs) + 3
    assert len({each.output for each in task.positive}) == 2
    assert len(inputs) == {"capital": 30, "opposite": 57}.get(task.name, 60)


def test_answers_are_what_the_definitions_ask_for() -> None:
    assert all(given.split(", ")[0] == answer for given, answer in pairs("first_item"))
    assert all(given.split(", ")[-1] == answer for given, answer in pairs("last_item"))
    assert all(given.split(", ")[::-1] == answer.split(", ") for given, answer in pairs("reversed_list"))
    assert all(sorted(given.split(", ")) == answer.split(", ") for given, answer in pairs("sorted_list"))
    for name in ("person", "place", "day"):
        assert all(answer in given for given, answer in pairs(name))
    for given, answer in pairs("contains"):
        asked, _, words = given.partition(" | ")
        assert (asked in words.split(", ")) == (answer == "yes")


def test_a_wrong_example_is_wrong() -> None:
    [wrong] = TASKS["first_item"].negative
    assert wrong.input.split(", ")[0] != wrong.output


def test_definitions_of_different_categories_do_not_resemble_each_other() -> None:
    for one, other in combinations(TASKS.values(), 2):
        if one.categories != other.categories:
            assert similarity(word_pairs(one.definition), word_pairs(other.definition)) < ALIKE


def test_a_seed_decides_the_rows() -> None:
    assert composed_tasks(5, seed=1) == composed_tasks(5, seed=1)
    assert composed_tasks(5, seed=1) != composed_tasks(5, seed=2)
