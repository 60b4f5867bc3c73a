"""Which examples go into which step, and how a step is cut into pieces that fit in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np


def batch_order(n: int, batch_size: int, epochs: int, seed: int) -> list[list[int]]:
    """The example indices of every step: each epoch is a shuffle of its own; its last batch may be short.

    It is a function of the arguments alone, so a resumed run needs only the number of its next step.
    """
    steps = []
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(n).tolist()
        steps += [order[start : start + batch_size] for start in range(0, n, batch_size)]
    return steps


def micro_batches(
    indices: Sequence[int], sizes: Sequence[int], budget: int, multiple: int = 1
) -> list[list[int]]:
    """Cut a batch into pieces of at most ``budget`` tokens, each of examples of similar size.

    Args:
        indices: the examples of the batch.
        sizes: tokens of every example, by index.
        budget: tokens per piece; an example that is larger alone has a piece to itself.
        multiple: the number of pieces is a multiple of this (the number of processes that share them),
            unless there are too few examples.

    Returns:
        non-empty pieces of nearly equal size, smallest examples first.
    """
    order = sorted(indices, key=lambda index: (sizes[index], index))
    ends = [0, *accumulate(sizes[index] for index in order)]
    count = math.ceil(ends[-1] / budget)
    while True:
        count = min(math.ceil(count / multiple) * multiple, len(order))
        cuts = _even_cuts(ends, count)
        if all(b - a == 1 or ends[b] - ends[a] <= budget for a, b in pairwise(cuts)):
            return [order[a:b] for a, b in pairwise(cuts)]
        count += 1


def _even_cuts(ends: Sequence[int], count: int) -> list[int]:
    """Places that cut a sequence with running totals ``ends`` into ``count`` non-empty, even pieces."""
    n = len(ends) - 1
    cuts = [0]
    for piece in range(1, count):
        even = int(np.searchsorted(ends, ends[-1] * piece / count))
        cuts.append(min(max(even, cuts[-1] + 1), n - (count - piece)))
    return [*cuts, n]
