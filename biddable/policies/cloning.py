"""Behaviour cloning with an ensemble: several small networks that learn the same demonstrations.

The members differ in their initial weights and in the order of the data, so they disagree on states that the
demonstrations do not cover. They are computed together: the first axis of every weight is the member.

``clone_choices`` is for discrete actions and networks of any kind, one at a time.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from biddable.errors import BiddableError, FileError, InputError
from biddable.policies.checks import above_zero, at_least_one
from biddable.policies.vec_env import Features

Array = NDArray[np.float32]

_NOT_FINITE = "errors on the validation share were never finite: nothing was learned; lower lr"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloningConfig:
    """How an ensemble is trained."""

    members: int = 5
    """Networks in the ensemble; at least 2, for their disagreement."""
    hidden: int = 256
    """Width of the two hidden layers."""
    dropout: float = 0.0
    """Share of hidden units left out while training."""
    lr: float = 1e-3
    """Adam's learning rate."""
    epochs: int = 50
    """Passes over the data; the weights of the one that is best on the validation share are kept."""
    batch_size: int = 128
    """Pairs of state and action in a step."""
    validation: float = 0.1
    """Share of the pairs that is not trained on."""

    def __post_init__(self) -> None:
        if self.members < 2:
            raise InputError("members", self.members, "at least 2: one network cannot say what is new to it")
        at_least_one(self, "hidden", "epochs", "batch_size")
        for name in ("dropout", "validation"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(name, getattr(self, name), "a share of at least 0 and below 1")
        above_zero(self, "lr")


class Ensemble:
    """Deterministic networks from states to actions; get one with ``clone`` or ``Ensemble.load``.

    Each is linear, LayerNorm, ReLU, twice over, then linear and tanh (the paper's 3-layer MLP), whose range
    is stretched to the actions' bounds.

    Attributes:
        weights: every parameter, with the member as its first axis.
        mean, std: [state size] what states are standardised by.
        low, high: [action size] bounds of the actions.
    """

    def __init__(self, weights: dict[str, Tensor], mean: Tensor, std: Tensor, low: Tensor, high: Tensor):
        self.weights, self.mean, self.std, self.low, self.high = weights, mean, std, low, high

    def predictions(self, states: Array) -> Array:
        """The action of each member: [members, N, action size] for ``states`` [N, state size].

        Raises:
            InputError: states of another size than those it learned from.
        """
        inputs = torch.as_tensor(np.asarray(states, dtype=np.float32))
        if inputs.ndim != 2 or inputs.shape[1] != len(self.mean):
            raise InputError("states", tuple(inputs.shape), f"[N, {len(self.mean)}], as it was trained on")
        with torch.inference_mode():
            scaled = self._forward(inputs.expand(len(self.weights["in.weight"]), -1, -1), 0.0)
            return ((self.low + self.high) / 2 + (self.high - self.low) / 2 * scaled).numpy()

    def act(self, observations: Sequence[dict[str, Any]]) -> list[Array]:
        """The mean of the members' actions. See ``Policy.act``; of an observation only ``state`` is used."""
        return list(self.predictions(np.stack([obs["state"] for obs in observations])).mean(0))

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        bounds = {"low": self.low, "high": self.high}
        save_file({**self.weights, "mean": self.mean, "std": self.std, **bounds}, path)

    @classmethod
    def load(cls, path: Path) -> Ensemble:
        """Read an ensemble. Raises FileError: the file is damaged or holds something else."""
        try:
            weights = load_file(path)
            parts = [weights.pop(name) for name in ("mean", "std", "low", "high")]
        except Exception as error:  # whatever safetensors raises for a file cut short
            raise FileError(path, f"no ensemble: {error}") from error
        return cls(weights, *parts)

    def _forward(self, states: Tensor, dropout: float) -> Tensor:
        """[members, N, action size] from -1 to 1 for [members, N, state size]."""
        x = (states - self.mean) / self.std
        for layer in ("in", "mid"):
            x = self._linear(layer, x)
            x = F.layer_norm(x, x.shape[-1:])
            x = torch.addcmul(self.weights[f"{layer}.shift"], x, self.weights[f"{layer}.gain"])
            x = F.dropout(F.relu(x), dropout, training=dropout > 0)
        return self._linear("out", x).tanh()

    def _linear(self, layer: str, x: Tensor) -> Tensor:
        return torch.baddbmm(self.weights[f"{layer}.bias"], x, self.weights[f"{layer}.weight"])


def clone(
    states: Array,
    actions: Array,
    config: CloningConfig,
    seed: int,
    *,
    bounds: tuple[Array, Array] | None = None,
) -> Ensemble:
    """Train an ensemble, from scratch, on ``actions`` [N, action size] taken in ``states`` [N, state size].

    Args:
        states, actions: see above.
        config: see ``CloningConfig``.
        seed: decides weights, the validation share and the order of the data.
        bounds: low and high of each part of an action, as the action space has them. Without them -1 and 1,
            or, where actions lie outside, the lowest and highest of each part.

    Raises:
        InputError: nothing to learn from, states or actions that are no vectors, unequal lengths, a number
            that is not finite, or an action out of bounds.
        BiddableError: errors are never finite.
    """
    check_pairs(states, actions)
    for name, values in (("states", states), ("actions", actions)):
        if np.ndim(values) != 2:
            other = "; clone_choices is for discrete actions" if name == "actions" else ""
            raise InputError(
                name, f"an array of shape {list(np.shape(values))}", f"vectors, [N, size]{other}"
            )
    low, high = _bounds(actions, bounds)
    if len(states) < 2:
        raise InputError("states", f"{len(states)} pairs", "at least 2 pairs of state and action")
    scaled = (np.asarray(actions, dtype=np.float32) - (low + high) / 2) / ((high - low) / 2)
    inputs, targets = (torch.as_tensor(np.asarray(x, dtype=np.float32)) for x in (states, scaled))
    generator = torch.Generator().manual_seed(seed)
    weights = _fresh(config, inputs.shape[1], targets.shape[1], generator)
    # A constant state is scaled by 1: dividing by its spread would magnify later deviations.
    spread = inputs.std(0)
    scale = torch.where(spread > 1e-6, spread, 1.0)
    ensemble = Ensemble(weights, inputs.mean(0), scale, torch.from_numpy(low), torch.from_numpy(high))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        _train(ensemble, inputs, targets, config, generator)
    return ensemble


def check_pairs(states: Array, actions: Array) -> None:
    """Raise InputError unless states and actions belong together and are numbers."""
    if len(states) != len(actions):
        raise InputError("actions", f"{len(actions)} actions", f"{len(states)}, one for each state")
    if not len(states):
        raise InputError("states", "no states", "at least one")
    for name, values in (("states", states), ("actions", actions)):
        if not np.isfinite(values).all():
            raise InputError(name, "a number that is not finite", "finite numbers")


def _bounds(actions: Array, bounds: tuple[Array, Array] | None) -> tuple[Array, Array]:
    """Low and high of each part of an action, [action size] each; see ``clone``."""
    if bounds is None:
        ones = np.ones(actions.shape[1:], dtype=np.float32)
        if (np.abs(actions) <= 1).all():
            return -ones, ones
        low, high = (np.asarray(end, dtype=np.float32) for end in (actions.min(0), actions.max(0)))
        return low, np.where(high > low, high, low + 1)  # of a part that never changes
    low, high = (np.asarray(end, dtype=np.float32) for end in bounds)
    if low.shape != actions.shape[1:] or high.shape != low.shape or not (low < high).all():
        expected = f"two vectors of {actions.shape[1:]}, each low below its high"
        raise InputError("bounds", [low.tolist(), high.tolist()], expected)
    outside = (actions < low - 1e-6) | (actions > high + 1e-6)
    if outside.any():
        row = int(outside.any(-1).argmax())
        raise InputError(
            f"actions[{row}]", np.asarray(actions[row]).tolist(), f"from {low.tolist()} to {high.tolist()}"
        )
    return low, high


def _fresh(config: CloningConfig, inputs: int, outputs: int, generator: torch.Generator) -> dict[str, Tensor]:
    sizes = {
        "in": (inputs, config.hidden),
        "mid": (config.hidden, config.hidden),
        "out": (config.hidden, outputs),
    }
    weights = {}
    for layer, (fan_in, fan_out) in sizes.items():
        bound = 1 / math.sqrt(fan_in)
        for name, size in (("weight", (fan_in, fan_out)), ("bias", (1, fan_out))):
            shape = (config.members, *size)
            weights[f"{layer}.{name}"] = (torch.rand(shape, generator=generator) * 2 - 1) * bound
        if layer != "out":
            weights[f"{layer}.gain"] = torch.ones(config.members, 1, fan_out)
            weights[f"{layer}.shift"] = torch.zeros(config.members, 1, fan_out)
    return weights


def _train(
    ensemble: Ensemble, states: Tensor, actions: Tensor, config: CloningConfig, generator: torch.Generator
) -> None:
    """Leave in ``ensemble`` each member's weights of its best epoch."""
    members = config.members
    validation, training = _split(len(states), config.validation, generator)
    parameters = list(ensemble.weights.values())
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.Adam(parameters, lr=config.lr, fused=True)
    best = [parameter.detach().clone() for parameter in parameters]
    lowest = torch.full((members,), torch.inf)
    for _ in range(config.epochs):
        shuffled = torch.stack(
            [training[torch.randperm(len(training), generator=generator)] for _ in range(members)]
        )
        for batch in shuffled.split(config.batch_size, 1):
            error = (ensemble._forward(states[batch], config.dropout) - actions[batch]).square()
            optimizer.zero_grad()
            error.mean((1, 2)).sum().backward()
            optimizer.step()
        with torch.no_grad():
            predicted = ensemble._forward(states[validation].expand(members, -1, -1), 0.0)
            loss = (predicted - actions[validation]).square().mean((1, 2))
            better = loss < lowest
            lowest = torch.where(better, loss, lowest)
            for kept, parameter in zip(best, parameters, strict=True):
                kept[better] = parameter[better]
    if not torch.isfinite(lowest).all():
        raise BiddableError(_NOT_FINITE)
    ensemble.weights = dict(zip(ensemble.weights, best, strict=True))


def clone_choices(
    network: nn.Module,
    obs: Sequence[NDArray[Any]],
    actions: NDArray[np.int64],
    config: CloningConfig,
    seed: int,
) -> float:
    """Train a network of any kind, from its current weights, to predict discrete ``actions``.

    Args:
        network: gives logits [N, actions] for the arrays of ``obs``; it is left in eval mode, with the
            weights of the epoch that was best on the validation share.
        obs: features [N, ...] of the observations.
        actions: [N] from 0.
        config: ``members``, ``hidden`` and ``dropout`` are the ensemble's and not used.
        seed: decides the validation share and the order of the data.

    Returns:
        accuracy on the validation pairs, from 0 to 1.

    Raises:
        InputError: fewer than 2 pairs, unequal lengths, an observation that is not finite, or an action that
            the network has not.
        BiddableError: errors are never finite.
    """
    for part in obs:
        if len(part) != len(actions):
            raise InputError("obs", f"{len(part)} observations", f"{len(actions)}, one for each action")
        if not np.isfinite(part).all():
            raise InputError("obs", "a number that is not finite", "finite numbers")
    if len(actions) < 2:
        raise InputError("actions", f"{len(actions)} actions", "at least 2")
    if np.ndim(actions) != 1 or np.asarray(actions).dtype.kind not in "iu":
        shown = f"{np.asarray(actions).dtype} of shape {list(np.shape(actions))}"
        raise InputError("actions", shown, "integers, [N]; clone is for vectors")
    inputs = [torch.as_tensor(part) for part in obs]
    labels = torch.as_tensor(actions, dtype=torch.long)
    generator = torch.Generator().manual_seed(seed)
    validation, training = _split(len(actions), config.validation, generator)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr, fused=True)
    network.eval()
    with torch.no_grad():
        count = network(*(part[:1] for part in inputs)).shape[1]
    if not 0 <= int(labels.min()) <= int(labels.max()) < count:
        outside = int(labels.min()) if labels.min() < 0 else int(labels.max())
        raise InputError("actions", outside, f"from 0 to {count - 1}, as the network has them")
    best, lowest, agreement = copy.deepcopy(network.state_dict()), math.inf, 0.0
    for _ in range(config.epochs):
        network.train()
        for batch in training[torch.randperm(len(training), generator=generator)].split(config.batch_size):
            optimizer.zero_grad()
            F.cross_entropy(network(*(part[batch] for part in inputs)), labels[batch]).backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            logits = torch.cat(
                [network(*(part[batch] for part in inputs)) for batch in validation.split(config.batch_size)]
            )
        loss = F.cross_entropy(logits, labels[validation]).item()
        if loss < lowest:
            best, lowest = copy.deepcopy(network.state_dict()), loss
            agreement = (logits.argmax(1) == labels[validation]).float().mean().item()
    if not math.isfinite(lowest):
        raise BiddableError(_NOT_FINITE)
    network.load_state_dict(best)
    return agreement


class GreedyPolicy:
    """A network as a policy that takes the action with the highest logit or value.

    Args:
        network: gives logits or values [N, actions].
        features: the network's inputs of an observation.
    """

    def __init__(self, network: nn.Module, features: Features):
        self._network, self._features = network.eval(), features

    @torch.no_grad()
    def act(self, observations: Sequence[dict[str, Any]]) -> list[int]:
        """See ``Policy.act``."""
        parts = zip(*map(self._features, observations), strict=True)
        return self._network(*(torch.as_tensor(np.stack(part)) for part in parts)).argmax(1).tolist()


def _split(count: int, validation: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Places of the validation pairs and of the training pairs, at least one each."""
    held_out = min(max(1, round(validation * count)), count - 1)
    order = torch.randperm(count, generator=generator)
    return order[:held_out], order[held_out:]
