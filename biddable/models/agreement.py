"""What a model computes through us, held against what it computes by itself.

A short batch of unequal sequences is computed in both ways; log-probabilities must agree as far as rounding
lets them. ``models/proof.py`` does so before a model is served, ``models/own_head.py`` before it is packed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from biddable.models.plain import context_of, evaluating, plain_logprobs

LENGTHS = (1, 3, 8, 32)
"""Tokens of the prompts. The second and third begin alike, as do the third and fourth."""

SMALL, SMALL_LENGTH, SMALL_STEPS = 20_000_000, 120, 12
"""A module of so few parameters shows more: the longest prompt is longer, and more tokens are drawn."""

STEPS = 2
"""Greedy tokens drawn after each prompt."""

EXACT = 1e-3
"""The most that a log-probability (nats) may differ in fp32, where sums are only taken in another order."""

ROUNDING = 3.0
"""In bf16 errors (root mean square) may be this many times those of plain PyTorch in bf16 …"""

FLOOR = 0.01
"""… and this much (nats) beside."""


def proved_length(config: Any) -> int:
    """Up to how many tokens, prompt and response together, short prompts speak for a model.

    Beyond it some models compute otherwise: positions are scaled by the longest row, or a token sees its
    own chunk only. Such rows take the plain path.
    """
    text = config.get_text_config()
    limits = [getattr(text, "attention_chunk_size", None)]
    rope = getattr(text, "rope_parameters", None) or {}
    for parameters in (rope, *(value for value in rope.values() if isinstance(value, dict))):
        if parameters.get("rope_type") in ("dynamic", "longrope"):
            named = "original_max_position_embeddings"
            known = [limit for limit in (parameters.get(named), getattr(text, named, None)) if limit]
            limits += known or [context_of(config)]
    return min((limit for limit in limits if limit), default=sys.maxsize)


def proof_prompts(module: Any) -> list[list[int]]:
    """Token ids of unequal prompts that begin alike in pairs, drawn with a fixed seed."""
    text = module.config.get_text_config()
    rows = module.get_input_embeddings().weight.shape[0]
    vocabulary = min(getattr(text, "vocab_size", rows), rows)
    room = min(context_of(module.config), proved_length(module.config)) - proof_steps(module)
    longest = max(2, min(SMALL_LENGTH if is_small(module) else LENGTHS[-1], room))
    numbers = torch.Generator().manual_seed(0)
    ids = torch.randint(0, vocabulary, (2 * longest,), generator=numbers).tolist()
    third = ids[: min(LENGTHS[2], longest)]
    fourth = [*third[: len(third) // 2], *ids[longest : 2 * longest - len(third) // 2]]
    return [ids[-LENGTHS[0] :], [*third[:2], *ids[-2:]][: min(LENGTHS[1], longest)], third, fourth[:longest]]


def is_small(module: Any) -> bool:
    """Whether a module has so few parameters that it can show more."""
    return sum(parameter.numel() for parameter in module.parameters()) < SMALL


def proof_steps(module: Any) -> int:
    """How many greedy tokens are drawn; fewer where a model was made for little more than that."""
    limit = min(context_of(module.config), proved_length(module.config))
    return min(SMALL_STEPS, max(STEPS, limit // 4)) if is_small(module) else STEPS


def agree(ours: Tensor, exact: Tensor, rounded: Tensor | None = None) -> str | None:
    """Hold log-probabilities against those of the plain forward.

    Args:
        ours: [N] nats.
        exact: [N] by the plain forward, in the type that the weights have.
        rounded: [N] by the plain forward in bf16, where ours are in bf16; None where they are not.

    Returns:
        what is wrong, in words; None when they agree.
    """
    if not bool(torch.isfinite(ours).all()):
        return "log-probabilities are not finite"
    error = (ours - exact).abs()
    if rounded is None:
        largest = float(error.max())
        return None if largest <= EXACT else f"log-probabilities differ by up to {largest:.2g} nats"
    rms, noise = (float((x - exact).square().mean().sqrt()) for x in (ours, rounded))
    if rms <= ROUNDING * noise + FLOOR:
        return None
    return f"log-probabilities in bf16 differ by {rms:.2g} nats (plain PyTorch's by {noise:.2g})"


def disagreement(
    module: Any, ours: Tensor, rows: Sequence[Sequence[int]], starts: Sequence[int], *, bf16: bool
) -> str | None:
    """Hold log-probabilities of the ends of rows against the module's own forward over each row alone.

    Args:
        module: a ``transformers`` causal language model, possibly with PEFT adapters.
        ours: [N] log-probabilities of ``row[start:]``, row after row.
        rows: token ids.
        starts: where in each row what is scored begins, at least 1.
        bf16: whether ours were multiplied in bfloat16.

    Returns:
        what is wrong, in words; None when they agree.
    """

    def forward() -> Tensor:
        return torch.cat(
            [plain_logprobs(module, row, start).cpu() for row, start in zip(rows, starts, strict=True)]
        )

    with evaluating(module), torch.inference_mode():
        exact = forward()
        first = next(module.parameters())
        if first.dtype != torch.float32:
            return agree(ours.cpu(), exact, spread(exact))
        if not bf16:
            return agree(ours.cpu(), exact)
        with torch.autocast(first.device.type, torch.bfloat16):
            return agree(ours.cpu(), exact, forward())


def spread(exact: Tensor) -> Tensor:
    """Weights in bf16: nothing exact to compare with, so errors may be those of three digits."""
    return exact + 2.0**-6 * exact.abs().clamp(min=1.0)
