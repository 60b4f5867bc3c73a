"""Two processes that train together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from biddable.train.config import TrainConfig
from biddable.train.learner import Batch, Learner
from biddable.train.sft import sft_objective

from .tiny import local, random_examples

ROOT = Path(__file__).parents[2]


def started(kind: str, out: Path, processes: int) -> list[dict[str, torch.Tensor]]:
    """The weights that each process ends with."""
    out.mkdir()
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *launcher, "-m", "tests.train.processes_job", kind, str(out)]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "ACCELERATE_USE_CPU": "1",
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [load_file(out / f"{rank}.safetensors") for rank in range(processes)]


def assert_near(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=2e-5, msg=name)


def test_responses_are_shared_out_and_both_end_with_what_one_process_ends_with(tmp_path: Path) -> None:
    (alone,) = started("grpo", tmp_path / "one", 1)
    first, second = started("grpo", tmp_path / "two", 2)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert_near(first, alone)
    start = local().module.state_dict()
    assert any(not torch.equal(value, start[name]) for name, value in alone.items())


def test_an_exchange_says_how_processes_learn_from_each_other(tmp_path: Path) -> None:
    """Here the weights are averaged every two steps, each process being trained on its own data."""
    first, second = started("exchange", tmp_path / "two", 2)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert_near(first, by_hand())


def by_hand() -> dict[str, torch.Tensor]:
    """The same in one process: two learners, whose weights are averaged."""
    models: list[Any] = [local(), local()]
    data = [random_examples(16, seed=seed) for seed in range(2)]
    config = TrainConfig(lr=1e-3, precision="fp32")
    with Learner(models[0], config, steps=4) as one, Learner(models[1], config, steps=4) as other:
        for step in range(4):
            for learner, examples in zip((one, other), data, strict=True):
                learner.step(Batch(examples[4 * step : 4 * step + 4]), sft_objective)
            if step % 2:
                with torch.no_grad():
                    for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True):
                        mean = (a + b) / 2
                        a.copy_(mean)
                        b.copy_(mean)
    return models[0].module.state_dict()
