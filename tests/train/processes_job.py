"""What two processes train together; ``test_processes.py`` starts it in one or two and compares."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch.distributed as dist
from safetensors.torch import save_file
from torch import nn

from biddable.models.base import Sampling
from biddable.train.config import TrainConfig
from biddable.train.grpo import GrpoConfig, train_grpo
from biddable.train.learner import Batch, Learner
from biddable.train.sft import sft_objective
from biddable.types import Response, Task, Verdict, user
from tests.train.tiny import local, random_examples


def arbitrary(tasks: Any, responses: list[Response], *, seeds: Any = None) -> list[Verdict]:
    return [Verdict(sum(response.token_ids) % 7 / 7, None) for response in responses]


def reinforced() -> nn.Module:
    model: Any = local()
    tasks = [Task(str(n), user(f"w{n}")) for n in range(5)]
    config = GrpoConfig(
        lr=1e-3, batch_size=5, group_size=3, sampling=Sampling(max_tokens=5), precision="fp32", updates=2
    )
    train_grpo(model, tasks, arbitrary, config)
    return model.module


class Averaging:
    """Local SGD: the weights of all processes are averaged every two steps."""

    def after_step(self, network: nn.Module, step: int) -> None:
        if step % 2 == 0:
            for parameter in network.parameters():
                dist.all_reduce(parameter.data)
                parameter.data /= dist.get_world_size()


def averaged() -> nn.Module:
    """Each process learns from data of its own."""
    model: Any = local()
    with Learner(model, TrainConfig(lr=1e-3, precision="fp32"), steps=4, exchange=Averaging()) as learner:
        examples = random_examples(16, seed=dist.get_rank())
        for step in range(4):
            learner.step(Batch(examples[4 * step : 4 * step + 4]), sft_objective)
    return model.module


if __name__ == "__main__":
    kind, out = sys.argv[1], Path(sys.argv[2])
    module = reinforced() if kind == "grpo" else averaged()
    name = dist.get_rank() if dist.is_initialized() else 0
    save_file({key: value.clone() for key, value in module.state_dict().items()}, out / f"{name}.safetensors")
    if dist.is_initialized():
        dist.destroy_process_group()
