"""RMSNorm and SwiGLU that keep less for the backward pass than the same written as separate operations.

``transformers`` writes them as a handful of element-wise operations, each of which keeps what it needs.
Here only a norm's input and a SwiGLU's two inputs are kept: a fifth less memory for a Llama, and half
the time of a norm's backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@contextmanager
def fused_layers(module: nn.Module) -> Iterator[None]:
    """Within it, the layers of ``module`` written as Llama's norm or MLP use the functions here."""
    replaced = []
    for layer in module.modules():
        forward = _fused_forward(layer)
        if forward is not None:
            layer.forward = forward
            replaced.append(layer)
    try:
        yield
    finally:
        for layer in replaced:
            del layer.forward


def _fused_forward(layer: Any) -> Callable[[Tensor], Tensor] | None:
    children = dict(layer.named_children())
    if type(layer).__name__.endswith("RMSNorm") and hasattr(layer, "variance_epsilon"):
        if layer.weight.dtype == torch.float32:
            return lambda x: _RMSNorm.apply(x, layer.weight, layer.variance_epsilon)
    elif children.keys() == {"gate_proj", "up_proj", "down_proj", "act_fn"} and _is_silu(layer.act_fn):
        return lambda x: layer.down_proj(_SwiGLU.apply(layer.gate_proj(x), layer.up_proj(x)))
    return None


def _is_silu(activation: nn.Module) -> bool:
    return type(activation).__name__ in ("SiLU", "SiLUActivation")


class _RMSNorm(torch.autograd.Function):
    """x / rms(x) * weight over the last dimension."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        square = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32).square_()
        inverse = square.div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        return (x * inverse).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, inverse = ctx.saved_tensors
        normed = x * inverse
        grad_weight = (grads[0] * normed).flatten(0, -2).sum(0)
        grad = grads[0] * weight
        along = torch.linalg.vecdot(grad, normed).div_(x.shape[-1])[..., None]
        return grad.sub_(normed.mul_(along)).mul_(inverse), grad_weight, None


class _SwiGLU(torch.autograd.Function):
    """silu(gate) * up."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        grad_gate = torch.ops.aten.silu_backward(grads[0] * up, gate)
        return grad_gate, F.silu(gate).mul_(grads[0])
