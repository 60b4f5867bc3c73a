"""Demonstrations, corrections and trials on the table (``mujoco:Tabletop``), where an expert can be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from biddable.envs.tabletop import TASKS, TabletopEnv
from biddable.envs.tabletop_expert import expert, motion
from biddable.errors import InputError
from biddable.policies.base import Policy, ScriptedPolicy, rollouts
from biddable.policies.hierarchy import ActionHierarchy
from biddable.policies.hierarchy_fit import CorrectionBuffer
from biddable.policies.replays import clip, filmed
from biddable.runs.figures import Clip, Replays
from biddable.runs.run import Run
from biddable.types import Trajectory

ENV = "mujoco:Tabletop"
AXES = ("x", "y", "z", "opening")
"""The first numbers of the table's state."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of an episode.

    Attributes:
        success: 1 or 0.
        steps: how many it took.
        corrected: in how many of them somebody corrected.
    """

    success: int
    steps: int
    corrected: int = 0


class Table:
    """The tasks, each in several environments that step side by side.

    Args:
        tasks: some of the table's.
        most: episodes of a task that are under way together.
    """

    def __init__(self, tasks: Sequence[str] = TASKS, most: int = 10):
        self.tasks = tuple(tasks)
        self._envs = {task: [TabletopEnv(tasks=(task,)) for _ in range(most)] for task in self.tasks}

    def demonstrations(self, first: int, episodes: int, noise: float) -> dict[str, Trajectory]:
        """The expert's episodes of every task that succeeded, by task and seed.

        Its hand trembles, so that it is seen to recover; what is recorded is what it meant to do (DART,
        Laskey et al., CoRL 2017).

        Args:
            first: the seed of each task's first one; others follow it.
            episodes: of each task.
            noise: deviation of what is added to the moves.
        """
        rng = np.random.default_rng(first)

        def act(observation: dict[str, Any]) -> Any:
            action = expert(observation)
            action[:3] += noise * rng.standard_normal(3)
            return action.clip(-1, 1).astype(np.float32)

        played = self._played(ScriptedPolicy(act), first, episodes, only_successes=True)
        if not played:
            expected = f"less: in none of {episodes * len(self.tasks)} episodes the expert succeeded"
            raise InputError("noise", noise, expected)
        return {name: replace(each, actions=_meant(each)) for name, each in played.items()}

    def trials(
        self, policy: ActionHierarchy, first: int, episodes: int, *, corrected: bool = False
    ) -> tuple[list[Trial], CorrectionBuffer]:
        """How the policy does in episodes of every task, task by task.

        Args:
            policy: what acts.
            first, episodes: as for ``demonstrations``.
            corrected: where the first motion of what the policy says is another than the expert's, say the
                expert's phrase instead, as a person would who watches.

        Returns:
            the trials, and the corrections.
        """
        buffer = CorrectionBuffer(policy)
        played = self._played(Corrected(policy, buffer) if corrected else policy, first, episodes)
        states = {state.tobytes() for state, _, _ in buffer.rows}
        trials = []
        for episode in played.values():
            seen = np.asarray(episode.observations["state"])[:-1]
            count = sum(row.tobytes() in states for row in seen)
            trials.append(Trial(int(bool(episode.success)), len(episode), count))
        return trials, buffer

    def trial_stage(
        self, run: Run, name: str, policy: ActionHierarchy, first: int, episodes: int, *, corrected: bool
    ) -> list[Trial]:
        """``trials`` as a stage of a run."""

        def play() -> list[Trial]:
            return self.trials(policy, first, episodes, corrected=corrected)[0]

        return run.stage(f"{name}-trials", play, list[Trial])

    def _played(
        self, policy: Policy, first: int, episodes: int, *, only_successes: bool = False
    ) -> dict[str, Trajectory]:
        most = len(next(iter(self._envs.values())))
        found: dict[str, Trajectory] = {}
        for start in range(0, episodes, most):
            count = min(most, episodes - start)
            # One environment for each episode: so that an environment's task is its episode's.
            envs = [env for task in self.tasks for env in self._envs[task][:count]]
            seeds = [first + start + i for _ in self.tasks for i in range(count)]
            for env, seed, episode in zip(envs, seeds, rollouts(envs, policy, seeds), strict=True):
                if episode.success or not only_successes:
                    found[f"{env.task} {seed - first}"] = episode
        order = sorted(found, key=lambda name: (self.tasks.index(name.split()[0]), int(name.split()[1])))
        return {name: found[name] for name in order}


def _meant(episode: Trajectory) -> Any:
    """[T, 4] what the expert would do at each step."""
    return np.stack([expert(episode.observation(t)) for t in range(len(episode))])


def films(tasks: Sequence[str], policies: Mapping[str, Policy], seed: int) -> list[Replays]:
    """An episode of the last task with each policy; none where nothing can be drawn."""

    def made() -> list[Clip]:
        env = TabletopEnv(tasks=(tasks[-1],), size=180)
        with closing(env):
            return [clip(env, policy, seed, arm) for arm, policy in policies.items()]

    clips = filmed(made)
    return [Replays(f"The same start: {tasks[-1]}", tuple(clips))] if clips else []


class Corrected:
    """A policy whose phrases somebody corrects who knows what the expert would do; ``buffer`` keeps how."""

    def __init__(self, policy: ActionHierarchy, buffer: CorrectionBuffer):
        assert policy.vocabulary is not None, "a flat policy takes no phrases"
        self.policy, self.vocabulary, self.buffer = policy, policy.vocabulary, buffer

    def act(self, observations: Sequence[Mapping[str, Any]]) -> list[Any]:
        """See ``Policy.act``."""
        phrases, _ = self.policy.motion(observations)
        given = []
        for observation, phrase in zip(observations, phrases, strict=True):
            wanted = self.wanted(observation)
            same = self.vocabulary.first(wanted) == self.vocabulary.first(phrase)
            given.append(phrase if same else wanted)
            if not same:
                self.buffer.add(observation, wanted)
        return self.policy.action(observations, given)

    def wanted(self, observation: Mapping[str, Any]) -> str:
        """The phrase of what the expert would do."""
        return self.vocabulary.describe(motion(observation, self.vocabulary.horizon))
