"""How often an interval of a difference excludes 0 where there is none: the table of ``runs.statistics``.

Run it to write the table anew: ``python -m tests.runs.simulations``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from biddable.runs.statistics import mean_interval

Scores = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int], Scores]
SIZES = ((2, 50), (3, 100), (5, 20), (5, 100), (10, 100))


def cases(rng: np.random.Generator, seeds: int, cases: int) -> Scores:
    """Every seed has the same difference on a case, almost."""
    return rng.normal(size=(1, cases)) + 0.1 * rng.normal(size=(seeds, cases))


def noise(rng: np.random.Generator, seeds: int, cases: int) -> Scores:
    """Every score varies by itself."""
    return rng.normal(size=(seeds, cases))


def cases_and_noise(rng: np.random.Generator, seeds: int, cases: int) -> Scores:
    """Both, alike."""
    return rng.normal(size=(1, cases)) + rng.normal(size=(seeds, cases))


def all_three(rng: np.random.Generator, seeds: int, cases: int) -> Scores:
    """And seeds, slightly."""
    return cases_and_noise(rng, seeds, cases) + 0.1 * rng.normal(size=(seeds, 1))


def seeds(rng: np.random.Generator, seeds: int, cases: int) -> Scores:
    """Seeds differ more than anything else."""
    return rng.normal(size=(seeds, 1)) + 0.3 * rng.normal(size=(seeds, cases))


def right_by_case(rng: np.random.Generator, seeds: int, cases: int) -> Scores:
    """Cases are easy or hard for an arm, by itself; answers are right or wrong."""
    ours, theirs = rng.beta(0.5, 0.5, size=(2, 1, cases))
    shape = (seeds, cases)
    return (rng.random(shape) < ours).astype(float) - (rng.random(shape) < theirs)


def right_by_both(rng: np.random.Generator, seeds: int, cases: int) -> Scores:
    """Cases are easy or hard, for both arms and for each; seeds are better or worse."""
    shared = rng.normal(size=(1, cases))

    def arm() -> Scores:
        ability = shared + rng.normal(size=(1, cases)) + 0.3 * rng.normal(size=(seeds, 1))
        return (rng.random((seeds, cases)) < 1 / (1 + np.exp(-ability))).astype(float)

    return arm() - arm()


def whole_seeds_fail(rng: np.random.Generator, seeds: int, cases: int) -> Scores:
    """Four seeds of ten learn nothing; the others are right nine times of ten (reinforcement learning)."""

    def arm() -> Scores:
        return ((rng.random((seeds, 1)) < 0.6) * (rng.random((seeds, cases)) < 0.9)).astype(float)

    return arm() - arm()


WHAT_VARIES: dict[str, Draw] = {
    "cases, alike for every seed": cases,
    "each score by itself": noise,
    "cases and each score": cases_and_noise,
    "cases, each score and, slightly, seeds": all_three,
    "seeds, and little else": seeds,
    "right or wrong, by case": right_by_case,
    "right or wrong, by case, seed and both": right_by_both,
    "right or wrong, whole seeds fail": whole_seeds_fail,
}


def false_positives(draw: Draw, seeds: int, cases: int, *, trials: int, rng_seed: int = 0) -> float:
    """Share of trials whose interval excludes 0."""
    rng = np.random.default_rng(rng_seed)
    excluded = 0
    for _ in range(trials):
        low, high = mean_interval(draw(rng, seeds, cases))
        excluded += low > 0 or high < 0
    return excluded / trials


if __name__ == "__main__":
    for name, draw in WHAT_VARIES.items():
        shares = (false_positives(draw, *size, trials=2000) for size in SIZES)
        print(f"{name:<42}" + "".join(f"  {100 * share:4.1f}" for share in shares), flush=True)
