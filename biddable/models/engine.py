"""The default engine: our own batched decoder over the ``transformers`` module.

The weights that train are the weights that generate, with no conversion between. How responses are drawn
side by side is in ``models/batch.py``; scores come from the scorer that training uses (``models/packed.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from biddable.models.attention import planned_attention
from biddable.models.base import Sampling, TokenScores
from biddable.models.batch import Batch, Completion
from biddable.models.decode_layers import DecodeLayers
from biddable.models.decoder import Decoder
from biddable.models.packed import PackedLM, span_logprobs
from biddable.models.plain import evaluating


class Engine(Decoder):
    """Generates with, and scores under, the weights of a module.

    Args:
        module: see ``Decoder``, also for ``end_ids``, ``decode`` and ``bf16``.
        own_head: whether scores need the module's own head (``needs_own_head``).
    """

    def __init__(
        self,
        module: Any,
        end_ids: Sequence[int],
        decode: Callable[[Sequence[int]], str],
        *,
        bf16: bool = False,
        own_head: bool = False,
    ):
        super().__init__(module, end_ids, decode, bf16=bf16)
        self.own_head = own_head

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        sampling: Sampling,
        seeds: Sequence[Sequence[int]],
        on_finished: Callable[[int], None] = lambda count: None,
    ) -> list[list[Completion]]:
        """``n`` completions of each prompt.

        Args:
            prompts: token ids, none empty.
            n: how many of each.
            sampling: how to draw; the same for all rows.
            seeds: one seed for each row: ``seeds[prompt][sample]``.
            on_finished: told how many rows finished at a step.

        Each prompt and ``max_tokens`` together must fit in the model's context: ``LocalModel`` sees to that.
        """
        out: list[list[Completion]] = [[None] * n for _ in prompts]  # type: ignore[list-item]
        if prompts:
            batch = Batch(self, prompts, n, sampling, seeds)
            with evaluating(self.module):
                decoding = DecodeLayers(self.module, bf16=self.bf16)
                with planned_attention(self.module), decoding as layers:
                    for finished in batch.run(layers):
                        for row, sample, completion in finished:
                            out[row][sample] = completion
                        on_finished(len(finished))
        return out

    def score(
        self,
        prompts: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        on_done: Callable[[int], None] = lambda count: None,
    ) -> list[TokenScores]:
        """Log-probability of each token of ``targets`` after its prompt; what they share is computed once.

        Args:
            prompts: token ids, none empty.
            targets: token ids, none empty.
            on_done: told how many more targets are done.
        """
        bf16 = self.bf16 and self.module.dtype == torch.float32
        model = PackedLM(self.module, bf16=bf16, own_head=self.own_head)
        spans = list(zip(prompts, targets, strict=True))
        with evaluating(self.module):
            rows = span_logprobs(model, spans, self.pass_tokens, on_done)
        return [
            TokenScores(tuple(target), tuple(row.tolist())) for target, row in zip(targets, rows, strict=True)
        ]
