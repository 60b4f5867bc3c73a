"""Partly labelled demonstrations: what is read, dropped and held out; retrieval and its chance."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch

pytest.importorskip("minari", reason='minari is not installed: pip install "biddable[envs]"')

from biddable.errors import InputError
from biddable.experiments.bot_episodes import bot_episodes, held_out_objects, instructions
from biddable.experiments.goal_data import (
    NOBODY_SAYS,
    GoalData,
    assembled,
    check_labels,
    held_out,
    read_own,
)
from biddable.experiments.goal_language import _chance, retrieval
from biddable.experiments.pixel_demos import head_settings
from biddable.policies.datasets.write_minari import write_minari
from biddable.types import Trajectory

HEAD = {"kind": "categorical", "n": 2}


def walk(text: str, steps: int = 2, start: float = 0.0, **rest) -> Trajectory:
    states = start + np.arange(steps + 1, dtype=np.float32)[:, None] * np.ones(3, np.float32)
    return Trajectory(text, {"state": states}, np.zeros(steps, np.int64), np.zeros(steps), **rest)


def folder(tmp_path, trajectories, name="mine-v0"):
    return write_minari(trajectories, tmp_path / name)


def test_episodes_without_an_instruction_are_unlabelled(tmp_path) -> None:
    mine = [walk("left", 2, success=True), walk("", 3), walk("right", 1), walk("left", 4, success=False)]
    own = read_own(folder(tmp_path, mine), None, "", 64)
    assert [(each.instruction, len(each)) for each in own.labelled] == [("left", 2), ("right", 1)]
    assert [len(each) for each in own.unlabelled] == [3, 4]
    assert {each.instruction for each in own.unlabelled} == {NOBODY_SAYS}
    assert own.notes() == ["1 episodes did not do what they say, and count as unlabelled."]
    assert (own.part, own.action.kind) == ("state", "discrete")


def test_of_another_set_no_instruction_is_looked_at(tmp_path) -> None:
    mine, more = folder(tmp_path, [walk("left")]), folder(tmp_path, [walk("right", 5)], "more-v0")
    own = read_own(mine, more, "state", 64)
    assert [len(each) for each in own.labelled] == [2]
    assert [len(each) for each in own.unlabelled] == [5]


def test_an_episode_unlike_the_others_is_dropped_and_named(tmp_path) -> None:
    mine = folder(tmp_path, [walk("left"), walk("right")])
    wide = [Trajectory("x", {"state": np.zeros((3, 5), np.float32)}, np.zeros(2, np.int64), np.zeros(2))]
    own = read_own(mine, folder(tmp_path, wide, "more-v0"), "", 64)
    assert [each.id for each in own.funnel.dropped] == ["unlabelled episode 0"]
    assert "state is [5], expected [3], as in the first episode" in own.notes()[0]


def test_actions_in_numbers_have_the_range_of_what_was_done(tmp_path) -> None:
    actions = np.array([[0.5, 1.0], [-0.25, 1.0]], np.float32)
    own = read_own(folder(tmp_path, [replace(walk("left"), actions=actions)] * 2), None, "", 64)
    assert head_settings(own.action, own.labelled) == {
        "kind": "gaussian",
        "low": [-0.25, 0.5],
        "high": [0.5, 1.5],
    }


@pytest.mark.parametrize(
    ("part", "message"), [("wrist", "part is 'wrist', expected one of state"), ("instruction", "part is")]
)
def test_a_part_that_is_not_there_is_one_line(part, message, tmp_path) -> None:
    with pytest.raises(InputError, match=message):
        read_own(folder(tmp_path, [walk("left")]), None, part, 64)


def test_what_is_held_out_shares_nothing_with_the_rest() -> None:
    mine = [walk(text, meta={"source": source}) for text, source in zip("aabbcc", "xyxyzz", strict=True)]
    for by, key in (
        ("episodes", lambda each: each.meta["source"]),
        ("instructions", lambda each: each.instruction),
    ):
        kept, tested = held_out(mine, 0.4, by, np.random.default_rng(0))
        assert len(kept) + len(tested) == 6
        assert tested
        assert not {*map(key, kept)} & {*map(key, tested)}
    with pytest.raises(InputError, match="expected at least 3 with an instruction"):
        held_out(mine[:2], 0.4, "instructions", np.random.default_rng(0))


def test_a_held_out_instruction_is_no_wording_of_another() -> None:
    mine = [walk(text, meta={"wordings": ("a", "b", "c")}) for text in "abc"]
    kept, [tested, *_] = held_out(mine, 0.3, "instructions", np.random.default_rng(0))
    for each in kept:
        assert {*each.meta["wordings"]} == {"a", "b", "c"} - {tested.instruction}


def test_unlabelled_demonstrations_are_others_with_the_same_actions(tmp_path) -> None:
    mine = folder(tmp_path, [walk("left"), walk("right")])
    with pytest.raises(InputError, match="expected other demonstrations than the data's"):
        read_own(mine, tmp_path / "." / "mine-v0", "", 64)
    numbers = folder(tmp_path, [replace(walk("x"), actions=np.ones((2, 4), np.float32))], "more-v0")
    with pytest.raises(
        InputError, match=r"actions is '4 numbers.*', expected one of 1 choices, as in the data"
    ):
        read_own(mine, numbers, "", 64)


def test_labels_of_one_instruction_are_refused() -> None:
    check_labels(3, [2], ["a", "b", "a"])
    with pytest.raises(InputError, match="labels is 1, expected more"):
        check_labels(1, [])
    with pytest.raises(InputError, match="labels is 3, expected more"):
        check_labels(3, [], ["a", "a", "a"])
    with pytest.raises(InputError, match="fewer_labels is 2, expected more"):
        check_labels(3, [2], ["a", "a", "b"])


def made(*, wordings=()) -> GoalData:
    labelled = [walk("left", meta={"wordings": (*wordings, NOBODY_SAYS)}), walk("right", start=5)]
    tests = {"held": [walk("left", start=9), walk("right", 4)]}
    return assembled(labelled, [walk(NOBODY_SAYS, 6), walk(NOBODY_SAYS, 7)], tests, "state", HEAD)


def test_what_workers_read_is_what_was_written(tmp_path) -> None:
    data = made(wordings=("go left",))
    data = replace(data, vectors=np.random.default_rng(0).random((3, 384), dtype=np.float32))
    data.save(tmp_path)
    again = GoalData.load(tmp_path)
    for name in ("labelled", "unlabelled", "vectors", "seeds", "observations"):
        assert np.array_equal(getattr(again, name), getattr(data, name)), name
    for name in ("first", "lengths", "episode", "row", "actions"):
        assert np.array_equal(getattr(again.demos, name), getattr(data.demos, name)), name
    assert again.texts == ("left", "go left", "right")
    assert again.wordings == data.wordings == ((0, 1), (2,), (), (), (0,), (2,))
    assert again.tests["held"].tolist() == [4, 5]
    assert (again.head, again.demos.instructions) == (HEAD, data.demos.instructions)


def test_labels_that_are_not_used_leave_their_demonstrations() -> None:
    fewer = made().with_labels(1)
    assert (fewer.labelled.tolist(), fewer.unlabelled.tolist()) == ([0], [1, 2, 3])


def test_one_instruction_has_no_contrast() -> None:
    with pytest.raises(InputError, match=r"with 1 instructions', expected .* at least 2 different"):
        assembled([walk("left"), walk("left")], [], {"held": [walk("left")]}, "state", HEAD)


@pytest.mark.parametrize(("positives", "count", "k"), [(1, 5, 1), (2, 5, 2), (3, 5, 5), (5, 5, 1)])
def test_the_chance_of_any_order_by_counting(positives, count, k) -> None:
    orders = list(permutations(range(count)))
    hit = np.mean([any(place < positives for place in order[:k]) for order in orders])
    assert _chance(np.array([positives]), count, k)[0] == pytest.approx(hit)


class Aligned:
    """Puts a transition by its length, an instruction where its vector says."""

    def language(self, vectors):
        return vectors[:, :2]

    def transition(self, initial, goal):
        return torch.nn.functional.one_hot(((goal - initial)[:, 0] > 2).long(), 2).float()


def test_instructions_find_transitions_of_their_own() -> None:
    data = made()
    for order, right in (([0, 1], 1.0), ([1, 0], 0.0)):
        vectors = np.eye(2, 384, dtype=np.float32)[order]
        found = retrieval(Aligned(), replace(data, vectors=vectors), (1, 2))
        assert found["held"] == {"1": [right] * 2, "2": [1.0, 1.0]}
        assert found["chance"]["held"] == {"1": 0.5, "2": 1.0}


def test_the_bot_shows_what_an_instruction_asks_for() -> None:
    level = "BabyAI-PickupDistDebug-v0"
    episodes = [each for each in bot_episodes(level, range(4)) if each.success]
    assert [each.instruction for each in episodes] == [
        text
        for text, each in zip(instructions(level, range(4)), bot_episodes(level, range(4)), strict=True)
        if each.success
    ]
    for each in episodes:
        trajectory = each.trajectory()
        grids = trajectory.observations["grid"]
        assert len(grids) == len(trajectory) + 1
        assert int((grids[0][..., 0] >= 5).sum()) == int((grids[-1][..., 0] >= 5).sum()) + 1  # picked up


def test_a_level_that_the_bot_does_not_master_is_told_by_episode() -> None:
    [episode] = bot_episodes("BabyAI-GoToRedBallGrey-v0", [0])
    assert episode.success
    objects = held_out_objects(np.random.default_rng(0))
    assert len({each.split()[0] for each in objects}) == 6
    assert sorted(each.split()[1] for each in objects) == ["ball"] * 2 + ["box"] * 2 + ["key"] * 2
