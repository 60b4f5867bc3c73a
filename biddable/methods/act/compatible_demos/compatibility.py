"""Whether a demonstration fits a policy: the paper's measure, its filter, and what to show who gave it.

Source: arXiv 2210.08073, and its official code for what the text leaves open. Error is called likelihood
there though more of it means *less* likely, and novelty is called entropy though it is a spread.
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
    """Several policies that learned the same (``policies.cloning.Ensemble``)."""

    def predictions(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """[members, T, action size] what each would do in ``states`` [T, state size]."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """``actions`` [T, action size] taken in ``states`` [T, state size], and whether they did the task."""

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

    Both are in the units of the actions, so those of another task are of no use.
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
    would do and what was done, both cut to the limit. Novelty is the mean over dimensions of the members'
    sample standard deviation (ddof 1), uncut.

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
    cut = predicted.clip(-action_limit, action_limit) - np.clip(actions, -action_limit, action_limit)
    error = np.square(cut).mean((0, 2))
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
    """What a filter did with one demonstration: how many pairs it had, did not fit, and were kept."""

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
    limit: int = 5,
    rng: np.random.Generator | None = None,
) -> tuple[list[Demonstration], list[Filtered]]:
    """Keep of new demonstrations what fits.

    Args:
        policy: the ensemble that learned the base demonstrations.
        demonstrations: the new ones.
        thresholds: what does not fit.
        rule: ``box`` drops the pairs that do not fit; ``sample`` drops demonstrations with more than
            ``limit`` of them; ``random`` drops as many pairs as ``box`` would, of all of them at random (what
            to compare with).
        limit: see ``sample``.
        rng: what ``random`` draws from.

    Returns:
        what is left of each demonstration (those of which nothing is left are not among them), and one
        entry for each of those that came in.

    Raises:
        InputError: an unknown rule, a limit below 0, or ``random`` without an ``rng``.
    """
    if rule not in RULES:
        raise InputError("rule", rule, "one of " + ", ".join(RULES))
    if limit < 0:
        raise InputError("limit", limit, "an integer of at least 0")
    unfit = [
        is_incompatible(compatibility(policy, one.states, one.actions), thresholds) for one in demonstrations
    ]
    if rule == "sample":
        kept = [np.full(len(bad), bad.sum() <= limit) for bad in unfit]
    elif rule == "random":
        if rng is None:
            raise InputError("rng", rng, "a generator for rule=random")
        kept = _scattered(unfit, rng)
    else:
        kept = [~bad for bad in unfit]
    report = [
        Filtered(one.style, len(bad), int(bad.sum()), int(stays.sum()))
        for one, bad, stays in zip(demonstrations, unfit, kept, strict=True)
    ]
    left = [one.only(stays) for one, stays in zip(demonstrations, kept, strict=True) if stays.any()]
    return left, report


def _scattered(unfit: Sequence[NDArray[np.bool_]], rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Masks that drop as many pairs as are unfit, at random among all."""
    stays = rng.permutation(~np.concatenate(unfit)) if unfit else np.empty(0, dtype=bool)
    ends = np.cumsum([len(bad) for bad in unfit])
    return np.split(stays, ends[:-1])


def worst_windows(
    matrix: Floats, thresholds: Thresholds, *, count: int = 3, width: int = 10
) -> list[tuple[int, int]]:
    """The steps to show somebody whose demonstration was rejected: (first, end) around the worst ones.

    The worst are the incompatible steps with the highest error; each with ``width`` steps on either side.
    """
    bad = np.flatnonzero(is_incompatible(matrix, thresholds))
    worst = bad[np.argsort(-matrix[bad, 0], kind="stable")][:count]
    return [(max(0, int(i) - width), min(len(matrix), int(i) + width)) for i in worst]


def nearest_demonstration(one: Demonstration, pool: Sequence[Demonstration]) -> int:
    """The place in ``pool`` of the demonstration whose states are nearest, by dynamic time warping.

    Raises:
        InputError: an empty pool.
    """
    if not pool:
        raise InputError("pool", "no demonstrations", "at least one")
    return int(np.argmin([warped_distance(one.states, other.states) for other in pool]))


def warped_distance(first: Floats, second: Floats) -> float:
    """Dynamic time warping, as the official code has it: how far two sequences laid side by side are apart.

    Each may wait for the other; none goes back. The distance is the root of the least sum of squared
    (Euclidean) distances between states, so one that strays far for a moment is further away than one that is
    a little off throughout; with a plain sum of distances another demonstration may be the nearest.
    """
    apart = np.square(first[:, None] - second[None]).sum(-1)
    total = np.full((len(first) + 1, len(second) + 1), np.inf)
    total[0, 0] = 0
    for i, row in enumerate(apart, 1):
        for j, distance in enumerate(row, 1):
            total[i, j] = distance + min(total[i - 1, j], total[i, j - 1], total[i - 1, j - 1])
    return float(np.sqrt(total[-1, -1]))
