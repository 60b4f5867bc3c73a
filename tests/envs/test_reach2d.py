"""Moving a point to a goal in MuJoCo."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from biddable.envs import drawing
from biddable.envs.base import make_env
from biddable.envs.reach2d import MAX_STEPS, Reach2DEnv, Region
from biddable.errors import BiddableError, InputError


def drive(env: Reach2DEnv, moves: list[tuple[float, float]]):
    return [env.step(np.array(move)) for move in moves]


def test_a_displacement_moves_by_a_tenth_of_the_action() -> None:
    env = make_env("mujoco:Reach2D", seed=3)
    obs, info = env.reset(seed=3)
    assert info == {"success": False}
    x, y, goal_x, goal_y = obs["state"]
    assert 0.1 <= x <= 0.9
    assert 0.1 <= y <= 0.9
    assert min(goal_x, goal_y) >= 2.1
    obs, reward, terminated, truncated, info = env.step(np.array([0.5, -5.0]))
    assert obs["state"] == pytest.approx([x + 0.05, max(0, y - 0.1), goal_x, goal_y], abs=1e-6)
    assert (reward, terminated, truncated, info["success"]) == (0.0, False, False, False)
    assert env.observation_space.contains(obs)


def test_at_the_goal_it_ends_well() -> None:
    env = Reach2DEnv("Reach2D", start_region=Region(0.5, 0.500001), goal_region=Region(1.0, 1.000001))
    env.reset(seed=0)
    *before, last = drive(env, [(1, 0)] * 5 + [(0, 1)] * 4)
    assert not any(step[2] for step in before)
    assert (last[1], last[2], last[4]["success"]) == (1.0, True, True)


def test_the_pillar_ends_it_badly_and_is_not_there_in_the_open() -> None:
    for name, stopped in (("Reach2DPillar", True), ("Reach2D", False)):
        env = Reach2DEnv(name, start_region=Region(0.8, 0.800001))
        env.reset(seed=0)
        steps = drive(env, [(1, 1)] * 3)
        assert steps[-1][4]["collision"] is stopped
        assert steps[-1][2] is stopped
        assert not steps[-1][4]["success"]


def test_it_is_cut_after_so_many_steps() -> None:
    env = Reach2DEnv("Reach2D")
    env.reset(seed=0)
    *before, last = drive(env, [(0, 0)] * MAX_STEPS)
    assert not any(step[3] for step in before)
    assert last[3]
    assert not last[2]


def test_a_point_mass_keeps_its_speed() -> None:
    env = Reach2DEnv("PointMass")
    start, _ = env.reset(seed=0)
    pushed = drive(env, [(1, 0)] * 3)[-1][0]["state"]
    coasting = drive(env, [(0, 0)])[-1][0]["state"]
    assert start["state"].shape == (6,)
    assert pushed[4] > 0.3
    assert coasting[0] > pushed[0]
    assert coasting[5] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("action", [[np.nan, 0], [0, 0, 0], [np.inf, 0]])
def test_an_action_that_is_none_changes_nothing(action) -> None:
    env = Reach2DEnv("Reach2D")
    before, _ = env.reset(seed=0)
    with pytest.raises(InputError, match="expected two finite numbers"):
        env.step(np.array(action))
    assert env.step(np.zeros(2))[0]["state"] == pytest.approx(before["state"])


def test_names_and_regions_that_there_are_not() -> None:
    with pytest.raises(InputError, match="mujoco: and one of Reach2D, Reach2DPillar, PointMass"):
        make_env("mujoco:Humanoid")
    with pytest.raises(InputError, match="region is"):
        Region(0.5, 0.5)


def test_side_by_side_they_are_the_single_ones() -> None:
    envs = make_env("mujoco:Reach2D", num_envs=3, seed=7)
    obs, _ = envs.reset(seed=[7, 8, 9])
    for i in range(3):
        assert obs["state"][i] == pytest.approx(Reach2DEnv("Reach2D").reset(seed=7 + i)[0]["state"])
    envs.close()


def test_where_nothing_can_be_drawn_it_is_one_line(monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no context")

    monkeypatch.setattr("mujoco.Renderer", broken)
    env = Reach2DEnv("Reach2D")
    env.reset(seed=0)
    with pytest.raises(BiddableError, match="MuJoCo cannot draw here: apt-get install libegl1"):
        env.render()


def test_a_picture_shows_point_goal_and_pillar() -> None:
    env = Reach2DEnv(
        "Reach2DPillar", start_region=Region(0.5, 0.50001), goal_region=Region(2.5, 2.50001), size=120
    )
    env.reset(seed=0)
    picture = env.render().astype(int)
    env.close()
    assert picture.shape == (120, 120, 3)
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    point, goal = np.argwhere(blue > red + 60), np.argwhere(green > np.maximum(red, blue) + 40)
    assert point.mean(0) == pytest.approx([97, 22], abs=6), "in the lower left"
    assert goal.mean(0) == pytest.approx([22, 97], abs=6), "in the upper right"


def test_where_a_library_is_not_installed_it_says_so(monkeypatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setattr(drawing, "find_library", lambda name: None)
    with pytest.raises(BiddableError, match="MUJOCO_GL is osmesa, which is not installed; apt-get install"):
        drawing.without_screen()
    monkeypatch.setattr(drawing, "find_library", str)
    drawing.without_screen()


def test_where_mujoco_was_told_to_use_a_screen_it_says_so(monkeypatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setitem(sys.modules, "mujoco.glfw", object())
    env = Reach2DEnv("Reach2D")
    env.reset(seed=0)
    with pytest.raises(BiddableError, match="to use a screen, and there is none; set MUJOCO_GL=egl"):
        env.render()
