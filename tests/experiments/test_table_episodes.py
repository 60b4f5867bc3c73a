"""Demonstrations in pictures on a table: what is held out, and what they show."""

from __future__ import annotations

import numpy as np
import pytest

from biddable.envs import tabletop_blocks
from biddable.envs.tabletop import block_of
from biddable.envs.tabletop_blocks import ALL, MEANINGS, PIXELS, TabletopBlocksEnv
from biddable.experiments.bot_episodes import TEST_SEED
from biddable.experiments.goal_data import GoalData
from biddable.experiments.goal_language import check_env, seen_of
from biddable.experiments.table_episodes import (
    ENV,
    NOISE,
    held_out_instructions,
    table_data,
    table_episodes,
)
from biddable.runs.run import Run

LABELLED, FREE, CASES = 14, 18, 6


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with Run.open(tmp_path_factory.mktemp("run") / "run", "grif", {}, 0) as run:
        return table_data(run, LABELLED, FREE, CASES, 1)


def test_held_out_are_six_of_all_colours_and_tasks() -> None:
    for seed in range(5):
        held = held_out_instructions(np.random.default_rng(seed))
        meanings = [MEANINGS[text] for text in held]
        assert {colour for _, colour, _ in meanings} == {*ALL}
        kinds = [(task, side) for task, _, side in meanings]
        assert sorted(kinds.count(kind) for kind in {*kinds}) == [2, 2, 2]


def test_no_label_names_what_is_held_out_but_its_colour_and_its_task(made) -> None:
    groups = (made.labelled, made.unlabelled, made.unseen, made.seen)
    assert [len(group) for group in groups] == [LABELLED, FREE, CASES, CASES]
    labelled, unlabelled, unseen, seen = ({each.instruction for each in group} for group in groups)
    assert unseen == {*made.held_out}
    assert labelled | seen <= {*MEANINGS} - unseen
    assert len(labelled) >= 10, "each about as often as the others"
    assert unlabelled & unseen
    named = [MEANINGS[text] for text in labelled]
    for text in unseen:
        task, colour, side = MEANINGS[text]
        assert colour in {each[1] for each in named}
        assert (task, side) in {(each[0], each[2]) for each in named}
    seeds = [each.seed for group in groups for each in group]
    assert len({*seeds}) == len(seeds)
    assert all((each.seed >= TEST_SEED) == (group in groups[2:]) for group in groups for each in group)


def test_the_picture_changes_where_the_block_is_moved(made) -> None:
    env = TabletopBlocksEnv()
    for each in made.unseen[:6]:
        pictures = each.trajectory().observations["image"]
        obs, _ = env.reset(seed=each.seed, options={"instruction": each.instruction})
        assert np.array_equal(obs["image"], pictures[0]), "the test starts where its demonstration did"
        assert pictures.shape[1:] == (PIXELS, PIXELS, 3)
        changed = np.abs(pictures[-1].astype(int) - pictures[0]).max(-1) > 60
        place = projected(block_of(obs["state"], MEANINGS[each.instruction][1]))
        rows, columns = np.nonzero(changed)
        assert np.hypot(rows - place[0], columns - place[1]).min() < 4, each.instruction
        assert changed.mean() < 0.15, "the rest lies where it lay, and the hand is back"
        assert all((pictures[t] != pictures[t + 1]).any() for t in range(5))


def projected(place) -> tuple[float, float]:
    """Row and column of the place of a block on the table, by the camera's position, tilt and angle."""
    away = place - np.array([-0.62, 0, 0.82])
    up, ahead = np.array([0.809, 0, 0.588]), np.array([0.588, 0, -0.809])
    scale = PIXELS / 2 / np.tan(np.deg2rad(15)) / (away @ ahead)
    return PIXELS / 2 - scale * (away @ up), PIXELS / 2 - scale * away[1]


def test_actions_are_what_the_expert_meant(made, monkeypatch) -> None:
    """What was done differs by noise, which has nothing of the numbers that the table was drawn with."""
    each, meant, noise = made.labelled[0], [], []
    step, chosen = TabletopBlocksEnv.step, tabletop_blocks.expert

    def expert(observation):
        meant.append(chosen(observation))
        return meant[-1]

    def noted(self, action):
        noise.append(action - meant[-1])
        return step(self, action)

    monkeypatch.setattr(tabletop_blocks, "expert", expert)
    monkeypatch.setattr(TabletopBlocksEnv, "step", noted)
    assert table_episodes([(each.seed, each.instruction)]) == [each]
    trajectory = each.trajectory()
    assert len(trajectory.observations["image"]) == len(trajectory.actions) + 1
    assert np.array_equal(trajectory.actions, np.stack(meant))
    inside = np.abs(np.stack(meant)[:, :3] + np.stack(noise)[:, :3]) < 1
    kept = np.stack(noise)[:, :3][inside]
    assert 0.05 < kept.std() < 0.2
    table = NOISE * np.random.default_rng(each.seed).standard_normal((len(meant), 3))[inside]
    assert not np.isclose(kept, table, atol=1e-4).any()


def test_as_data_they_are_pictures_that_the_environment_shows(made, tmp_path) -> None:
    data = made.data("new", "known")
    assert data.commanded
    assert seen_of(data).kind == "pictures"
    assert data.observations.dtype == np.uint8
    assert [len(part) for part in (data.labelled, data.unlabelled)] == [LABELLED, FREE]
    check_env(ENV, data)
    data.save(tmp_path)
    again = GoalData.load(tmp_path)
    assert again.commanded
    assert np.array_equal(again.observations, data.observations)
    assert again.head["kind"] == "binned"
