"""The default engine: our own batched decoder over the ``transformers`` module.

The weights that train are the weights that generate, with no conversion between. How responses are drawn
side by side is in ``models/batch.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from biddable.models.attention import Plan, TreePlan, planned_attention
from biddable.models.base import Sampling, TokenScores
from biddable.models.batch import Batch, Completion, pass_tokens
from biddable.models.decode_layers import DecodeLayers
from biddable.models.kv_cache import Shape
from biddable.models.prefix_tree import prefix_tree


class Engine:
    """Generates with, and scores under, the weights of ``module``.

    Args:
        module: a ``transformers`` causal language model, possibly with PEFT adapters.
        end_ids: tokens that end a response.
        decode: token ids to text, used to look for stop strings only.
        bf16: on a CPU, multiply in bfloat16 while generating, whatever the weights are kept in. ``score``
            computes in the weights' own type.
    """

    def __init__(
        self,
        module: Any,
        end_ids: Sequence[int],
        decode: Callable[[Sequence[int]], str],
        *,
        bf16: bool = False,
    ):
        self.module, self.bf16 = module, bf16
        self.shape = Shape.of(module.config)
        self.decode = decode
        self.end_ids = torch.tensor(sorted(end_ids), device=self.device)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.module.parameters()).device

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
            was_training = self.module.training
            self.module.eval()
            try:
                decoding = DecodeLayers(self.module, bf16=self.bf16)
                with planned_attention(self.module), decoding as layers:
                    for finished in batch.run(layers):
                        for row, sample, completion in finished:
                            out[row][sample] = completion
                        on_finished(len(finished))
            finally:
                self.module.train(was_training)
        return out

    @torch.inference_mode()
    def score(self, prompts: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> list[TokenScores]:
        """Log-probability of each token of ``targets`` after its prompt; shared prompts are computed once."""
        out: list[TokenScores] = [None] * len(prompts)  # type: ignore[list-item]
        order = sorted(range(len(prompts)), key=lambda i: (tuple(prompts[i]), len(targets[i])))
        lengths = [len(prompt) + len(target) for prompt, target in zip(prompts, targets, strict=True)]
        with planned_attention(self.module):
            for chosen in _chunks(order, lengths, pass_tokens(self.device)):
                for index, scores in zip(chosen, self._score_chunk(chosen, prompts, targets), strict=True):
                    out[index] = scores
        return out

    def _score_chunk(
        self, chosen: Sequence[int], prompts: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
    ) -> Iterator[TokenScores]:
        tree = prefix_tree([[*prompts[i], *targets[i]] for i in chosen]).to(self.device)
        spans = [
            tree.gather[row, len(prompts[i]) - 1 : len(prompts[i]) + len(targets[i]) - 1]
            for row, i in enumerate(chosen)
        ]
        logits = self.logits(tree.tokens, tree.positions, TreePlan(tree), torch.cat(spans)).float()
        wanted = torch.tensor([token for i in chosen for token in targets[i]], device=self.device)
        top = logits.amax(-1, keepdim=True)
        logits = logits.sub_(top)
        picked = logits.gather(1, wanted[:, None])[:, 0]
        scores = (picked - logits.exp_().sum(-1).log_()).tolist()
        start = 0
        for i in chosen:
            end = start + len(targets[i])
            yield TokenScores(tuple(targets[i]), tuple(scores[start:end]))
            start = end

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


def _chunks(order: Sequence[int], lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Consecutive indices whose lengths add up to at most ``most``; at least one each."""
    chunk: list[int] = []
    total = 0
    for index in order:
        if chunk and total + lengths[index] > most:
            yield chunk
            chunk, total = [], 0
        chunk.append(index)
        total += lengths[index]
    if chunk:
        yield chunk
