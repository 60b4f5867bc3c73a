"""A step of the decoder as one CUDA graph for each number of rows.

A small model's step is some thousand kernels of a few microseconds; launching them one by one from Python
takes several times as long as running them. A graph is recorded once and started with one call. It holds
addresses, so it lives no longer than one ``generate``: the weights may be trained, and so moved, after it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SMALLEST = 32  # fewer rows are no faster
WARM_UPS = 2  # uncaptured calls, in which kernels are compiled and libraries set up


class StepGraphs:
    """Calls ``step(rows)`` through a graph.

    Args:
        step: computes from and into tensors that stay where they are, waits for nothing on the GPU, and
            may be called again without harm: it is, before its first capture.
        most: the largest number of rows.
    """

    def __init__(self, step: Callable[[int], Tensor], most: int):
        self._step, self._most = step, most
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, rows: int) -> Tensor:
        """What the step returns for at least ``rows`` rows; valid until the next call."""
        level = min(self._most, max(SMALLEST, 1 << (rows - 1).bit_length()))
        if level not in self._graphs:
            self._graphs[level] = self._captured(level)
        graph, out = self._graphs[level]
        graph.replay()
        return out

    def _captured(self, level: int) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                self._step(level)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            out = self._step(level)
        return graph, out
