"""Settings of what fits policies to demonstrations; they need no PyTorch."""

from __future__ import annotations

import math
from typing import Literal, get_args

from biddable.config import Count, Natural, NonNegative, Positive, Share, settings

Vectors = Literal["minilm", "words"]
"""What texts become vectors by."""
Objective = Literal[
    "inverse-dynamics", "behaviour-cloning", "forward-explicit", "forward-implicit", "static-contrastive"
]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
"""What encoders of pictures are pre-trained by."""


@settings
class ImitationConfig:
    """How a network is fitted."""

    steps: Count = 2000
    """Batches."""
    batch_size: Count = 128
    """Rows of a batch."""
    lr: Positive = 1e-3
    """AdamW's learning rate at its highest."""
    warmup: Natural = 100
    """Steps over which the rate rises from 0; then it falls to 0 by a cosine."""
    weight_decay: NonNegative = 1e-4
    """AdamW's."""
    max_grad_norm: Positive = 1.0
    """Gradients with a larger norm are scaled down to it."""
    seed: Natural = 0
    """Decides the batches and what is left out by dropout."""

    def lr_at(self, step: int) -> float:
        """The rate of a step, from 0."""
        warmup = min(self.warmup, self.steps - 1)
        if step < warmup:
            return self.lr * (step + 1) / warmup
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.steps - warmup)))


@settings
class HierarchyConfig:
    """How a hierarchy is built and fitted."""

    vectors: Vectors = "minilm"
    """What phrases and instructions become vectors by: MiniLM, or a mean of a random code for each word."""
    hidden: tuple[Count, ...] = (128, 128)
    """Widths of the hidden layers of both networks."""
    head: Literal["gaussian", "binned"] = "binned"
    """What the action network says: a mean and a deviation of each number, or a probability of each bin."""
    bins: Count = 21
    """Bins of each number of an action."""
    jitter: NonNegative = 0.03
    """How far states are moved at random while fitting, in their deviations."""
    fit: ImitationConfig = ImitationConfig(steps=4000, batch_size=128, lr=1e-3)
    """How both networks are fitted."""
    tune: ImitationConfig = ImitationConfig(steps=600, batch_size=128, lr=3e-4, warmup=20)
    """How one of them learns from corrections."""
    new_share: Share = 0.2
    """The share of a batch that corrections, or teleoperated steps, have while it learns from them."""
