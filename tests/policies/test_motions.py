"""Motions in words."""

from __future__ import annotations

import numpy as np
import pytest

from biddable.errors import InputError
from biddable.policies.motions import STILL, MotionVocabulary

AXES = ("x", "y", "z", "opening")
WORDS = (
    ("move forward", "move backward"),
    ("move left", "move right"),
    ("move up", "move down"),
    ("open gripper", "close gripper"),
)


def vocabulary(**changes) -> MotionVocabulary:
    return MotionVocabulary(AXES, WORDS, **{"scale": (0.1, 0.1, 0.1, 1.0), "threshold": 0.25, **changes})


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ([0.1, 0, 0, 0], "move forward"),
        ([-0.05, 0.1, 0, 0], "move left and backward"),
        ([0.05, -0.08, 0.06, -1.0], "close gripper and move right and up"),
        ([0.1, 0.09, 0.08, 0.7], "move forward and left and up"),
        ([0.01, -0.02, 0, 0.2], STILL),
        ([0.025, 0, 0, 0], STILL),
        ([0, 0, -0.03, 0.4], "open gripper and move down"),
    ],
)
def test_the_largest_change_comes_first_and_small_ones_are_not_spoken_of(change, phrase) -> None:
    words = vocabulary()
    assert words.describe(change) == phrase
    assert words.normal(phrase) == phrase
    share = np.array(change) / words.scale
    said = np.abs(share) > 0.25
    kept = np.argsort(-np.abs(share), kind="stable")[:3]
    expected = np.zeros(4)
    for axis in kept:
        expected[axis] = np.sign(share[axis]) * said[axis]
    assert words.parse(phrase).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("typed", "mask"),
    [
        ("Move LEFT.", [0, 1, 0, 0]),
        ("move left, forward and close gripper", [1, 1, 0, -1]),
        ("close gripper and  move down", [0, 0, -1, -1]),
        (STILL, [0, 0, 0, 0]),
    ],
)
def test_people_type_as_they_like(typed, mask) -> None:
    assert vocabulary().parse(typed).tolist() == mask


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("move sideways", "expected words of move forward, move backward, move left"),
        ("left", "phrase is 'left', expected words of"),
        ("close gripper and left", "phrase is 'close gripper and left', expected words of"),
        ("move left and right", "expected move left or move right, once: they are one axis, y"),
        ("move left and left", "once"),
        ("", "phrase is ''"),
    ],
)
def test_what_is_no_motion_is_one_line(typed, message) -> None:
    with pytest.raises(InputError, match=message):
        vocabulary().parse(typed)


def test_the_first_motion() -> None:
    assert vocabulary().first("close gripper and move right and up") == "close gripper"
    assert vocabulary().first(STILL) == STILL


def test_labels_look_a_few_steps_ahead_and_stretch_what_is_left_at_the_end() -> None:
    positions = np.zeros((6, 4))
    positions[:, 0] = [0, 0.05, 0.1, 0.1, 0.1, 0.1]
    positions[:, 2] = [0, 0, 0, 0, 0, 0.05]
    words = vocabulary(horizon=2)
    assert words.changes(positions)[:, 0].tolist() == pytest.approx([0.1, 0.05, 0, 0, 0])
    assert words.changes(positions)[:, 2].tolist() == pytest.approx([0, 0, 0, 0.05, 0.1])
    assert words.label(positions) == ["move forward", "move forward", STILL, "move up", "move up"]
    assert len(vocabulary(horizon=99).label(positions)) == 5


def test_scales_are_of_the_data_and_an_axis_that_never_moves_is_never_spoken_of() -> None:
    rng = np.random.default_rng(0)
    positions = np.zeros((200, 4))
    positions[:, 0] = np.cumsum(rng.choice([-0.01, 0.01], 200))
    positions[:, 1] = np.cumsum(rng.choice([-10.0, 10.0], 200))
    positions[100:, 3] = 1.0  # rare, and yet as large as it can be
    words = MotionVocabulary.of(AXES, [positions], horizon=1)
    assert words.scale == pytest.approx((0.01, 10.0, 0.0, 1.0))
    assert all(
        "ward" in phrase and ("left" in phrase or "right" in phrase) for phrase in words.label(positions)
    )
    assert not any("up" in phrase or "down" in phrase for phrase in words.label(positions))
    assert [i for i, phrase in enumerate(words.label(positions)) if "open gripper" in phrase] == [99]
    assert MotionVocabulary.restored(words.settings()) == words


def test_words_of_ones_own() -> None:
    words = {"x": ("go east", "go west"), "lid": ("raise lid", "lower lid")}
    made = MotionVocabulary.of(("x", "lid"), [np.eye(2)], words=words)
    assert made.describe([-9, 9]) == "go west and raise lid"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: vocabulary(threshold=0.0), "threshold is 0.0, expected a number above 0"),
        (lambda: vocabulary(threshold=float("nan")), "threshold is nan"),
        (lambda: vocabulary(horizon=0), "horizon is 0, expected an integer of at least 1"),
        (lambda: vocabulary(scale=(1, 1, 1)), "a pair for each of x, y, z, opening"),
        (lambda: vocabulary(scale=(1, 1, 1, -1)), "numbers of at least 0"),
        (lambda: MotionVocabulary(("x", "x"), WORDS[:2], (1, 1)), "each once"),
        (lambda: MotionVocabulary(("x", "y"), (WORDS[0], WORDS[0]), (1, 1)), "words is 'move forward'"),
        (lambda: MotionVocabulary(("x",), (("go and stop", "back"),), (1,)), "none of which is 'and'"),
        (lambda: MotionVocabulary.of(("spin",), [np.eye(2)]), "axes is 'spin', expected an axis with words"),
        (lambda: MotionVocabulary.of(("x",), []), "episodes is 'none'"),
        (lambda: vocabulary().label(np.zeros((5, 3))), r"positions is \[5, 3\], expected \[T \+ 1, 4\]"),
        (lambda: vocabulary().label(np.zeros((1, 4))), "with T of at least 1"),
        (lambda: vocabulary().label(np.full((3, 4), np.nan)), "not finite"),
        (lambda: vocabulary().describe([1, 2]), "expected 4 finite numbers"),
    ],
)
def test_bad_input(make, message) -> None:
    with pytest.raises(InputError, match=message):
        make()
