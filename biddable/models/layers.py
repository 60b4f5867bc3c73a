"""Which layers of a ``transformers`` module are written as Llama's, and may be computed in another way."""

from __future__ import annotations

from typing import Any

from torch import nn


def is_rms_norm(layer: Any) -> bool:
    """Whether it is x / sqrt(mean(x^2) + ``layer.variance_epsilon``) * ``layer.weight``."""
    return type(layer).__name__.endswith("RMSNorm") and hasattr(layer, "variance_epsilon")


def is_swiglu(layer: nn.Module) -> bool:
    """Whether it is ``down_proj(silu(gate_proj(x)) * up_proj(x))``."""
    children = dict(layer.named_children())
    if children.keys() != {"gate_proj", "up_proj", "down_proj", "act_fn"}:
        return False
    return type(children["act_fn"]).__name__ in ("SiLU", "SiLUActivation")
