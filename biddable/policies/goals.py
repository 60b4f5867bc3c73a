"""Goals from what came later: hindsight relabelling (Andrychowicz et al., NeurIPS 2017)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError
from biddable.policies.batches import Demonstrations

Strategy = Literal["last", "uniform", "geometric"]


def hindsight_goals(
    demonstrations: Demonstrations,
    actions: NDArray[np.int64],
    rng: np.random.Generator,
    strategy: Strategy = "uniform",
    *,
    p_last: float = 0.0,
    discount: float = 0.98,
) -> NDArray[np.int64]:
    """[B] rows of observations that came after actions in the same episodes, to serve as their goals.

    Args:
        demonstrations: what was done.
        actions: [B] places of the actions.
        rng: of the draws.
        strategy: "last": the episode's end; "uniform": any later one; "geometric": k steps later with a
            probability that falls by ``discount`` a step, cut at the end.
        p_last: share of goals that are the episode's end whatever the strategy is.
        discount: of "geometric".
    """
    if not (0 <= p_last <= 1 and 0 < discount < 1):
        raise InputError("p_last, discount", (p_last, discount), "from 0 to 1, and between 0 and 1")
    row = demonstrations.row[actions]
    last = demonstrations.last[demonstrations.episode[actions]]
    ahead = last - row  # [B] from 1 to T
    match strategy:
        case "last":
            return last
        case "uniform":
            later = 1 + (rng.random(len(row)) * ahead).astype(np.int64)
        case "geometric":
            later = np.minimum(rng.geometric(1 - discount, len(row)), ahead)
        case _:
            raise InputError("strategy", strategy, "last, uniform or geometric")
    goals = row + later
    return np.where(rng.random(len(row)) < p_last, last, goals)
