"""What a network's outputs say about actions: heads for discrete, continuous and binned actions.

A head turns outputs [N, outputs] into a distribution over actions. The same ones serve imitation (the
negative log-probability of what was done is the loss) and reinforcement learning (draws, log-probabilities,
entropy).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biddable.errors import InputError, said

LOG_STD = (-5.0, 2.0)
"""Bounds of a Gaussian's log standard deviation, in units of half the action's range."""
HeadKind = Literal["auto", "categorical", "gaussian", "binned"]


class Head(Protocol):
    """A distribution over actions for each row of outputs."""

    outputs: int

    def log_prob(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """[N] natural logs of the probability (density) of ``actions``."""

    def entropy(self, outputs: Tensor) -> Tensor:
        """[N] entropies, in nats."""

    def sample(self, outputs: Tensor, rng: np.random.Generator) -> NDArray[Any]:
        """An action for each row, drawn."""

    def mode(self, outputs: Tensor) -> NDArray[Any]:
        """The likeliest action for each row, as an environment takes it."""

    def to_env(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Drawn actions as an environment takes them: none outside its bounds."""

    def settings(self) -> dict[str, Any]:
        """What ``head_of`` makes it anew from, as JSON values."""


class Categorical:
    """One of ``n`` actions; outputs are logits [N, n], actions integers [N]."""

    def __init__(self, n: int):
        self.outputs = n

    def log_prob(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """See ``Head``."""
        return outputs.log_softmax(-1).gather(1, actions[:, None])[:, 0]

    def entropy(self, outputs: Tensor) -> Tensor:
        """See ``Head``."""
        logprobs = outputs.log_softmax(-1)
        return -(logprobs.exp() * logprobs).sum(-1)

    def sample(self, outputs: Tensor, rng: np.random.Generator) -> NDArray[np.int64]:
        """See ``Head``; drawn by exponential races."""
        logits = outputs.detach().cpu().numpy()
        waits = rng.standard_exponential(logits.shape, dtype=np.float32)
        return (logits - np.log(waits)).argmax(1)

    def mode(self, outputs: Tensor) -> NDArray[np.int64]:
        """See ``Head``."""
        return outputs.detach().argmax(1).cpu().numpy()

    def to_env(self, actions: NDArray[Any]) -> NDArray[Any]:
        """See ``Head``."""
        return actions

    def settings(self) -> dict[str, Any]:
        """See ``Head``."""
        return {"kind": "categorical", "n": self.outputs}


class Gaussian:
    """Independent normal numbers; outputs are means and log standard deviations [N, 2 x size].

    They are in units of half the action's range around its middle, so that what a network gives is of the
    size of 1 whatever the environment's units are. A part of an action without bounds is taken as it is.

    Args:
        low, high: [size] bounds of the action.
    """

    def __init__(self, low: Sequence[float], high: Sequence[float]):
        self._low, self._high = _bounds(low, high)
        self.size = len(self._low)
        self.outputs = 2 * self.size
        finite = np.isfinite(self._low) & np.isfinite(self._high)
        with np.errstate(invalid="ignore"):
            self._middle = np.where(finite, (self._low + self._high) / 2, 0.0).astype(np.float32)
            self._half = np.where(finite, (self._high - self._low) / 2, 1.0).astype(np.float32)

    def log_prob(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """See ``Head``; the density is of actions in the environment's units."""
        mean, log_std = self._moments(outputs)
        half = torch.as_tensor(self._half, device=outputs.device)
        away = (
            (actions - torch.as_tensor(self._middle, device=outputs.device)) / half - mean
        ) / log_std.exp()
        return (-0.5 * away.square() - log_std - half.log() - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self, outputs: Tensor) -> Tensor:
        """See ``Head``."""
        _, log_std = self._moments(outputs)
        half = torch.as_tensor(self._half, device=outputs.device)
        return (log_std + half.log() + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    def sample(self, outputs: Tensor, rng: np.random.Generator) -> NDArray[np.float32]:
        """See ``Head``; it may lie outside the bounds."""
        mean, log_std = (part.detach().cpu().numpy() for part in self._moments(outputs))
        noise = rng.standard_normal(mean.shape, dtype=np.float32)
        return self._middle + self._half * (mean + np.exp(log_std) * noise)

    def mode(self, outputs: Tensor) -> NDArray[np.float32]:
        """See ``Head``."""
        mean, _ = self._moments(outputs)
        return self.to_env(self._middle + self._half * mean.detach().cpu().numpy())

    def to_env(self, actions: NDArray[Any]) -> NDArray[np.float32]:
        """See ``Head``."""
        return np.clip(actions, self._low, self._high)

    def settings(self) -> dict[str, Any]:
        """See ``Head``."""
        return {"kind": "gaussian", "low": _listed(self._low), "high": _listed(self._high)}

    def _moments(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = outputs.split(self.size, -1)
        return mean, log_std.clamp(*LOG_STD)


class Binned:
    """Independent numbers, each in one of equally wide bins; outputs are logits [N, size x bins].

    Several ways to do a thing stay apart in it, where a Gaussian would go in between.

    Args:
        low, high: [size] bounds of the action; all finite.
        bins: of each number.
    """

    def __init__(self, low: Sequence[float], high: Sequence[float], bins: int = 21):
        self._low, self._high = _bounds(low, high)
        if not (np.isfinite(self._low).all() and np.isfinite(self._high).all()):
            raise InputError("action bounds", [list(low), list(high)], "finite ones, to cut them into bins")
        if bins < 2:
            raise InputError("bins", bins, "an integer of at least 2")
        self.size, self.bins = len(self._low), bins
        self.outputs = self.size * bins
        self._width = (self._high - self._low) / bins

    def log_prob(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """See ``Head``; of the bins in which the actions lie."""
        low, width = (torch.as_tensor(part, device=outputs.device) for part in (self._low, self._width))
        places = ((actions - low) / width).floor().long().clamp(0, self.bins - 1)  # [N, size]
        logprobs = self._logits(outputs).log_softmax(-1)
        return logprobs.gather(-1, places[..., None])[..., 0].sum(-1)

    def entropy(self, outputs: Tensor) -> Tensor:
        """See ``Head``."""
        logprobs = self._logits(outputs).log_softmax(-1)
        return -(logprobs.exp() * logprobs).sum((-1, -2))

    def sample(self, outputs: Tensor, rng: np.random.Generator) -> NDArray[np.float32]:
        """See ``Head``; the middle of a bin."""
        logits = self._logits(outputs).detach().cpu().numpy()
        waits = rng.standard_exponential(logits.shape, dtype=np.float32)
        return self._middles((logits - np.log(waits)).argmax(-1))

    def mode(self, outputs: Tensor) -> NDArray[np.float32]:
        """See ``Head``; the middle of the likeliest bin."""
        return self._middles(self._logits(outputs).detach().argmax(-1).cpu().numpy())

    def to_env(self, actions: NDArray[Any]) -> NDArray[Any]:
        """See ``Head``."""
        return actions

    def settings(self) -> dict[str, Any]:
        """See ``Head``."""
        return {"kind": "binned", "low": _listed(self._low), "high": _listed(self._high), "bins": self.bins}

    def _logits(self, outputs: Tensor) -> Tensor:
        """[N, size, bins]."""
        return outputs.unflatten(-1, (self.size, self.bins))

    def _middles(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        return (self._low + (places + 0.5) * self._width).astype(np.float32)


def head_for(space: Any, kind: HeadKind = "auto", bins: int = 21) -> Head:
    """The head for an action space of Gymnasium's; ``auto``: categorical if it is discrete, else Gaussian.

    Raises:
        InputError: a space, or a kind of head for it, that is not supported.
    """
    shape = getattr(space, "shape", None)
    if shape == () and hasattr(space, "n"):
        if kind not in ("auto", "categorical") or int(getattr(space, "start", 0)):
            raise InputError("head", kind, f"categorical, for {space} with actions from 0")
        return Categorical(int(space.n))
    if shape is not None and len(shape) == 1 and hasattr(space, "low"):
        if kind == "categorical":
            raise InputError("head", kind, f"gaussian or binned, for {space}")
        return Binned(space.low, space.high, bins) if kind == "binned" else Gaussian(space.low, space.high)
    raise InputError("action space", space, "Discrete, or a Box of one dimension")


def head_of(settings: Mapping[str, Any]) -> Head:
    """The head that ``Head.settings`` describes. Raises InputError: it describes none."""
    try:
        match settings["kind"]:
            case "categorical":
                return Categorical(int(settings["n"]))
            case "gaussian":
                return Gaussian(_numbers(settings["low"]), _numbers(settings["high"]))
            case "binned":
                return Binned(_numbers(settings["low"]), _numbers(settings["high"]), int(settings["bins"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("head", dict(settings), f"kind and sizes of a head: {said(error)}") from None
    raise InputError("head", settings["kind"], "categorical, gaussian or binned")


def imitation_loss(head: Head, outputs: Tensor, actions: Tensor) -> Tensor:
    """Mean negative log-probability of what was done, [] in nats."""
    return -head.log_prob(outputs, actions).mean()


def _listed(bounds: NDArray[np.float32]) -> list[float | None]:
    """Bounds as JSON has them: null for none."""
    return [float(bound) if np.isfinite(bound) else None for bound in bounds]


def _numbers(bounds: Sequence[float | None]) -> list[float]:
    """Bounds as they were; of one that is null its sign does not matter."""
    return [np.nan if bound is None else float(bound) for bound in bounds]


def _bounds(low: Sequence[float], high: Sequence[float]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    ends = [np.array(part, dtype=np.float32) for part in (low, high)]
    for end, missing in zip(ends, (-np.inf, np.inf), strict=True):
        end[np.isnan(end)] = missing
    below, above = ends
    if below.shape != above.shape or below.ndim != 1 or not (below < above).all():
        raise InputError(
            "action bounds", [below.tolist(), above.tolist()], "vectors, each low below its high"
        )
    return below, above
