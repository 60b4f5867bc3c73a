"""Linear layers with their weights laid out for speed, while decoding on CPU.

A plain ``F.linear`` re-arranges the whole weight matrix at every call, which costs as much as the
product itself when there are few rows. oneDNN keeps one arranged copy, in bfloat16 where the processor
multiplies that, else in fp32; it serves any number of rows. Arranging SmolLM2 takes about 0.1 s, and is
done at the start of every ``generate``: the weights may have been trained meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

LEVELS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256)


class PackedLinears:
    """Gives the linear layers of ``module`` a fast forward, while it is used as a context manager.

    Does nothing where there is nothing to gain (GPU, no oneDNN).

    Args:
        module: its ``nn.Linear`` layers are meant; their weights are not changed.
        bf16: multiply in bfloat16 (sums are fp32, inputs and outputs keep their type).
    """

    def __init__(self, module: nn.Module, *, bf16: bool = False):
        self._layers = [layer for layer in module.modules() if _can_pack(layer, bf16)]
        self._dtype = torch.bfloat16 if bf16 else torch.float32

    def __enter__(self) -> PackedLinears:
        for layer in self._layers:
            layer.__dict__["forward"] = _packed(layer, self._dtype)
        return self

    def __exit__(self, *error: object) -> None:
        for layer in self._layers:
            layer.__dict__.pop("forward", None)

    def padded(self, rows: int) -> int:
        """The number of rows to pad a step of ``rows`` to: oneDNN has to set up each new number."""
        if not self._layers:
            return rows
        return next((level for level in LEVELS if level >= rows), -(-rows // LEVELS[-1]) * LEVELS[-1])


def _can_pack(layer: nn.Module, bf16: bool) -> bool:
    if type(layer) is not nn.Linear or layer.weight.device.type != "cpu":
        return False
    return torch.backends.mkldnn.is_available() and (bf16 or layer.weight.dtype == torch.float32)


def _packed(layer: Any, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    ops: Any = torch.ops.mkldnn
    weight = ops._reorder_linear_weight(layer.weight.detach().to(dtype))
    bias = None if layer.bias is None else layer.bias.detach().to(dtype)

    def forward(x: Tensor) -> Tensor:
        return ops._linear_pointwise(x.to(dtype), weight, bias, "none", [], "").to(x.dtype)

    return forward
