"""MiniGrid and BabyAI levels: the fast view is MiniGrid's own, the contract holds, nothing is printed."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("minigrid", reason='minigrid is not installed: pip install "biddable[envs]"')

from gymnasium.utils.env_checker import check_env
from minigrid.minigrid_env import MiniGridEnv
from minigrid.wrappers import FullyObsWrapper

from biddable.envs.base import make_env
from biddable.envs.minigrid import Bot, GridEnv, names
from biddable.envs.minigrid_view import View
from biddable.errors import BiddableError, InputError

LEVELS = [name for name in names() if "-WFC-" not in name]  # those need packages of their own


@pytest.mark.parametrize("name", LEVELS)
def test_the_view_is_minigrids_own(name: str, capsys) -> None:
    env = GridEnv(name)
    env.reset(seed=1)
    rng = np.random.default_rng(0)
    for _ in range(40):
        expected, actual = MiniGridEnv.gen_obs(env.level), env.level.gen_obs()
        assert isinstance(env.level.gen_obs, View)
        np.testing.assert_array_equal(actual["image"], expected["image"])
        assert actual["image"].dtype == expected["image"].dtype
        assert (actual["direction"], actual["mission"]) == (expected["direction"], expected["mission"])
        *_, terminated, truncated, _ = env.step(int(rng.integers(env.action_space.n)))
        if terminated or truncated:
            env.reset()
    assert capsys.readouterr().out == ""


def test_a_view_that_is_too_wide_for_tables_is_left_to_minigrid() -> None:
    env = GridEnv("MiniGrid-Empty-8x8-v0", agent_view_size=9)
    assert not isinstance(env.level.gen_obs, View)
    observation, _ = env.reset(seed=0)
    assert observation["image"].shape == (9, 9, 3)


def test_it_is_a_gymnasium_environment() -> None:
    check_env(GridEnv("BabyAI-GoToLocal-v0"), skip_render_check=True)
    check_env(GridEnv("BabyAI-GoToLocal-v0", view="full"), skip_render_check=True)


@pytest.mark.parametrize("name", ["BabyAI-PickupDist-v0", "BabyAI-Unlock-v0", "MiniGrid-LavaCrossingS9N1-v0"])
def test_the_full_view_is_minigrids_own(name: str) -> None:
    env = make_env(f"minigrid:{name}?view=full")
    observation, _ = env.reset(seed=1)
    rng, carried = np.random.default_rng(0), 0
    for _ in range(200):
        expected = FullyObsWrapper(env.level).observation({})["image"]
        np.testing.assert_array_equal(observation["grid"], expected)
        assert observation["grid"].dtype == np.uint8
        held = env.level.carrying
        assert observation["carrying"].tolist() == (list(held.encode()[:2]) if held else [1, 0])
        carried += held is not None
        observation, _, terminated, truncated, _ = env.step(int(rng.integers(env.action_space.n)))
        if terminated or truncated:
            observation, _ = env.reset()
    assert carried or name != "BabyAI-PickupDist-v0"


def test_the_bot_plans_whatever_is_seen() -> None:
    partial, full = (make_env(f"minigrid:BabyAI-PickupDist-v0{view}") for view in ("", "?view=full"))
    for seed in range(3):
        actions = []
        for env in (partial, full):
            env.reset(seed=seed)
            bot, done = Bot(env), False
            actions.append([])
            while not done:
                actions[-1].append(bot.act())
                _, _, terminated, truncated, _ = env.step(actions[-1][-1])
                done = terminated or truncated
        assert actions[0] == actions[1]


@pytest.mark.parametrize("name", ["BabyAI-GoToLocal-v0", "BabyAI-PutNextLocal-v0", "BabyAI-BossLevel-v0"])
def test_the_bot_does_what_is_asked_and_that_is_success(name: str) -> None:
    env = make_env(f"minigrid:{name}", seed=3)
    for _ in range(3):
        observation, info = env.reset()
        assert observation["instruction"]
        assert info == {"success": False}
        bot, done = Bot(env), False
        while not done:
            _, reward, terminated, truncated, info = env.step(bot.act())
            done = terminated or truncated
            assert info["success"] == (terminated and reward > 0)
        assert info["success"]


def test_environments_side_by_side_go_on_after_an_episode() -> None:
    envs = make_env("minigrid:MiniGrid-Empty-5x5-v0", 3, seed=7)
    observation, _ = envs.reset(seed=[7, 8, 9])
    assert observation["image"].shape == (3, 7, 7, 3)
    assert list(observation["instruction"]) == ["get to the green goal square"] * 3
    done = np.zeros(3, dtype=bool)
    for action in (2, 2, 1, 2, 2):  # two ahead, to the right, two ahead: the goal
        observation, reward, terminated, truncated, info = envs.step(np.full(3, action))
        done |= terminated
    assert done.all()
    assert (reward > 0.9).all()
    assert [final["success"] for final in _finals(info)] == [True] * 3
    assert not (terminated & truncated).any()
    envs.close()


def _finals(info: dict) -> list[dict]:
    final = info["final_info"]
    return [{name: values[i] for name, values in final.items()} for i in range(3)]


def test_the_same_seed_makes_the_same_levels() -> None:
    first, again, other = (
        make_env("minigrid:BabyAI-GoToLocal-v0", seed=seed).reset()[0] for seed in (5, 5, 6)
    )
    assert np.array_equal(first["image"], again["image"])
    assert first["instruction"] == again["instruction"]
    assert not np.array_equal(first["image"], other["image"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"env": "minigrid:BabyAI-Nowhere-v0"}, "env is 'minigrid:BabyAI-Nowhere-v0', expected minigrid:"),
        ({"env": "minigrid:CartPole-v1"}, "env is 'minigrid:CartPole-v1'"),
        ({"env": "minigrid:BabyAI-GoToLocal-v0?view=whole"}, "view is 'whole', expected partial or full"),
        ({"env": "minigrid:BabyAI-GoToLocal-v0?size=3"}, "-v0?size=3', expected options that the level has"),
        ({"env": "minigrid"}, "env is 'minigrid', expected FAMILY:NAME, with a family of"),
        ({"env": "atari:Pong"}, "env is 'atari', expected one of"),
        ({"env": "minigrid:BabyAI-GoToLocal-v0", "num_envs": 0}, "num_envs is 0"),
    ],
)
def test_what_there_is_not_is_one_line(call: dict, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make_env(**call)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("level", "seed", "reason"),
    [
        ("BabyAI-UnlockToUnlock-v0", 4, "it goes round in circles"),
        ("BabyAI-KeyInBox-v0", 1, "AssertionError"),
        ("BabyAI-PutNextS5N2Carrying-v0", 0, "nothing left to explore"),
    ],
)
def test_a_bot_that_finds_no_way_says_so_in_one_line(level: str, seed: int, reason: str) -> None:
    env = GridEnv(level)
    env.reset(seed=seed)
    bot = Bot(env)

    def play() -> None:
        for _ in range(100):
            env.step(bot.act())

    with pytest.raises(BiddableError, match=f"^BabyAI's bot finds no way in {level}: .*{reason}"):
        play()
