"""Imitation: the loop that fits a network to demonstrations, and how far its actions are from what was done.

    for each step: batch(rng) -> loss(batch) -> AdamW, with a warm-up and a cosine

The loop knows neither the network nor the loss: a method brings both as functions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from biddable.errors import BiddableError, FileError, RunError, said
from biddable.models.memory import keep_freed_memory
from biddable.policies.config import ImitationConfig
from biddable.policies.heads import Categorical, Head
from biddable.runs.files import replacing

Batch = TypeVar("Batch")
_FILE = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of it: the losses, as means over some steps each, and the steps at which they end."""

    steps: tuple[int, ...]
    losses: tuple[float, ...]


def fit(
    parameters: nn.Module | Sequence[nn.Module],
    batch: Callable[[np.random.Generator], Batch],
    loss: Callable[[Batch], Tensor],
    config: ImitationConfig,
    *,
    checkpoint_dir: Path | None = None,
    on_step: Callable[[int], object] = lambda step: None,
) -> Fitted:
    """Fit networks, in place; they are left in eval mode.

    The batch and the dropout of a step depend on the seed and the step's number alone, so that a training
    that was killed goes on as it would have.

    Args:
        parameters: the network, or all networks that learn.
        batch: draws a batch; the generator is the step's own.
        loss: its loss, [] in autograd.
        config: see ``ImitationConfig``.
        checkpoint_dir: where checkpoints are kept, twenty in all; an unfinished training goes on from the
        last. on_step: is called with the number of steps done.

    Raises:
        BiddableError: the loss is no longer finite.
        RunError: another training stands in ``checkpoint_dir``.
    """
    networks = nn.ModuleList([parameters] if isinstance(parameters, nn.Module) else list(parameters))
    trained = [parameter for parameter in networks.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    if all(parameter.device.type == "cpu" for parameter in trained):
        keep_freed_memory()  # activations of pictures have the same sizes at every step
    every = max(1, config.steps // 20)
    state = _Progress([], [], 0, 0.0)
    path = None if checkpoint_dir is None else checkpoint_dir / _FILE
    if path is not None and path.exists():
        state = _resume(path, networks, optimizer, config)
    networks.train()
    with torch.random.fork_rng(devices=[]):
        while state.step < config.steps:
            _seed(config.seed * 1_000_003 + state.step)
            optimizer.param_groups[0]["lr"] = config.lr_at(state.step)
            value = loss(batch(np.random.default_rng([config.seed, state.step])))
            if not torch.isfinite(value):
                raise BiddableError(f"the loss is no longer finite after {state.step} steps; lower lr")
            optimizer.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_(trained, config.max_grad_norm)
            optimizer.step()
            state.count(value.item())
            if state.step % every == 0 or state.step == config.steps:
                state.close()
                if path is not None:
                    _save(path, networks, optimizer, config, state)
            on_step(state.step)
    networks.eval()
    return Fitted(tuple(state.steps), tuple(state.losses))


def _seed(seed: int) -> None:
    """``torch.manual_seed`` for the devices in use; for others it formats the stack at every call."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


def action_error(head: Head, outputs: Tensor, actions: Tensor) -> NDArray[np.float64]:
    """[N] how far the likeliest actions are from what was done.

    Of discrete actions 1 where it is another, else 0; of continuous ones the mean square of the difference
    over the parts of an action, in the environment's units.
    """
    likeliest, done = head.mode(outputs), actions.cpu().numpy()
    if isinstance(head, Categorical):
        return (likeliest != done).astype(np.float64)
    return np.square(likeliest - done).mean(-1).astype(np.float64)


@dataclass(slots=True)
class _Progress:
    """Losses so far: closed means, and the sum since the last."""

    steps: list[int]
    losses: list[float]
    step: int
    total: float

    def count(self, loss: float) -> None:
        self.step += 1
        self.total += loss

    def close(self) -> None:
        since = self.step - (self.steps[-1] if self.steps else 0)
        if since:
            self.steps.append(self.step)
            self.losses.append(self.total / since)
            self.total = 0.0


def _save(path: Path, networks: nn.Module, optimizer: Any, config: ImitationConfig, state: _Progress) -> None:
    """Write weights, moments and progress, whole or not at all."""
    moments = {
        f"{name}.{i}": value
        for i, each in optimizer.state_dict()["state"].items()
        for name, value in each.items()
    }
    tensors = {**{f"weight.{name}": value for name, value in networks.state_dict().items()}, **moments}
    progress = {"steps": state.steps, "losses": state.losses, "config": _identity(config)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        whole = {name: value.contiguous().clone() for name, value in tensors.items()}
        save_file(whole, temporary, metadata={"progress": json.dumps(progress)})


def _resume(path: Path, networks: nn.Module, optimizer: Any, config: ImitationConfig) -> _Progress:
    try:
        with safe_open(path, "pt") as file:
            progress = json.loads(file.metadata()["progress"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # whatever safetensors raises for a file cut short
        raise FileError(path, f"no checkpoint: {said(error)}") from error
    if progress["config"] != _identity(config):
        raise RunError(f"{path.parent}: holds a training with other settings; use another folder")
    weights = {name[7:]: value for name, value in tensors.items() if name.startswith("weight.")}
    networks.load_state_dict(weights)
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if not name.startswith("weight."):
            moment, _, i = name.rpartition(".")
            state.setdefault(int(i), {})[moment] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return _Progress(progress["steps"], progress["losses"], progress["steps"][-1], 0.0)


def _identity(config: ImitationConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}
