"""The controlled experiments: what pairs differ in, how answers are measured, one small real run."""

from __future__ import annotations

import numpy as np
import pytest

import biddable
from biddable.errors import InputError
from biddable.methods.base import configure
from biddable.methods.improve.spar_controlled import (
    EXERCISES,
    ControlledConfig,
    SparControlled,
    data,
    split,
    tasks,
)
from biddable.runs.run import Run
from biddable.types import Task, user

LETTERS, STORIES = EXERCISES["characters"], EXERCISES["stories"]
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
    cells = [{(t.meta["letter"], t.meta["count"]) for t in tasks("characters", part)} for part in PARTS]
    assert not cells[0] & cells[1] | cells[0] & cells[2] | cells[1] & cells[2]
    assert sum(map(len, cells)) == 26 * 8


def test_no_given_sentence_stands_in_two_splits():
    for place in ("first", "last"):
        given = [{t.meta[place] for t in tasks("stories", part)} for part in PARTS]
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
    scores = LETTERS.scores(letters("a", 3), text)
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
    scores = STORIES.scores(story("It began.", "It ended."), text)
    assert tuple(scores.values()) == expected


@pytest.mark.parametrize(
    ("name", "constraint"), [("characters", "exact number"), ("stories", "both sentences")]
)
def test_the_two_kinds_of_pairs_differ_in_the_nuisance_alone(name, constraint):
    exercise = EXERCISES[name]
    for seed, task in enumerate(tasks(name, "train")[::40]):
        refined = exercise.pair(task, "refined", rng(seed))
        interfering = exercise.pair(task, "interfering", rng(seed))
        assert refined.rejected == interfering.rejected
        assert exercise.scores(task, refined.rejected)[constraint] == 0
        for pair in (refined, interfering):
            assert exercise.scores(task, pair.chosen)[constraint] == 1
        assert refined.chosen != interfering.chosen
        assert exercise.scores(task, exercise.answer(task, rng(seed)))[constraint] == 1


@pytest.mark.parametrize("name", list(EXERCISES))
def test_no_instruction_is_learned_from_twice_or_asked_again(name, tmp_path):
    with Run.open(tmp_path / "run", "spar-controlled", {}, 0) as run:
        chats, pairs, cases = data(run, ControlledConfig(), name, 0)
        assert data(run, ControlledConfig(), name, 1)[2] == cases, "the same cases for all seeds"
    learned = [chat[0].content for chat in chats]
    preferred = [[pair.prompt[0].content for pair in of_kind] for of_kind in pairs.values()]
    assert preferred[0] == preferred[1]
    asked = [*learned, *preferred[0], *(task.prompt[0].content for task in cases)]
    assert len({*asked}) == len(asked) == sum(EXERCISES[name].sizes)
    rejected = [[pair.rejected for pair in of_kind] for of_kind in pairs.values()]
    assert rejected[0] == rejected[1]


def test_refined_letters_keep_their_case_and_interfering_ones_change_it():
    for seed, task in enumerate(tasks("characters", "train")[::7]):
        cases = {
            kind: LETTERS.scores(task, LETTERS.pair(task, kind, rng(seed)).chosen)["upper case"]
            for kind in ("refined", "interfering")
        }
        assert cases == {"refined": 0, "interfering": 1}


def test_more_instructions_than_there_are_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(LETTERS, "sizes", (1, 10_000, 1))
    with (
        Run.open(tmp_path / "run", "spar-controlled", {}, 0) as run,
        pytest.raises(InputError, match="train instructions is 10001, expected at most"),
    ):
        data(run, ControlledConfig(), "characters", 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size is 0, expected a number above 0"),
        ({"size": 1.5}, "size is 1.5, expected a number of at most 1"),
        ({"seeds": 0}, "seeds is 0"),
        ({"experiments": ()}, "experiments is ()"),
        ({"experiments": ("figures",)}, "experiments is 'figures', expected 'characters' or 'stories'"),
        ({"split": "test"}, "split is 'test', expected 'train', 'validation' or 'held-out'"),
        ({"dpo.rpo_alpha": -1}, "dpo.rpo_alpha is -1"),
        ({"sft": {"lr": 0}}, "sft.lr is 0"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(options, message):
    with pytest.raises(InputError) as caught:
        configure(SparControlled, options=options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("preset", ["default", *SparControlled.presets])
def test_every_preset_is_sound(preset):
    configure(SparControlled, preset)


@pytest.mark.timeout(900)  # two trainings and three models that answer
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
    scores = first.metrics["scores"]["stories: both sentences"]
    assert set(scores) == {"untrained", "interfering", "refined"}
    similarity = first.metrics["pair_similarity"]["stories"]
    assert similarity["refined"] > similarity["interfering"]
    assert first.model_copy(update={"timing": {}}) == again.model_copy(update={"timing": {}})
