"""Meta-World: every task has words, seeds decide where things lie, the expert succeeds."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason='gymnasium is not installed: pip install "biddable[metaworld]"')

from gymnasium.utils.env_checker import check_env

from biddable.envs.base import make_env
from biddable.envs.metaworld import INSTRUCTIONS, expert
from biddable.errors import BiddableError, InputError, MissingDependency

needs_metaworld = pytest.mark.skipif(
    find_spec("metaworld") is None, reason='metaworld is not installed: pip install "biddable[metaworld]"'
)
TASKS = ("button-press-topdown-v3", "door-open-v3", "drawer-close-v3", "drawer-open-v3", "window-open-v3")


@pytest.mark.parametrize("make", [lambda name: make_env(f"metaworld:{name}"), expert])
def test_without_the_package_it_says_what_to_install(make, monkeypatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "metaworld"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "metaworld", None)
    with pytest.raises(MissingDependency) as caught:
        make("drawer-open-v3")
    expected = 'metaworld is not installed; install it with: pip install "biddable[metaworld]"'
    assert str(caught.value) == expected


def test_the_fifty_instructions_differ() -> None:
    assert len(set(INSTRUCTIONS.values())) == 50
    assert all(text[0].isupper() and text.endswith(".") for text in INSTRUCTIONS.values())


@needs_metaworld
def test_every_task_has_an_instruction() -> None:
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    assert list(INSTRUCTIONS) == sorted(ALL_V3_ENVIRONMENTS)


@needs_metaworld
@pytest.mark.parametrize("name", TASKS)
def test_the_expert_does_what_is_asked_and_that_ends_it(name) -> None:
    env, act = make_env(f"metaworld:{name}"), expert(name)
    for seed in (0, 1):
        obs, info = env.reset(seed=seed)
        assert obs["instruction"] == INSTRUCTIONS[name]
        assert info == {"success": False}
        done = False
        while not done:
            assert env.observation_space.contains(obs)
            action = act(obs)
            assert env.action_space.contains(action)
            obs, reward, terminated, truncated, info = env.step(action)
            assert terminated == info["success"]
            assert 0 <= reward <= 10
            done = terminated or truncated
        assert info["success"]


@needs_metaworld
@pytest.mark.parametrize("name", ["push-v3", "door-lock-v3"])
def test_a_seed_says_where_things_lie_whatever_was_done_before(name) -> None:
    fresh, used, other = (make_env(f"metaworld:{name}") for _ in range(3))
    rng = np.random.default_rng(0)
    for seed in (99, 5):
        used.reset(seed=seed)
        for _ in range(30):
            used.step(rng.uniform(-1, 1, 4))
    first, again = fresh.reset(seed=7)[0]["state"], used.reset(seed=7)[0]["state"]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other.reset(seed=8)[0]["state"])
    for action in rng.uniform(-1, 1, (20, 4)):
        first, second = fresh.step(action), used.step(action)
        assert np.array_equal(first[0]["state"], second[0]["state"])
        assert first[1] == second[1]
    without = [used.reset()[0]["state"] for _ in range(2)]
    assert not np.array_equal(*without), "without a seed things move on"


@needs_metaworld
@pytest.mark.filterwarnings("ignore:.*Box observation space (min|max)imum value is -?infinity:UserWarning")
def test_gymnasium_finds_nothing_wrong() -> None:
    check_env(make_env("metaworld:reach-v3"), skip_render_check=True)


@needs_metaworld
@pytest.mark.parametrize("processes", [False, True])
def test_side_by_side_they_show_what_single_ones_do(processes) -> None:
    envs, alone = make_env("metaworld:push-v3", 2, processes=processes), make_env("metaworld:push-v3")
    obs, _ = envs.reset(seed=[7, 8])
    expected = [alone.reset(seed=seed)[0] for seed in (7, 8)]
    after, *_, info = envs.step(np.full((2, 4), 0.5))
    envs.close()
    assert np.array_equal(obs["state"], [each["state"] for each in expected])
    assert np.array_equal(after["state"][1], alone.step(np.full(4, 0.5))[0]["state"])
    assert info["success"].tolist() == [False, False]


@needs_metaworld
def test_the_goal_is_in_the_state() -> None:
    env = make_env("metaworld:reach-v3")
    goal_positions = [env.reset(seed=seed)[0]["state"][-3:] for seed in range(3)]
    assert all(goal.all() for goal in goal_positions)
    assert len({tuple(goal) for goal in goal_positions}) == 3


@needs_metaworld
def test_it_is_cut_after_500_steps() -> None:
    env = make_env("metaworld:reach-v3")
    env.reset(seed=0)
    *before, last = [env.step(np.array([0, 0, 1, 0])) for _ in range(500)]
    assert not any(step[2] or step[3] for step in before)
    assert (last[2], last[3], last[4]) == (False, True, {"success": False})


@needs_metaworld
@pytest.mark.parametrize("action", [[np.nan, 0, 0, 0], [0, 0, 0], "up", [[1], [1, 2]]])
def test_an_action_that_is_none_changes_nothing(action) -> None:
    env, untouched = (make_env("metaworld:reach-v3") for _ in range(2))
    env.reset(seed=0)
    untouched.reset(seed=0)
    with pytest.raises(InputError, match="expected four finite numbers"):
        env.step(action)
    first, second = (each.step(np.ones(4))[0]["state"] for each in (env, untouched))
    assert np.array_equal(first, second)


def test_tasks_that_there_are_not() -> None:
    with pytest.raises(
        InputError, match="env is 'metaworld:juggle-v3', expected metaworld: and a task, such"
    ):
        make_env("metaworld:juggle-v3")
    with pytest.raises(InputError, match="task is 'juggle-v3'"):
        expert("juggle-v3")


@needs_metaworld
def test_a_picture_is_the_right_way_up() -> None:
    env = make_env("metaworld:reach-v3", size=64)
    env.reset(seed=0)
    try:
        picture = env.render().astype(int)
    except BiddableError as error:
        pytest.skip(str(error))
    env.close()
    assert picture.shape == (64, 64, 3)
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    arm = np.argwhere(red > 2 * np.maximum(green, blue))
    table = np.argwhere((red > green + 15) & (green > blue + 10) & (red < 2 * green))
    assert len(arm) > 20
    assert len(table) > 100
    assert arm[:, 0].min() < table[:, 0].min(), "the arm stands on it"
