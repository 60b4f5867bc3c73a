"""Training state on disk: whole or not there, and never mistaken for another training's."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from biddable.errors import FileError, RunError, StorageError
from biddable.train.checkpoint import load_checkpoint, save_checkpoint

MINE = {"lr": 0.1, "data": "abc"}


def trained(steps: int, *, width: int = 3) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """A model with a frozen part, and its optimizer, after so many steps."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Linear(width, 1))
    model[1].bias.requires_grad_(False)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(steps):
        model(torch.randn(5, 4)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def save(folder: Path, steps: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model, optimizer = trained(steps)
    save_checkpoint(folder, model, optimizer, {**MINE, "step": steps}, writes=True)
    return model, optimizer


def test_weights_and_moments_come_back_bit_for_bit(tmp_path: Path) -> None:
    saved, saved_optimizer = save(tmp_path, 3)
    model, optimizer = trained(0)
    assert load_checkpoint(tmp_path, model, optimizer, MINE) == {**MINE, "step": 3}
    for one, other in zip(model.parameters(), saved.parameters(), strict=True):
        assert torch.equal(one, other)
        states = optimizer.state[one], saved_optimizer.state[other]
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_what_is_frozen_is_not_written(tmp_path: Path) -> None:
    save(tmp_path, 1)
    assert set(load_file(tmp_path / "step-000001" / "model.safetensors")) == {
        "0.weight",
        "0.bias",
        "1.weight",
    }


def test_nothing_there_is_no_checkpoint(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "absent", *trained(0), MINE) is None


def test_a_process_that_does_not_write_writes_nothing(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, *trained(1), {"step": 1}, writes=False)
    assert list(tmp_path.iterdir()) == []


def test_only_the_newest_is_kept_and_leftovers_of_a_kill_go(tmp_path: Path) -> None:
    leftover = tmp_path / ".step-000001.0badcafe.biddable-tmp"
    leftover.mkdir()
    (leftover / "model.safetensors").write_bytes(b"half")
    for steps in (1, 2, 10):
        save(tmp_path, steps)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000010"]


def test_of_two_the_one_with_more_steps_counts(tmp_path: Path) -> None:
    """A kill between writing one and removing the other leaves two; more than six digits sort as numbers."""
    save(tmp_path / "a", 1)
    save(tmp_path / "b", 2)
    (tmp_path / "a" / "step-000001").rename(tmp_path / "step-1000000")
    (tmp_path / "b" / "step-000002").rename(tmp_path / "step-999999")
    assert load_checkpoint(tmp_path, *trained(0), MINE) == {**MINE, "step": 1}


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ({**MINE, "lr": 0.2}, "lr is 0.1, now 0.2"),
        ({**MINE, "data": "abd"}, "data is 'abc', now 'abd'"),
        ({**MINE, "beta": 0.1}, "beta is None, now 0.1"),
    ],
)
def test_another_training_is_refused_by_the_name_of_what_differs(tmp_path, expected, problem) -> None:
    save(tmp_path, 1)
    with pytest.raises(RunError) as caught:
        load_checkpoint(tmp_path, *trained(0), expected)
    assert str(caught.value) == f"{tmp_path}/step-000001 is of another training: {problem}"


def test_another_model_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    save(tmp_path, 1)
    model, optimizer = trained(0, width=2)
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(RunError, match=r"step-000001 is of another model: its weights have other names"):
        load_checkpoint(tmp_path, model, optimizer, MINE)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
    assert not optimizer.state


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("length", [None, 0, 5, -3])
def test_a_damaged_file_is_named_and_nothing_is_loaded(tmp_path: Path, name: str, length: int | None) -> None:
    save(tmp_path, 1)
    file = tmp_path / "step-000001" / name
    if length is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:length])
    model, optimizer = trained(0)
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(FileError) as caught:
        load_checkpoint(tmp_path, model, optimizer, MINE)
    assert str(caught.value).startswith(f"{file}:")
    assert "\n" not in str(caught.value)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
    assert not optimizer.state


@contextmanager
def small_disk() -> Iterator[None]:
    """A limit on the size of files is the full disk anybody may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    save(tmp_path, 1)
    model, optimizer = trained(2)
    problem = r"cannot write .*step-000002: .*File too large"
    with small_disk(), pytest.raises(StorageError, match=problem):
        save_checkpoint(tmp_path, model, optimizer, {**MINE, "step": 2}, writes=True)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
    assert json.loads((tmp_path / "step-000001" / "state.json").read_text())["step"] == 1
