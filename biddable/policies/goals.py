"""Goals from what came later: hindsight relabelling (Andrychowicz et al., NeurIPS 2017)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError
from biddable.policies.batches import Demonstrations

Strategy = Literal["last", "uniform", "geometric", "delta"]


def hindsight_goals(
    demonstrations: Demonstrations,
    actions: NDArray[np.int64],
    rng: np.random.Generator,
    strategy: Strategy = "uniform",
    *,
    p_last: float = 0.0,
    discount: float = 0.98,
    nearest: int = 1,
    farthest: int = 20,
) -> NDArray[np.int64]:
    """[B] rows of observations that came after actions in the same episodes, to serve as their goals.

    Args:
        demonstrations: what was done.
        actions: [B] places of the actions.
        rng: of the draws.
        strategy: "last": the episode's end; "uniform": any later one; "geometric": k steps later with a
            probability that falls by ``discount`` a step, cut at the end; "delta": from ``nearest`` to
            ``farthest`` steps later, all alike, cut at the end.
        p_last: share of goals that are the episode's end whatever the strategy is.
        discount: of "geometric".
        nearest: the fewest steps that a goal is later, but for the last action, whose goal is the end. SOAR's
            code has 2: a goal is never what its own action led to.
        farthest: of "delta".
    """
    if not (0 <= p_last <= 1 and 0 < discount < 1):
        raise InputError("p_last, discount", (p_last, discount), "from 0 to 1, and between 0 and 1")
    if not 1 <= nearest <= farthest:
        raise InputError("nearest, farthest", (nearest, farthest), "from 1 on, the first not above the other")
    row = demonstrations.row[actions]
    last = demonstrations.last[demonstrations.episode[actions]]
    ahead = last - row  # [B] from 1 to T
    match strategy:
        case "last":
            return last
        case "uniform":
            choices = np.maximum(ahead - nearest + 1, 1)
            later = nearest + (rng.random(len(row)) * choices).astype(np.int64)
        case "geometric":
            later = nearest - 1 + rng.geometric(1 - discount, len(row))
        case "delta":
            later = rng.integers(nearest, farthest + 1, len(row))
        case _:
            raise InputError("strategy", strategy, "last, uniform, geometric or delta")
    later = np.minimum(later, ahead)
    goals = row + later
    return np.where(rng.random(len(row)) < p_last, last, goals)
