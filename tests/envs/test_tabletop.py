"""A table with a hand, two blocks, a bin and a drawer."""

from __future__ import annotations

import numpy as np
import pytest

from biddable.envs import tabletop
from biddable.envs.base import make_env
from biddable.envs.tabletop import BIN, COLOURS, MAX_STEPS, MOVE, STATE, TASKS, TabletopEnv, block_of
from biddable.envs.tabletop_expert import expert, motion
from biddable.errors import InputError


def play(env, seed: int, noise: float = 0.0):
    rng = np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed)
    states, done, info = [obs["state"]], False, {}
    while not done:
        action = expert(obs)
        action[:3] += noise * rng.standard_normal(3)
        obs, _, terminated, truncated, info = env.step(action)
        states.append(obs["state"])
        done = terminated or truncated
    return np.array(states), info


@pytest.mark.parametrize("task", TASKS)
def test_the_expert_does_every_task_with_a_trembling_hand_too(task) -> None:
    env = TabletopEnv(tasks=(task,))
    outcomes = [play(env, seed, noise)[1]["success"] for seed in range(5) for noise in (0.0, 0.2)]
    assert sum(outcomes) >= 9


@pytest.mark.parametrize("task", TASKS)
def test_doing_nothing_does_no_task(task) -> None:
    env = make_env(f"mujoco:Tabletop{task.title()}")
    env.reset(seed=0)
    steps = [env.step(np.zeros(4)) for _ in range(MAX_STEPS)]
    assert not any(step[2] or step[4]["success"] for step in steps)
    assert [step[3] for step in steps] == [False] * (MAX_STEPS - 1) + [True]


def test_the_block_that_is_named_is_the_one_that_is_moved() -> None:
    env, moved = TabletopEnv(tasks=("bin",)), set()
    for seed in range(6):
        states, _ = play(env, seed)
        colour, other = env.colour, COLOURS[1 - COLOURS.index(env.colour)]
        assert f"the {colour} block" in env.instruction
        assert np.linalg.norm(block_of(states[-1], colour)[:2] - BIN) < 0.05
        assert np.linalg.norm(block_of(states[-1], other) - block_of(states[0], other)) < 0.02
        moved.add(colour)
    assert moved == set(COLOURS)


def test_the_same_seed_is_the_same_episode_and_others_differ() -> None:
    one, same, other = (make_env("mujoco:Tabletop", seed=seed).reset()[0] for seed in (4, 4, 5))
    assert one["instruction"] == same["instruction"]
    assert np.array_equal(one["state"], same["state"])
    assert not np.array_equal(one["state"], other["state"])
    env = make_env("mujoco:Tabletop")
    drawn = [env.reset(seed=seed)[1]["task"] for seed in range(60)]
    assert {*drawn} == {*TASKS}
    assert env.observation_space.contains(env.reset(seed=1)[0])
    assert len(STATE) == 13


def test_a_task_can_be_commanded() -> None:
    env = make_env("mujoco:TabletopPush")
    drawn = env.reset(seed=3)[0]
    obs, info = env.reset(seed=3, options={"instruction": "Put the blue block in the bin."})
    assert (obs["instruction"], info["task"]) == ("Put the blue block in the bin.", "bin")
    assert np.array_equal(obs["state"], drawn["state"])
    with pytest.raises(InputError, match="expected one of mujoco:Tabletop"):
        env.reset(options={"instruction": "Put the green block in the bin."})


def test_the_hand_goes_where_it_is_sent_and_the_fingers_close() -> None:
    env = TabletopEnv()
    before = env.reset(seed=0)[0]["state"]
    after = [env.step(np.array([0.0, 1.0, 0.0, 1.0]))[0]["state"] for _ in range(3)][-1]
    assert after[1] - before[1] == pytest.approx(3 * MOVE, abs=0.015)
    assert after[[0, 2]] == pytest.approx(before[[0, 2]], abs=0.002)
    assert before[3] == pytest.approx(1, abs=0.01)
    assert after[3] < 0.1


@pytest.mark.parametrize("task", TASKS)
def test_what_the_expert_would_do_next_is_what_it_then_does(task) -> None:
    env, steps = TabletopEnv(tasks=(task,)), 3
    right = []
    for seed in range(4):
        states, _ = play(env, seed)
        for t in range(len(states) - steps):
            foreseen = motion({"instruction": env.instruction, "state": states[t]}, steps)
            came = (states[t + steps] - states[t])[:4]
            right.append(np.abs((foreseen - came) / [MOVE, MOVE, MOVE, 1]).max() < 0.75)
    assert np.mean(right) > 0.85


@pytest.mark.parametrize("action", [[0, 0, 0], [0, 0, 0, np.nan], "left"])
def test_an_action_that_is_none_changes_nothing(action) -> None:
    env = TabletopEnv()
    before = env.reset(seed=0)[0]["state"]
    with pytest.raises(InputError, match="expected four finite numbers"):
        env.step(action)
    assert np.array_equal(env._observation()["state"], before)


def test_names_tasks_and_instructions_that_there_are_not() -> None:
    with pytest.raises(InputError, match=r"one of Reach2D, .*Tabletop, TabletopReach"):
        make_env("mujoco:Tabletennis")
    with pytest.raises(InputError, match="tasks is 'fly', expected some of reach, push"):
        make_env("mujoco:Tabletop", tasks=("fly",))
    with pytest.raises(InputError, match="instruction is 'fly', expected one of mujoco:Tabletop"):
        expert({"instruction": "fly", "state": np.zeros(13)})


def test_a_picture_shows_left_on_the_left() -> None:
    env = TabletopEnv(tasks=("push",), size=120)
    seed = next(seed for seed in range(50) if _far_left(env.reset(seed=seed)[0]["state"]))
    env.reset(seed=seed)
    picture = env.render().astype(int)
    env.close()
    assert picture.shape == (120, 120, 3)
    red, blue = picture[..., 0], picture[..., 2]
    columns = [np.argwhere(shade)[:, 1].mean() for shade in (red > blue + 80, blue > red + 80)]
    assert columns[0] < columns[1]


@pytest.mark.parametrize("name", ["Tabletop", "TabletopBlocks"])
def test_a_picture_shows_what_the_state_says(name) -> None:
    """A step leaves bodies in MuJoCo's data where they were just before."""
    env = make_env(f"mujoco:{name}").unwrapped
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.array([0.6, 0.3, -1.0, -1.0]))
        shown = env.render().copy()
        tabletop.mujoco.mj_forward(env._model, env._data)
        assert np.array_equal(env.render(), shown)
    env.close()


def _far_left(state) -> bool:
    return block_of(state, "red")[1] > block_of(state, "blue")[1] + 0.08
