"""MiniGrid and BabyAI: grid worlds with an instruction (the packages' levels, by their names)."""

from __future__ import annotations

import contextlib
import io
import operator
import re
import threading
from collections.abc import Iterator
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from minigrid.minigrid_env import MiniGridEnv
from minigrid.utils.baby_ai_bot import BabyAIBot

from biddable.envs.base import instruction_space
from biddable.envs.minigrid_tasks import command, is_babyai, with_walls
from biddable.envs.minigrid_view import WIDEST, FullView, View
from biddable.errors import BiddableError, InputError, said
from biddable.registry import split_spec

_ONE_AT_A_TIME = threading.Lock()
PREFIXES = ("MiniGrid-", "BabyAI-")
VIEWS = ("partial", "full")


def names() -> list[str]:
    """The names of all levels."""
    return sorted(name for name in gym.registry if name.startswith(PREFIXES))


class GridEnv(gym.Env[dict[str, Any], int]):
    """A level of MiniGrid or BabyAI.

    Observation: ``image`` [7, 7, 3] uint8 (object, colour and state of each cell in view; the column comes
    first and the agent stands at [3, 6], looking at [3, 5]), ``direction`` (0 east, 1 south, 2 west, 3 north)
    and ``instruction``. ``info["success"]`` is whether the episode ended with what was asked for.

    With ``view="full"``, or ``NAME?view=full``, ``grid`` [width, height, 3] and ``carrying`` [2] stand in the
    place of ``image``: see ``minigrid_view.FullView``.

    A level of BabyAI can be commanded: ``reset(options={"instruction": "pick up the red ball"})`` puts that
    in the place of the instruction that was drawn. It takes what ``minigrid_tasks.COMMANDS`` says; an
    instruction whose object is not there can be commanded, and cannot succeed.

    Args:
        name: ``BabyAI-GoToLocal-v0`` … Options may follow: ``NAME?view=full&walls=3&num_dists=4``.
        view: what is seen: "partial", or the "full" grid.
        walls: above 0: a room of BabyAI gets inner walls, those of this number (``minigrid_tasks``).
        options: what the level's class takes (``render_mode``, say).

    Raises:
        InputError: there is no such level, view or option.
    """

    def __init__(self, name: str, *, view: str = "partial", walls: int = 0, **options: Any):
        name, asked = split_spec("env", name)
        if name not in gym.registry or not name.startswith(PREFIXES):
            raise InputError("env", f"minigrid:{name}", f"minigrid: and a level, such as {names()[0]}")
        view = asked.pop("view", view)
        if view not in VIEWS:
            raise InputError("view", view, " or ".join(VIEWS))
        for option, value in asked.items():
            if not value.isdecimal():
                expected = "options with integers, or view=full"
                raise InputError("env", f"minigrid:{name}?{option}={value}", expected)
        numbers = {option: int(value) for option, value in asked.items()}
        walls = numbers.pop("walls", walls)
        options = {"render_mode": "rgb_array", **options, **numbers}
        try:
            with _silence():
                level = gym.make(name, disable_env_checker=True, **options).unwrapped
        except TypeError as error:
            if not numbers:
                raise
            unknown = re.search(r"argument '(\w+)'", str(error))
            wrong = next((each for each in numbers if unknown and each == unknown[1]), next(iter(numbers)))
            expected = "options that the level has: integers such as num_dists=4, walls=3, or view=full"
            raise InputError("env", f"minigrid:{name}?{wrong}={numbers[wrong]}", expected) from None
        assert isinstance(level, MiniGridEnv)
        if numbers.get("num_dists", 0) > level.width * level.height // 3:  # it would look for places for ever
            expected = f"at most {level.width * level.height // 3} of num_dists: more do not fit in the level"
            raise InputError("env", f"minigrid:{name}?num_dists={numbers['num_dists']}", expected)
        self.level, self.name = level, name
        if walls:
            with_walls(level, walls)
        if view == "full":
            level.gen_obs = FullView(level)  # type: ignore[method-assign]
        elif level.agent_view_size <= WIDEST:
            level.gen_obs = View(level)  # type: ignore[method-assign]
        self.action_space = level.action_space
        self._actions = int(level.action_space.n)  # type: ignore[attr-defined]
        self.render_mode, self.metadata = level.render_mode, level.metadata
        parts: Any = level.observation_space
        seen: dict[str, Any] = {"image": parts["image"]}
        if view == "full":
            shapes = {"grid": (level.width, level.height, 3), "carrying": (2,)}
            seen = {name: spaces.Box(0, 255, shape, np.uint8) for name, shape in shapes.items()}
        self._seen = tuple(seen)
        self.observation_space = spaces.Dict(
            {**seen, "direction": parts["direction"], "instruction": instruction_space()}
        )

    @property
    def commands(self) -> bool:
        """Whether instructions can be commanded: in levels of BabyAI, not in MiniGrid's own."""
        return is_babyai(self.level)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """See ``gymnasium.Env.reset``; the option ``instruction`` commands it.

        Raises:
            InputError: an instruction that cannot be commanded here.
        """
        super().reset(seed=seed)
        with _silence():
            obs, _ = self.level.reset(seed=seed, options=options)
        if options and "instruction" in options:
            command(self.level, str(options["instruction"]))
            obs = {**obs, "mission": self.level.mission}
        return self._observation(obs), {"success": False}

    def step(self, action: int) -> tuple[dict[str, Any], SupportsFloat, bool, bool, dict[str, Any]]:
        """See ``gymnasium.Env.step``.

        Raises:
            InputError: no such action; nothing was changed.
        """
        obs, reward, terminated, truncated, _ = self.level.step(self._checked(action))
        return (
            self._observation(obs),
            float(reward),
            terminated,
            truncated,
            {"success": terminated and float(reward) > 0},
        )

    def render(self) -> Any:
        """See ``gymnasium.Env.render``."""
        return self.level.render()

    def close(self) -> None:
        """See ``gymnasium.Env.close``."""
        self.level.close()

    def _observation(self, obs: dict[str, Any]) -> dict[str, Any]:
        seen = {name: obs[name] for name in self._seen}
        return {**seen, "direction": np.int64(obs["direction"]), "instruction": obs["mission"]}

    def _checked(self, action: Any) -> int:
        try:
            chosen = operator.index(action)
        except TypeError:
            chosen = -1
        if not 0 <= chosen < self._actions:
            raise InputError("action", action, f"an integer from 0 to {self._actions - 1}")
        return chosen


class Bot:
    """BabyAI's own planner as a demonstrator; it reads the whole level. Make a new one after each reset.

    ``record`` takes it as ``lambda env: Bot(env).act``. It does not master every level (those of KeyInBox and
    PutNext...Carrying, and single seeds of others).

    Args:
        env: a BabyAI level.
        searches: paths it may look for before an action. A planner that goes round in circles would look for
            ever; one that gets somewhere takes up to a hundred for a whole episode.

    Raises:
        BiddableError: the level gives no instruction of BabyAI's.
    """

    def __init__(self, env: GridEnv, searches: int = 1000):
        self._name, self._searches = env.name, searches
        with self._planning():
            self._bot = _Planner(env.level)
        self._last: Any = None

    def act(self, obs: dict[str, Any] | None = None) -> int:
        """The next action; ``obs`` is not used. The action must be taken before the next call.

        Raises:
            BiddableError: the planner finds no way, or does not come to an end.
        """
        self._bot.searches_left = self._searches
        with self._planning():
            self._last = self._bot.replan(self._last)
        return int(self._last)

    @contextlib.contextmanager
    def _planning(self) -> Iterator[None]:
        try:
            yield
        except BiddableError:
            raise
        except Exception as error:  # assertions, mostly, with and without a text
            raise BiddableError(f"BabyAI's bot finds no way in {self._name}: {said(error)}") from error


class _Planner(BabyAIBot):
    """BabyAI's planner with a limit to the paths that it looks for."""

    searches_left = 1000

    def _breadth_first_search(self, *args: Any, **options: Any) -> Any:
        self.searches_left -= 1
        if self.searches_left < 0:
            raise RuntimeError("it goes round in circles")
        return super()._breadth_first_search(*args, **options)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Levels print how often they drew anew; standard output, which all threads share, is the caller's."""
    with _ONE_AT_A_TIME, contextlib.redirect_stdout(io.StringIO()):
        yield
