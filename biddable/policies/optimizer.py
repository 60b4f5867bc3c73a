"""Adam for small networks, where what a step costs is calls into torch and not arithmetic."""

from __future__ import annotations

import math

import torch
from torch import nn

from biddable.errors import InputError
from biddable.policies.kernels import small_kernels

BETAS = (0.9, 0.999)


def optimizer_for(network: nn.Module, *, lr: float, max_norm: float, eps: float = 1e-8) -> Adam | TorchAdam:
    """Adam that scales gradients down to a norm: the quick one for float32 on the CPU, else PyTorch's own.

    Args:
        network: its parameters are trained.
        lr: learning rate.
        max_norm: gradients with a larger norm are scaled down to it.
        eps: Adam's epsilon.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    plain = all(each.dtype == torch.float32 and each.device.type == "cpu" for each in trained)
    return (Adam if plain else TorchAdam)(network, lr=lr, max_norm=max_norm, eps=eps)


class TorchAdam:
    """``torch.optim.Adam`` with gradients scaled down to a norm; the same arguments as ``Adam``."""

    def __init__(self, network: nn.Module, *, lr: float, max_norm: float, eps: float = 1e-8):
        self._parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._max_norm = max_norm
        self._adam = torch.optim.Adam(self._parameters, lr=lr, eps=eps, betas=BETAS)

    def step(self) -> None:
        """Follow the gradients that ``backward`` left, and clear them."""
        torch.nn.utils.clip_grad_norm_(self._parameters, self._max_norm)
        self._adam.step()
        self._adam.zero_grad()


class Adam:
    """Adam over all parameters of a network as one array, with gradients scaled down to a norm.

    The parameters, and their gradients, become parts of one array each: a step is then one call into C, or a
    handful into torch where there is no compiler. Gradients must be cleared by ``step`` alone, in place.

    Args:
        network: its parameters must be of type float32, on the CPU.
        lr: learning rate.
        max_norm: gradients with a larger norm are scaled down to it.
        eps: Adam's epsilon.

    Raises:
        InputError: parameters of another type, or elsewhere.
    """

    def __init__(self, network: nn.Module, *, lr: float, max_norm: float, eps: float = 1e-8):
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        for parameter in parameters:
            if parameter.dtype != torch.float32 or parameter.device.type != "cpu":
                raise InputError("network", f"{parameter.dtype} on {parameter.device}", "float32 on the CPU")
        sizes = [parameter.numel() for parameter in parameters]
        self._weights = torch.cat([parameter.detach().flatten() for parameter in parameters])
        self._gradient, self._mean, self._square = (torch.zeros_like(self._weights) for _ in range(3))
        parts = zip(parameters, self._weights.split(sizes), self._gradient.split(sizes), strict=True)
        for parameter, weight, gradient in parts:
            parameter.data, parameter.grad = weight.view_as(parameter), gradient.view_as(parameter)
        self._lr, self._max_norm, self._eps, self._steps = lr, max_norm, eps, 0

    def step(self) -> None:
        """Follow the gradients that ``backward`` left, and clear them."""
        self._steps += 1
        first, second = BETAS
        # The moments began at 0: what makes up for that is put into the rate and epsilon.
        spread = math.sqrt(1 - second**self._steps)
        rate, eps = self._lr * spread / (1 - first**self._steps), self._eps * spread
        arrays = (self._weights, self._gradient, self._mean, self._square)
        if (kernels := small_kernels()) is None:
            _step(*arrays, rate, *BETAS, eps, self._max_norm)
        else:
            pointers = [array.data_ptr() for array in arrays]
            kernels.adam(len(self._weights), *pointers, rate, *BETAS, eps, self._max_norm)


@torch.no_grad()
def _step(
    weights: torch.Tensor,
    gradient: torch.Tensor,
    mean: torch.Tensor,
    square: torch.Tensor,
    rate: float,
    first: float,
    second: float,
    eps: float,
    max_norm: float,
) -> None:
    """``adam_step`` of the C file."""
    norm = float(gradient.norm())
    if norm > max_norm:
        gradient.mul_(max_norm / (norm + 1e-6))
    mean.lerp_(gradient, 1 - first)
    square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
    weights.addcdiv_(mean, square.sqrt().add_(eps), value=-rate)
    gradient.zero_()
