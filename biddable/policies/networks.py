"""Small networks that act on what there is to see and on what was asked for."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class SmallConv(nn.Module):
    """A 3 x 3 convolution, stride 2, padding 1, over a picture of a few cells, as one matrix product.

    A convolution's set-up costs more than its arithmetic there. The kernel is laid out as the dense matrix
    it is; entries it does not have are zero. Computes what ``nn.Conv2d`` does, on flat channels-last cells.

    Args:
        inputs: channels that come in; outputs: channels that go out.
        side: cells of the picture in either direction; ``out_side`` is that of the result.
    """

    def __init__(self, inputs: int, outputs: int, side: int):
        super().__init__()
        self.out_side = (side + 1) // 2
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.orthogonal_(self.weight, math.sqrt(2))
        nothing = self.weight.numel()  # the place of a zero behind the kernel's entries
        places = torch.full((side, side, inputs, self.out_side, self.out_side, outputs), nothing)
        numbered = torch.arange(nothing).view(outputs, inputs, 3, 3)
        for row in range(self.out_side):
            for column in range(self.out_side):
                for dy in range(3):
                    for dx in range(3):
                        y, x = 2 * row + dy - 1, 2 * column + dx - 1
                        if 0 <= y < side and 0 <= x < side:
                            places[y, x, :, row, column] = numbered[:, :, dy, dx].T
        self._places = places.view(side * side * inputs, -1)
        self._laid_out: Tensor | None = None

    def forward(self, cells: Tensor) -> Tensor:
        """[N, side * side * inputs] -> [N, out_side * out_side * outputs]."""
        return torch.addmm(self.bias.repeat(self.out_side**2), cells, self._dense())

    def train(self, mode: bool = True) -> SmallConv:
        """As ``nn.Module.train``. In eval mode the kernel is laid out once: call it again for new weights.

        (A weight's version does not tell: a fused optimizer leaves it as it was.)
        """
        self._laid_out = None
        super().train(mode)
        return self

    def _dense(self) -> Tensor:
        if self._laid_out is not None:
            return self._laid_out
        kernel = torch.cat([self.weight.flatten(), self.weight.new_zeros(1)])
        dense = kernel.index_select(0, self._places.flatten()).view(self._places.shape)
        if not self.training and not torch.is_grad_enabled():
            self._laid_out = dense
        return dense


class GridActorCritic(nn.Module):
    """For MiniGrid's view [N, 7, 7, 3] and a vector [N, extra]: logits [N, actions] and values [N].

    Three convolutions of 32 channels, a hidden layer of 256 (Words as Beacons, arXiv 2410.08632).
    """

    def __init__(self, extra: int, actions: int, *, side: int = 7, channels: int = 32, hidden: int = 256):
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for _ in range(3):
            convolution = SmallConv(inputs, channels, side)
            layers += [convolution, nn.ELU()]
            inputs, side = channels, convolution.out_side
        self.convolutions = nn.Sequential(*layers)
        self.body = nn.Linear(side * side * channels + extra, hidden)
        self.actor, self.critic = nn.Linear(hidden, actions), nn.Linear(hidden, 1)
        for layer, gain in ((self.body, math.sqrt(2)), (self.actor, 0.01), (self.critic, 1.0)):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor, extra: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and values."""
        seen = self.convolutions(image.flatten(1))
        hidden = self.body(torch.cat([seen, extra], 1)).relu()
        return self.actor(hidden), self.critic(hidden)[:, 0]
