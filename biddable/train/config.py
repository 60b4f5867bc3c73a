"""What a training has to be told: what all share, and what each objective adds. Torch is not imported."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from biddable.config import REQUIRED, Count, Natural, NonNegative, Positive, Share, settings
from biddable.models.base import Sampling
from biddable.models.precision import Precision, computes_in_bf16

if TYPE_CHECKING:
    import torch


@settings
class LoraConfig:
    """Training a low-rank adapter beside the weights (Hu et al. 2021)."""

    rank: Natural = 0
    """Rank of the adapter; 0 trains all weights."""
    alpha: Natural = 0
    """Scale of the adapter's output, times the rank; 0: twice the rank."""
    targets: tuple[str, ...] = ("all-linear",)
    """Which layers get one: the ends of their names, or all-linear."""


@settings
class TrainConfig:
    """The part of the configuration that all objectives share."""

    lr: Positive = REQUIRED
    """Highest learning rate."""
    epochs: Count = 1
    """How often each example is learned from."""
    batch_size: Count = 8
    """Examples (preferences: pairs; GRPO: prompts) per optimizer step, over all processes together."""
    schedule: Literal["linear", "constant"] = "linear"
    """What the learning rate does after warm-up: fall to zero in a line, or stay."""
    warmup: Share = 0.1
    """Share of the steps over which the learning rate rises in a line."""
    weight_decay: NonNegative = 0.0
    """AdamW's weight decay, on matrices only."""
    max_grad_norm: Positive = 1.0
    """Gradients with a larger norm are scaled down to it."""
    lora: LoraConfig = LoraConfig()
    """An adapter instead of all weights."""
    max_tokens_per_step: Natural = 0
    """Tokens computed at once, which bounds the memory; 0: 16,384 on a GPU, on a CPU 1,024 in bf16 and 768
    in fp32. Changes no result beyond rounding."""
    precision: Precision = "auto"
    """What is computed in (weights stay fp32). "auto" is bf16 where the processor is built for it."""
    too_long: Literal["error", "drop"] = "error"
    """What to do with an example that does not fit in the model's context."""
    checkpoint_every: Natural = 0
    """Optimizer steps between checkpoints; 0: 25 on a CPU, where they take minutes, else 500."""
    max_skips: Natural = 5
    """Steps in a row that may be skipped because their loss or gradient is not finite."""
    seed: Natural = 0
    """Decides the order of the data and the adapter's first weights."""

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


@settings
class SftConfig(TrainConfig):
    """Supervised fine-tuning."""

    lr: Positive = 2e-5
    """Highest learning rate; with LoRA, some 10 times more is usual."""
    turns: Literal["last", "all"] = "last"
    """Which of a plain chat's assistant turns are learned; a Conversation says so itself."""


@settings
class DpoConfig(TrainConfig):
    """Direct preference optimisation (Rafailov et al. 2023; the likelihood term as in SPaR)."""

    lr: Positive = 1e-6
    """Highest learning rate; with LoRA, some 20 times more is usual."""
    beta: Positive = 0.1
    """How strongly to hold to the model as it was; smaller lets it move further."""
    rpo_alpha: NonNegative = 0.0
    """Weight of the chosen response's negative log-likelihood per token (SPaR: 0.1)."""


@settings
class RewardConfig(TrainConfig):
    """Training a reward model (Bradley-Terry; Ouyang et al. 2022)."""

    lr: Positive = 1e-5
    """Highest learning rate; with LoRA, some 10 times more is usual."""
    center: NonNegative = 0.0
    """Weight of a term that keeps the mean reward near 0 (0.01 is usual)."""


@settings
class GrpoConfig(TrainConfig):
    """GRPO (Shao et al. 2024, arXiv 2402.03300), with the options that later papers added."""

    lr: Positive = 1e-6
    """Highest learning rate; with LoRA, some 10 times more is usual."""
    schedule: Literal["linear", "constant"] = "constant"
    """What the learning rate does after warm-up: fall to zero in a line, or stay."""
    group_size: Annotated[int, Field(ge=2)] = 8
    """Responses sampled to each prompt; a response's advantage is its reward beside those of its group."""
    sampling: Sampling = Sampling(max_tokens=256, temperature=1.0)
    """How responses are drawn. The loss is of their probabilities at temperature 1, of all tokens."""
    updates: Count = 1
    """Optimizer steps on each sample of responses; from the second on, ratios are clipped."""
    epsilon: Positive = 0.2
    """How far the probability of a token may fall before its gradient is cut off."""
    epsilon_high: Positive = 0.2
    """How far it may rise (DAPO: 0.28)."""
    beta: NonNegative = 0.0
    """Weight of the divergence from the model as it was (DeepSeekMath: 0.04); 0 needs no reference."""
    correct_kl: bool = False
    """Multiply the divergence by the ratio, for an unbiased gradient (DeepSeek-V3.2; TRL's default)."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """What advantages are divided by: the deviation of the group, of the batch, or nothing (Dr. GRPO)."""
    normalize: Literal["sequence", "token", "length"] = "token"
    """The loss is a mean over sequences of their means (GRPO), over all tokens (DAPO), or over sequences of
    their sums divided by the longest possible length (Dr. GRPO)."""
    ratio: Literal["token", "sequence"] = "token"
    """What probabilities are compared: each token's, or the whole response's (GSPO)."""
    reward: Literal["score", "passed"] = "score"
    """Of a verdict: its score, or 1 where it passed and 0 where not; without it nothing is learned."""
