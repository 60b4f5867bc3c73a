"""What holds for environments of every family: Gymnasium's own checker, side by side, what they refuse."""

from __future__ import annotations

from types import MethodType
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

pytest.importorskip("minigrid", reason='minigrid is not installed: pip install "biddable[envs]"')
# Not mujoco itself: it has to be told first what to draw with.
pytest.importorskip(
    "biddable.envs.reach2d",
    reason='mujoco is not installed: pip install "biddable[envs]"',
    exc_type=ImportError,
)

from biddable.envs.base import make_env
from biddable.envs.web import Element, TupleOf, WebAction
from biddable.errors import BiddableError, InputError

GRID, POINT, FORM = "minigrid:BabyAI-GoToLocal-v0", "mujoco:Reach2D", "form:login"


def on_the_page(env: Any) -> Any:
    """``env`` with every drawn action brought to an element of the page: most refs are nowhere on it."""
    step = env.step

    def clicked(self: Any, action: Any) -> Any:
        refs = [element.ref for element in self.dom]
        return step(WebAction("click", refs[int(action[1]) % len(refs)]))

    env.step = MethodType(clicked, env)
    return env


@pytest.mark.filterwarnings("ignore:.*Box observation space (min|max)imum value is -?infinity:UserWarning")
@pytest.mark.parametrize("id", [GRID, "minigrid:MiniGrid-DoorKey-5x5-v0", POINT, "mujoco:PointMass", FORM])
def test_gymnasium_finds_nothing_wrong(id: str) -> None:
    env = make_env(id)
    check_env(on_the_page(env) if id == FORM else env, skip_render_check=True)
    obs, _ = env.reset(seed=1)
    assert env.observation_space.contains(obs)


@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.parametrize(
    ("id", "action"), [(GRID, 2), (POINT, np.array([0.5, -0.5], dtype=np.float32)), (FORM, (0, 1, 0))]
)
def test_side_by_side_they_show_what_single_ones_do(id: str, action: Any, processes: bool) -> None:
    envs, alone = make_env(id, 2, processes=processes), make_env(id)
    obs, _ = envs.reset(seed=[7, 8])
    expected = [alone.reset(seed=seed)[0] for seed in (7, 8)]
    after, _, _, _, info = envs.step(np.array([action, action]))
    expected_after = alone.step(action)[0]
    envs.close()
    for name, value in expected[1].items():
        assert np.array_equal(obs[name][1], value), name
        assert np.array_equal(after[name][1], expected_after[name]), name
    assert info["success"].tolist() == [False, False]


@pytest.mark.parametrize(
    ("id", "actions", "message"),
    [
        (GRID, (7, -1, 1.5, np.nan, "left", [0, 1], None), "expected an integer from 0 to 6"),
        (POINT, ([np.nan, 0], [0, 0, 0], [np.inf, 0], "up", [[0], 1], None), "two finite numbers"),
        (FORM, ([0, 1], [0.5, 1, 0], [0, np.nan, 0], 3, None), "expected a WebAction, or three integers"),
        (FORM, ([2, 1, 0], [-1, 1, 0]), "expected 0 to click or 1 to type"),
        (FORM, (WebAction("hover", 1),), "kind is 'hover', expected click or type"),  # type: ignore[arg-type]
        (FORM, (WebAction("click", np.nan),), "ref is nan"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_action_changes_nothing(id: str, actions: tuple[Any, ...], message: str) -> None:
    env, untouched = make_env(id), make_env(id)
    env.reset(seed=3)
    untouched.reset(seed=3)
    for action in actions:
        with pytest.raises(InputError) as caught:
            env.step(action)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
    legal = {GRID: 2, POINT: [1, 1], FORM: (0, 1, 0)}[id]
    for ours, other in zip(env.step(legal)[0].values(), untouched.step(legal)[0].values(), strict=True):
        assert np.array_equal(ours, other)


@pytest.mark.filterwarnings("ignore:.*ERROR.*:UserWarning")  # Gymnasium's log
def test_in_a_process_of_its_own_the_same_line_arrives() -> None:
    envs = make_env("minigrid:MiniGrid-Empty-5x5-v0", 2, processes=True)
    envs.reset(seed=0)
    with pytest.raises(BiddableError, match=r"action is .*9.*, expected an integer from 0 to 6"):
        envs.step(np.array([0, 9]))
    envs.close(terminate=True)


def test_a_space_of_objects() -> None:
    space = TupleOf(Element)
    page = (Element(1, 0, "body"), Element(2, 1, "button"))
    assert page in space
    assert space.sample() in space
    assert list(page) not in space
    assert ("button",) not in space
    assert space == TupleOf(Element) != TupleOf(WebAction)
