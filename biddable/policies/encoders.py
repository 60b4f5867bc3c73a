"""Pixel encoders: convolutions with a spatial softmax, and random crops.

Source: spatial softmax of Finn et al. 2016 (arXiv 1509.06113); crops as in DrQ (Yarats et al. 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from biddable.errors import InputError


def pictures(images: Tensor) -> Tensor:
    """Bytes [N, H, W, C] as numbers from -0.5 to 0.5, [N, C, H, W]. Raises InputError: they are none."""
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise InputError("images", f"{images.dtype} {list(images.shape)}", "bytes (uint8) [N, H, W, C]")
    return images.permute(0, 3, 1, 2).float().div_(255).sub_(0.5)


class SpatialSoftmax(nn.Module):
    """[N, C, H, W] -> [N, 2 x keypoints]: where in the picture each of the keypoints is, x and y in [-1,
    1]."""

    def __init__(self, channels: int, keypoints: int):
        super().__init__()
        self.maps = nn.Conv2d(channels, keypoints, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        maps = self.maps(x).movedim(1, -1)  # [N, H, W, K]: channels last, as convolutions of bytes leave them
        weights = maps.flatten(1, 2).softmax(1).view_as(maps)
        ys, xs = (torch.linspace(-1, 1, size, device=x.device)[:, None] for size in maps.shape[1:3])
        across, down = (weights.sum(1) * xs).sum(1), (weights.sum(2) * ys).sum(1)
        return torch.cat([across, down], -1)


class ConvEncoder(nn.Module):
    """Pictures of bytes [N, H, W, C] -> [N, latent] in [-1, 1].

    Convolutions 3 x 3 with GELU, a spatial softmax, a linear layer, LayerNorm and tanh.

    Args:
        channels: C; 3 for each picture of a stack.
        latent: size of the result.
        widths: channels after each convolution.
        strides: of each.
        keypoints: of the spatial softmax.
    """

    def __init__(
        self,
        channels: int = 3,
        latent: int = 64,
        *,
        widths: Sequence[int] = (16, 32, 64),
        strides: Sequence[int] = (2, 2, 1),
        keypoints: int = 64,
    ):
        super().__init__()
        layers: list[nn.Module] = []
        inputs = channels
        for width, stride in zip(widths, strides, strict=True):
            layers += [nn.Conv2d(inputs, width, 3, stride), nn.GELU()]
            inputs = width
        self.channels, self.latent = channels, latent
        self.convolutions = nn.Sequential(*layers)
        self.softmax = SpatialSoftmax(inputs, keypoints)
        self.out = nn.Sequential(nn.Linear(2 * keypoints, latent), nn.LayerNorm(latent), nn.Tanh())

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        if images.shape[-1] != self.channels:
            raise InputError("images", list(images.shape), f"[N, H, W, {self.channels}]")
        return self.out(self.softmax(self.convolutions(pictures(images))))


def random_crop(images: Tensor, pad: int, generator: torch.Generator) -> Tensor:
    """Pictures [N, H, W, C], each moved by up to ``pad`` pixels; its edge is repeated beyond it."""
    if pad < 1:
        return images
    count, height, width, channels = images.shape
    if pad >= min(height, width):
        raise InputError("pad", pad, f"less than the pictures' {min(height, width)} pixels")
    down, across = torch.randint(0, 2 * pad + 1, (2, count), generator=generator)
    rows = (torch.arange(height) + down[:, None] - pad).clamp(0, height - 1)  # [N, H]
    columns = (torch.arange(width) + across[:, None] - pad).clamp(0, width - 1)  # [N, W]
    rows = rows + torch.arange(count)[:, None] * height  # of all pictures one below the other
    pixels = (rows[:, :, None] * width + columns[:, None]).flatten()
    return images.reshape(-1, channels).index_select(0, pixels).view_as(images)


def stacked_input(weight: Tensor) -> Tensor:
    """The first convolution's weight [out, C, k, k] for two pictures: [out, 2 C, k, k], halved copies."""
    return torch.cat([weight, weight], 1) / 2
