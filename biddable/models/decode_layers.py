"""A decoder's layers as they are computed while it generates on a CPU.

*Linear layers* have their weights laid out for speed. A plain ``F.linear`` re-arranges the whole weight
matrix at every call, which costs as much as the product itself when there are few rows. oneDNN keeps one
arranged copy, in bfloat16 where the processor multiplies that, else in fp32; it serves any number of rows.
Arranging SmolLM2 takes about 0.1 s, and is done at the start of every ``generate``: the weights may have been
trained meanwhile. A product of one row adds up in another order than one of several where rows are long (with
AVX-512 1,536 numbers, not 1,024). So fewer rows than ``FEWEST`` are padded, and a row gives the same whatever
is beside it. Four rows take less time than one or two.

*Norms and SwiGLU* written as Llama's are one call each (``kernels/pointwise.c``). With few rows the small
operations of a layer take a third as long as its products, most of it for being many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biddable.models.kernels import Pointwise, pointwise
from biddable.models.layers import is_rms_norm, is_swiglu

FEWEST = 4  # rows of a product, padding included
LEVELS = (FEWEST, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256)
Forward = Callable[[Tensor], Tensor]


class DecodeLayers:
    """Gives the layers of ``module`` a fast forward, while it is used as a context manager.

    Does nothing where there is nothing to gain (GPU, no oneDNN).

    Args:
        module: its linear layers, norms and MLPs are meant; their weights are not changed.
        bf16: multiply in bfloat16 (sums are fp32). Inputs and outputs of linear layers keep their type, but
            where all layers are known, norms give bfloat16 at once.
    """

    def __init__(self, module: nn.Module, *, bf16: bool = False):
        dtype = torch.bfloat16 if bf16 else torch.float32
        self._forwards = list(_forwards(module, dtype)) if _on_cpu(module) else []
        self._experts = any(parameter.dim() > 2 for parameter in module.parameters())

    def __enter__(self) -> DecodeLayers:
        for layer, make in self._forwards:
            layer.__dict__["forward"] = make()
        return self

    def __exit__(self, *error: object) -> None:
        for layer, _ in self._forwards:
            layer.__dict__.pop("forward", None)

    def padded(self, rows: int) -> int:
        """The number of rows to pad a step of ``rows`` to: oneDNN has to set up each new number.

        Fewer than ``FEWEST`` stay so few beside experts (one tensor of many matrices), for padding would read
        more of these; linear layers pad them by themselves.
        """
        if not self._forwards or (rows < FEWEST and self._experts):
            return rows
        return next((level for level in LEVELS if level >= rows), -(-rows // LEVELS[-1]) * LEVELS[-1])


def _on_cpu(module: nn.Module) -> bool:
    return torch.backends.mkldnn.is_available() and next(module.parameters()).device.type == "cpu"


def _forwards(module: nn.Module, dtype: torch.dtype) -> Iterator[tuple[Any, Callable[[], Forward]]]:
    """Layers, and what makes the forward of each."""
    kernel = pointwise(dtype)
    narrow = pointwise(dtype if _all_take_bf16(module) else torch.float32)
    for layer in module.modules():
        if _can_pack(layer, dtype):
            yield layer, partial(_packed, layer, dtype)
        elif kernel and is_swiglu(layer):
            yield layer, partial(_swiglu, layer, kernel)
        elif narrow and is_rms_norm(layer) and layer.weight.dtype == torch.float32:
            yield layer, partial(_norm, layer, narrow)


def _can_pack(layer: nn.Module, dtype: torch.dtype) -> bool:
    return type(layer) is nn.Linear and (dtype == torch.bfloat16 or layer.weight.dtype == torch.float32)


def _all_take_bf16(module: nn.Module) -> bool:
    """Whether whatever has weights is a layer that is replaced here, or an embedding."""
    return all(
        type(layer) in (nn.Linear, nn.Embedding)
        or is_rms_norm(layer)
        or not list(layer.parameters(recurse=False))
        for layer in module.modules()
    )


def _packed(layer: Any, dtype: torch.dtype) -> Forward:
    ops: Any = torch.ops.mkldnn
    weight = ops._reorder_linear_weight(layer.weight.detach().to(dtype))
    bias = None if layer.bias is None else layer.bias.detach().to(dtype)
    width = len(layer.weight)  # which a view of no rows would not tell

    def forward(x: Tensor) -> Tensor:
        rows = x.numel() // x.shape[-1]
        if rows < FEWEST:
            padded = F.pad(x.reshape(rows, x.shape[-1]), (0, 0, 0, FEWEST - rows))
            return forward(padded)[:rows].view(*x.shape[:-1], width)
        return ops._linear_pointwise(x.to(dtype), weight, bias, "none", [], "").to(x.dtype)

    return forward


def _norm(layer: Any, kernel: Pointwise) -> Forward:
    weight = layer.weight.detach().contiguous()

    def forward(x: Tensor) -> Tensor:
        x = x.float().contiguous()
        out = torch.empty_like(x, dtype=kernel.dtype)
        width = x.shape[-1]
        places = (x.data_ptr(), weight.data_ptr(), out.data_ptr())
        kernel.rms_norm(*places, x.numel() // width, width, layer.variance_epsilon, torch.get_num_threads())
        return out

    return forward


def _swiglu(layer: Any, kernel: Pointwise) -> Forward:
    def forward(x: Tensor) -> Tensor:
        gate, up = (proj(x).to(kernel.dtype).contiguous() for proj in (layer.gate_proj, layer.up_proj))
        out = torch.empty_like(gate)
        width = gate.shape[-1]
        places = (gate.data_ptr(), up.data_ptr(), out.data_ptr())
        kernel.swiglu(*places, gate.numel() // width, width, torch.get_num_threads())
        return layer.down_proj(out).to(x.dtype)

    return forward
