"""``make_env``: environments with an instruction in the observation and success in the info.

An environment is a Gymnasium one whose observation is a dictionary with the text ``instruction`` beside what
else there is to see, and whose ``info`` says after every step, under ``success``, whether the instruction has
been followed. A family of them is a class that takes a name, found by its own name in ``registry``.
"""

from __future__ import annotations

import contextlib
import string
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biddable import registry
from biddable.errors import BiddableError, InputError


def make_env(id: str, num_envs: int = 1, *, seed: int = 0, processes: bool = False, **options: Any) -> Any:
    """Make an environment, or a vector environment of several of its kind.

    Args:
        id: ``family:name``: ``minigrid:BabyAI-GoToLocal-v0``, ``miniwob:click-test-2`` …
        num_envs: 1 for a ``gymnasium.Env``; more for a ``gymnasium.vector.VectorEnv`` that starts an
            environment anew in the step that ended its episode (the last observation is in
            ``info["final_obs"]``).
        seed: of the first reset without one; the environments side by side have the ones after it.
        processes: step those side by side in a process each. Pays where a step takes milliseconds.
        options: what the family's class takes.

    Raises:
        InputError: an unknown family or name, a number below 1, or a package that is missing. What an
            environment in a process of its own refuses arrives as a BiddableError of the same text.
    """
    if num_envs < 1:
        raise InputError("num_envs", num_envs, "an integer of at least 1")
    family, colon, name = id.partition(":")
    if not (colon and name):
        raise InputError("env", id, "FAMILY:NAME, with a family of " + ", ".join(registry.names("envs")))
    try:
        kind = registry.find("envs", family)
    except ModuleNotFoundError as missing:
        raise InputError("env", id, f'{missing.name}, which pip install "biddable[envs]" brings') from None
    single = partial(_seeded, kind, name, options)
    if num_envs == 1:
        return single(seed)
    from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

    makers = [partial(single, seed + i) for i in range(num_envs)]
    if not processes:
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
    # Shared memory could not hold objects, such as the elements of a page.
    makers = [partial(_in_process, maker) for maker in makers]
    return AsyncVectorEnv(makers, shared_memory=False, autoreset_mode=AutoresetMode.SAME_STEP)


def instruction_space() -> Any:
    """The space of instructions: any printable text."""
    from gymnasium.spaces import Text

    return Text(max_length=2000, min_length=0, charset=string.printable)


def finite_numbers(action: Any, count: int, expected: str) -> NDArray[np.float64]:
    """An action as [count] numbers. Raises InputError: it is not what ``expected`` says."""
    with contextlib.suppress(TypeError, ValueError):  # text, lists of unequal lengths
        numbers = np.asarray(action, dtype=np.float64)
        if numbers.shape == (count,) and np.isfinite(numbers).all():
            return numbers
    raise InputError("action", action, expected)


def _seeded(kind: Any, name: str, options: dict[str, Any], seed: int) -> Any:
    env = kind(name, **options)
    env.reset(seed=seed)
    return env


def _in_process(make: Callable[[], Any]) -> Any:
    env = make()
    step = env.step

    def careful(action: Any) -> Any:
        try:
            return step(action)
        except InputError as error:  # Gymnasium builds an error anew from its text alone
            raise BiddableError(str(error)) from None

    env.step = careful
    return env
