"""The plain path: generation and scores by ``transformers`` itself, one prompt at a time.

It serves the models that our own batched decoder (``models/engine.py``) does not compute as they are meant:
layers that are no plain attention, a state that runs along the tokens. It draws with the same uniform
numbers as the decoder does. No row is padded, and none stands beside another prompt.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from biddable.models.base import Sampling, TokenScores
from biddable.models.batch import Completion
from biddable.models.sampling import draw, uniforms


def context_of(config: Any) -> int:
    """How many tokens, prompt and response together, a model was made for; ``sys.maxsize`` where any."""
    with suppress(ValueError):  # several text models in one
        config = config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length"):
        if isinstance(limit := getattr(config, name, None), int) and limit > 0:
            return limit
    return sys.maxsize


def bare(module: Any) -> Any:
    """The ``transformers`` module itself, its adapters' layers inside it."""
    unwrap = getattr(module, "get_base_model", None)
    return unwrap() if unwrap else module


def plain_logits(module: Any, ids: Sequence[int]) -> Tensor:
    """[T, vocabulary] in fp32: what the module's own forward gives for one sequence, without a cache."""
    tokens = torch.tensor([list(ids)], device=next(module.parameters()).device)
    return module(input_ids=tokens, use_cache=False).logits[0].float()


def plain_logprobs(module: Any, ids: Sequence[int], start: int) -> Tensor:
    """[T - start] log-probabilities of ``ids[start:]``, each after those before it; ``start`` >= 1."""
    logits = plain_logits(module, ids[:-1])[start - 1 :]
    targets = torch.tensor(list(ids[start:]), device=logits.device)
    return logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]


class PlainEngine:
    """The interface of ``Engine`` over the module's own ``generate`` and forward.

    Args:
        module: a ``transformers`` causal language model, possibly with PEFT adapters.
        end_ids: tokens that end a response.
        decode: token ids to text, used to look for stop strings only.
        cached: whether the module's own cache is used; without it each step computes the whole sequence.
    """

    def __init__(
        self,
        module: Any,
        end_ids: Sequence[int],
        decode: Callable[[Sequence[int]], str],
        *,
        cached: bool = True,
    ):
        self.module, self.decode, self.cached = module, decode, cached
        self.end_ids = [token for token in end_ids if token >= 0]

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        n: int,
        sampling: Sampling,
        seeds: Sequence[Sequence[int]],
        on_finished: Callable[[int], None] = lambda count: None,
    ) -> list[list[Completion]]:
        """See ``Engine.generate``."""
        out = []
        with evaluating(self.module):
            for prompt, row_seeds in zip(prompts, seeds, strict=True):
                out.append(self._complete(prompt, n, sampling, row_seeds))
                on_finished(n)
        return out

    @torch.inference_mode()
    def score(
        self,
        prompts: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        on_done: Callable[[int], None] = lambda count: None,
    ) -> list[TokenScores]:
        """See ``Engine.score``."""
        out = []
        with evaluating(self.module):
            for prompt, target in zip(prompts, targets, strict=True):
                logprobs = plain_logprobs(self.module, [*prompt, *target], len(prompt))
                out.append(TokenScores(tuple(target), tuple(logprobs.tolist())))
                on_done(1)
        return out

    def _complete(
        self, prompt: Sequence[int], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[Completion]:
        """``n`` completions of one prompt, which have the same length so far at every step."""
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        module = bare(self.module)
        device = next(module.parameters()).device
        tokens = torch.tensor([list(prompt)] * n, device=device)
        drawing = _Drawing(len(prompt), sampling, seeds, device)
        stopping = _Stopping(len(prompt), sampling, self.decode)
        config = GenerationConfig(
            max_new_tokens=sampling.max_tokens,
            do_sample=False,  # the processor leaves only what it has drawn
            use_cache=self.cached,
            eos_token_id=self.end_ids or None,
            pad_token_id=0,
        )
        before, module.generation_config = module.generation_config, GenerationConfig()
        try:
            rows = module.generate(
                input_ids=tokens,
                attention_mask=torch.ones_like(tokens),
                generation_config=config,
                logits_processor=LogitsProcessorList([drawing]),
                stopping_criteria=StoppingCriteriaList([stopping]) if sampling.stop else None,
            )
        finally:
            module.generation_config = before
        return [
            self._completion(row[len(prompt) :].tolist(), [step[i] for step in drawing.logprobs], sampling)
            for i, row in enumerate(rows)
        ]

    def _completion(self, drawn: list[int], logprobs: list[float], sampling: Sampling) -> Completion:
        """A row up to its end; after it ``generate`` pads."""
        ends = [place for place, token in enumerate(drawn) if token in self.end_ids]
        if sampling.stop:
            texts = (self.decode(drawn[: place + 1]) for place in range(len(drawn)))
            hits = [i for i, text in enumerate(texts) if any(stop in text for stop in sampling.stop)]
            ends = sorted([*ends[:1], *hits[:1]])
        length = ends[0] + 1 if ends else len(drawn)
        return Completion(tuple(drawn[:length]), tuple(logprobs[:length]), bool(ends))


class _Drawing:
    """A logits processor that draws each row's token by its own uniform numbers and leaves no other."""

    def __init__(self, start: int, sampling: Sampling, seeds: Sequence[int], device: torch.device):
        self.start, self.sampling = start, sampling
        self.uniform = torch.from_numpy(uniforms(seeds, sampling.max_tokens)).to(device)
        self.logprobs: list[list[float]] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        place = input_ids.shape[1] - self.start
        token, logprob = draw(scores.float().clone(), self.uniform[:, place], self.sampling)
        self.logprobs.append(logprob.tolist())
        return torch.full_like(scores, -torch.inf).scatter_(1, token[:, None], 0.0)


class _Stopping:
    """Ends rows whose text holds a stop string."""

    def __init__(self, start: int, sampling: Sampling, decode: Callable[[Sequence[int]], str]):
        self.start, self.stop, self.decode = start, sampling.stop, decode

    def __call__(self, input_ids: Tensor, scores: Tensor, **other: Any) -> Tensor:
        texts = [self.decode(row[self.start :].tolist()) for row in input_ids]
        hits = [any(stop in text for stop in self.stop) for text in texts]
        return torch.tensor(hits, device=input_ids.device)


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """Within it nothing is dropped out."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)
