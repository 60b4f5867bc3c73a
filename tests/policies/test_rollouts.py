"""Trying a policy out: every episode once, in order, whatever ends when."""

from __future__ import annotations

import numpy as np

from biddable.policies.base import Scripted, rollouts, successes


class Countdown:
    """An environment whose episode lasts as many steps as its seed says; odd ones succeed."""

    def reset(self, *, seed: int):
        self.left = self.seed = seed
        return {"instruction": f"wait {seed}", "left": self.left}, {}

    def step(self, action: int):
        self.left -= action
        over = self.left <= 0
        info = {"success": over and self.seed % 2 == 1}
        return {"instruction": "", "left": self.left}, float(over), over, False, info


def test_more_episodes_than_environments_and_the_other_way_round() -> None:
    seeds = [5, 1, 3, 2, 7, 4]
    for count in (1, 2, 4, 9):
        found = rollouts([Countdown() for _ in range(count)], Scripted(lambda seen: 1), seeds)
        assert [episode.meta["seed"] for episode in found] == seeds
        assert [len(episode.steps) for episode in found] == seeds
        assert [episode.instruction for episode in found] == [f"wait {seed}" for seed in seeds]
        assert successes(found).tolist() == [seed % 2 for seed in seeds]


def test_a_step_holds_what_was_seen_before_the_action() -> None:
    (episode,) = rollouts([Countdown()], Scripted(lambda seen: 1), [3])
    assert [step.observation["left"] for step in episode.steps] == [3, 2, 1]
    assert [step.reward for step in episode.steps] == [0.0, 0.0, 1.0]


def test_one_batch_a_step() -> None:
    sizes = []

    class Counting:
        def act(self, observations):
            sizes.append(len(observations))
            return np.ones(len(observations), dtype=int)

    rollouts([Countdown() for _ in range(3)], Counting(), [2, 2, 4])
    assert sizes == [3, 3, 1, 1]
