"""Commanded tasks: environments that take them, and those that are reset until they ask for one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("minigrid", reason='minigrid is not installed: pip install "biddable[envs]"')

import gymnasium as gym
from gymnasium import spaces

from biddable.envs.base import instruction_space
from biddable.errors import InputError
from biddable.experiments import commanding, improvement
from biddable.experiments.improvement import Collection, CollectJob

LEFT, RIGHT = "go to the left", "go to the right"
TEXTS = ("sing", LEFT, "dance", RIGHT)


class Asks(gym.Env):
    """Asks for what its seed says, or for whatever it likes; it takes no command."""

    observation_space = spaces.Dict(
        {"state": spaces.Box(-9, 9, (1,), np.float32), "instruction": instruction_space()}
    )
    action_space = spaces.Discrete(2)

    def __init__(self, whims: bool = False, breaks: int = 0):
        self._whims, self._breaks, self._resets = whims, breaks, 0

    def reset(self, *, seed=None, options=None):
        self._resets += 1
        if self._breaks and self._resets % self._breaks:
            raise RuntimeError("no display")
        text = f"{RIGHT} {self._resets}" if self._whims else TEXTS[seed % len(TEXTS)]
        return {"state": np.zeros(1, np.float32), "instruction": text}, {}


gym.register("Asks-v0", lambda: Asks())
gym.register("Whims-v0", lambda: Asks(whims=True))
gym.register("Breaks-v0", lambda: Asks(breaks=2))
gym.register("Broken-v0", lambda: Asks(breaks=10**6))


def test_an_environment_is_tested_at_the_tasks_alone_and_what_it_never_asks_for_is_said() -> None:
    lab = commanding.lab_of(["gym:Asks-v0"], (LEFT, RIGHT, "whistle"), 6, "oracle")
    assert (lab.tasks, lab.commands) == ((RIGHT, LEFT), False)
    cases = commanding.drawn_cases(lab, range(9))
    assert {case.instruction for case in cases} == {LEFT, RIGHT}
    assert len({case.seed for case in cases}) == 9
    collections = {CollectJob(0, 0, 1, ""): Collection("", {}, {}, 1.0, 1.0, 1.0, 0.0)}
    notes = improvement.notes_on(lab, collections, (LEFT, RIGHT, "whistle"))
    assert any("1 tasks are left out" in note and "'whistle'" in note for note in notes)
    assert len(improvement.notes_on(lab, collections, (LEFT, RIGHT))) == 1
    with pytest.raises(InputError, match="some that the environment asks for often"):
        commanding.drawn_cases(replace(lab, tasks=("whistle",)), range(2))


def test_what_is_offered_is_looked_at_where_it_is_offered() -> None:
    lab = commanding.lab_of(["gym:Asks-v0"], (LEFT, RIGHT), 6, "oracle")
    came: list = []
    env = Asks()

    def proposed(offers):
        came.extend(offers)
        return offers[-1][1][0]

    case = lab.start(env, iter(range(100)), proposed)
    for seen, [task] in came:
        assert seen["instruction"] == task
    assert sorted(task for _, [task] in came) == [LEFT, RIGHT]
    assert env.reset(seed=case.seed)[0]["instruction"] == case.instruction


def test_levels_of_minigrids_own_are_reset_until_they_ask() -> None:
    doors = [f"go to the {colour} door" for colour in ("red", "blue")]
    lab = commanding.lab_of(["minigrid:MiniGrid-GoToDoor-5x5-v0"], doors, 6, "oracle")
    assert not lab.commands
    assert sorted(lab.tasks) == sorted(doors)


def test_one_that_asks_for_something_else_with_the_same_seed_is_refused() -> None:
    with pytest.raises(InputError, match="or asks by its seed alone"):
        commanding.lab_of(["gym:Whims-v0"], (RIGHT,), 6, "oracle")


def test_an_environment_that_breaks_now_and_then_is_reset_again_and_one_that_always_does_is_one_line() -> (
    None
):
    lab = commanding.lab_of(["gym:Breaks-v0"], (RIGHT, LEFT), 6, "oracle")
    assert len(commanding.drawn_cases(lab, range(4))) == 4
    with pytest.raises(InputError) as caught:
        commanding.lab_of(["gym:Broken-v0"], (RIGHT,), 6, "oracle")
    assert "one that can be reset: the environment broke 3 times" in str(caught.value)
    assert "RuntimeError: no display" in str(caught.value)
