"""The arms of an experiment with action hierarchies: fits as stages of a run, and what they say offline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from biddable.experiments.motion_data import ERROR, FIRST, NAMED, ONEHOT, TRUE, WORDS, Labelled
from biddable.experiments.scores import ArmScores
from biddable.experiments.stages import with_seed
from biddable.policies.config import HierarchyConfig
from biddable.policies.heads import Binned, Gaussian, Head
from biddable.policies.hierarchy import ActionHierarchy, Variant
from biddable.policies.hierarchy_fit import clusters, fit_hierarchy, tuned
from biddable.policies.imitation import action_error
from biddable.policies.motions import MotionVocabulary, Steps
from biddable.policies.saved import load_policy, save_policy
from biddable.runs.run import Run

_FOLDER = "policy"


@dataclass(frozen=True, slots=True)
class Learned:
    """What all arms of one seed have in common.

    Attributes:
        steps: to learn from.
        vocabulary: what phrases are made of.
        parts: of an observation that states are made of.
        low, high: limits of actions.
        config: how networks are built and fitted.
        seed: of the fits.
    """

    steps: Steps
    vocabulary: MotionVocabulary
    parts: Sequence[str]
    low: Sequence[float]
    high: Sequence[float]
    config: HierarchyConfig
    seed: int

    def head(self) -> Head:
        """The head of the action network."""
        if self.config.head == "binned":
            return Binned(self.low, self.high, self.config.bins)
        return Gaussian(self.low, self.high)

    def seeded(self) -> HierarchyConfig:
        """The configuration for this seed."""
        fit, tune = with_seed(self.config.fit, self.seed), with_seed(self.config.tune, self.seed)
        return replace(self.config, fit=fit, tune=tune)


def fitted_arm(
    run: Run, name: str, learned: Learned, variant: Variant, hidden: Sequence[int] | None = None
) -> ActionHierarchy:
    """The policy of a variant, fitted once; its losses are logged under ``name``."""
    steps, config = learned.steps, learned.seeded()
    if variant == "cluster":
        assert steps.actions is not None
        count = len({*steps.phrases})
        steps = replace(steps, phrases=clusters(steps.actions, count, learned.seed))

    def fill(folder: Path) -> None:
        policy, fitted = fit_hierarchy(
            steps,
            variant,
            learned.head(),
            config,
            vocabulary=learned.vocabulary if variant in ("words", "onehot") else None,
            parts=learned.parts,
            hidden=hidden,
            checkpoint_dir=run.checkpoints(name),
        )
        for step, loss in zip(fitted.steps, fitted.losses, strict=True):
            run.log(name, step, loss=loss)
        save_policy(folder / _FOLDER, policy, title=name)

    return cast(ActionHierarchy, load_policy(run.stage_folder(name, fill) / _FOLDER))


def tuned_arm(
    run: Run, name: str, policy: ActionHierarchy, learned: Learned, more: Callable[[], Steps | None]
) -> ActionHierarchy:
    """The policy after it learned from the steps that ``more`` gives, which is called once; None for none."""

    def fill(folder: Path) -> None:
        better = tuned(policy, learned.steps, more(), learned.seeded(), checkpoint_dir=run.checkpoints(name))
        save_policy(folder / _FOLDER, better, title=name)

    return cast(ActionHierarchy, load_policy(run.stage_folder(name, fill) / _FOLDER))


@torch.no_grad()
def offline(
    policy: ActionHierarchy, held: Labelled, *, true_motion: bool = False
) -> tuple[NDArray[np.float64], list[str]]:
    """How far actions are off in each held-out episode [E], and the phrase of each step [N] ("" if flat).

    Args:
        policy: what acts.
        held: held-out demonstrations.
        true_motion: act on their phrases instead of the policy's.
    """
    steps = held.steps
    assert steps.actions is not None
    inputs = policy.inputs(steps.states, steps.instructions)
    phrases: list[str] = [""] * len(steps)
    codes = None
    if policy.motion_network is not None:
        said = [policy.phrases[i] for i in policy.scores(inputs).argmax(1).tolist()]
        phrases = list(steps.phrases) if true_motion else said
        codes = policy.codes_of(phrases)
    error = action_error(policy.head, policy.outputs(inputs, codes), torch.from_numpy(steps.actions))
    return held.means(error), phrases


def score_offline(
    scores: ArmScores,
    fits: Mapping[str, ActionHierarchy],
    held: Labelled,
    vocabulary: MotionVocabulary,
    seed: int,
) -> list[str]:
    """Add the scores of all variants on held-out demonstrations; what ``WORDS`` says at each step [N]."""
    said: list[str] = []
    for arm, policy in fits.items():
        error, phrases = offline(policy, held)
        scores.add(arm, error, metric=ERROR, seed=seed)
        if arm in (WORDS, ONEHOT):
            for metric, cut in ((NAMED, vocabulary.normal), (FIRST, vocabulary.first)):
                pairs = zip(phrases, held.steps.phrases, strict=True)
                right = np.array([cut(named) == cut(true) for named, true in pairs], dtype=np.float64)
                scores.add(arm, held.means(right), metric=metric, seed=seed)
        said = phrases if arm == WORDS else said
    scores.add(TRUE, offline(fits[WORDS], held, true_motion=True)[0], metric=ERROR, seed=seed)
    return said
