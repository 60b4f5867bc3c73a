"""``make_env``: environments with an instruction in the observation and success in the info.

An environment is a Gymnasium one whose observation is a dictionary with the text ``instruction`` beside what
else there is to see, and whose ``info`` says after every step, under ``success``, whether the instruction has
been followed. A family of them is a class that takes a name, found by its own name in ``registry``.
"""

from __future__ import annotations

import contextlib
import string
from collections.abc import Callable, Container, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biddable import registry
from biddable.errors import BiddableError, InputError

SUCCESS_KEYS = ("success", "is_success")
"""What ``info`` calls it: this library and Meta-World; Stable-Baselines3, Gymnasium-Robotics and LeRobot."""


def make_env(
    env: str | Any,
    num_envs: int = 1,
    *,
    seed: int = 0,
    processes: bool = False,
    max_episode_steps: int | None = None,
    **options: Any,
) -> Any:
    """Make an environment, or a vector environment of several of its kind.

    Args:
        env: ``family:name``: ``minigrid:BabyAI-GoToLocal-v0``, ``miniwob:click-test-2``, ``gym:CartPole-v1``
            for whatever is registered with Gymnasium …; or an environment of your own, or what makes one (a
            class, a function), which is then shown as all others are (see ``envs.gymnasium.GymEnv``).
        num_envs: 1 for a ``gymnasium.Env``; more for a ``gymnasium.vector.VectorEnv`` that starts an
            environment anew in the step that ended its episode (the last observation is in
            ``info["final_obs"]``).
        seed: of the first reset without one; the environments side by side have the ones after it.
        processes: step those side by side in a process each. Pays where a step takes milliseconds.
        max_episode_steps: after so many steps an episode is truncated; the environment's own limit stays.
        options: what the family's class takes; of ``gym``: ``instruction``, ``success``, and what the
            environment takes.

    Raises:
        InputError: an unknown family or name, a number below 1, or a package that is missing. What an
            environment in a process of its own refuses arrives as a BiddableError of the same text.
    """
    for name, value in (("num_envs", num_envs), ("max_episode_steps", max_episode_steps)):
        if value is not None and value < 1:
            raise InputError(name, value, "an integer of at least 1")
    make = _maker(env, options)
    if num_envs > 1 and not (isinstance(env, str) or callable(env)):
        raise InputError("env", env, "a name, or what makes environments: several cannot be one and the same")
    single = partial(_ready, make, max_episode_steps)
    if num_envs == 1:
        return single(seed)
    from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

    makers = [partial(single, seed + i) for i in range(num_envs)]
    if not processes:
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
    # Shared memory could not hold objects, such as the elements of a page.
    makers = [partial(_in_process, maker) for maker in makers]
    return AsyncVectorEnv(makers, shared_memory=False, autoreset_mode=AutoresetMode.SAME_STEP)


def succeeded(info: Mapping[str, Any]) -> bool | None:
    """Whether ``info`` says that the instruction has been followed; None where it says nothing of it."""
    for key in SUCCESS_KEYS:
        if info.get(key) is not None:
            return bool(info[key])
    return None


def five_of(result: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
    """What ``step`` returned. Raises InputError: not what Gymnasium's does, four values of old, say."""
    if isinstance(result, tuple) and len(result) == 5:
        if isinstance(result[4], (dict, Mapping)):
            return result
        raise InputError("the info that step returned", result[4], "a dictionary")
    count = f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__
    raise InputError("what step returned", count, "5 of them: obs, reward, terminated, truncated, info")


def two_of(result: Any) -> tuple[Any, dict[str, Any]]:
    """What ``reset`` returned. Raises InputError: not what Gymnasium's does."""
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping):
        return result[0], dict(result[1])
    count = f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__
    raise InputError("what reset returned", count, "2 of them: obs and info")


def copied(value: Any) -> Any:
    """An observation or an action whose arrays nobody else writes into: some environments reuse theirs."""
    if isinstance(value, np.ndarray):
        return value.copy()
    return {name: copied(part) for name, part in value.items()} if isinstance(value, Mapping) else value


def instruction_space() -> Any:
    """The space of instructions: any printable text."""
    from gymnasium.spaces import Text

    return Text(max_length=2000, min_length=0, charset=string.printable)


def finite_numbers(action: Any, shape: int | tuple[int, ...], expected: str) -> NDArray[np.float64]:
    """An action as [shape] numbers. Raises InputError: it is not what ``expected`` says."""
    with contextlib.suppress(TypeError, ValueError):  # text, lists of unequal lengths
        numbers = np.asarray(action, dtype=np.float64)
        if numbers.shape == (shape if isinstance(shape, tuple) else (shape,)) and np.isfinite(numbers).all():
            return numbers
    raise InputError("action", action, expected)


def _maker(env: Any, options: dict[str, Any]) -> Callable[[], Any]:
    """What makes the environment. Raises InputError: an unknown family, or a package that is missing."""
    family, colon, name = env.partition(":") if isinstance(env, str) else ("gym", ":", env)
    if not (colon and name):
        hint = f"; gym:{env} is one of Gymnasium's" if family in _registered() else ""
        raise InputError(
            "env", env, f"FAMILY:NAME, with a family of {', '.join(registry.names('envs'))}{hint}"
        )
    try:
        return partial(registry.find("envs", family), name, **options)
    except ModuleNotFoundError as missing:
        raise InputError("env", env, f'{missing.name}, which pip install "biddable[envs]" brings') from None


def _registered() -> Container[str]:
    try:
        import gymnasium
    except ModuleNotFoundError:
        return ()
    return gymnasium.registry


def _ready(make: Callable[[], Any], max_episode_steps: int | None, first_seed: int) -> Any:
    """A new environment whose first reset without a seed has this one, and whose episodes end in time.

    Its methods are replaced on the object itself: a wrapper would hide what else it has.
    """
    env = make()
    reset, step = env.reset, env.step
    steps, first = 0, True

    def ready_reset(*, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        nonlocal steps, first
        if first and seed is None:
            seed = first_seed
        steps, first = 0, False
        return reset(seed=seed, options=options)

    def limited_step(action: Any) -> Any:
        nonlocal steps
        obs, reward, terminated, truncated, info = five_of(step(action))
        steps += 1
        late = max_episode_steps is not None and steps >= max_episode_steps and not terminated
        return obs, reward, terminated, truncated or late, info

    env.reset = ready_reset
    if max_episode_steps is not None:
        env.step = limited_step
    return env


def _in_process(make: Callable[[], Any]) -> Any:
    env = make()

    def careful(method: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **options: Any) -> Any:
            try:
                return method(*args, **options)
            except InputError as error:  # Gymnasium builds an error anew from its text alone
                raise BiddableError(str(error)) from None

        return called

    env.reset, env.step = careful(env.reset), careful(env.step)
    return env
