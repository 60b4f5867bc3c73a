"""Adam for small networks, where what a step costs is calls into torch and not arithmetic."""

from __future__ import annotations

import torch
from torch import nn


class Adam:
    """Adam over all parameters of a network as one array, with gradients scaled down to a norm.

    The parameters, and their gradients, become parts of one array each: a step is then a handful of calls
    into torch instead of some for every parameter. Gradients must be cleared by ``step`` alone, in place.

    Args:
        network: its parameters must be of one type and on one device.
        lr: learning rate.
        max_norm: gradients with a larger norm are scaled down to it.
        eps: Adam's epsilon.
    """

    def __init__(self, network: nn.Module, *, lr: float, max_norm: float, eps: float = 1e-8):
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        sizes = [parameter.numel() for parameter in parameters]
        weights = torch.cat([parameter.detach().flatten() for parameter in parameters])
        weights.grad = self._gradient = torch.zeros_like(weights)
        parts = zip(parameters, weights.split(sizes), self._gradient.split(sizes), strict=True)
        for parameter, weight, gradient in parts:
            parameter.data, parameter.grad = weight.view_as(parameter), gradient.view_as(parameter)
        self._max_norm = max_norm
        self._adam = torch.optim.Adam([weights], lr=lr, eps=eps, fused=True)

    def step(self) -> None:
        """Follow the gradients that ``backward`` left, and clear them."""
        scale = self._max_norm / (float(self._gradient.norm()) + 1e-6)
        if scale < 1:
            self._gradient.mul_(scale)
        self._adam.step()
        self._gradient.zero_()
