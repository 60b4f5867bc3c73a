"""Composed skills: enough tasks of enough categories, none defined as another, answers that are right."""

from __future__ import annotations

from collections import Counter

import numpy as np

from biddable.experiments.cross_task import alike, hold_out, split_composed
from biddable.tasks.compose.skills import SIGNS, code_task, skill_tasks

TASKS = {each.name: each for each in skill_tasks(60)}


def answer(name: str, given: str) -> set[str]:
    return {row.references[0] for row in TASKS[name].instances if row.meta["input"] == given}


def test_forty_tasks_of_which_24_can_be_held_out() -> None:
    assert len(TASKS) == 40
    assert len({each.categories[0] for each in TASKS.values()}) == 20
    split = split_composed(list(TASKS.values()))
    for seed in range(5):
        seen, unseen, _ = hold_out(split, (), np.random.default_rng(seed), share=0.6)
        assert len(unseen) >= 22
        assert len(seen) >= 14


def test_tasks_of_different_categories_are_not_defined_alike() -> None:
    names = list(TASKS)
    for at, first in enumerate(alike([TASKS[name].definition for name in names])):
        assert TASKS[names[at]].categories == TASKS[names[first]].categories


def test_inputs_differ_and_answers_are_right() -> None:
    for each in TASKS.values():
        inputs = [row.meta["input"] for row in each.instances]
        assert len({*inputs}) == len(inputs) >= 30, each.name
        assert {example.output for example in each.positive} != {each.positive[0].output}
    for row in TASKS["sum"].instances:
        first, second = map(int, row.meta["input"].split(" + "))
        assert row.references == (str(first + second),)
    for row in TASKS["difference"].instances:
        first, second = map(int, row.meta["input"].split(" - "))
        assert row.references == (str(first - second),)
    words = {row.meta["input"]: row.references[0] for row in TASKS["digits_to_words"].instances}
    assert all(words[number] == text for number, text in {"29": "twenty-nine"}.items() if number in words)
    assert all(row.references[0] == row.meta["input"].upper() for row in TASKS["capital_letters"].instances)


def test_the_rule_of_the_code_was_drawn() -> None:
    rows = code_task(60).instances
    counts = Counter(row.references[0] for row in rows)
    assert {*counts} == {*SIGNS}
    assert max(counts.values()) < 30
    assert code_task(60) == code_task(60)
