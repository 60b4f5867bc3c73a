"""A language model as what draws tokens sees it: logits at packed places, and which tokens end a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from biddable.models.attention import Plan
from biddable.models.kv_cache import Shape

CPU_TOKENS, GPU_TOKENS = 2048, 16384  # packed tokens in one pass: bounds memory, keeps the processor busy


class Decoder:
    """The weights of ``module`` over packed tokens.

    Args:
        module: a ``transformers`` causal language model, possibly with PEFT adapters.
        end_ids: tokens that end a response.
        decode: token ids to text, used to look for stop strings only.
        bf16: on a CPU, multiply in bfloat16, whatever the weights are kept in.
    """

    def __init__(
        self,
        module: Any,
        end_ids: Sequence[int],
        decode: Callable[[Sequence[int]], str],
        *,
        bf16: bool = False,
    ):
        self.module, self.bf16, self.decode = module, bf16, decode
        self.shape = Shape.of(module.config)
        self.end_ids = torch.tensor(sorted(end_ids), device=self.device)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.module.parameters()).device

    @property
    def pass_tokens(self) -> int:
        """How many packed tokens one pass over prompts may have."""
        return GPU_TOKENS if self.device.type == "cuda" else CPU_TOKENS

    def logits(self, tokens: Tensor, positions: Tensor, plan: Plan, keep: Tensor) -> Tensor:
        """Next-token logits [len(keep), vocabulary] at the packed places ``keep``."""
        out = self.module(
            input_ids=tokens[None],
            position_ids=positions[None],
            use_cache=False,
            plan=plan,
            logits_to_keep=keep,
        )
        return out.logits[0]
