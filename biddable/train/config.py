"""What every training has to be told, whatever its objective."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from biddable.errors import InputError
from biddable.models.precision import Precision, computes_in_bf16


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """The part of the configuration that all objectives share."""

    lr: float
    """Highest learning rate."""
    epochs: int = 1
    """How often each example is seen."""
    batch_size: int = 8
    """Examples (for preferences: pairs) per optimizer step, over all processes together."""
    schedule: Literal["linear", "constant"] = "linear"
    """What the learning rate does after warm-up: fall to zero in a line, or stay."""
    warmup: float = 0.1
    """Share of the steps over which the learning rate rises in a line."""
    weight_decay: float = 0.0
    """AdamW's weight decay, on matrices only."""
    max_grad_norm: float = 1.0
    """Gradients with a larger norm are scaled down to it."""
    lora_rank: int = 0
    """Rank of a LoRA adapter on every linear layer; 0 trains all weights."""
    max_tokens_per_step: int = 0
    """Tokens computed at once, which bounds the memory; 0: 16,384 on a GPU, on a CPU 1,024 in bf16 and 768
    in fp32. Changes no result beyond rounding."""
    precision: Precision = "auto"
    """What is computed in (weights stay fp32). "auto" is bf16 where the processor is built for it."""
    too_long: Literal["error", "drop"] = "error"
    """What to do with an example that does not fit in the model's context."""
    checkpoint_every: int = 0
    """Optimizer steps between checkpoints; 0: 25 on a CPU, where they take minutes, else 500."""
    max_skips: int = 5
    """Steps in a row that may be skipped because their loss or gradient is not finite."""
    seed: int = 0
    """Decides the order of the data and the adapter's first weights."""

    def __post_init__(self) -> None:
        for name, least in _INTEGERS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InputError(name, value, f"an integer of at least {least}")
        for name in ("lr", "max_grad_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(name, getattr(self, name), "a number above 0")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError("weight_decay", self.weight_decay, "a number of at least 0")
        if not 0 <= self.warmup <= 1:
            raise InputError("warmup", self.warmup, "a number from 0 to 1")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise InputError(name, getattr(self, name), "one of " + ", ".join(known))

    def bf16_on(self, device: torch.device) -> bool:
        """Whether to compute in bfloat16 there."""
        return computes_in_bf16(self.precision, device)

    def tokens_at_once(self, device: torch.device) -> int:
        """``max_tokens_per_step``, or what suits that device."""
        # On a CPU as many as let a step of SmolLM2 stay below 4 GB; half as many make it a tenth slower.
        suits_cpu = 1024 if self.bf16_on(device) else 768
        return self.max_tokens_per_step or (suits_cpu if device.type == "cpu" else 2**14)

    def checkpoint_steps(self, device: torch.device) -> int:
        """``checkpoint_every``, or what suits that device."""
        return self.checkpoint_every or (25 if device.type == "cpu" else 500)

    def lr_at(self, step: int, steps: int) -> float:
        """Learning rate of ``step`` (from 0) out of ``steps``."""
        rising = math.ceil(self.warmup * steps)
        if step < rising:
            return self.lr * (step + 1) / rising
        return self.lr * (steps - step) / (steps - rising) if self.schedule == "linear" else self.lr


_INTEGERS = {
    "epochs": 1,
    "batch_size": 1,
    "max_tokens_per_step": 0,
    "checkpoint_every": 0,
    "lora_rank": 0,
    "max_skips": 0,
    "seed": 0,
}
_CHOICES = {
    "schedule": ("linear", "constant"),
    "precision": ("auto", "fp32", "bf16"),
    "too_long": ("error", "drop"),
}
