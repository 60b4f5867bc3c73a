"""Whether a demonstration fits a policy: the paper's measure, its filter, and feedback for the demonstrator.

Source: arXiv 2210.08073, and its official code for what the text leaves open. The code calls the error
likelihood and the novelty entropy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError
from biddable.policies.cloning import check_pairs

Floats = NDArray[np.floating]
Rule = Literal["box", "sample", "random"]
RULES: tuple[Rule, ...] = ("box", "sample", "random")


class Predictor(Protocol):
    """An ensemble of policies trained on the same demonstrations (``policies.cloning.Ensemble``)."""

    def predictions(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """[members, T, action size] the action of each member in ``states`` [T, state size]."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """``actions`` [T, action size] taken in ``states`` [T, state size], and whether the task was solved."""

    states: NDArray[np.float32]
    actions: NDArray[np.float32]
    success: bool
    style: str = ""

    def __post_init__(self) -> None:
        check_pairs(self.states, self.actions)

    def only(self, chosen: NDArray[np.bool_]) -> Demonstration:
        """The pairs where ``chosen`` [T] holds; at least one."""
        return Demonstration(self.states[chosen], self.actions[chosen], self.success, self.style)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What counts as incompatible: an error above ``max_error`` where novelty is below ``min_novelty``.

    Both are in the units of the actions, so they hold for one task only.
    """

    max_error: float
    min_novelty: float

    def __post_init__(self) -> None:
        for name in ("max_error", "min_novelty"):
            if not getattr(self, name) >= 0:
                raise InputError(name, getattr(self, name), "a number of at least 0")


def compatibility(
    policy: Predictor, states: NDArray[np.float32], actions: NDArray[np.float32], action_limit: float = 1.0
) -> NDArray[np.float64]:
    """Error and novelty of each pair of state and action.

    Error is the mean over members and action dimensions of the squared difference between what a member
    would do and what was done, both clipped to the limit. Novelty is the mean over dimensions of the members'
    sample standard deviation (ddof 1), unclipped.

    Args:
        policy: the ensemble that learned the base demonstrations.
        states: [T, state size].
        actions: [T, action size].
        action_limit: the largest action, above 0.

    Returns:
        [T, 2] error, novelty.

    Raises:
        InputError: lengths or sizes that do not match, numbers that are not finite, a limit of 0 or less,
            fewer than two members.
    """
    check_pairs(states, actions)
    if not action_limit > 0:
        raise InputError("action_limit", action_limit, "a number above 0")
    predicted = np.asarray(policy.predictions(states), dtype=np.float64)
    if len(predicted) < 2:
        raise InputError("members", len(predicted), "at least 2: one network cannot say what is new to it")
    if predicted.shape[1:] != np.shape(actions):
        raise InputError("actions", np.shape(actions), f"{predicted.shape[1:]}, as the policy gives")
    difference = predicted.clip(-action_limit, action_limit) - np.clip(actions, -action_limit, action_limit)
    error = np.square(difference).mean((0, 2))
    novelty = predicted.std(0, ddof=1).mean(1)
    return np.stack([error, novelty], 1)


def is_incompatible(matrix: Floats, thresholds: Thresholds) -> NDArray[np.bool_]:
    """[T] where the state is familiar and the action is not what the policy would do.

    ``matrix`` [T, 2] is what ``compatibility`` gives. Both comparisons are strict.
    """
    error, novelty = matrix.T
    return (error > thresholds.max_error) & (novelty < thresholds.min_novelty)


def step_scores(matrix: Floats, thresholds: Thresholds) -> NDArray[np.float64]:
    """[T] how well each step fits, from 0 to 1 (the bar of the official code): 1 where the state is new."""
    error, novelty = matrix.T
    # With max_error 0 any error at all is the largest.
    share = (
        np.divide(error, thresholds.max_error) if thresholds.max_error else np.where(error > 0, np.inf, 0.0)
    )
    fits = 1 - np.minimum(np.nan_to_num(share), 1)
    return np.where(novelty < thresholds.min_novelty, fits, 1.0)


def compatibility_score(matrix: Floats, thresholds: Thresholds) -> float:
    """How well a demonstration fits, from 0 to 1: the mean over its steps."""
    return float(step_scores(matrix, thresholds).mean())


@dataclass(frozen=True, slots=True)
class Filtered:
    """What a filter did with a demonstration: its numbers of pairs, of incompatible and of kept ones."""

    style: str
    pairs: int
    incompatible: int
    kept: int


def filter_demonstrations(
    policy: Predictor,
    demonstrations: Sequence[Demonstration],
    thresholds: Thresholds,
    *,
    rule: Rule = "box",
    max_incompatible: int = 5,
    rng: np.random.Generator | None = None,
) -> tuple[list[Demonstration], list[Filtered]]:
    """Keep the compatible part of new demonstrations.

    Args:
        policy: the ensemble trained on the base demonstrations.
        demonstrations: the new ones.
        thresholds: what is incompatible.
        rule: ``box`` drops incompatible pairs; ``sample`` drops demonstrations with more than
            ``max_incompatible`` of them; ``random`` drops as many pairs as ``box`` would, drawn from all
            pairs (an ablation).
        max_incompatible: see ``sample``.
        rng: what ``random`` draws from.

    Returns:
        the demonstrations with the pairs that are kept, without those that keep none, and one entry for
        each demonstration given.

    Raises:
        InputError: an unknown rule, ``max_incompatible`` below 0, or ``random`` without an ``rng``.
    """
    if rule not in RULES:
        raise InputError("rule", rule, "one of " + ", ".join(RULES))
    if max_incompatible < 0:
        raise InputError("max_incompatible", max_incompatible, "an integer of at least 0")
    incompatible = [
        is_incompatible(compatibility(policy, demo.states, demo.actions), thresholds)
        for demo in demonstrations
    ]
    if rule == "sample":
        masks = [np.full(len(unfit), unfit.sum() <= max_incompatible) for unfit in incompatible]
    elif rule == "random":
        if rng is None:
            raise InputError("rng", rng, "a generator for rule=random")
        masks = _random_masks(incompatible, rng)
    else:
        masks = [~unfit for unfit in incompatible]
    report = [
        Filtered(demo.style, len(unfit), int(unfit.sum()), int(mask.sum()))
        for demo, unfit, mask in zip(demonstrations, incompatible, masks, strict=True)
    ]
    remaining = [demo.only(mask) for demo, mask in zip(demonstrations, masks, strict=True) if mask.any()]
    return remaining, report


def _random_masks(
    incompatible: Sequence[NDArray[np.bool_]], rng: np.random.Generator
) -> list[NDArray[np.bool_]]:
    """Masks [T] of the pairs to keep: as many are dropped as are incompatible, at random among all."""
    kept = rng.permutation(~np.concatenate(incompatible)) if incompatible else np.empty(0, dtype=bool)
    ends = np.cumsum([len(mask) for mask in incompatible])
    return np.split(kept, ends[:-1])


def worst_windows(
    matrix: Floats, thresholds: Thresholds, *, count: int = 3, width: int = 10
) -> list[tuple[int, int]]:
    """The parts of a rejected demonstration to show its demonstrator, as (first step, end).

    Each is ``width`` steps on either side of one of the ``count`` incompatible steps with the highest error.
    """
    bad = np.flatnonzero(is_incompatible(matrix, thresholds))
    worst = bad[np.argsort(-matrix[bad, 0], kind="stable")][:count]
    return [(max(0, int(i) - width), min(len(matrix), int(i) + width)) for i in worst]


def nearest_demonstration(demonstration: Demonstration, pool: Sequence[Demonstration]) -> int:
    """The place in ``pool`` of the demonstration whose states are nearest, by dynamic time warping.

    Raises:
        InputError: an empty pool.
    """
    if not pool:
        raise InputError("pool", "no demonstrations", "at least one")
    return int(np.argmin([warped_distance(demonstration.states, other.states) for other in pool]))


def warped_distance(first: Floats, second: Floats) -> float:
    """The dynamic time warping distance of two sequences of states, as in the official code.

    It is the root of the least sum of squared Euclidean distances between aligned states; with a sum of plain
    distances another demonstration may be the nearest.
    """
    apart = np.square(first[:, None] - second[None]).sum(-1)
    total = np.full((len(first) + 1, len(second) + 1), np.inf)
    total[0, 0] = 0
    for i, row in enumerate(apart, 1):
        for j, distance in enumerate(row, 1):
            total[i, j] = distance + min(total[i - 1, j], total[i, j - 1], total[i - 1, j - 1])
    return float(np.sqrt(total[-1, -1]))
