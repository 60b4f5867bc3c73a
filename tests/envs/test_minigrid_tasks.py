"""Commanded instructions and inner walls of BabyAI's levels: what the bot does of them is success."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("minigrid", reason='minigrid is not installed: pip install "biddable[envs]"')

from biddable.envs.base import make_env
from biddable.envs.minigrid import Bot
from biddable.envs.minigrid_tasks import wall_cells
from biddable.errors import InputError

ROOM = "minigrid:BabyAI-GoToLocal-v0?view=full&num_dists=4"


def done(env, text: str, seed: int) -> bool:
    obs, info = env.reset(seed=seed, options={"instruction": text})
    assert obs["instruction"] == text
    assert info == {"success": False}
    bot, ended = Bot(env), False
    while not ended:
        obs, _, terminated, truncated, info = env.step(bot.act())
        assert obs["instruction"] == text
        ended = terminated or truncated
    return info["success"]


def things(env, seed: int) -> list[str]:
    env.reset(seed=seed)
    cells = [cell for cell in env.level.grid.grid if cell is not None and cell.type in ("ball", "box", "key")]
    return [f"{cell.color} {cell.type}" for cell in cells]


def test_levels_say_whether_they_can_be_commanded() -> None:
    for name, expected in [(ROOM, True), ("minigrid:MiniGrid-GoToDoor-5x5-v0", False)]:
        env = make_env(name)
        assert env.commands is expected
        env.close()


def test_what_is_commanded_is_what_counts() -> None:
    env = make_env(ROOM)
    for seed in range(6):
        first, second, *_ = dict.fromkeys(things(env, seed))
        assert done(env, f"go to the {first}", seed)
        assert done(env, f"Pick up a {second}", seed)
    drawn, _ = env.reset(seed=0)
    again, _ = env.reset(seed=0)
    assert drawn["instruction"] == again["instruction"], "without the option it is the level's own again"


def test_put_next_and_open() -> None:
    assert done(make_env("minigrid:BabyAI-OpenDoor-v0"), "open a door", 1)
    env = make_env("minigrid:BabyAI-PutNextLocal-v0")
    first, *others = things(env, 3)
    other = next(each for each in others if each.split()[1] != first.split()[1])
    assert done(env, f"put the {first} next to the {other}", 3)


def test_what_is_not_there_can_be_commanded_and_never_succeeds() -> None:
    env = make_env(f"{ROOM}&max_steps=60")
    there = things(env, 0)
    named = [f"{color} {kind}" for color in ("red", "green", "blue") for kind in ("ball", "key")]
    missing = next(each for each in named if each not in there)
    env.reset(seed=0, options={"instruction": f"go to the {missing}"})
    rng, ended = np.random.default_rng(0), False
    while not ended:
        _, _, terminated, truncated, info = env.step(int(rng.integers(3)))
        assert not info["success"]
        ended = terminated or truncated
    assert truncated


def test_walls_are_those_of_their_number_and_shut_nothing_in() -> None:
    for layout in range(1, 40):
        walls = wall_cells(8, layout)
        assert 2 < len(walls) < 16
        assert walls == wall_cells(8, layout)
        assert all(0 < x < 7 and 0 < y < 7 for x, y in walls)
    assert len({tuple(wall_cells(8, layout)) for layout in range(40)}) > 35
    env = make_env(f"{ROOM}&walls=3")
    for seed in range(5):
        obs, _ = env.reset(seed=seed)
        inner = np.argwhere(obs["grid"][1:-1, 1:-1, 0] == 2) + 1
        assert [tuple(place) for place in inner] == wall_cells(8, 3)
    assert len(things(env, 0)) == 4


@pytest.mark.parametrize(
    ("env", "instruction", "message"),
    [
        (ROOM, "sing a song", "is 'sing a song', expected one that can be commanded in BabyAI: go to"),
        (ROOM, "pick up the red door", "expected one that can be commanded"),
        (ROOM, "open the red ball", "expected one that can be commanded"),
        ("minigrid:MiniGrid-Empty-5x5-v0", "go to the red ball", "none: EmptyEnv is no level of BabyAI"),
    ],
)
def test_what_cannot_be_commanded_is_one_line(env, instruction, message) -> None:
    with pytest.raises(InputError) as caught:
        make_env(env).reset(seed=0, options={"instruction": instruction})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("minigrid:BabyAI-GoToLocal-v0?walls=x", "options with integers, or view=full"),
        ("minigrid:BabyAI-GoToLocal-v0?doors=3", "?doors=3', expected options that the level has"),
        ("minigrid:BabyAI-GoToLocal-v0?num_dists=99", "at most 21 of num_dists"),
        ("minigrid:BabyAI-GoTo-v0?walls=3", "expected none: GoTo is no level of BabyAI with one room"),
        ("minigrid:BabyAI-GoToLocal-v0?walls=1&room_size=5", "none in a room of 5 cells: from 6 on"),
    ],
)
def test_options_that_cannot_be_are_one_line(env, message) -> None:
    with pytest.raises(InputError) as caught:
        make_env(env)
    assert message in str(caught.value)
