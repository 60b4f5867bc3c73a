"""Training state on disk: safetensors and JSON, whole or not there.

A checkpoint is a folder ``step-000120`` with the trained weights, the optimizer's moments and the number
of steps done. Nothing else is state: the order of the data and the schedule follow from the
configuration, and no step draws random numbers. Sharded parameters are written whole, so a run can go
on with another number of processes.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from biddable.errors import FileError, RunError
from biddable.models.weights import storing_weights
from biddable.runs.files import read_json, remove_temporaries, replacing, write_json


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    *,
    writes: bool,
) -> None:
    """Write ``folder/step-…``, then remove the ones before it and what a kill left half-written.

    Args:
        folder: holds the checkpoints of this training and nothing else.
        model: what is trained; frozen parameters are not written.
        optimizer: its optimizer.
        state: JSON values; ``state["step"]`` is the number of steps done.
        writes: whether this process writes. All processes must call, as sharded tensors are gathered.

    Raises:
        StorageError: the disk is full …; the checkpoint before still stands.
    """
    trained = _trained(model)
    weights = {name: _whole(parameter) for name, parameter in trained.items()}
    moments = {
        f"{name}/{key}": _whole(value)
        for name, parameter in trained.items()
        for key, value in optimizer.state[parameter].items()
    }
    if not writes:
        return
    place = folder / f"step-{state['step']:06d}"
    with replacing(place) as work:
        work.mkdir()
        with storing_weights(place):
            save_file(weights, work / "model.safetensors")
            save_file(moments, work / "optimizer.safetensors")
        write_json(work / "state.json", state)
    for older in _checkpoints(folder)[:-1]:
        shutil.rmtree(older)
    remove_temporaries(folder)


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, expected: dict[str, Any]
) -> dict[str, Any] | None:
    """Put the newest checkpoint into ``model`` and ``optimizer``.

    Returns:
        its ``state``, or None where there is no checkpoint yet.

    Raises:
        RunError: it belongs to another training: its state disagrees with ``expected``, or to another model.
        FileError: it cannot be read.
    """
    if not (checkpoints := _checkpoints(folder)):
        return None
    newest = checkpoints[-1]
    state = read_json(newest / "state.json")
    for name, value in expected.items():
        if state.get(name) != value:
            raise RunError(f"{newest} is of another training: {name} is {state.get(name)!r}, now {value!r}")
    weights = _read_tensors(newest / "model.safetensors")
    moments = _read_tensors(newest / "optimizer.safetensors")
    trained = _trained(model)
    if {name: t.shape for name, t in weights.items()} != {name: t.shape for name, t in trained.items()}:
        raise RunError(f"{newest} is of another model: its weights have other names or shapes")
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(_sharded(weights[name], parameter))
    for full_name, value in moments.items():
        name, _, key = full_name.rpartition("/")
        like = trained[name]
        moment = value.to(like.device)
        # The step counter is the one moment that is not shaped, and so not sharded, like its parameter.
        optimizer.state[like][key] = moment if moment.ndim == 0 else _sharded(moment, like)
    return state


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise FileError(path, f"cannot be read as safetensors: {error}") from error


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.glob("step-[0-9]*"), key=lambda path: int(path.name.removeprefix("step-")))


def _whole(tensor: Tensor) -> Tensor:
    """A tensor with all of a sharded one, on the CPU. Gathering is a collective call."""
    whole: Any = tensor.detach()
    if hasattr(whole, "full_tensor"):
        whole = whole.full_tensor()
    return whole.cpu().contiguous()


def _sharded(whole: Tensor, like: Any) -> Tensor:
    """``whole`` spread out as ``like`` is."""
    if not hasattr(like, "placements"):
        return whole
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements)
