"""Linear layers with their weights laid out for speed, while decoding on CPU.

A plain ``F.linear`` re-arranges the whole weight matrix at every call, which costs as much as the
product itself when there are few rows. Where the processor multiplies bfloat16, oneDNN keeps one
arranged bf16 copy, which serves any number of rows and gives a row the same result whatever else is in
the batch. Elsewhere MKL keeps an fp32 copy arranged for an exact number of rows, made anew whenever that
number changes. Arranging SmolLM2 takes about 0.1 s, so it is also done at the start of every
``generate``: the weights may have been trained meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256)


def level_of(rows: int) -> int:
    """The number of rows that a step of ``rows`` rows is padded to: each new number has to be set up."""
    return next((level for level in LEVELS if level >= rows), -(-rows // LEVELS[-1]) * LEVELS[-1])


class PackedLinears:
    """Gives the linear layers of ``module`` a fast forward.

    Use as a context manager and call ``prepare(rows)`` before each step. Does nothing where there is
    nothing to gain (GPU, no MKL).

    Args:
        module: its ``nn.Linear`` layers are meant; their weights are not changed.
        bf16: multiply in bfloat16 (sums are fp32, inputs and outputs keep their type).
    """

    def __init__(self, module: nn.Module, *, bf16: bool = False):
        self._layers = [layer for layer in module.modules() if _can_pack(layer, bf16)]
        self._bf16 = bf16
        self._rows = 0

    def __enter__(self) -> PackedLinears:
        if self._bf16:
            for layer in self._layers:
                layer.__dict__["forward"] = _onednn(layer)
        return self

    def __exit__(self, *error: object) -> None:
        for layer in self._layers:
            layer.__dict__.pop("forward", None)
        self._rows = 0

    def prepare(self, rows: int) -> int:
        """Arrange what steps of ``rows`` rows need; returns the number to pad a step to."""
        if not self._layers:
            return rows
        level = level_of(rows)
        if level != self._rows and not self._bf16:
            for layer in self._layers:
                layer.__dict__["forward"] = _mkl(layer, level)
        self._rows = level
        return level


def _can_pack(layer: nn.Module, bf16: bool) -> bool:
    if type(layer) is not nn.Linear or layer.weight.device.type != "cpu":
        return False
    if bf16:
        return torch.backends.mkldnn.is_available()
    return layer.weight.dtype == torch.float32 and torch.backends.mkl.is_available()


def _mkl(layer: Any, rows: int) -> Callable[[Tensor], Tensor]:
    ops: Any = torch.ops.mkl
    weight = layer.weight.detach()
    packed = ops._mkl_reorder_linear_weight(weight, rows)

    def forward(x: Tensor) -> Tensor:
        if x.numel() != rows * weight.shape[1]:
            return F.linear(x, weight, layer.bias)
        return ops._mkl_linear(x, packed, weight, layer.bias, rows)

    return forward


def _onednn(layer: Any) -> Callable[[Tensor], Tensor]:
    ops: Any = torch.ops.mkldnn
    packed = ops._reorder_linear_weight(layer.weight.detach().bfloat16())
    bias = None if layer.bias is None else layer.bias.detach().bfloat16()

    def forward(x: Tensor) -> Tensor:
        return ops._linear_pointwise(x.bfloat16(), packed, bias, "none", [], "").to(x.dtype)

    return forward
