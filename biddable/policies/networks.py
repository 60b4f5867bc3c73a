"""Small networks from observations, and the vector of the instruction, to logits or values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from biddable.policies.layers import Dense, Layers, SmallConv

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)

CELL_NAMES = 16
"""More than MiniGrid has kinds of objects, colours or states of doors."""


class GridActorCritic(nn.Module):
    """For MiniGrid's view [N, 7, 7, 3] and a vector [N, extra]: logits [N, actions] and values [N].

    Three convolutions of 32 channels, a hidden layer of 256 (Words as Beacons, arXiv 2410.08632).
    """

    def __init__(self, extra: int, actions: int, *, side: int = 7, channels: int = 32, hidden: int = 256):
        super().__init__()
        layers: list[Dense | SmallConv] = []
        inputs = 3
        for _ in range(3):
            convolution = SmallConv(inputs, channels, side, "elu")
            layers.append(convolution)
            inputs, side = channels, convolution.out_side
        body, heads = Dense(side * side * channels + extra, hidden, "relu"), Dense(hidden, actions + 1)
        self.layers = Layers([*layers, body, heads], extra=extra)
        weight, _ = self.layers.parts()[-1]
        nn.init.orthogonal_(weight.data[:, :actions], 0.01)  # at first it prefers nothing
        nn.init.orthogonal_(weight.data[:, actions:], 1.0)

    def forward(self, image: Tensor, extra: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and values."""
        outputs = self.layers(image.flatten(1), extra)
        return outputs[:, :-1], outputs[:, -1]


class MLP(nn.Module):
    """Linear layers, ReLU between them: [N, outputs] for any arrays [N, ...], laid flat and side by side.

    Args:
        inputs: numbers of all arrays together.
        outputs: numbers that come out.
        hidden: width of each hidden layer.
        gain: of the last layer's first weights; 0.01 lets a policy begin without preferences.
        activation: what follows a hidden layer, see ``layers.ACTIVATIONS``.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: Sequence[int] = (64, 64),
        gain: float = 1.0,
        activation: str = "relu",
    ):
        super().__init__()
        layers = []
        for width in hidden:
            layers.append(Dense(inputs, width, activation))
            inputs = width
        self.layers = Layers([*layers, Dense(inputs, outputs, gain=gain)])

    def forward(self, *arrays: Tensor) -> Tensor:
        """See the class."""
        flat = [array.float().flatten(1) for array in arrays]
        return self.layers(torch.cat(flat, 1) if len(flat) > 1 else flat[0])


class PictureStem(nn.Module):
    """Pictures [N, H, W, 3] of bytes as features [N, channels, H / 8, W / 8] (rounded up).

    Three convolutions of stride 2: enough for what has edges and colours, and small.
    """

    def __init__(self, channels: int):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, channels // 2), (channels // 2, channels), (channels, channels)):
            layers += [orthogonal(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, picture: Tensor) -> Tensor:
        """See the class."""
        return self.layers(picture.movedim(-1, 1).float() / 255)


class CellStem(nn.Module):
    """MiniGrid's view [N, H, W, 3] as features [N, channels, H, W]: what a cell holds is a sum of embeddings.

    Its three numbers (object, colour, state) are names, not amounts (BabyAI 1.1, arXiv 2007.12770, sec. 4.1).
    """

    offsets: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.embedding = nn.Embedding(3 * CELL_NAMES, channels)
        self.register_buffer("offsets", CELL_NAMES * torch.arange(3), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return self.embedding(image.long() + self.offsets).sum(-2).movedim(-1, 1)


class CNN(nn.Module):
    """For pictures alone: [N, outputs] for [N, H, W, 3] of bytes.

    Args:
        size: height and width of the pictures.
        outputs: numbers that come out.
        channels: of the convolutions; hidden: width of the layer after them.
        gain: as for ``MLP``.
    """

    def __init__(
        self, size: tuple[int, int], outputs: int, *, channels: int = 32, hidden: int = 128, gain: float = 1.0
    ):
        super().__init__()
        self.stem = PictureStem(channels)
        cells = math.ceil(size[0] / 8) * math.ceil(size[1] / 8)
        self.body = MLP(cells * channels, outputs, hidden=[hidden], gain=gain)

    def forward(self, picture: Tensor) -> Tensor:
        """See the class."""
        return self.body(self.stem(picture))


class FiLMBlock(nn.Module):
    """A convolution whose channels the instruction scales and shifts, added to what came in.

    Feature-wise linear modulation (Perez et al., AAAI 2018, eqs. 1 and 2 and fig. 3, without batch norm: a
    policy acts on batches unlike those it learns from). Where a cell lies is two channels more (sec. 3.2).
    """

    def __init__(self, channels: int, text: int):
        super().__init__()
        self.first = orthogonal(nn.Conv2d(channels + 2, channels, 1))
        self.second = orthogonal(nn.Conv2d(channels, channels, 3, padding=1), 1.0)
        self.film = nn.Linear(text, 2 * channels)

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """[N, channels, H, W] and [N, text] -> [N, channels, H, W]."""
        features = self.first(torch.cat([features, _coordinates(features)], 1)).relu()
        scale, shift = self.film(text)[:, :, None, None].chunk(2, 1)
        return features + torch.addcmul(shift, 1 + scale, self.second(features)).relu()


class FiLM(nn.Module):
    """[N, outputs] for an observation and the frozen vector of the instruction (BabyAI, ICLR 2019).

    Args:
        stem: ``CellStem(channels)`` for MiniGrid's view, ``PictureStem(channels)`` for pictures.
        text: size of the instruction's vector.
        outputs: numbers that come out.
        channels: what the stem gives; blocks: how many ``FiLMBlock``; hidden: width of the last hidden layer.
        gain: as for ``MLP``.
    """

    def __init__(
        self,
        stem: nn.Module,
        text: int,
        outputs: int,
        *,
        channels: int = 32,
        blocks: int = 2,
        hidden: int = 128,
        gain: float = 1.0,
    ):
        super().__init__()
        self.stem = stem
        self.blocks = nn.ModuleList(FiLMBlock(channels, text) for _ in range(blocks))
        self.head = MLP(channels, outputs, hidden=[hidden], gain=gain)

    def forward(self, obs: Tensor, text: Tensor) -> Tensor:
        """See the class; ``obs`` is what the stem takes, ``text`` [N, text] of length 1 each."""
        features = self.stem(obs)
        text = text * math.sqrt(text.shape[1])  # entries of about 1, as layers expect
        for block in self.blocks:
            features = block(features, text)
        return self.head(features.amax((2, 3)))


def orthogonal(layer: Layer, gain: float = math.sqrt(2)) -> Layer:
    """The layer, with orthogonal weights of that gain and no bias (Saxe et al., ICLR 2014)."""
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _coordinates(features: Tensor) -> Tensor:
    """[N, 2, H, W] rows and columns from -1 to 1, for features [N, channels, H, W]."""
    count, _, height, width = features.shape
    lines = [torch.linspace(-1, 1, size, device=features.device) for size in (height, width)]
    return torch.stack(torch.meshgrid(*lines, indexing="ij")).expand(count, -1, -1, -1)
