"""A policy from pictures: a frozen encoder, and a small network over its features that learns from a few
demonstrations.

Source: Brandfonbrener et al. 2023 (arXiv 2305.16985).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from biddable.errors import InputError
from biddable.policies.batches import Demonstrations
from biddable.policies.config import ImitationConfig
from biddable.policies.encoders import ConvEncoder, random_crop
from biddable.policies.goal_networks import scaled
from biddable.policies.heads import Categorical, Gaussian, head_of
from biddable.policies.imitation import fit
from biddable.policies.representations import LATENT, ActionNetwork, behaviour_cloning

BATCH = 512
"""Pictures that are encoded at once."""


@torch.no_grad()
def features(encoder: nn.Module, observations: Tensor) -> Tensor:
    """[N, latent] of all observations."""
    return torch.cat([encoder.eval()(part) for part in observations.split(BATCH)])


class Standardise(nn.Module):
    """Takes the place of an encoder where the true state [N, S] is at hand.

    Args:
        states: whose means and deviations are taken.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, states: Tensor):
        super().__init__()
        self.latent = states.shape[1]
        self.register_buffer("mean", states.mean(0))
        self.register_buffer("deviation", states.std(0, unbiased=False).clamp(min=1e-6))

    def forward(self, states: Tensor) -> Tensor:
        """See the class."""
        return (states - self.mean) / self.deviation


def seen_as(observation: Mapping[str, Any], part: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """A part of an observation as an array of this shape; larger pictures are scaled down to it.

    Raises:
        InputError: no such part, or one of another shape, or pictures that are no bytes.
    """
    if part not in observation:
        raise InputError("observation", sorted(observation), f"one with the part {part!r}")
    array = np.asarray(observation[part])
    if array.dtype == np.uint8 and array.ndim == 3:
        array = scaled(array[None], max(shape[:2]))[0]
    if array.shape != shape or (len(shape) == 3 and array.dtype != np.uint8):
        expected = f"{list(shape)}{', of bytes,' if len(shape) == 3 else ','} as it was trained on"
        raise InputError(part, f"{array.dtype} {list(array.shape)}", expected)
    return array


class PixelPolicy:
    """Takes the likeliest action for a picture.

    Args:
        encoder: see ``ConvEncoder``.
        network: from its features to the head's outputs.
        head: what they say about actions.
        part: of the observation that is looked at.
        shape: of its pictures: height, width, channels; larger ones are scaled down to it.
    """

    kind: ClassVar[str] = "pixels"

    def __init__(
        self,
        encoder: nn.Module,
        network: ActionNetwork,
        head: Categorical | Gaussian,
        part: str,
        shape: Sequence[int],
    ):
        self.encoder, self.network, self.head = encoder.eval(), network.eval(), head
        self.part, self.shape = part, tuple(shape)

    @torch.no_grad()
    def outputs(self, observations: Tensor) -> Tensor:
        """The head's outputs for the parts [N, ...] of observations."""
        return self.network(features(self.encoder, observations.to(_device_of(self.network)))).cpu()

    def act(self, observations: Sequence[Mapping[str, Any]]) -> list[Any]:
        """See ``Policy.act``. Raises InputError: no such part, or pictures of another shape."""
        arrays = [seen_as(observation, self.part, self.shape) for observation in observations]
        actions = self.head.mode(self.outputs(torch.from_numpy(np.stack(arrays))))
        return actions.tolist() if actions.ndim == 1 else list(actions)

    def settings(self) -> dict[str, Any]:
        """See ``SavablePolicy``."""
        return {"head": self.head.settings(), "part": self.part, "shape": list(self.shape)}

    def tensors(self) -> dict[str, Tensor]:
        """See ``SavablePolicy``."""
        return nn.ModuleDict({"encoder": self.encoder, "network": self.network}).state_dict()

    @classmethod
    def restored(cls, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        """See ``SavablePolicy``."""
        head, shape = head_of(settings["head"]), [int(size) for size in settings["shape"]]
        if not isinstance(head, Categorical | Gaussian):
            raise InputError("head", settings["head"], "categorical or gaussian")
        encoder, network = ConvEncoder(shape[2], LATENT), ActionNetwork(LATENT, head)
        nn.ModuleDict({"encoder": encoder, "network": network}).load_state_dict(dict(tensors))
        return cls(encoder, network, head, str(settings["part"]), shape)


def few_shot(
    encoder: nn.Module | None,
    demos: Demonstrations,
    part: str,
    head: Categorical | Gaussian,
    config: ImitationConfig,
    *,
    crop: int = 2,
) -> PixelPolicy:
    """The policy that imitates a few demonstrations, fitted and left on the encoder's device.

    Args:
        encoder: frozen; None learns one along with the policy, from pictures that are moved at random.
        demos: of one task.
        part: of the observations that the encoder takes.
        head: of the actions.
        config: how it is fitted; its seed decides the first weights too.
        crop: by how many pixels pictures are moved, without an encoder.
    """
    device = torch.device("cpu") if encoder is None else _device_of(encoder)
    seen, actions = torch.from_numpy(demos.observations[part]), torch.from_numpy(demos.actions).to(device)
    rows = torch.from_numpy(demos.row).to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        phi = encoder or ConvEncoder(seen.shape[-1], LATENT)
        network = ActionNetwork(getattr(phi, "latent", LATENT), head).to(device)
    inputs = seen[rows] if encoder is None else features(encoder, seen.to(device))[rows]

    def batch(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.from_numpy(rng.integers(len(actions), size=config.batch_size)).to(device)
        if encoder is not None:
            return inputs[chosen], actions[chosen]
        crops = torch.Generator().manual_seed(int(rng.integers(2**31)))
        return random_crop(inputs[chosen], crop, crops), actions[chosen]

    def loss(drawn: tuple[Tensor, Tensor]) -> Tensor:
        x, a = drawn
        return behaviour_cloning(network, head, phi(x) if encoder is None else x, a)

    fit([network] if encoder is not None else [phi, network], batch, loss, config)
    return PixelPolicy(phi, network, head, part, tuple(seen.shape[1:]))


def _device_of(network: nn.Module) -> torch.device:
    """Where a network's numbers are; of one without any the CPU."""
    numbers = chain(network.parameters(), network.buffers())
    return next((each.device for each in numbers), torch.device("cpu"))
