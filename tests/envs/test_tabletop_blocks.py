"""A table with four of six blocks, in pictures."""

from __future__ import annotations

import numpy as np
import pytest

from biddable.envs import tabletop_blocks
from biddable.envs.base import make_env
from biddable.envs.tabletop import block_of
from biddable.envs.tabletop_blocks import (
    ALL,
    MAX_STEPS,
    MEANINGS,
    PIXELS,
    PRESENT,
    TabletopBlocksEnv,
    expert,
    is_back,
)
from biddable.errors import InputError

mujoco = tabletop_blocks.mujoco


def play(env, seed: int, text: str, noise: float = 0.0):
    rng = np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed, options={"instruction": text})
    seen, done, info = [obs], False, {}
    while not done:
        action = expert(obs)
        action[:3] += noise * rng.standard_normal(3)
        obs, _, terminated, truncated, info = env.step(action)
        seen.append(obs)
        done = terminated or truncated
    return seen, bool(info["success"])


def test_the_expert_does_all_eighteen_and_its_hand_goes_back() -> None:
    env, right = TabletopBlocksEnv(rest=True), []
    assert len(MEANINGS) == 18
    for seed, text in enumerate(MEANINGS):
        seen, success = play(env, seed, text, 0.1)
        right.append(success)
        if success:
            assert is_back(seen[-1]["state"])
            moved = [c for c in ALL if np.linalg.norm(at(seen[-1], c) - at(seen[0], c)) > 0.03]
            assert moved == [MEANINGS[text][1]], text
    assert sum(right) >= 16


def test_without_the_way_back_an_episode_ends_with_the_block_in_its_place() -> None:
    text = "Push the green block to the left side."
    short, long = (len(play(TabletopBlocksEnv(rest=rest), 3, text)[0]) for rest in (False, True))
    assert short < long < MAX_STEPS


def test_what_lies_at_a_side_in_the_end_does_not_say_what_was_pushed_there() -> None:
    """Other blocks lie there from the beginning, in most episodes; none asks for what is done already."""
    env, others = TabletopBlocksEnv(), []
    for seed in range(40):
        for text, (task, colour, _) in MEANINGS.items():
            if task != "push" or "left" not in text:
                continue
            obs, _ = env.reset(seed=seed, options={"instruction": text})
            left = [c for c in ALL if at(obs, c)[1] > 0.16 and at(obs, c)[0] > -1]
            assert colour not in left
            assert sum(at(obs, c)[0] > -1 for c in ALL) == PRESENT
            others.append(bool(left))
    assert np.mean(others) > 0.4


def test_another_block_that_is_moved_ends_the_episode_as_a_failure() -> None:
    env = TabletopBlocksEnv()
    obs, _ = env.reset(seed=0, options={"instruction": "Put the red block in the bin."})
    other = next(c for c in ALL if c != "red" and abs(at(obs, c)[1]) < 0.1 and at(obs, c)[0] > -1)
    told = {"instruction": f"Push the {other} block to the left side."}
    done, info, ended = False, {}, False
    while not done:
        obs, _, ended, truncated, info = env.step(expert({**obs, **told}))
        done = ended or truncated
    assert ended
    assert not info["success"]


def test_the_same_seed_and_command_are_the_same_picture() -> None:
    env = make_env("mujoco:TabletopBlocks")
    first, again, other = (env.reset(seed=seed)[0] for seed in (5, 5, 6))
    assert first["image"].shape == (PIXELS, PIXELS, 3)
    assert env.observation_space.contains(first)
    assert np.array_equal(first["image"], again["image"])
    assert first["instruction"] == again["instruction"]
    assert not np.array_equal(first["image"], other["image"])
    assert {env.reset(seed=seed)[0]["instruction"] for seed in range(150)} == {*MEANINGS}


def test_two_environments_draw_what_is_theirs() -> None:
    """They share what draws."""
    one, two = TabletopBlocksEnv(), TabletopBlocksEnv()
    first = one.reset(seed=1)[0]["image"]
    second = two.reset(seed=2)[0]["image"]
    assert one.render().shape == (240, 240, 3)
    still = one.step(np.array([0.0, 0.0, 0.0, -1.0]))[0]["image"]
    assert np.abs(still.astype(int) - first).mean() < 0.2 * np.abs(still.astype(int) - second).mean()


def test_a_picture_shows_what_the_state_says() -> None:
    """A step leaves bodies in MuJoCo's data where they were just before."""
    env = TabletopBlocksEnv()
    obs, _ = env.reset(seed=0, options={"instruction": "Push the red block to the left side."})
    for _ in range(8):
        obs = env.step(expert(obs))[0]
        again = mujoco.MjData(env._model)
        again.qpos[:] = env._data.qpos
        mujoco.mj_forward(env._model, again)
        assert np.array_equal(tabletop_blocks._picture(env._model, again), obs["image"])


def test_the_beam_is_in_every_picture_of_the_start() -> None:
    """No thinner than a pixel, it cannot fall between two."""
    env = TabletopBlocksEnv()
    for seed in range(40):
        red, green, blue = np.moveaxis(env.reset(seed=seed)[0]["image"].astype(int), -1, 0)
        assert ((red > blue + 30) & (blue > green + 40)).sum() >= 4, seed


def test_a_film_is_as_long_as_what_it_shows() -> None:
    for name in ("Tabletop", "TabletopBlocks"):
        env = make_env(f"mujoco:{name}")
        env.reset(seed=0)
        before = env._data.time
        env.step(np.zeros(4))
        assert env.metadata["render_fps"] * (env._data.time - before) == pytest.approx(1), name


def test_an_instruction_of_another_table_is_refused() -> None:
    with pytest.raises(InputError, match="expected one of mujoco:TabletopBlocks"):
        TabletopBlocksEnv().reset(options={"instruction": "Open the drawer."})
    with pytest.raises(InputError, match="expected one of mujoco:TabletopBlocks"):
        expert({"instruction": "fly", "state": np.zeros(29)})
    with pytest.raises(InputError, match="env is 'mujoco:Blocks'"):
        TabletopBlocksEnv("Blocks")


def at(obs, colour: str) -> np.ndarray:
    return block_of(obs["state"], colour)
