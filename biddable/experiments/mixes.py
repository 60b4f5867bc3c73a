"""Mixes of a data set's rows that differ in their indicators, and how many of the best rows to take."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from biddable.errors import InputError
from biddable.experiments.quality import ALIKE, Floats


def tilted_mixes(
    values: Floats, number: int, size: int, strength: float, rng: np.random.Generator
) -> list[list[int]]:
    """Places of the rows of mixes that differ in their indicators in every direction.

    The first is drawn at random. Of the others each is drawn, without replacement, with weights that grow
    along a direction of the indicators; directions are orthogonal to each other as long as there are such,
    and come again turned around.

    Args:
        values: standardised indicators [rows, indicators].
        number, size: how many mixes of how many rows.
        strength: how much heavier a row is that lies one standard deviation further, in nats.
        rng: of the draws.

    Raises:
        InputError: a mix would have more rows than there are.
    """
    rows, width = values.shape
    if size > rows:
        raise InputError("mix_rows", size, f"at most {rows}, as many rows as there are")
    mixes = [sorted(map(int, rng.permutation(rows)[:size]))]
    directions: list[Floats] = []
    while len(mixes) < number:
        if not directions:
            drawn = np.linalg.qr(rng.normal(size=(width, width)))[0].T
            directions = [*drawn, *-drawn]
        along = values @ directions.pop(0)
        spread = float(along.std())
        weights = strength * (along - along.mean()) / (spread if spread > ALIKE else 1.0)
        # Gumbel noise on logarithms of weights: the highest are a draw without replacement.
        mixes.append(sorted(map(int, np.argsort(-(weights + rng.gumbel(size=rows)))[:size])))
    return mixes


def search_size(
    objective: Callable[[int], float], low: int, high: int, trials: int
) -> tuple[int, dict[int, float]]:
    """The size with the lowest loss among those that a bounded search tries, and all of them.

    Brent's method over the logarithm of the size; a size that comes again is not tried again.

    Raises:
        InputError: ``low`` is not from 1 to below ``high``.
    """
    from scipy.optimize import minimize_scalar

    if not 1 <= low < high:
        raise InputError("sizes", (low, high), "a range that begins at 1 or above")
    tried: dict[int, float] = {}

    def at(log_size: float) -> float:
        size = int(min(high, max(low, round(float(np.exp(log_size))))))
        if size not in tried:
            tried[size] = objective(size)
        return tried[size]

    bounds = (float(np.log(low)), float(np.log(high)))
    minimize_scalar(at, bounds=bounds, method="bounded", options={"maxiter": trials, "xatol": 0.02})
    return min(tried, key=lambda size: (tried[size], size)), dict(sorted(tried.items()))
