"""One seed of one task: a base operator, new demonstrators, and the policies of all arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from biddable.envs.reach2d import Reach2DEnv, Region
from biddable.experiments.demonstrator_styles import BASE_STYLE, STYLES, Sizes, Style
from biddable.experiments.demonstrators import demonstrate
from biddable.policies.base import rollouts, successes
from biddable.policies.cloning import CloningConfig, Ensemble, clone
from biddable.policies.compatibility import (
    Demonstration,
    Filtered,
    Thresholds,
    compatibility,
    compatibility_score,
    filter_demonstrations,
)
from biddable.policies.elicitation import ElicitationSession

Regions = tuple[Region, Region]
BASE_REGION: Regions = (Region(0.1, 0.7), Region(2.1, 2.7))
"""Starts and goals of the base operator."""
TEST_REGION: Regions = (Region(0.1, 0.9), Region(2.1, 2.9))
"""Starts and goals of the new demonstrators, and of the test."""
REVERSE: Regions = (Region(2.1, 2.9), Region(0.1, 0.9))
"""The reverse task, which the base operator never did; its demonstrations are in the base style."""

ARMS = ("base", "naive", "filtered", "error alone", "dropped at random", "elicited")

NUM_ENVS = 25
TEST_SEED = 1_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one seed.

    Attributes:
        success: by arm, success in each test case, 0 or 1.
        scores: by style, the compatibility score of each new demonstration.
        dropped: by style, the share of pairs that the filter drops.
        reverse_success: by arm, success in each test case of the reverse task.
        reverse_kept: share of the pairs of the reverse task that a filter keeps: ``filtered``, the paper's,
            and ``error alone``, without its condition on novelty.
        offered: demonstrations offered until the quota was filled or ``max_offers`` reached.
        accepted: demonstrations accepted of these.
        thresholds: ``max_error``, ``min_novelty``.
    """

    success: dict[str, list[float]]
    reverse_success: dict[str, list[float]]
    scores: dict[str, list[float]]
    dropped: dict[str, float]
    reverse_kept: dict[str, float]
    offered: int
    accepted: int
    thresholds: tuple[float, float]


class Experiment:
    """The steps of one seed, each a function of the seed alone."""

    def __init__(
        self, task: str, sizes: Sizes, cloning: CloningConfig, max_error: float, quantile: float, seed: int
    ):
        self.task, self.sizes, self.cloning, self.seed = task, sizes, cloning, seed
        self._max_error, self._quantile = max_error, quantile
        self.rng = np.random.default_rng(seed)

    def run(self) -> tuple[Outcome, dict[str, Ensemble]]:
        """Train and score all arms; the outcome, and the policy of each arm."""
        base = self._demonstrations([BASE_STYLE] * self.sizes.base_demos, BASE_REGION)
        styles = STYLES[self.task]
        new = self._demonstrations(
            [styles[i % len(styles)] for i in range(self.sizes.new_demos)], TEST_REGION
        )
        reverse = self._demonstrations([BASE_STYLE] * self.sizes.reverse_demos, REVERSE)
        policy = self._learn(base)
        thresholds = self._thresholds(base)
        filters = {"filtered": thresholds, "error alone": Thresholds(thresholds.max_error, np.inf)}
        offered = [*new, *reverse]
        kept = {arm: filter_demonstrations(policy, offered, limits) for arm, limits in filters.items()}
        random_kept, _ = filter_demonstrations(policy, offered, thresholds, rule="random", rng=self.rng)
        session = self._elicit(policy, base, thresholds)
        data = {
            "naive": offered,
            "filtered": kept["filtered"][0],
            "error alone": kept["error alone"][0],
            "dropped at random": random_kept,
            "elicited": [*session.accepted, *reverse],
        }
        trained = {"base": policy, **{arm: self._learn([*base, *more]) for arm, more in data.items()}}
        report = kept["filtered"][1][: len(new)]
        outcome = Outcome(
            success={arm: self._evaluate(ensemble, TEST_REGION) for arm, ensemble in trained.items()},
            reverse_success={arm: self._evaluate(trained[arm], REVERSE) for arm in ("base", *filters)},
            scores={style: self._scores(policy, new, style, thresholds) for style in styles},
            dropped={style: 1 - _share_kept([r for r in report if r.style == style]) for style in styles},
            reverse_kept={arm: _share_kept(kept[arm][1][len(new) :]) for arm in filters},
            offered=session.offered,
            accepted=len(session.accepted),
            thresholds=(thresholds.max_error, thresholds.min_novelty),
        )
        return outcome, trained

    def env(self, regions: Regions) -> Reach2DEnv:
        """The task with starts and goals in ``regions``."""
        return Reach2DEnv(self.task, start_region=regions[0], goal_region=regions[1])

    def _demonstrations(self, styles: Sequence[Style], regions: Regions) -> list[Demonstration]:
        env = self.env(regions)
        return [demonstrate(env, style, self.rng, noise=self.sizes.action_noise) for style in styles]

    def _learn(self, demonstrations: Sequence[Demonstration]) -> Ensemble:
        """An ensemble trained from scratch on all pairs of the demonstrations."""
        states = np.concatenate([demo.states for demo in demonstrations])
        actions = np.concatenate([demo.actions for demo in demonstrations])
        return clone(states, actions, self.cloning, int(self.rng.integers(2**31)))

    def _thresholds(self, base: Sequence[Demonstration]) -> Thresholds:
        """The thresholds; that of novelty is a quantile over held-out base demonstrations."""
        half = len(base) // 2
        novelty = []
        for learned, unseen in ((base[:half], base[half:]), (base[half:], base[:half])):
            policy = self._learn(learned)
            novelty += [compatibility(policy, demo.states, demo.actions)[:, 1] for demo in unseen]
        return Thresholds(self._max_error, float(np.quantile(np.concatenate(novelty), self._quantile)))

    def _elicit(
        self, policy: Ensemble, base: Sequence[Demonstration], thresholds: Thresholds
    ) -> ElicitationSession:
        """Elicit from a demonstrator of a random style, who may change style after each rejection."""
        styles = STYLES[self.task]
        sizes = self.sizes
        session = ElicitationSession(policy, base, thresholds, sizes.new_demos, sizes.max_incompatible)
        env, style = self.env(TEST_REGION), styles[int(self.rng.integers(len(styles)))]
        while not session.full and session.offered < self.sizes.max_offers:
            feedback = session.offer(demonstrate(env, style, self.rng, noise=self.sizes.action_noise))
            if not feedback.accepted and self.rng.random() < self.sizes.style_change_probability:
                others = [other for other in styles if other != style]
                style = others[int(self.rng.integers(len(others)))]
        return session

    def _scores(
        self, policy: Ensemble, new: Sequence[Demonstration], style: str, thresholds: Thresholds
    ) -> list[float]:
        matrices = [compatibility(policy, demo.states, demo.actions) for demo in new if demo.style == style]
        return [compatibility_score(matrix, thresholds) for matrix in matrices]

    def _evaluate(self, ensemble: Ensemble, regions: Regions) -> list[float]:
        """Success in each test case, 0 or 1; the cases are the same for every arm and seed."""
        envs = [self.env(regions) for _ in range(min(NUM_ENVS, self.sizes.cases))]
        return successes(rollouts(envs, ensemble, range(TEST_SEED, TEST_SEED + self.sizes.cases))).tolist()


def outcomes_of(
    experiments: Mapping[int, Experiment], kept: Mapping[int, Mapping[str, Path]], seeds: Sequence[int]
) -> list[Outcome]:
    """What came of some seeds; a function by name, which can be sent to other processes.

    Args:
        experiments: by seed.
        kept: of the seeds whose policies are kept, the file of each arm's.
        seeds: which to run.
    """
    outcomes = []
    for seed in seeds:
        outcome, trained = experiments[seed].run()
        outcomes.append(outcome)
        for arm, file in kept.get(seed, {}).items():
            trained[arm].save(file)
    return outcomes


def _share_kept(report: Sequence[Filtered]) -> float:
    return sum(r.kept for r in report) / sum(r.pairs for r in report)
