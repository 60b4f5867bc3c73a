"""The controlled experiments: what pairs differ in, how answers are measured, one small real run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import biddable
from biddable.errors import InputError
from biddable.methods.base import configure
from biddable.methods.improve.spar_controlled import ControlledConfig, SparControlled
from biddable.methods.improve.spar_controlled.exercise import split
from biddable.methods.improve.spar_controlled.letters import LETTERS
from biddable.methods.improve.spar_controlled.method import characters, stories
from biddable.methods.improve.spar_controlled.narration import STORIES
from biddable.runs.run import Run
from biddable.types import Task, user

EXERCISES = (LETTERS, STORIES)
PARTS = ("train", "validation", "held-out")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def letters(letter: str, count: int) -> Task:
    return Task("x", user("…"), meta={"letter": letter, "count": count})


def story(first: str, last: str) -> Task:
    return Task("x", user("…"), meta={"first": first, "last": last})


def test_a_split_is_60_10_and_30_percent_of_everything_once():
    parts = split(range(50))
    assert {name: len(items) for name, items in parts.items()} == {
        "train": 30,
        "validation": 5,
        "held-out": 15,
    }
    assert sorted(item for items in parts.values() for item in items) == list(range(50))
    assert split(range(50)) == parts


def test_no_letter_has_the_same_number_in_two_splits():
    cells = [{(t.meta["letter"], t.meta["count"]) for t in LETTERS.tasks(part)} for part in PARTS]
    assert not cells[0] & cells[1] | cells[0] & cells[2] | cells[1] & cells[2]
    assert sum(map(len, cells)) == 26 * 8


def test_no_given_sentence_stands_in_two_splits():
    for place in ("first", "last"):
        given = [{t.meta[place] for t in STORIES.tasks(part)} for part in PARTS]
        assert not given[0] & given[1] | given[0] & given[2] | given[1] & given[2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a a a", (1, 0, 0)),
        ("A a A", (1, 0, 2 / 3)),
        ("a a", (0, 1, 0)),
        ("a a a a a", (0, 2, 0)),
        ("a a a b", (0, 0, 0)),
        ("aaa", (0, 3, 0)),
        ("", (0, 3, 0)),
    ],
)
def test_letters_are_measured(text, expected):
    scores = LETTERS.measure(letters("a", 3), text)
    assert tuple(scores.values()) == pytest.approx(expected)
    assert list(scores) == ["exact number", "miscounted by", "upper case"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It began. I ran. It ended.", (1, 1, 1, 0)),
        ("It began. He ran. It ended.", (1, 1, 1, 1)),
        ("It began. He met me. It ended.", (1, 1, 1, 0)),
        (" It began. Dogs ran.\n", (1, 0, 0, 0)),
        ("So. It began. She ran. It ended.", (0, 1, 0, 1)),
    ],
)
def test_stories_are_measured(text, expected):
    scores = STORIES.measure(story("It began.", "It ended."), text)
    assert tuple(scores.values()) == expected


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda each: each.name)
def test_the_two_kinds_of_pairs_differ_in_the_nuisance_alone(exercise):
    constraint = {"characters": "exact number", "stories": "both sentences"}[exercise.name]
    for seed, task in enumerate(exercise.tasks("train")[::40]):
        refined = exercise.pair(task, "refined", rng(seed))
        interfering = exercise.pair(task, "interfering", rng(seed))
        assert refined.rejected == interfering.rejected
        assert exercise.measure(task, refined.rejected)[constraint] == 0
        for pair in (refined, interfering):
            assert exercise.measure(task, pair.chosen)[constraint] == 1
        assert refined.chosen != interfering.chosen
        assert exercise.measure(task, exercise.demonstrate(task, rng(seed)))[constraint] == 1


def test_refined_letters_keep_their_case_and_interfering_ones_change_it():
    for seed, task in enumerate(LETTERS.tasks("train")[::7]):
        cases = {
            kind: LETTERS.measure(task, LETTERS.pair(task, kind, rng(seed)).chosen)["upper case"]
            for kind in ("refined", "interfering")
        }
        assert cases == {"refined": 0, "interfering": 1}


@pytest.mark.parametrize("field", ["demonstrations", "pairs", "cases"])
def test_a_size_of_none_is_refused(field):
    with pytest.raises(InputError, match=f"{field} is 0, expected an integer of at least 1"):
        replace(ControlledConfig().settings("characters"), **{field: 0})


def test_more_cases_than_there_are_instructions_are_refused(tmp_path):
    too_many = replace(ControlledConfig().settings("characters"), cases=10_000)
    with (
        Run.open(tmp_path / "run", "spar-controlled", {}, 0) as run,
        pytest.raises(InputError, match="held-out instructions is 10000, expected at most"),
    ):
        characters(run, "smollm2", too_many, [0])


def test_no_seed_is_refused(tmp_path):
    with (
        Run.open(tmp_path / "run", "spar-controlled", {}, 0) as run,
        pytest.raises(InputError, match="seeds is"),
    ):
        stories(run, "smollm2", ControlledConfig().settings("stories"), [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size is 0, expected greater than 0"),
        ({"size": 1.5}, "size is 1.5, expected less than or equal to 1"),
        ({"seeds": 0}, "seeds is 0"),
        ({"experiments": ()}, "experiments is ()"),
        ({"experiments": ("figures",)}, "experiments is 'figures', expected 'characters' or 'stories'"),
        ({"split": "test"}, "split is 'test', expected 'train', 'validation' or 'held-out'"),
        ({"alpha": -1}, "alpha is -1"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(options, message):
    with pytest.raises(InputError) as caught:
        configure(SparControlled, options=options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("preset", ["default", *SparControlled.presets])
def test_every_preset_is_sound(preset):
    config = configure(SparControlled, preset)
    assert all(config.settings(name).pairs >= 1 for name in config.experiments)


def test_a_run_on_real_weights_is_read_back(smollm2, tmp_path):
    results = [
        biddable.run(
            "spar-controlled", preset="smoke", out=tmp_path / "run", experiments=("stories",), size=0.04
        )
        for _ in range(2)
    ]
    first, again = results
    assert [c.metric for c in first.comparisons] == ["stories: both sentences"] * 3
    assert {(c.baseline_name, c.method_name) for c in first.comparisons} == {
        ("untrained", "refined"),
        ("interfering", "refined"),
        ("untrained", "interfering"),
    }
    assert all(c.n == 2 for c in first.comparisons)
    measured = first.metrics["stories"]
    assert set(measured["means"]) == {"untrained", "interfering", "refined"}
    assert measured["pair similarity"]["refined"] > measured["pair similarity"]["interfering"]
    assert first.model_copy(update={"timing": {}}) == again.model_copy(update={"timing": {}})
