"""What numbers a model computes in on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16"]
"""``auto`` is bfloat16 where the processor is built for it, else 32-bit floating point."""


def computes_in_bf16(precision: Precision, device: torch.device) -> bool:
    """Whether to compute in bfloat16 there."""
    import torch

    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Without these instructions a CPU computes in bf16 several times more slowly than in fp32.
    return device.type == "cpu" and (
        torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    )
