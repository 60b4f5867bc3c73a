"""How far lists of steps are from what was done: the Levenshtein distance, the least of several candidates.

Inserting, leaving out or replacing a step costs 1, so that two steps in the wrong order cost 2. (Ego4D's
code calls its distance Damerau's, in which that costs 1; what it computes is this one.)
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError

Steps = Sequence[Hashable]
Floats = NDArray[np.float64]


def levenshtein(predicted: Steps, actual: Steps) -> int:
    """The fewest steps to insert, leave out or replace that turn one list into the other."""
    from rapidfuzz.distance import Levenshtein

    numbers: dict[Hashable, int] = {}  # it compares hashes of what it is given: equal numbers are equal steps
    first, second = (
        [numbers.setdefault(step, len(numbers)) for step in steps] for steps in (predicted, actual)
    )
    return int(Levenshtein.distance(first, second))


def edit_distances(
    candidates: Sequence[Sequence[Steps]], actual: Sequence[Steps], at: int | None = None
) -> Floats:
    """ED@Z of each case: the least distance of its candidates' first Z steps to the actual ones, over Z.

    Args:
        candidates: [cases][K][Z] lists of steps, K at least 1. One without any step is as far as can be.
        actual: [cases][Z].
        at: compare the first so many steps; None: all Z.

    Returns:
        [cases], from 0 to 1.

    Raises:
        InputError: no case, another number of candidates than of cases, a case without candidates, lists of
            unequal length, or ``at`` is not from 1 to Z.
    """
    z = _check(candidates, actual)
    at = z if at is None else at
    if not 1 <= at <= z:
        raise InputError("at", at, f"an integer from 1 to {z}, the length of the lists")
    least = [
        min(levenshtein(steps[:at], label[:at]) for steps in of)
        for of, label in zip(candidates, actual, strict=True)
    ]
    return np.array(least, dtype=np.float64) / at


def edit_curve(candidates: Sequence[Sequence[Steps]], actual: Sequence[Steps]) -> Floats:
    """ED@1 to ED@Z, [Z], each the mean over cases. Raises InputError: see ``edit_distances``."""
    z = _check(candidates, actual)
    return np.array([edit_distances(candidates, actual, at).mean() for at in range(1, z + 1)])


def auc_edit_distance(curve: Sequence[float] | Floats) -> float:
    """AUED: the area under ED@1 to ED@Z by trapezoids, over Z - 1; 1 where Z is 1, as Ego4D has it.

    Raises:
        InputError: the curve is empty, or a value is not from 0 to 1.
    """
    values = np.asarray(curve, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not ((values >= 0) & (values <= 1)).all():
        raise InputError("curve", values.tolist(), "numbers from 0 to 1, one for each length")
    return float(np.trapezoid(values) / (len(values) - 1)) if len(values) > 1 else 1.0


def _check(candidates: Sequence[Sequence[Steps]], actual: Sequence[Steps]) -> int:
    """The length Z of the lists."""
    if not actual or len(candidates) != len(actual):
        raise InputError("candidates", f"those of {len(candidates)} cases", f"of {len(actual)}, at least 1")
    z = len(actual[0])
    if z < 1:
        raise InputError("actual[0]", actual[0], "at least one step")
    for at, (of, label) in enumerate(zip(candidates, actual, strict=True)):
        if len(label) != z:
            raise InputError(f"actual[{at}]", f"{len(label)} steps", f"{z}, as many as the first")
        if not of:
            raise InputError(f"candidates[{at}]", "none", "at least one candidate")
        for number, steps in enumerate(of):
            if len(steps) not in (0, z):
                raise InputError(f"candidates[{at}][{number}]", f"{len(steps)} steps", f"{z}, or none")
    return z
