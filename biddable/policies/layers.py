"""Small layers one after the other, as policies of a few ten thousand weights are made of.

``Layers`` computes them in one call, forwards and backwards, in C where there is a compiler: in torch most of
the time of a layer that small is the call. Both ways compute the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biddable.errors import InputError
from biddable.policies.kernels import PANEL, LayerStruct, SmallKernels, small_kernels

ACTIVATIONS = {"linear": lambda x: x, "relu": F.relu, "elu": F.elu, "tanh": torch.tanh}
"""What may follow a layer; numbered in this order in the C file."""


@dataclass(frozen=True, slots=True)
class Dense:
    """[N, inputs] -> [N, outputs]: a linear layer and its activation, one of ``ACTIVATIONS``.

    Its weight is [inputs, outputs]; at first it is orthogonal, with a gain (Saxe et al., ICLR 2014).
    """

    inputs: int
    outputs: int
    activation: str = "linear"
    gain: float = math.sqrt(2)

    @property
    def depth(self) -> int:
        """Rows of the weight."""
        return self.inputs

    def first_weight(self) -> Tensor:
        """What training begins with."""
        return nn.init.orthogonal_(torch.empty(self.outputs, self.inputs), self.gain).t()

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """See the class."""
        return ACTIVATIONS[self.activation](torch.addmm(bias, x, weight))


@dataclass(frozen=True, slots=True)
class SmallConv:
    """A 3 x 3 convolution, stride 2, padding 1, over ``side`` x ``side`` cells, and its activation.

    Computes what ``nn.Conv2d`` does, on flat channels-last cells:
    [N, side * side * inputs] -> [N, out_side * out_side * outputs]. Its weight is [3 * 3 * inputs, outputs],
    in the order of a window's numbers.
    """

    inputs: int
    outputs: int
    side: int
    activation: str = "linear"

    @property
    def out_side(self) -> int:
        """``side`` of the result."""
        return (self.side + 1) // 2

    @property
    def depth(self) -> int:
        """Rows of the weight."""
        return 9 * self.inputs

    def first_weight(self) -> Tensor:
        """What training begins with: orthogonal, one row of a matrix for each output."""
        kernel = nn.init.orthogonal_(torch.empty(self.outputs, self.inputs, 3, 3), math.sqrt(2))
        return kernel.permute(2, 3, 1, 0).reshape(self.depth, self.outputs)

    def apply(self, cells: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """See the class."""
        out, after = self.out_side, 2 * self.out_side - self.side
        picture = cells.view(-1, self.side, self.side, self.inputs)
        # A window that reaches beyond the last cell finds zeros there.
        windows = F.pad(picture, (0, 0, 1, after, 1, after)).unfold(1, 3, 2).unfold(2, 3, 2)
        windows = windows.permute(0, 1, 2, 4, 5, 3).reshape(len(cells) * out * out, self.depth)
        return ACTIVATIONS[self.activation](torch.addmm(bias, windows, weight)).view(len(cells), -1)


class Layers(nn.Module):
    """Layers one after the other: [N, outputs of the last] for [N, inputs of the first].

    Args:
        layers: convolutions, then dense layers.
        extra: how many of the first dense layer's inputs come from outside, after those of the layer before.

    Attributes:
        weights: of all layers, in one array: each has its weight, then its bias.
    """

    def __init__(self, layers: Sequence[Dense | SmallConv], *, extra: int = 0):
        super().__init__()
        self.layers = tuple(layers)
        self._flat = next(i for i, layer in enumerate(layers) if isinstance(layer, Dense))
        self._plan = _Plan(self.layers, extra, self._flat)
        first = ((layer.first_weight().flatten(), torch.zeros(layer.outputs)) for layer in layers)
        self.weights = nn.Parameter(torch.cat([part for parts in first for part in parts]))

    def parts(self) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of each layer, as views of ``weights``."""
        sizes = [size for layer in self.layers for size in (layer.depth * layer.outputs, layer.outputs)]
        flat = iter(self.weights.split(sizes))
        return [(next(flat).view(-1, layer.outputs), next(flat)) for layer in self.layers]

    def forward(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        """See the class; ``extra`` is [N, extra].

        Raises:
            InputError: they are of other sizes.
        """
        self._check(x, extra)
        kernels = small_kernels()
        if kernels is not None and self._in_one_call(x, extra):
            if torch.is_grad_enabled():
                return cast(Tensor, _OneCall.apply(kernels, self._plan, x, extra, self.weights))
            return _forward(kernels, self._plan, x, extra, self.weights)[0]
        for i, (layer, parts) in enumerate(zip(self.layers, self.parts(), strict=True)):
            x = layer.apply(x if extra is None or i != self._flat else torch.cat([x, extra], 1), *parts)
        return x

    def _check(self, x: Tensor, extra: Tensor | None) -> None:
        """What C reads beyond an array's end is no error there."""
        plan = self._plan
        if x.ndim != 2 or x.shape[1] != plan.inputs:
            raise InputError("x", tuple(x.shape), f"[N, {plan.inputs}]")
        shape = (len(x), 0) if extra is None else tuple(extra.shape)
        if shape != (len(x), plan.extra):
            raise InputError("extra", shape, f"[{len(x)}, {plan.extra}], a row for each of x")

    def _in_one_call(self, x: Tensor, extra: Tensor | None) -> bool:
        """Whether the C functions can take it: they give no gradient for pictures and for what is extra."""
        if x.requires_grad and (self._flat > 0 or extra is not None):
            return False
        if extra is not None and (extra.requires_grad or not _is_plain(extra)):
            return False
        return _is_plain(x) and _is_plain(self.weights)


def _is_plain(tensor: Tensor) -> bool:
    """Whether C can read it."""
    return tensor.dtype == torch.float32 and tensor.device.type == "cpu"


class _Plan:
    """Layers as the C functions are told of them, and how much room they need."""

    def __init__(self, layers: Sequence[Dense | SmallConv], extra: int, flat: int):
        names = list(ACTIVATIONS)
        self.layers = (LayerStruct * len(layers))()
        self.count, self.outputs, self.extra = len(layers), layers[-1].outputs, extra
        first = layers[0]
        self.inputs = first.side**2 * first.inputs if isinstance(first, SmallConv) else first.inputs
        self.inputs -= extra if flat == 0 else 0
        self.ins = self.panels = self.packed = 0
        for i, layer in enumerate(layers):
            side, out = (layer.side, layer.out_side) if isinstance(layer, SmallConv) else (0, 1)
            kind = names.index(layer.activation)
            self.layers[i] = LayerStruct(
                side, out, layer.inputs, layer.outputs, kind, extra if i == flat else 0
            )
            columns = -(-layer.outputs // PANEL) * PANEL
            self.ins += layer.inputs * ((2 * out + 1) ** 2 if side else 1)
            self.panels = max(self.panels, out * out * columns)
            self.packed = max(self.packed, PANEL * max(layer.depth, columns))


def _forward(
    kernels: SmallKernels, plan: _Plan, x: Tensor, extra: Tensor | None, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """The result, and an array that begins with every layer's input."""
    rows = len(x)
    room, out = torch.empty(rows * plan.ins + plan.packed), torch.empty(rows, plan.outputs)
    x, extra = x.contiguous(), None if extra is None else extra.contiguous()
    ins = room.data_ptr()
    kernels.forward(
        plan.layers, plan.count, rows, weights.data_ptr(), x.data_ptr(),
        None if extra is None else extra.data_ptr(), ins, out.data_ptr(), ins + 4 * rows * plan.ins,
    )  # fmt: skip
    return out, room


class _OneCall(torch.autograd.Function):
    """All layers, by the C functions."""

    @staticmethod
    def forward(
        ctx: Any, kernels: SmallKernels, plan: _Plan, x: Tensor, extra: Tensor | None, weights: Tensor
    ) -> Tensor:
        out, room = _forward(kernels, plan, x, extra, weights)
        ctx.kernels, ctx.plan = kernels, plan
        ctx.save_for_backward(room, out, weights)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        ins, out, weights = ctx.saved_tensors
        plan, rows, d_out = ctx.plan, len(out), d_out.contiguous()
        d_weights = torch.empty_like(weights)
        d_ins = torch.empty(rows * plan.ins)
        room = torch.empty(rows * plan.panels + plan.packed)
        panels = room.data_ptr()
        ctx.kernels.backward(
            plan.layers, plan.count, rows, weights.data_ptr(), ins.data_ptr(), out.data_ptr(),
            d_out.data_ptr(), d_weights.data_ptr(), d_ins.data_ptr(), ctx.needs_input_grad[2],
            panels, panels + 4 * rows * plan.panels,
        )  # fmt: skip
        d_x = d_ins[: rows * plan.layers[0].channels].view(rows, -1) if ctx.needs_input_grad[2] else None
        return None, None, d_x, None, d_weights
