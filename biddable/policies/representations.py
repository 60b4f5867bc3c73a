"""Representations of pictures for imitation: five objectives to pre-train an encoder by, and the encoder.

An encoder phi is learned from demonstrations of many tasks whose context (which task it is) nobody says, then
frozen; a small network over its features learns a new task from a few demonstrations (``policies.pixels``).

Source: Brandfonbrener et al. 2023 (arXiv 2305.16985), whose symbols are kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from biddable.errors import FileError, InputError, said
from biddable.policies.batches import Demonstrations
from biddable.policies.config import OBJECTIVES, ImitationConfig, Objective
from biddable.policies.contrastive import info_nce
from biddable.policies.encoders import ConvEncoder, pictures, random_crop
from biddable.policies.heads import Categorical, Gaussian, Head
from biddable.policies.imitation import Fitted, fit
from biddable.runs.files import read_json, replacing, write_json
from biddable.runs.folder import artifact_of

LATENT, HIDDEN, DROPOUT = 64, 256, 0.1
_ABOUT, _WEIGHTS = "encoder.json", "encoder.safetensors"


# -- the objectives; B pairs (o_t, a_t, o_t+n), z = phi(o) [B, latent] ---------------------------------------


def inverse_dynamics(f: nn.Module, head: Head, z: Tensor, z_next: Tensor, a: Tensor) -> Tensor:
    """[] E || f([phi(o_t), phi(o_t+n)]) - a_t ||^2."""
    return action_loss(head, f(torch.cat([z, z_next], -1)), a)


def behaviour_cloning(f: nn.Module, head: Head, z: Tensor, a: Tensor) -> Tensor:
    """[] E || f(phi(o_t)) - a_t ||^2."""
    return action_loss(head, f(z), a)


def forward_explicit(decoder: nn.Module, z: Tensor, e: Tensor, o_next: Tensor) -> Tensor:
    """[] E || decoder(phi(o_t), e(a_t)) - o_t+n ||^2, of bytes o_next [B, H, W, C] taken from -0.5 to 0.5."""
    return (decoder(torch.cat([z, e], -1)) - pictures(o_next)).square().mean()


def forward_implicit(
    project: nn.Module, project_next: nn.Module, z: Tensor, e: Tensor, z_next: Tensor
) -> Tensor:
    """[] -log softmax of cos(proj([phi(o_t), e(a_t)]), proj(phi(o_t+n))) among the batch's next pictures."""
    return info_nce(project(torch.cat([z, e], -1)), project_next(z_next), 1.0, both=False)


def static_contrastive(project: nn.Module, z: Tensor, z_other: Tensor) -> Tensor:
    """[] the same without actions and time: two crops of one picture belong together (as in SimCLR)."""
    return info_nce(project(z), project(z_other), 1.0, both=False)


# -- actions -------------------------------------------------------------------------------------------------


def action_vectors(head: Head, actions: Tensor) -> Tensor:
    """Actions as [N, A] numbers from -1 to 1 of their ranges; of choices, zeros with a one."""
    if isinstance(head, Categorical):
        return F.one_hot(actions.long(), head.outputs).float()
    bounds = head.settings()
    low, high = (torch.tensor(bounds[name], device=actions.device) for name in ("low", "high"))
    return (actions - low) / (high - low) * 2 - 1


def action_loss(head: Head, outputs: Tensor, actions: Tensor) -> Tensor:
    """[] mean squared error in units of half the range; of choices the mean negative log-probability."""
    if isinstance(head, Categorical):
        return -head.log_prob(outputs, actions).mean()
    vectors = action_vectors(head, actions)
    return (outputs[:, : vectors.shape[1]] - vectors).square().mean()


class ActionNetwork(nn.Module):
    """Features [N, inputs] -> the head's outputs: two hidden layers with GELU and dropout.

    Means are brought within the actions' range by tanh; their deviation is not learned.
    """

    def __init__(self, inputs: int, head: Categorical | Gaussian):
        super().__init__()
        self._means = isinstance(head, Gaussian)
        size = head.size if isinstance(head, Gaussian) else head.outputs
        self.layers = perceptron(inputs, size)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        outputs = self.layers(x)
        return torch.cat([outputs.tanh(), torch.zeros_like(outputs)], -1) if self._means else outputs


def perceptron(inputs: int, outputs: int) -> nn.Sequential:
    """Two hidden layers with GELU and dropout."""
    layers: list[nn.Module] = []
    for width in (inputs, HIDDEN):
        layers += [nn.Linear(width, HIDDEN), nn.GELU(), nn.Dropout(DROPOUT)]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, outputs))


class Decoder(nn.Module):
    """Vectors [N, inputs] -> pictures [N, C, H, W], numbers around 0."""

    def __init__(self, inputs: int, shape: tuple[int, int, int]):
        super().__init__()
        self.height, self.width, channels = shape
        self._grid = (-(-self.height // 8), -(-self.width // 8))
        self.first = nn.Linear(inputs, 64 * self._grid[0] * self._grid[1])
        layers: list[nn.Module] = []
        for wide, narrow in ((64, 32), (32, 16), (16, channels)):
            layers += [nn.GELU(), nn.ConvTranspose2d(wide, narrow, 4, 2, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """See the class; what the last layers draw beyond the picture is cut off."""
        grid = self.first(x).view(-1, 64, *self._grid)
        return self.layers(grid)[:, :, : self.height, : self.width]


# -- pre-training --------------------------------------------------------------------------------------------


class Pretraining(nn.Module):
    """An encoder with what its objective puts on top, which is thrown away afterwards.

    Args:
        objective: which.
        shape: of a picture: height, width, channels.
        head: of the actions.
        crop: by how many pixels pictures are moved at random.
    """

    def __init__(
        self, objective: Objective, shape: tuple[int, int, int], head: Categorical | Gaussian, crop: int = 2
    ):
        super().__init__()
        self.objective, self.head, self.crop = objective, head, crop
        self.encoder = ConvEncoder(shape[2], LATENT)
        actions = head.size if isinstance(head, Gaussian) else head.outputs
        if objective == "inverse-dynamics":
            self.f = ActionNetwork(2 * LATENT, head)
        elif objective == "behaviour-cloning":
            self.f = ActionNetwork(LATENT, head)
        elif objective in ("forward-explicit", "forward-implicit"):
            self.e = nn.Linear(actions, LATENT)
        if objective == "forward-explicit":
            self.decoder = Decoder(2 * LATENT, shape)
        elif objective == "forward-implicit":
            self.project, self.project_next = perceptron(2 * LATENT, LATENT), perceptron(LATENT, LATENT)
        elif objective == "static-contrastive":
            self.project = perceptron(LATENT, LATENT)

    def loss(self, o: Tensor, o_next: Tensor, a: Tensor, generator: torch.Generator) -> Tensor:
        """[] the objective's loss of bytes o, o_next [B, H, W, C] and actions a [B, ...].

        The two pictures of an inverse dynamics pair are moved alike: a step moves what is in them by about
        as much as a crop does.
        """
        head, device = self.head, next(self.parameters()).device
        a = a.to(device)

        def phi(images: Tensor) -> Tensor:
            return self.encoder(images.to(device))

        def cropped(images: Tensor) -> Tensor:
            return random_crop(images, self.crop, generator)

        match self.objective:
            case "inverse-dynamics":
                first, second = cropped(torch.cat([o, o_next], -1)).chunk(2, -1)
                return inverse_dynamics(self.f, head, phi(first), phi(second), a)
            case "behaviour-cloning":
                return behaviour_cloning(self.f, head, phi(cropped(o)), a)
            case "forward-explicit":
                return forward_explicit(
                    self.decoder, phi(o), self.e(action_vectors(head, a)), o_next.to(device)
                )
            case "forward-implicit":
                e = self.e(action_vectors(head, a))
                return forward_implicit(
                    self.project, self.project_next, phi(cropped(o)), e, phi(cropped(o_next))
                )
        return static_contrastive(self.project, phi(cropped(o)), phi(cropped(o)))


def new_encoder(seed: int) -> ConvEncoder:
    """An encoder of colour pictures that has learned nothing; the seed decides its weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ConvEncoder(3, LATENT)


def pretrain(
    objective: Objective,
    demos: Demonstrations,
    part: str,
    head: Categorical | Gaussian,
    config: ImitationConfig,
    *,
    nstep: int = 1,
    crop: int = 2,
    checkpoint_dir: Path | None = None,
) -> tuple[ConvEncoder, Fitted]:
    """The encoder that an objective makes of demonstrations, whose instructions are not looked at.

    Args:
        objective: one of ``OBJECTIVES``.
        demos: with pictures of bytes [H, W, C].
        part: which part of the observations they are.
        head: of the actions.
        config: how it is fitted; its seed decides the first weights too.
        nstep: how many steps lie between the two pictures of a pair; pairs beyond an end are left out.
        crop: see ``Pretraining``.
        checkpoint_dir: see ``imitation.fit``.

    Raises:
        InputError: an unknown objective, no episode of ``nstep`` actions, or a batch of one where pictures
            of a batch are told apart.
    """
    if objective not in OBJECTIVES:
        raise InputError("objective", objective, f"one of {', '.join(OBJECTIVES)}")
    if config.batch_size < 2 and objective in ("forward-implicit", "static-contrastive"):
        raise InputError("batch_size", config.batch_size, f"at least 2, for {objective}")
    rows = np.flatnonzero(demos.row + nstep <= demos.last[demos.episode])
    if not len(rows):
        raise InputError("nstep", nstep, f"at most {int(demos.lengths.max())}, the longest episode's actions")
    images, actions = torch.from_numpy(demos.observations[part]), torch.from_numpy(demos.actions)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        height, width, channels = images.shape[1:]
        network = Pretraining(objective, (height, width, channels), head, crop)
    network.to("cuda" if torch.cuda.is_available() else "cpu")

    def batch(rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, torch.Generator]:
        chosen = rng.choice(rows, config.batch_size)
        at = torch.from_numpy(demos.row[chosen])
        crops = torch.Generator().manual_seed(int(rng.integers(2**31)))
        return images[at], images[at + nstep], actions[chosen], crops

    came = fit(network, batch, lambda drawn: network.loss(*drawn), config, checkpoint_dir=checkpoint_dir)
    return network.encoder.cpu(), came


# -- the encoder as an artifact ------------------------------------------------------------------------------


def save_encoder(folder: Path, encoder: ConvEncoder, **facts: Any) -> None:
    """Write an encoder's folder, whole or not at all; ``facts`` are kept beside it."""
    with replacing(folder) as temporary:
        temporary.mkdir()
        save_file(
            {name: each.contiguous() for name, each in encoder.state_dict().items()}, temporary / _WEIGHTS
        )
        about = {"channels": encoder.channels, "latent": encoder.latent, **facts}
        write_json(temporary / _ABOUT, about)


def load_encoder(path: str | Path) -> ConvEncoder:
    """The encoder of a run, or of an encoder's folder: bytes [N, H, W, C] -> [N, latent]; frozen.

    Raises:
        FileError: there is none, or one that cannot be read.
    """
    folder = artifact_of(path, "encoder")
    if not (folder / _ABOUT).is_file():
        raise FileError(folder, f"holds no encoder: it has no {_ABOUT}")
    about = read_json(folder / _ABOUT)
    try:
        encoder = ConvEncoder(int(about["channels"]), int(about["latent"]))
        encoder.load_state_dict(load_file(folder / _WEIGHTS))
    except Exception as error:  # whatever safetensors and torch raise for weights of another shape
        raise FileError(folder, f"no encoder: {said(error)}") from error
    return encoder.requires_grad_(False).eval()
