"""The policy protocol, and rollouts: all environments step together, with one batch of actions a step."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice, repeat
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from biddable.envs.base import copied, five_of, succeeded, two_of
from biddable.errors import BiddableError, InputError, said
from biddable.policies.vec_env import ATTEMPTS
from biddable.runs.run import Run
from biddable.types import Trajectory

MakeEnv = Callable[[], Any]
Value = TypeVar("Value")
_log = logging.getLogger(__name__)


@runtime_checkable
class Policy(Protocol):
    """Chooses actions."""

    def act(self, observations: Sequence[dict[str, Any]]) -> Sequence[Any]:
        """One action for each observation; its ``instruction`` says what to do."""


@runtime_checkable
class EpisodicPolicy(Policy, Protocol):
    """A policy that remembers what it did earlier in an episode."""

    def act_in(self, observations: Sequence[dict[str, Any]], episodes: Sequence[int]) -> Sequence[Any]:
        """As ``act``; ``episodes`` numbers the episode of each observation.

        A number that was there before is the next step of its episode; one that is left out has ended.
        """


def rollouts(
    envs: Sequence[Any],
    policy: Policy,
    seeds: Sequence[int],
    *,
    options: Sequence[Mapping[str, Any]] | None = None,
    make: MakeEnv | None = None,
    threads: bool = False,
) -> list[Trajectory]:
    """One episode for each seed, in order, as many at a time as there are environments.

    An environment that raises costs no episode: it is reset, or made anew, and its episode begun again from
    the seed, while the others go on.

    Args:
        envs: Gymnasium environments of one kind.
        policy: asked once a step, for all environments together.
        seeds: which episodes; the same seed gives the same start.
        options: of each episode's reset, where there are any; ``{"instruction": text}`` commands it.
        make: makes an environment that replaces one that raised, which is closed; the new ones are closed at
            the end. Without it the one that raised is reset.
        threads: step every environment in a thread of its own; faster where a step waits for another program,
            such as a browser.

    Returns:
        the episodes; ``meta`` holds the seed, and what the last ``info`` said. An episode succeeded as
        ``envs.base.succeeded`` says of its last ``info``.

    Raises:
        InputError: too few or too many actions, one that the environment refuses, or an observation other
            than the environment declares; it says in which episode and step. Not options for each episode.
        BiddableError: an environment gave up, or an episode broke ``ATTEMPTS`` times.
    """
    if options is not None and len(options) != len(seeds):
        raise InputError("options", f"{len(options)} of them", f"{len(seeds)}, for each seed")
    by_place = dict(_as_they_end(envs, policy, seeds, make, threads, options))
    return [by_place[place] for place in range(len(seeds))]


def rollout_stage(
    run: Run,
    name: str,
    envs: Sequence[Any],
    policy: Policy,
    seeds: Sequence[int],
    keep: Callable[[Trajectory], Value],
    type: Any,
    *,
    make: MakeEnv | None = None,
    threads: bool = False,
) -> list[Value]:
    """``rollouts`` as a stage of a run: a run that stopped goes on with the episodes that had not ended.

    Then other episodes stand side by side than would have: for the same results, an action must depend on
    its observation alone.

    Args:
        run: where it is kept.
        name: the stage's name.
        envs, policy, seeds, make, threads: see ``rollouts``.
        keep: what is kept of an episode, as soon as it has ended.
        type: of what is kept (``Run.map``).
    """

    def kept(episodes: list[Any]) -> list[Value]:
        return [keep(episode) for episode in episodes]

    def play(fn: Callable[[list[Any]], list[Any]], batches: Any) -> Iterator[tuple[int, list[Any]]]:
        missing = list(batches)
        left = [seed for _, [seed] in missing]
        for place, episode in _as_they_end(envs, policy, left, make, threads):
            yield missing[place][0], fn([episode])

    return run.map(name, list(seeds), kept, type, 1, executor=play)


def successes(episodes: Sequence[Trajectory]) -> NDArray[np.float64]:
    """[episodes] 1 where the instruction was followed, 0 where it was not.

    Raises:
        InputError: an episode of which nobody says.
    """
    for i, episode in enumerate(episodes):
        if episode.success is None:
            expected = "True or False: the environment's info says nothing under 'success' or 'is_success'"
            raise InputError(f"episodes[{i}].success", None, expected)
    return np.array([float(bool(episode.success)) for episode in episodes])


def returns(episodes: Sequence[Trajectory]) -> NDArray[np.float64]:
    """[episodes] the sum of each episode's rewards."""
    return np.array([float(np.sum(episode.rewards)) for episode in episodes])


def _as_they_end(
    envs: Sequence[Any],
    policy: Policy,
    seeds: Sequence[int],
    make: MakeEnv | None,
    threads: bool,
    options: Sequence[Mapping[str, Any]] | None = None,
) -> Iterator[tuple[int, Trajectory]]:
    """Yield (place of the seed, episode) in the order in which episodes end."""
    slots = running = [_Slot(env, make) for env in envs[: len(seeds)]]
    waiting = iter(zip(count(), seeds, options or repeat(None), strict=False))
    with ThreadPoolExecutor(max(1, len(slots))) as pool, contextlib.ExitStack() as closing:
        for slot in slots:
            closing.callback(slot.close)
        map_slots = pool.map if threads else map
        list(map_slots(_Slot.begin, running, list(islice(waiting, len(running)))))
        while running:
            list(map_slots(_Slot.step, running, _actions(policy, running)))
            finished = [slot for slot in running if slot.done]
            for slot in finished:
                yield slot.place, slot.episode()
            list(map_slots(_Slot.begin, finished, list(islice(waiting, len(finished)))))
            running = [slot for slot in running if not slot.done]


def _actions(policy: Policy, running: Sequence[_Slot]) -> list[Any]:
    observations = [slot.obs for slot in running]
    if isinstance(policy, EpisodicPolicy):
        actions = list(policy.act_in(observations, [slot.number for slot in running]))
    else:
        actions = list(policy.act(observations))
    if len(actions) != len(running):
        raise InputError("actions", f"{len(actions)} of them", f"{len(running)}, one for each observation")
    return actions


_NUMBERS = count()
"""Of episodes, for policies that remember; one that is begun again is another."""


class _Slot:
    """An environment with the episode that is under way in it."""

    def __init__(self, env: Any, make: MakeEnv | None):
        self._env, self._make, self._made = env, make, False
        self._shapes = _shapes(env)
        self.done = False

    def begin(self, numbered: tuple[int, int, Mapping[str, Any] | None]) -> None:
        """Begin the episode of ``numbered``: its place, its seed and the options of its reset."""
        self.place, self._seed, options = numbered
        self._options = {} if options is None else {"options": dict(options)}
        self._broken = 0
        self._start()

    def step(self, action: Any) -> None:
        """Take a step; where the environment raises, begin the episode again."""
        taken = copied(action)
        try:
            obs, reward, terminated, truncated, self._info = five_of(self._env.step(action))
        except BiddableError as error:
            raise self._at(error) from error
        except Exception as error:  # whatever a simulator raises
            self._count_failure(error)
            self._start()
            return
        self._observe(obs)
        self._actions.append(taken)
        self._rewards.append(float(reward))
        self._terminated, self._truncated = bool(terminated), bool(truncated)
        self.done = self._terminated or self._truncated

    def episode(self) -> Trajectory:
        """The episode, once ``done``."""
        return Trajectory(
            self._instruction,
            observation_columns(self._observations, self._instruction),
            column(self._actions),
            np.array(self._rewards),
            succeeded(self._info),
            self._terminated,
            self._truncated,
            {"seed": self._seed, **self._info},
        )

    def close(self) -> None:
        """Close an environment that was made here."""
        if self._made:
            self._env.close()

    def _start(self) -> None:
        self.number = next(_NUMBERS)
        self._observations: list[dict[str, Any]] = []
        self._actions: list[Any] = []
        self._rewards: list[float] = []
        while True:
            try:
                if self._broken and self._make:
                    self._replace(self._make)
                obs, self._info = two_of(self._env.reset(seed=self._seed, **self._options))
                break
            except BiddableError as error:
                raise self._at(error) from error
            except Exception as error:
                self._count_failure(error)
        self._observe(obs)
        self._instruction, self.done = str(obs["instruction"]), False

    def _replace(self, make: MakeEnv) -> None:
        with contextlib.suppress(Exception):  # it may be past closing
            self._env.close()
        self._made = False
        self._env, self._made = make(), True

    def _count_failure(self, error: Exception) -> None:
        """Log the failure; raise BiddableError at the ``ATTEMPTS``-th of an episode."""
        self._broken += 1
        what = said(error)
        if self._broken == ATTEMPTS:
            problem = f"the environment broke {ATTEMPTS} times, at last with {what}"
            raise BiddableError(f"{self._where()}: {problem}") from error
        _log.warning("%s: the environment broke, the episode is begun again: %s", self._where(), what)

    def _observe(self, obs: Any) -> None:
        self.obs = obs
        if not isinstance(obs, Mapping):
            expected = "a dictionary with the text 'instruction' (make_env('gym:ID') makes one)"
            raise InputError("observation", type(obs).__name__, expected, where=self._where())
        for name, shape in self._shapes.items():
            shape_given = np.shape(obs[name]) if name in obs else None
            if shape_given != shape:
                expected = f"an array of shape {shape}, as the environment declares"
                raise InputError(f"observation[{name!r}]", shape_given, expected, where=self._where())
        if "instruction" not in obs:
            expected = "a dictionary with the text 'instruction'"
            raise InputError("observation", sorted(obs), expected, where=self._where())
        if self._observations and obs.keys() != self._observations[0].keys():
            expected = f"{sorted(self._observations[0])}, as at first"
            raise InputError("observation", sorted(obs), expected, where=self._where())
        self._observations.append(copied(obs))

    def _where(self) -> str:
        return f"episode of seed {self._seed}, step {len(self._actions)}"

    def _at(self, error: BiddableError) -> BiddableError:
        return error.at(self._where()) if isinstance(error, InputError) else error


def _shapes(env: Any) -> Mapping[str, tuple[int, ...]]:
    """Name of each part of the declared observation space -> its shape."""
    parts: Mapping[str, Any] = getattr(getattr(env, "observation_space", None), "spaces", {})
    return {name: space.shape for name, space in parts.items() if space.shape is not None}


def observation_columns(observations: Sequence[Mapping[str, Any]], instruction: str) -> dict[str, Any]:
    """Observations as ``Trajectory`` has them: each part's values together.

    The instruction is a column only where it changes on the way.
    """
    columns = {name: column([obs[name] for obs in observations]) for name in observations[0]}
    if all(text == instruction for text in columns.get("instruction", ())):
        columns.pop("instruction", None)
    return columns


def column(values: Sequence[Any]) -> Any:
    """Values of all steps: an array [T, ...] if they are numbers of one shape, or else a tuple."""
    numbers = all(isinstance(value, (np.ndarray, np.generic, int, float)) for value in values)
    if numbers and len({np.shape(value) for value in values}) == 1:
        return np.stack([np.asarray(value) for value in values])
    return tuple(values)


Demonstrator = Callable[[dict[str, Any]], Any]


class ScriptedPolicy:
    """A policy that asks a function for the action of each observation."""

    def __init__(self, demonstrator: Demonstrator):
        self._demonstrator = demonstrator

    def act(self, observations: Sequence[dict[str, Any]]) -> list[Any]:
        """See ``Policy.act``."""
        return [self._demonstrator(observation) for observation in observations]
