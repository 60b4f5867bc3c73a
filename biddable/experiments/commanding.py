"""Tasks that are commanded in environments: where they begin, who judges them, and BabyAI's bot at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import count as numbers
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biddable.config import Count, settings
from biddable.errors import BiddableError, FileError, InputError, said
from biddable.experiments.bot_episodes import KINDS, TEST_SEED, BotEpisode
from biddable.experiments.goal_data import GoalData, assembled
from biddable.policies.detectors import COLOURS
from biddable.policies.proposals import TaskStatistics
from biddable.runs.executors import on_cores
from biddable.runs.run import Run
from biddable.types import Trajectory

if TYPE_CHECKING:
    from biddable.policies.detectors import FeasibilityChecker, SuccessDetector

VIDEOS, HELD_OUT = "videos", "held-out demonstrations"
TASKS = tuple(f"{verb} the {c} {k}" for verb in ("go to", "pick up") for c in COLOURS for k in KINDS)
"""What is commanded in BabyAI's rooms."""
VIDEO_SEED, HELD_SEED = 100_000, 200_000
OTHER_WALLS = 100
"""Layouts of the videos begin here; those that a policy is improved in are below."""
VARIETY = 30
OFFERS = 8
"""Resets that are looked at for a task, where an environment has its own instructions."""


@settings
class RoomsConfig:
    """BabyAI's rooms: demonstrations in an open one, videos and what comes after in others with walls."""

    level: str = "BabyAI-GoToLocal-v0"
    """A level of BabyAI with one room."""
    objects: Count = 4
    """Objects in a room."""
    layouts: Count = 4
    """How many rooms with walls of their own the policy gets better in."""
    demos: Count = 40
    """Demonstrations of the bot."""
    videos: Count = 1500
    """Videos for the sub-goal model, in rooms with other walls."""


@dataclass(frozen=True, slots=True)
class Case:
    """A start in an environment, and what is to be done; it is commanded where ``commanded``."""

    env: str
    seed: int
    instruction: str
    commanded: bool = True

    @property
    def options(self) -> dict[str, Any]:
        """Of the reset."""
        return {"instruction": self.instruction} if self.commanded else {}


@dataclass(frozen=True, slots=True)
class Lab:
    """What workers need.

    Attributes:
        data: folder of the demonstrations (``GoalData``); weights: where weights and episodes are left.
        envs: names of the environments that the policy is improved in.
        tasks: what it is told to do.
        commands: whether an environment takes them; otherwise it is reset until it asks for one.
        cases: of the test.
        steps: that an episode may take.
        model: that checks and detects; empty for the environment's own word.
    """

    data: Path
    weights: Path
    envs: tuple[str, ...]
    tasks: tuple[str, ...]
    commands: bool
    cases: tuple[Case, ...]
    steps: int
    model: str = ""

    def make(self, names: Sequence[str], stack: ExitStack) -> list[Any]:
        """Environments, closed at the end of the stack."""
        from biddable.envs.base import make_env

        made = [make_env(name, max_episode_steps=self.steps) for name in names]
        for each in made:
            stack.callback(each.close)
        return made

    def start(
        self,
        env: Any,
        seeds: Iterator[int],
        proposed: Callable[[Sequence[tuple[Mapping[str, Any], Sequence[str]]]], str],
    ) -> Case:
        """Where an episode begins: with the next seed and a proposed task.

        An environment that takes none is reset ``OFFERS`` times, and begins with the seed whose instruction
        is proposed.

        Args:
            env: one of ``envs``.
            seeds: of resets.
            proposed: what is seen in each start, with the tasks to choose among there -> the task.

        Raises:
            InputError: it asks for none of the tasks.
        """
        if self.commands:
            seed = next(seeds)
            obs = reset_of(env, seed)
            return Case("", seed, proposed([(obs, self.tasks)]), True)
        for _ in range(OFFERS):
            looked: dict[str, tuple[int, Any]] = {}
            for seed in islice(seeds, OFFERS):
                obs = reset_of(env, seed)
                looked.setdefault(str(obs["instruction"]), (seed, obs))
            if offers := [task for task in self.tasks if task in looked]:
                task = proposed([(looked[each][1], [each]) for each in offers])
                return Case("", looked[task][0], task, False)
        raise self.seldom_asked

    @property
    def seldom_asked(self) -> InputError:
        """That an environment, which takes no task, was reset in vain."""
        return InputError("tasks", f"{len(self.tasks)} of them", "some that the environment asks for often")

    def judges(self, error: float, rng: np.random.Generator) -> tuple[FeasibilityChecker, SuccessDetector]:
        """Who says what can be done, and what was done."""
        from biddable.policies import detectors

        if self.model:
            from biddable.models.load import load_model

            both = detectors.ModelDetector(load_model(self.model))
            return both, both
        grids = all(name.startswith("minigrid:") and "view=full" in name for name in self.envs)
        checker = detectors.GridChecker() if grids else detectors.NoChecker()
        return checker, detectors.OracleDetector(error, rng)


def reset_of(env: Any, seed: int) -> Mapping[str, Any]:
    """The first observation after a reset; as in ``rollouts``, one that raises is reset again.

    Raises:
        BiddableError: it raised ``ATTEMPTS`` times.
    """
    from biddable.policies.vec_env import ATTEMPTS

    for attempt in range(1, ATTEMPTS + 1):
        try:
            obs: Mapping[str, Any] = env.reset(seed=seed)[0]
            return obs
        except BiddableError:
            raise
        except Exception as error:  # whatever a simulator raises
            if attempt == ATTEMPTS:
                problem = f"the environment broke {ATTEMPTS} times when it was reset, at last with"
                raise BiddableError(f"{problem} {said(error)}") from error
    raise AssertionError


def beginning(observation: Mapping[str, Any], task: str) -> Trajectory:
    """What is seen before a task begins, as an episode without a step, for a detector."""
    seen = {name: [value] for name, value in observation.items() if name != "instruction"}
    return Trajectory(task, seen, (), np.zeros(0), False)


def check_judged(lab: Lab) -> None:
    """Look whether episodes can be judged: a model is told what is seen, an oracle is the environment's word.

    For the oracle an episode is played with random actions.

    Raises:
        InputError: an observation that cannot be said in words, or an environment that does not say.
    """
    from biddable.policies.base import ScriptedPolicy, rollouts
    from biddable.policies.detectors import described

    with ExitStack() as stack:
        [env] = lab.make(lab.envs[:1], stack)
        if lab.model:
            described(reset_of(env, TEST_SEED - 1))
            return
        env.action_space.seed(0)
        [episode] = rollouts([env], ScriptedPolicy(lambda _: env.action_space.sample()), [TEST_SEED - 1])
    if episode.success is None:
        expected = f"a model: {lab.envs[0]} does not say in info['success'] whether a task was done"
        raise InputError("detector", "oracle", expected)


def commanded(env: str, tasks: Sequence[str]) -> bool:
    """Whether an environment takes tasks: ``reset(options={"instruction": task})`` then shows them.

    Raises:
        InputError: there is no such environment, or it says itself that it cannot take a task.
    """
    from biddable.envs.base import make_env

    with closing(make_env(env)) as made:
        if not getattr(made, "commands", True):  # a level of MiniGrid's own
            return False
        try:
            for task in tasks:
                shown = [
                    str(made.reset(seed=seed, options={"instruction": task})[0].get("instruction"))
                    for seed in (TEST_SEED, TEST_SEED + 1)
                ]
                if shown != [task] * 2:
                    return False
        except InputError:
            raise
        except Exception:  # whatever a simulator says of options that it does not take
            return False
    return True


def offered(env: str, resets: int) -> tuple[str, ...]:
    """What an environment asks for by itself in so many resets.

    Raises:
        InputError: with the same seed it asks for something else.
    """
    from biddable.envs.base import make_env

    seeds = range(TEST_SEED - 1, TEST_SEED - 1 - resets, -1)
    with closing(make_env(env)) as made:
        try:
            texts = [str(reset_of(made, seed)["instruction"]) for seed in (*seeds, *seeds[:3])]
        except InputError:
            raise
        except BiddableError as error:
            raise InputError("env", env, f"one that can be reset: {error}") from error
    if texts[resets:] != texts[:3]:
        raise InputError("env", env, "one that takes commanded instructions, or asks by its seed alone")
    return tuple(dict.fromkeys(texts))


def task_list(file: Path | None, known: Sequence[str], off_limits: Sequence[str]) -> tuple[str, ...]:
    """The tasks of a file, one in each line, or else those that are known; none that names what is missing.

    Raises:
        FileError: the file cannot be read.
        InputError: no task, or one twice.
    """
    tasks = tuple(known)
    if file is not None:
        try:
            tasks = tuple(line.strip() for line in file.read_text("utf-8").splitlines() if line.strip())
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(file, f"cannot be read: {said(error)}") from error
    return TaskStatistics(tuple(each for each in tasks if not any(name in each for name in off_limits))).tasks


def lab_of(envs: Sequence[str], tasks: Sequence[str], steps: int, model: str) -> Lab:
    """What is known before there are data: whether environments take the tasks, or which they ask for.

    Args:
        envs, tasks, steps: see ``Lab``.
        model: that checks and detects; "oracle" for the environment's own word.

    Raises:
        InputError, ModelError: no such environment or model, or an environment that neither takes the tasks
            nor asks for any.
    """
    from biddable.models.load import locate
    from biddable.models.openai import parse_spec

    if model.startswith("openai:"):
        parse_spec(model)
    elif model != "oracle":
        locate(model)
    takes = commanded(envs[0], tasks)
    if not takes:
        asked = offered(envs[0], 100)
        if not (known := [each for each in asked if each in tasks]):
            why = "it takes no commanded instruction, or shows none"
            expected = f"some that {envs[0]} asks for ({asked[0]!r}, …): {why}"
            raise InputError("tasks", f"{tasks[0]}, …", expected)
        tasks = known
    named = "" if model == "oracle" else model
    return Lab(Path(), Path(), tuple(envs), tuple(tasks), takes, (), steps, named)


def drawn_cases(lab: Lab, seeds: Sequence[int]) -> list[Case]:
    """A case for each seed, in turn in each environment: a task that can be done there, drawn by the seed.

    Where none is commanded, a seed whose instruction is no task gives way to one after the last.

    Raises:
        InputError: the environment asks for none of the tasks.
    """
    checker = replace(lab, model="").judges(0.0, np.random.default_rng(0))[0]
    cases: list[Case] = []
    later = numbers(max(seeds, default=0) + 1)
    with ExitStack() as stack:
        envs = lab.make(lab.envs, stack)
        for i, seed in enumerate(seeds):
            obs, resets = reset_of(envs[i % len(envs)], seed), 1
            while not lab.commands and (task := str(obs["instruction"])) not in lab.tasks:
                if resets == OFFERS**2:
                    raise lab.seldom_asked
                obs, resets = reset_of(envs[i % len(envs)], seed := next(later)), resets + 1
            if lab.commands:
                can = checker.viable(obs, lab.tasks)
                choices = [each for each, ok in zip(lab.tasks, can, strict=True) if ok] or lab.tasks
                task = str(np.random.default_rng(seed).choice(choices))
            cases.append(Case(lab.envs[i % len(envs)], seed, task, lab.commands))
    return cases


def bot_cases(cases: list[Case]) -> list[BotEpisode]:
    """What BabyAI's bot does in each case."""
    from biddable.envs.base import make_env
    from biddable.envs.minigrid import GridEnv
    from biddable.experiments.bot_episodes import bot_episode

    made: dict[str, GridEnv] = {}
    for case in cases:
        if case.env not in made:
            made[case.env] = make_env(case.env)
    try:
        return [bot_episode(made[case.env], case.seed, case.instruction) for case in cases]
    finally:
        for each in made.values():
            each.close()


def room(level: str, objects: int, walls: int = 0) -> str:
    """The name of a room of BabyAI with so many objects and these inner walls."""
    return f"minigrid:{level}?view=full&num_dists={objects}" + (f"&walls={walls}" if walls else "")


def improved_in(config: RoomsConfig) -> list[str]:
    """The environments that a policy gets better in. Raises InputError: more layouts than are kept for it."""
    if config.layouts >= OTHER_WALLS:
        raise InputError(
            "rooms.layouts", config.layouts, f"at most {OTHER_WALLS - 1}: others are the videos'"
        )
    return [room(config.level, config.objects, walls) for walls in range(1, config.layouts + 1)]


def bot_data(run: Run, config: RoomsConfig, workers: int) -> GoalData:
    """Stage ``bot``: demonstrations in a room without inner walls, and videos in rooms with other walls.

    Of the videos only what is seen is used, with the instruction. A share of them, ``HELD_OUT``, stands in
    layouts of its own, to look at sub-goals.
    """
    level, objects, demos, videos = config.level, config.objects, config.demos, config.videos
    other = [room(level, objects, walls) for walls in range(OTHER_WALLS, OTHER_WALLS + VARIETY)]
    last = [room(level, objects, walls) for walls in range(OTHER_WALLS + VARIETY, OTHER_WALLS + VARIETY + 4)]
    counts = {"demos": (demos, 0), VIDEOS: (videos, VIDEO_SEED), HELD_OUT: (max(20, videos // 20), HELD_SEED)}
    envs = {"demos": [room(level, objects)], VIDEOS: [room(level, objects), *other], HELD_OUT: last}
    cases: dict[str, list[Case]] = {}
    for name, (count, seed) in counts.items():
        lab = Lab(Path(), Path(), tuple(envs[name]), TASKS, True, (), 100)
        cases[name] = drawn_cases(lab, range(seed, seed + count + count // 20 + 5))  # now and then it fails
    everything = [case for several in cases.values() for case in several]
    made = run.map("bot", everything, bot_cases, BotEpisode, 50, executor=on_cores(workers))
    done = {case: each.trajectory() for case, each in zip(everything, made, strict=True) if each.success}
    kept = {name: [done[c] for c in cases[name] if c in done][:count] for name, (count, _) in counts.items()}
    head = {"kind": "categorical", "n": 7}
    return assembled(kept["demos"], [], {name: kept[name] for name in (VIDEOS, HELD_OUT)}, "grid", head)
