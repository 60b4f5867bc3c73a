"""Networks between observations and a space of goals: what has changed, and what is to be done about it.

For cells, pictures and vectors alike. Source: GRIF (arXiv 2307.00117, sec. 4); FiLM of Perez et al. 2018.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from biddable.errors import InputError
from biddable.policies.networks import CELL_NAMES, MLP, CellStem, FiLMBlock, PictureStem, orthogonal

AGENT = 10
"""MiniGrid's name of the agent among objects; its state is the direction that it looks in."""
AHEAD = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""By direction, the cell ahead."""
Kind = Literal["cells", "pictures", "vectors"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a policy sees: one part of an observation.

    Attributes:
        part: its name.
        kind: "cells" ([W, H, 3] names of objects, colours and states), "pictures" ([H, W, 3] of bytes) or
            "vectors" ([size]).
        shape: of one observation.
    """

    part: str
    kind: Kind
    shape: tuple[int, ...]

    @classmethod
    def of(cls, part: str, values: NDArray[Any]) -> Seen:
        """What these observations [N, ...] are; three small integers for each place are cells.

        Raises:
            InputError: they are nothing that a network here takes.
        """
        shape = values.shape[1:]
        if len(shape) == 1 and values.dtype.kind in "fiub":
            return cls(part, "vectors", shape)
        if len(shape) == 3 and shape[2] == 3 and values.dtype.kind in "iu" and values.size:
            if int(values.min()) >= 0 and int(values.max()) < CELL_NAMES:
                return cls(part, "cells", shape)
            if values.dtype == np.uint8:
                return cls(part, "pictures", shape)
        expected = "vectors [size], pictures [H, W, 3] of bytes, or cells [W, H, 3] of names below 16"
        raise InputError(part, f"{values.dtype} of shape {list(values.shape)}", expected)

    def array(self, value: Any) -> NDArray[Any]:
        """An observation's value as networks take it; larger pictures are scaled down.

        Raises:
            InputError: of another shape, no numbers, or cells with other names.
        """
        values = np.asarray(value)
        if self.kind == "pictures" and values.dtype == np.uint8 and values.ndim == 3:
            values = scaled(values[None], max(self.shape[:2]))[0]
        if values.shape != self.shape or values.dtype.kind not in "fiub":
            expected = f"numbers of shape {list(self.shape)}, as it was trained on"
            raise InputError(self.part, f"{values.dtype} of shape {list(values.shape)}", expected)
        if self.kind == "vectors":
            return values.astype(np.float32)
        if values.dtype != np.uint8 and self.kind == "pictures":
            raise InputError(self.part, str(values.dtype), "bytes (uint8)")
        if self.kind == "cells" and not 0 <= int(values.min()) <= int(values.max()) < CELL_NAMES:
            raise InputError(self.part, int(values.max()), f"names from 0 to {CELL_NAMES - 1}")
        return values.astype(np.uint8)


def scaled(pictures: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Pictures [N, H, W, C] with a longer side of at most ``side``: means over areas."""
    height, width = pictures.shape[1:3]
    if max(height, width) <= side:
        return pictures
    size = [max(1, round(each * side / max(height, width))) for each in (height, width)]
    flat = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
    small = F.interpolate(flat, size=size, mode="area").round().byte()
    return small.permute(0, 2, 3, 1).numpy()


class TransitionEncoder(nn.Module):
    """h: first observations and goals -> [N, width]; with ``start`` false, goals alone.

    The pair goes in as the first observation and what is different in the goal: the same as both side by
    side, with first weights for which a change is no small difference of large numbers.

    Args:
        seen: what observations are.
        width: of z.
        start: whether the first observation is looked at.
        channels: of convolutions; hidden: of linear layers.
    """

    def __init__(self, seen: Seen, width: int, *, start: bool, channels: int, hidden: int):
        super().__init__()
        self.start, pictures = start, 2 if start else 1
        self.stem: nn.Module | None = None
        if seen.kind == "vectors":
            self.body = MLP(pictures * seen.shape[0], width, hidden=(hidden, hidden))
            return
        self.stem = CellStem(channels) if seen.kind == "cells" else PictureStem(channels)
        self.layers = nn.Sequential(
            orthogonal(nn.Conv2d(pictures * channels + 2, 4 * channels, 1)),
            nn.ReLU(),
            orthogonal(nn.Conv2d(4 * channels, channels, 1)),
            nn.ReLU(),
            orthogonal(nn.Conv2d(channels, channels, 3, padding=1)),
            nn.ReLU(),
        )
        self.body = MLP(2 * channels, width, hidden=(hidden,))

    def forward(self, initial: Tensor, goal: Tensor) -> Tensor:
        """See the class; both [N, ...] as ``Seen.array`` gives them."""
        if self.stem is None:
            return self.body(torch.cat([initial, goal - initial], 1) if self.start else goal)
        goals = self.stem(goal)
        if self.start:
            first = self.stem(initial)
            goals = torch.cat([first, goals - first], 1)
        features = self.layers(with_places(goals))
        total = features.sum((2, 3)) / math.sqrt(features[0, 0].numel())
        return self.body(torch.cat([features.amax((2, 3)), total], 1))


def actor(
    seen: Seen, width: int, outputs: int, *, channels: int, hidden: int, goals: bool = False
) -> nn.Module:
    """pi: observations and z [N, width] of length 1 -> outputs of a head [N, outputs].

    Args:
        seen: what observations are.
        width: of z.
        outputs: of the head.
        channels: of convolutions; hidden: of linear layers.
        goals: whether it looks at goals beside observations, place by place (early concatenation): it then
            takes (obs, z, goal).
    """
    if seen.kind == "cells":
        return CellActor(seen, width, outputs, hidden=hidden, goals=goals)
    if seen.kind == "pictures":
        return PictureActor(seen, width, outputs, channels=channels, hidden=hidden, goals=goals)
    return VectorActor(seen, width, outputs, hidden=hidden, goals=goals)


class VectorActor(nn.Module):
    """See ``actor``: a plain network for vectors [N, size]."""

    def __init__(self, seen: Seen, width: int, outputs: int, *, hidden: int, goals: bool = False):
        super().__init__()
        self.scale = math.sqrt(width)  # entries of about 1, as layers expect
        inputs = (2 if goals else 1) * seen.shape[0] + width
        self.layers = MLP(inputs, outputs, hidden=(hidden, hidden), gain=0.01)

    def forward(self, obs: Tensor, z: Tensor, goal: Tensor | None = None) -> Tensor:
        """See the class."""
        ahead = [] if goal is None else [goal - obs]
        return self.layers(torch.cat([obs, *ahead, z * self.scale], 1))


class PictureActor(nn.Module):
    """See ``actor``: convolutions of stride 2 and two FiLM layers for pictures [N, H, W, 3] of bytes."""

    def __init__(
        self, seen: Seen, width: int, outputs: int, *, channels: int, hidden: int, goals: bool = False
    ):
        super().__init__()
        self.scale = math.sqrt(width)
        self.stem = PictureStem(channels)
        self.beside = orthogonal(nn.Conv2d(2 * channels, channels, 1)) if goals else None
        self.blocks = nn.ModuleList(FiLMBlock(channels, width) for _ in range(2))
        cells = math.ceil(seen.shape[0] / 8) * math.ceil(seen.shape[1] / 8)
        self.head = MLP(cells * channels, outputs, hidden=(hidden,), gain=0.01)

    def forward(self, obs: Tensor, z: Tensor, goal: Tensor | None = None) -> Tensor:
        """See the class."""
        features = self.stem(obs)
        if self.beside is not None and goal is not None:
            features = self.beside(torch.cat([features, self.stem(goal) - features], 1)).relu()
        for block in self.blocks:
            features = block(features, z * self.scale)
        return self.head(features)


class CellActor(nn.Module):
    """See ``actor``: for cells [N, W, H, 3], each read by itself from where the agent stands.

    What a cell is (its names, where it lies, and where it lies as the agent sees it) is a sum of embeddings;
    two layers that z scales and shifts, then the highest of all cells.
    """

    def __init__(
        self, seen: Seen, width: int, outputs: int, *, hidden: int, cell: int = 64, goals: bool = False
    ):
        super().__init__()
        self.scale, (across, down, _) = math.sqrt(width), seen.shape
        self.reach = max(across, down)
        sizes = (CELL_NAMES,) * (6 if goals else 3) + (across, down) + (2 * self.reach - 1,) * 2
        self.embedding = nn.EmbeddingBag(sum(sizes), cell, mode="sum")
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(len(sizes)))
        offsets = np.cumsum((0, *sizes[:-1]))
        self.register_buffer("offsets", torch.tensor(offsets), persistent=False)
        places = torch.stack(torch.meshgrid(torch.arange(across), torch.arange(down), indexing="ij"), -1)
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("ahead", torch.tensor(AHEAD), persistent=False)
        self.layers = nn.ModuleList(orthogonal(nn.Linear(cell, cell)) for _ in range(2))
        self.film = nn.ModuleList(nn.Linear(width, 2 * cell) for _ in range(2))
        self.head = MLP(cell, outputs, hidden=(hidden,), gain=0.01)  # at first it prefers nothing

    offsets: Tensor
    places: Tensor
    ahead: Tensor

    def forward(self, obs: Tensor, z: Tensor, goal: Tensor | None = None) -> Tensor:
        """See the class."""
        names = obs.long()
        ahead = [] if goal is None else [goal.long()]
        places = self.places.expand(len(obs), -1, -1, -1)
        indices = torch.cat([names, *ahead, places, self._relative(names)], -1)
        x = self.embedding((indices + self.offsets).flatten(0, 2))
        x = x.unflatten(0, (len(obs), -1))  # [N, W H, cell]
        for layer, film in zip(self.layers, self.film, strict=True):
            scale, shift = film(z * self.scale)[:, None].chunk(2, -1)
            x = torch.addcmul(shift, 1 + scale, layer(x)).relu()
        return self.head(x.amax(1))

    def _relative(self, names: Tensor) -> Tensor:
        """[N, W, H, 2] how far ahead of the agent a cell lies, and to its right; from 0 on.

        Where there is no agent, as from the first cell looking east.
        """
        is_agent = (names[..., 0] == AGENT).flatten(1)
        at = is_agent.long().argmax(1)
        direction = names[..., 2].flatten(1).gather(1, at[:, None])[:, 0].clamp(0, 3)
        direction = torch.where(is_agent.any(1), direction, 0)
        away = self.places.flatten(0, 1)[None] - self.places.flatten(0, 1)[at][:, None]  # [N, W H, 2]
        ahead = self.ahead[direction][:, None]
        right = torch.stack([-ahead[..., 1], ahead[..., 0]], -1)
        relative = torch.stack([(away * ahead).sum(-1), (away * right).sum(-1)], -1)
        return (relative + self.reach - 1).unflatten(1, self.places.shape[:2])


def with_places(features: Tensor) -> Tensor:
    """Features [N, C, H, W] with where each cell lies as two channels more."""
    count, _, height, width = features.shape
    lines = [torch.linspace(-1, 1, size, device=features.device) for size in (height, width)]
    places = torch.stack(torch.meshgrid(*lines, indexing="ij")).expand(count, -1, -1, -1)
    return torch.cat([features, places], 1)
