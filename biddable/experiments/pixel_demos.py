"""Demonstrations with pictures: of many tasks to learn an encoder from, of new ones to learn a policy from.

A user's are read and checked; or a controller's are recorded, of a point that moves to hidden goals. Both end
as a file that worker processes read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from biddable.errors import InputError, said, shown
from biddable.policies.batches import Demonstrations
from biddable.policies.datasets import read_trajectories
from biddable.policies.datasets.base import ActionSpec
from biddable.policies.datasets.recorded import recorded
from biddable.runs.files import read_json, write_json
from biddable.tasks.steps import Drop, Funnel
from biddable.types import Trajectory

UNSAID = "(not said)"
"""Stands for the instruction of an episode that has none."""
FAILED = Drop("it did not do what it says", "its data call it no success")
"""Why an episode that is known to have failed is no demonstration."""
STATE = "state"
RECORDED, TARGETS = "hidden-goal-v0", "hidden-goal-tasks-v0"
TARGET_SEED = 1_000_000
_ARRAYS, _ABOUT = "arrays.safetensors", "about.json"


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to learn from a few demonstrations; episodes are named by their places.

    Attributes:
        name: what it is.
        pool: what the few are drawn from.
        test: what the policy's actions are compared with.
        env: to count successes in; empty where there is none.
    """

    name: str
    pool: list[int]
    test: list[int]
    env: str = ""


@dataclass(frozen=True, slots=True)
class PixelDemos:
    """Demonstrations and what each is for.

    Attributes:
        demos: all of them, with the part ``part`` of the observations, and ``state`` where it is known.
        part: the pictures.
        head: what makes a policy's head (``heads.head_of``).
        pretrain: episodes to learn encoders from.
        tasks: new tasks; a seed takes the one of its number, or all take the only one.
    """

    demos: Demonstrations
    part: str
    head: dict[str, Any]
    pretrain: list[int]
    tasks: tuple[NewTask, ...]

    def task(self, seed: int) -> NewTask:
        """The new task of a seed."""
        return self.tasks[seed % len(self.tasks)]

    def save(self, folder: Path) -> None:
        """Write it to a folder that is there."""
        from safetensors.numpy import save_file

        demos = self.demos
        arrays = {"actions": demos.actions, "lengths": demos.lengths, **demos.observations}
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / _ARRAYS)
        about = {"part": self.part, "head": self.head, "pretrain": self.pretrain, "sources": demos.sources}
        write_json(folder / _ABOUT, {**about, "tasks": [asdict(task) for task in self.tasks]})

    @classmethod
    def load(cls, folder: Path) -> PixelDemos:
        """What ``save`` wrote."""
        from safetensors.numpy import load_file

        arrays, about = load_file(folder / _ARRAYS), read_json(folder / _ABOUT)
        actions, lengths = arrays.pop("actions"), arrays.pop("lengths")
        first = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]])
        episode = np.repeat(np.arange(len(lengths)), lengths)
        t = np.arange(len(episode)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        texts, sources = (UNSAID,) * len(lengths), tuple(about["sources"])
        demos = Demonstrations(texts, arrays, actions, first, lengths, episode, first[episode] + t, sources)
        tasks = tuple(NewTask(**task) for task in about["tasks"])
        return cls(demos, about["part"], about["head"], about["pretrain"], tasks)


# -- reading -------------------------------------------------------------------------------------------------


class Reader:
    """Reads data sets of pictures that go together; what cannot be learned from is dropped with its reason.

    Args:
        part: of the observations, the pictures.
        pixels: the longer side that they are scaled down to.
        nstep: how many steps an episode must have.
        state: whether ``state`` is read, too.

    Attributes:
        actions: what an action is; of the first data set.
        funnel: the episodes of all data sets, by their set and place.
    """

    actions: ActionSpec

    def __init__(self, part: str, pixels: int, nstep: int, *, state: bool = False):
        self._part, self._pixels, self._nstep = part, pixels, nstep
        self._parts = (part, STATE) if state else (part,)
        self._shapes: dict[str, list[int]] = {}
        self.dropped: list[tuple[str, Drop]] = []

    def read(self, name: str, path: Path) -> dict[str, Trajectory]:
        """The episodes of a data set that can be used, by ``NAME episode PLACE``.

        Raises:
            FileError, InputError: see ``read_trajectories``; no such part, actions that are no vector and no
                choice or other ones than those of the data sets before, or no episode that can be used.
        """
        spec = read_trajectories(path, instruction=UNSAID).spec
        if self._part not in spec.observations:
            known = ", ".join(spec.observations) or "none at all"
            raise InputError("part", self._part, f"one of {known}", where=str(path))
        action = spec.action
        if action.kind not in ("box", "discrete") or len(action.shape) > 1 or action.start:
            expected = "one choice from 0 on, or a vector of numbers"
            raise InputError("actions", str(action), expected, where=str(path))
        first = getattr(self, "actions", action)
        if (first.kind, first.shape) != (action.kind, action.shape):
            raise InputError("actions", str(action), f"{first}, as in the data", where=str(path))
        self.actions = first
        trajectories = read_trajectories(path, instruction=UNSAID, parts=self._parts)
        usable: dict[str, Trajectory] = {}
        for place in range(len(trajectories)):
            key = f"{name} episode {place}"
            try:
                each = self._checked(trajectories[place])
            except InputError as error:
                self.dropped.append((key, Drop("not as the others", str(error))))
            except Exception as error:  # whatever a reader says of an episode that is not whole
                self.dropped.append((key, Drop("cannot be read", said(error))))
            else:
                source = str(each.meta.get("source", key))
                usable[key] = replace(each, meta={**each.meta, "source": source})
        if not usable:
            why = self.dropped[-1][1].detail if self.dropped else "there is none"
            expected = f"one that can be used; the last: {why}"
            raise InputError(name, f"{len(trajectories)} episodes", expected, where=str(path))
        return usable

    def _checked(self, each: Trajectory) -> Trajectory:
        """An episode with its pictures scaled. Raises InputError: it cannot be learned from."""
        from biddable.policies.goal_networks import scaled

        each = recorded(each)
        if len(each) < self._nstep:
            raise InputError("steps", len(each), f"at least {self._nstep} (nstep)")
        images, actions = each.observations.get(self._part), np.asarray(each.actions)
        array = np.asarray(images) if isinstance(images, np.ndarray) else np.empty(0, object)
        if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3:
            found = f"{array.dtype} {list(array.shape[1:])}"
            raise InputError(self._part, found, "pictures of bytes (uint8), [height, width, 3]")
        images = scaled(array, self._pixels)
        if self.actions.kind == "discrete":
            actions = actions.reshape(len(actions), -1)[:, 0].astype(np.int64)
            if actions.min() < 0 or (self.actions.choices and actions.max() >= self.actions.choices[0]):
                raise InputError("actions", [int(actions.min()), int(actions.max())], str(self.actions))
        else:
            actions = actions.astype(np.float32)
        columns = {self._part: images}
        if STATE in self._parts:
            columns[STATE] = np.asarray(each.observations[STATE], np.float32)
        for name, values in (*columns.items(), ("action", actions)):
            shape = self._shapes.setdefault(name, list(values.shape[1:]))
            if list(values.shape[1:]) != shape:
                raise InputError(name, list(values.shape[1:]), f"{shape}, as in the first episode")
        return replace(each, observations=columns, actions=actions)

    def without_failed(self, episodes: dict[str, Trajectory], task: str = "") -> dict[str, Trajectory]:
        """Episodes without those that are known to have failed; of ``task`` alone, where it is named."""
        good = succeeded(episodes)
        failed = {
            k: FAILED for k, each in episodes.items() if k not in good and task in ("", each.instruction)
        }
        self.dropped += failed.items()
        return {key: each for key, each in episodes.items() if key not in failed}

    def funnel(self, usable: Sequence[str]) -> Funnel[Any]:
        """What reading kept, and what it dropped for which reason."""
        why = dict(self.dropped)
        funnel: Funnel[Any] = Funnel(dict.fromkeys([*usable, *why]))
        funnel.apply("reading", [why.get(key) for key in funnel.kept])
        return funnel


def succeeded(episodes: dict[str, Trajectory]) -> dict[str, Trajectory]:
    """Episodes but for those that are known to have failed."""
    return {key: each for key, each in episodes.items() if each.success is not False}


def head_settings(action: ActionSpec, episodes: Sequence[Trajectory]) -> dict[str, Any]:
    """What makes the head: choices, or numbers in the range of what these episodes do."""
    actions = np.concatenate([each.actions for each in episodes])
    if action.kind == "discrete":
        return {"kind": "categorical", "n": int(action.choices[0] if action.choices else actions.max() + 1)}
    low, high = actions.min(0), actions.max(0)
    still = high - low < 1e-6  # a number that never changes has no range
    low, high = np.where(still, low - 0.5, low), np.where(still, high + 0.5, high)
    return {"kind": "gaussian", "low": low.tolist(), "high": high.tolist()}


# -- what each episode is for --------------------------------------------------------------------------------


def new_task(episodes: dict[str, Trajectory], task: str, few: int) -> tuple[str, list[str]]:
    """The name of the new task among episodes of many, and its episodes; "" where they are a part of all.

    Args:
        episodes: by their names.
        task: the instruction; empty for the rarest that has enough demonstrations.
        few: how many a policy learns from.

    Raises:
        InputError: there is no such instruction.
    """
    counts = Counter(each.instruction for each in episodes.values())
    if task and task not in counts:
        known = ", ".join(shown(text) for text, _ in counts.most_common(5))
        raise InputError("task", task, f"an instruction of the data, such as {known}")
    able = [text for text, count in counts.items() if count >= few + 2 and text != UNSAID]
    if not task and len(counts) > 1 and able:
        task = min(able, key=lambda text: (counts[text], text))
    if task:
        return task, [key for key, each in episodes.items() if each.instruction == task]
    sources = sorted({each.meta["source"] for each in episodes.values()})
    rng = np.random.default_rng(0)  # the same part of the same data, whatever the run's seed is
    held = {sources[i] for i in rng.permutation(len(sources))[: max(few + 1, round(0.3 * len(sources)))]}
    return "", [key for key, each in episodes.items() if each.meta["source"] in held]


def pool_and_test(episodes: dict[str, Trajectory], few: int) -> tuple[list[str], list[str]]:
    """To draw the few from, and for the test: about half of the sources each.

    Raises:
        InputError: too few demonstrations for both.
    """
    sources = sorted({each.meta["source"] for each in episodes.values()})
    order = [sources[i] for i in np.random.default_rng(0).permutation(len(sources))]
    for count in range(len(sources) // 2, 0, -1):
        held = {*order[:count]}
        test = [key for key, each in episodes.items() if each.meta["source"] in held]
        pool = [key for key in episodes if key not in {*test}]
        if len(pool) >= few:
            return pool, test
    found = f"{len(episodes)} demonstrations of the new task, of {len(sources)} sources"
    raise InputError("few", few, f"fewer: there are {found}, and one source is held out")


def assembled(
    episodes: dict[str, Trajectory],
    part: str,
    action: ActionSpec,
    pretrain: Sequence[str],
    tasks: Sequence[tuple[str, Sequence[str], Sequence[str], str]],
) -> PixelDemos:
    """The data of episodes by their names; a task is its name, pool, test and environment.

    Raises:
        InputError: no episode is left for pre-training.
    """
    at = {key: i for i, key in enumerate(episodes)}
    learned = [key for key in episodes if key not in {key for _, _, test, _ in tasks for key in test}]
    if not pretrain:
        raise InputError("data", "no demonstrations", "some of other tasks than the new one, to learn from")
    rows = list(episodes.values())
    parts = (part, STATE) if STATE in rows[0].observations else (part,)
    made = [NewTask(n, [at[k] for k in pool], [at[k] for k in test], env) for n, pool, test, env in tasks]
    head = head_settings(action, [episodes[key] for key in learned])
    return PixelDemos(Demonstrations.of(rows, parts), part, head, [at[k] for k in pretrain], tuple(made))


# -- recording -----------------------------------------------------------------------------------------------


def record_hidden_goals(folder: Path, count: int, goals: Sequence[int], each: int) -> None:
    """Record a controller that knows the goals as two Minari data sets, in a folder that is there.

    Args:
        folder: where to.
        count: demonstrations whose goals are all different.
        goals: numbers of goals that are new tasks.
        each: demonstrations of each of them.
    """
    from biddable.envs.hidden_goal import HiddenGoalEnv
    from biddable.policies.base import ScriptedPolicy, rollouts
    from biddable.policies.datasets.write_minari import write_minari

    def episodes(env: HiddenGoalEnv, seeds: Sequence[int]) -> list[Trajectory]:
        return rollouts([env], ScriptedPolicy(env.expert), seeds)

    env, targets = HiddenGoalEnv(), []
    for i, goal in enumerate(goals):
        first = TARGET_SEED + i * each
        targets += episodes(HiddenGoalEnv(goal=goal), range(first, first + each))
    for name, made in ((RECORDED, episodes(env, range(count))), (TARGETS, targets)):
        write_minari(made, folder / name, env=env, algorithm="PD controller")
