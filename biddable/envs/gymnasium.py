"""``gym:ID``: any environment of Gymnasium's, shown with an instruction and with success.

make_env("gym:FetchReach-v4", instruction="reach {desired_goal}")
make_env("gym:my_package:Mine-v0")                       # imports my_package, which registers it
make_env(lambda: MyEnv(size=6), instruction="find the exit", success="found_exit")
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import re
import string
from collections.abc import Callable, Mapping
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from biddable.envs.base import finite_numbers, five_of, instruction_space, succeeded, two_of
from biddable.errors import InputError, said

TEXTS = ("instruction", "mission", "utterance", "language_instruction")
"""What environments call an instruction; the first that is there counts."""
ACHIEVED = "achieved_goal"
"""The part of a goal dictionary that is not shown to a policy as ``state``."""

_NUMBERS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
_VERSION = re.compile(r"-v\d+$")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-_]")

Success = str | Callable[[Any, float, bool, Mapping[str, Any]], bool]
"""A key of ``info``, or a function of the observation, the reward, terminated and ``info``."""


class GymEnv(gym.Env[dict[str, Any], Any]):
    """An environment of Gymnasium's with an instruction.

    Observation: the parts of a dictionary under their names, whatever else as ``state`` (or ``image``, if it
    is a picture of bytes), and ``instruction``. A dictionary without ``state`` gets one: its vectors and
    numbers side by side, in their order, but for the ``achieved_goal`` of a goal dictionary; a ``Discrete``
    number is a vector of zeros with a one. ``info["success"]`` is there only where something says so.

    Args:
        env: the id under which it is registered, one of your own, or what makes one.
        instruction: what is to be done; ``{name}`` stands for a part of the first observation or ``info``.
            Without it: the text that the environment shows, or else the words of its id.
        success: where success is told (see ``Success``); without it, ``success`` or ``is_success`` in
            ``info``.
        success_at: "end": as it is in the last step, as Stable-Baselines3 counts; "any": once it was reached,
            the episode succeeded, as Meta-World counts.
        options: of the environment.

    Raises:
        InputError: no such environment, or one that cannot be made with these options.
    """

    def __init__(
        self,
        env: str | Any,
        *,
        instruction: str | None = None,
        success: Success | None = None,
        success_at: Literal["end", "any"] = "end",
        **options: Any,
    ):
        if success_at not in ("end", "any"):
            raise InputError("success_at", success_at, "end or any")
        if instruction is not None and not instruction.strip():
            raise InputError("instruction", instruction, "a text, or none at all")
        self.env = _made(env, options)
        self._success, self._any = success, success_at == "any"
        self.action_space = self.env.action_space
        self.metadata = getattr(self.env, "metadata", {})
        space = self.env.observation_space
        self._single = None if isinstance(space, spaces.Dict) else _single_name(space)
        self._parts = {self._single: space} if self._single else dict(space.spaces)
        self._named = next((name for name in TEXTS if name in self._parts), None)
        self._template = instruction
        if instruction is None and self._named is None:
            self._template = _words(self.env)
        self._state = _state_names(self._parts, single=bool(self._single))
        shown = {name: part for name, part in self._parts.items() if name != self._named}
        if self._state:
            size = sum(spaces.flatdim(self._parts[name]) for name in self._state)
            shown["state"] = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.observation_space = spaces.Dict({**shown, "instruction": instruction_space()})
        self._instruction, self._reached = "", False

    @property
    def render_mode(self) -> str | None:  # type: ignore[override]
        """See ``gymnasium.Env.render_mode``."""
        return getattr(self.env, "render_mode", None)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """See ``gymnasium.Env.reset``."""
        super().reset(seed=seed)
        # Many an environment of one's own takes no options.
        told = {} if options is None else {"options": options}
        obs, info = two_of(self.env.reset(seed=seed, **told))
        self._reached = False
        parts = self._named_parts(obs)
        if self._template is not None:
            self._instruction = _filled(self._template, {**info, **parts})
        return self._shown(parts), info

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """See ``gymnasium.Env.step``. Raises InputError: what is no action; nothing has changed."""
        self._check(action)
        obs, reward, terminated, truncated, info = five_of(self.env.step(action))
        reward, terminated = _number(reward), bool(terminated)
        success = self._told(obs, reward, terminated, info)
        if success is not None:
            self._reached = self._reached or success
            info = {**info, "success": self._reached if self._any else success}
        return self._shown(self._named_parts(obs)), reward, terminated, bool(truncated), info

    def render(self) -> Any:
        """See ``gymnasium.Env.render``."""
        return self.env.render()

    def close(self) -> None:
        """See ``gymnasium.Env.close``."""
        self.env.close()

    def _check(self, action: Any) -> None:
        """Environments seldom look: a number that is none would spread through all that follows."""
        space = self.action_space
        if isinstance(space, spaces.Box):
            finite_numbers(action, space.shape, f"finite numbers of shape {space.shape}")
        elif isinstance(space, _NUMBERS) and not space.contains(action):
            raise InputError("action", action, f"one of {space}")

    def _told(self, obs: Any, reward: float, terminated: bool, info: Mapping[str, Any]) -> bool | None:
        if self._success is None:
            return succeeded(info)
        if callable(self._success):
            try:
                return bool(self._success(obs, reward, terminated, info))
            except Exception as error:  # whatever somebody's function raises: the environment is whole
                problem = f"a function that says True or False: {said(error)}"
                raise InputError("success", self._success, problem) from error
        if self._success not in info:
            raise InputError("success", self._success, f"a key of info, which has {sorted(info) or 'none'}")
        return bool(info[self._success])

    def _named_parts(self, obs: Any) -> dict[str, Any]:
        return {self._single: obs} if self._single else dict(obs)

    def _shown(self, parts: dict[str, Any]) -> dict[str, Any]:
        """The observation with its state and the instruction."""
        shown = {name: value for name, value in parts.items() if name != self._named}
        if self._state:
            flat = [_flat(self._parts[name], parts[name]) for name in self._state]
            shown["state"] = np.concatenate(flat, dtype=np.float32)
        if self._named is not None and self._template is None:
            self._instruction = str(parts[self._named])
        return {**shown, "instruction": self._instruction}


def _made(env: Any, options: dict[str, Any]) -> Any:
    if not isinstance(env, str):
        if isinstance(env, gym.Env) or not callable(env):
            if options:
                raise InputError(
                    next(iter(options)), options[next(iter(options))], "no option: the environment is made"
                )
            made = env
        else:
            made = env(**options)
        missing = [
            name for name in ("reset", "step", "observation_space", "action_space") if not hasattr(made, name)
        ]
        if missing:
            raise InputError("env", type(made).__name__, f"a Gymnasium environment; it has no {missing[0]}")
        if not _takes_seed(made.reset):
            raise InputError("env", type(made).__name__, "a Gymnasium environment, whose reset takes a seed")
        return made
    try:
        return gym.make(env, disable_env_checker=True, **options)
    except gym.error.NameNotFound:
        near = difflib.get_close_matches(env, list(gym.registry), 3)
        expected = "a registered id" + (
            f"; near it are {', '.join(near)}" if near else " (MODULE:ID imports it)"
        )
        raise InputError("env", f"gym:{env}", expected) from None
    except Exception as error:  # whatever a simulator raises for options that it does not take
        raise InputError("env", f"gym:{env}", f"one that can be made: {said(error)}") from error


def _number(reward: Any) -> float:
    """A reward as a number; some environments pay an array of one. Raises InputError: something else."""
    with contextlib.suppress(TypeError, ValueError):
        number = float(np.asarray(reward, np.float64).reshape(()))
        if np.isfinite(number):
            return number
    raise InputError("reward", reward, "a finite number")


def _takes_seed(reset: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(reset).parameters
    except (TypeError, ValueError):  # written in C, say
        return True
    return "seed" in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def _single_name(space: Any) -> str:
    """What an observation that is no dictionary is called."""
    if isinstance(space, spaces.Text):
        return "text"
    if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3:
        return "image"
    return "state" if isinstance(space, spaces.Box) and len(space.shape) == 1 else "observation"


def _state_names(parts: Mapping[str, Any], single: bool) -> list[str]:
    """The parts that make up ``state``; none where there is one, or nothing to make it of."""
    if "state" in parts:
        return []
    numbers = [name for name, part in parts.items() if isinstance(part, _NUMBERS) and name != ACHIEVED]
    shown = [name for name in numbers if len(parts[name].shape) < 2 or (single and name != "image")]
    return sorted(shown, key=lambda name: name != "observation")  # of a goal dictionary it comes first


def _flat(space: Any, value: Any) -> NDArray[np.float32]:
    """A value as a vector; of ``Discrete`` zeros with a one."""
    return np.asarray(spaces.flatten(space, value), dtype=np.float32).reshape(-1)


def _words(env: Any) -> str:
    """The id of an environment in words, without its version: "cart pole"."""
    spec = getattr(env, "spec", None)
    name = spec.id if spec is not None else type(env).__name__.removesuffix("Env")
    return _WORDS.sub(" ", _VERSION.sub("", name.rpartition("/")[2])).lower().strip()


def _filled(template: str, values: Mapping[str, Any]) -> str:
    """The template with values in it. Raises InputError: a name that is no value."""
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InputError("instruction", template, f"a text, or one with {{name}} in it: {error}") from None
    for _, name, form, conversion in pieces:
        if name is not None and name not in values:
            expected = f"names of parts of the observation or of info, which are {sorted(values)}"
            raise InputError("instruction", f"{{{name}}}", expected)
        if form or conversion:
            raise InputError(
                "instruction", template, f"{{{name}}} alone: numbers are written with two places"
            )
    return "".join(text + ("" if name is None else _text(values[name])) for text, name, _, _ in pieces)


def _text(value: Any) -> str:
    """A value as it is read in a sentence: numbers with two places."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return " ".join(f"{number:.2f}" for number in value.reshape(-1))
    return " ".join(map(str, value.reshape(-1))) if isinstance(value, np.ndarray) else str(value)
