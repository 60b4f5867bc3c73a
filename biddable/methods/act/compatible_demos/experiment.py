"""One seed of one task: a base operator, new people, and what can be made of their demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from biddable.envs.reach2d import Reach2DEnv, Region
from biddable.methods.act.compatible_demos.compatibility import (
    Demonstration,
    Filtered,
    Thresholds,
    compatibility,
    compatibility_score,
    filter_demonstrations,
)
from biddable.methods.act.compatible_demos.demonstrators import demonstrate
from biddable.methods.act.compatible_demos.elicitation import ElicitationSession
from biddable.methods.act.compatible_demos.settings import BASE_STYLE, STYLES, Sizes, Style
from biddable.policies.base import rollouts, successes
from biddable.policies.cloning import CloningConfig, Ensemble, clone

Where = tuple[Region, Region]
KNOWN: Where = (Region(0.1, 0.7), Region(2.1, 2.7))
"""Starts and goals of the base operator."""
WIDER: Where = (Region(0.1, 0.9), Region(2.1, 2.9))
"""Those of the new people, and of the test."""
BACK: Where = (Region(2.1, 2.9), Region(0.1, 0.9))
"""The way back, which the base operator never went; demonstrations of it are all in that one's style."""

SIDE_BY_SIDE = 25
TEST_SEED = 1_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one seed.

    Attributes:
        success: per arm, one number per test case.
        scores: per new demonstration, how well it fits, by style.
        dropped: share of each style's pairs that the filter drops.
        success_back: the same on the way back, of the arms that this is about.
        kept_back: share of the pairs of the way back that a filter keeps: ``filtered``, the paper's, and
            ``error alone``, without its second condition.
        offered: demonstrations asked for until the quota was filled, or given up.
        accepted: of them, those that count.
        thresholds: error and novelty.
    """

    success: dict[str, list[float]]
    success_back: dict[str, list[float]]
    scores: dict[str, list[float]]
    dropped: dict[str, float]
    kept_back: dict[str, float]
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
        """All arms."""
        base = self._demonstrations([BASE_STYLE] * self.sizes.base, KNOWN)
        styles = STYLES[self.task]
        new = self._demonstrations([styles[i % len(styles)] for i in range(self.sizes.new)], WIDER)
        back = self._demonstrations([BASE_STYLE] * self.sizes.back, BACK)
        policy = self._learn(base)
        thresholds = self._thresholds(base)
        filters = {"filtered": thresholds, "error alone": Thresholds(thresholds.max_error, np.inf)}
        kept = {arm: filter_demonstrations(policy, [*new, *back], which) for arm, which in filters.items()}
        scattered = filter_demonstrations(policy, [*new, *back], thresholds, rule="random", rng=self.rng)[0]
        session = self._elicit(policy, base, thresholds)
        data = {
            "naive": [*new, *back],
            "filtered": kept["filtered"][0],
            "error alone": kept["error alone"][0],
            "dropped at random": scattered,
            "elicited": [*session.accepted, *back],
        }
        trained = {"base": policy, **{arm: self._learn([*base, *more]) for arm, more in data.items()}}
        report = kept["filtered"][1][: len(new)]
        outcome = Outcome(
            success={arm: self._try(ensemble, WIDER) for arm, ensemble in trained.items()},
            success_back={arm: self._try(trained[arm], BACK) for arm in ("base", *filters)},
            scores={style: self._scores(policy, new, style, thresholds) for style in styles},
            dropped={style: 1 - _share_kept([r for r in report if r.style == style]) for style in styles},
            kept_back={arm: _share_kept(kept[arm][1][len(new) :]) for arm in filters},
            offered=session.offered,
            accepted=len(session.accepted),
            thresholds=(thresholds.max_error, thresholds.min_novelty),
        )
        return outcome, trained

    def env(self, where: Where) -> Reach2DEnv:
        """The task, from starts and to goals in ``where``."""
        return Reach2DEnv(self.task, starts=where[0], goals=where[1])

    def _demonstrations(self, styles: Sequence[Style], where: Where) -> list[Demonstration]:
        env = self.env(where)
        return [demonstrate(env, style, self.rng, noise=self.sizes.noise) for style in styles]

    def _learn(self, demonstrations: Sequence[Demonstration]) -> Ensemble:
        """From scratch, so that nothing is left of what an earlier ensemble learned."""
        states = np.concatenate([one.states for one in demonstrations])
        actions = np.concatenate([one.actions for one in demonstrations])
        return clone(states, actions, self.cloning, int(self.rng.integers(2**31)))

    def _thresholds(self, base: Sequence[Demonstration]) -> Thresholds:
        """Familiar is what is no newer than almost all of the base demonstrations not learned from."""
        half = len(base) // 2
        novelty = []
        for learned, unseen in ((base[:half], base[half:]), (base[half:], base[:half])):
            policy = self._learn(learned)
            novelty += [compatibility(policy, one.states, one.actions)[:, 1] for one in unseen]
        return Thresholds(self._max_error, float(np.quantile(np.concatenate(novelty), self._quantile)))

    def _elicit(
        self, policy: Ensemble, base: Sequence[Demonstration], thresholds: Thresholds
    ) -> ElicitationSession:
        """A person whose style is drawn at random, and who changes it after a rejection, sometimes."""
        styles = STYLES[self.task]
        session = ElicitationSession(policy, base, thresholds, self.sizes.new, self.sizes.limit)
        env, style = self.env(WIDER), styles[int(self.rng.integers(len(styles)))]
        while not session.full and session.offered < self.sizes.most_offers:
            feedback = session.offer(demonstrate(env, style, self.rng, noise=self.sizes.noise))
            if not feedback.accepted and self.rng.random() < self.sizes.learns:
                others = [other for other in styles if other != style]
                style = others[int(self.rng.integers(len(others)))]
        return session

    def _scores(
        self, policy: Ensemble, new: Sequence[Demonstration], style: str, thresholds: Thresholds
    ) -> list[float]:
        matrices = [compatibility(policy, one.states, one.actions) for one in new if one.style == style]
        return [compatibility_score(matrix, thresholds) for matrix in matrices]

    def _try(self, ensemble: Ensemble, where: Where) -> list[float]:
        """The same test cases for every arm and seed."""
        envs = [self.env(where) for _ in range(min(SIDE_BY_SIDE, self.sizes.cases))]
        return successes(rollouts(envs, ensemble, range(TEST_SEED, TEST_SEED + self.sizes.cases))).tolist()


def _share_kept(report: Sequence[Filtered]) -> float:
    return sum(r.kept for r in report) / sum(r.pairs for r in report)
