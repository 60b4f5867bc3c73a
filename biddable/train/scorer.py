"""A language model as a function from packed batches to log-probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from biddable.errors import ModelError, said
from biddable.models.attention import TreePlan, forward, planned_attention
from biddable.models.proof import disagreement, proof_prompts
from biddable.train.batches import micro_batches
from biddable.train.config import TrainConfig
from biddable.train.examples import Example
from biddable.train.fused import fused_layers
from biddable.train.head import token_logprobs
from biddable.train.packing import Packed, pack


class PackedLM(nn.Module):
    """A ``transformers`` causal language model, with or without a PEFT adapter, over packed batches.

    Body and head are called from one ``forward``, so that DDP and FSDP, which act on forward, see both.

    Args:
        module: the language model; it is used in place, not copied.
        bf16: compute in bfloat16; weights and log-probabilities stay as they are.
        own_head: take the logits that the module's own forward gives, for heads that are more than a
            product with the output embedding (a bias, a cap, a scale). They are all in memory at once.

    Raises:
        ModelError: on calling, where the architecture cannot be packed (see ``packing``).
    """

    def __init__(self, module: Any, *, bf16: bool = False, own_head: bool = False):
        super().__init__()
        self.module, self.bf16, self.own_head = module, bf16, own_head

    def forward(self, batch: Packed) -> Tensor:
        """Log-probability [N], in fp32, of each distinct completion token of the batch."""
        tree = batch.tree
        device = tree.tokens.device.type
        autocast = torch.autocast(device, torch.bfloat16, enabled=self.bf16)
        with planned_attention(self.module), fused_layers(self.module), autocast:
            if self.own_head:
                logits = self.module(
                    input_ids=tree.tokens[None],
                    position_ids=tree.positions[None],
                    use_cache=False,
                    plan=TreePlan(tree),
                    logits_to_keep=batch.predictors,
                ).logits[0]
                return logits.float().log_softmax(-1).gather(1, batch.targets[:, None])[:, 0]
            hidden = forward(self.module, tree.tokens, tree.positions, TreePlan(tree))
        hidden = hidden[batch.predictors]
        if self.bf16:
            hidden = hidden.bfloat16()
        return token_logprobs(hidden, self.module.get_output_embeddings().weight, batch.targets)


@contextmanager
def packed(module: Any, config: TrainConfig) -> Iterator[PackedLM]:
    """The module as it is trained: trained weights in fp32, no dropout (a policy is compared with itself).

    Raises:
        ModelError: on packed batches it computes something else than by itself.
    """
    bf16 = config.bf16_on(next(module.parameters()).device)
    was_training = module.training
    stored = {parameter: parameter.dtype for parameter in module.parameters()}
    for parameter in stored:
        if parameter.requires_grad or not bf16:
            parameter.data = parameter.data.float()
    module.eval()  # some architectures drop out by functions, not by layers that could be switched off
    try:
        yield PackedLM(module, bf16=bf16, own_head=_needs_own_head(module, bf16))
    finally:
        module.train(was_training)
        for parameter, dtype in stored.items():
            parameter.data = parameter.data.to(dtype)


def sequence_logprobs(
    model: PackedLM,
    examples: Sequence[Example],
    max_tokens: int,
    on_done: Callable[[int], None] = lambda count: None,
) -> list[Tensor]:
    """Log-probability of every completion of every example, without gradients.

    Args:
        model: the model.
        examples: prompts and completions.
        max_tokens: how many tokens to compute at once.
        on_done: told how many more examples are done.

    Returns:
        for each example its completions' sums over tokens, on the CPU.
    """
    device = next(model.parameters()).device
    sizes = [example.tokens for example in examples]
    sums: list[Tensor] = [torch.empty(0)] * len(examples)
    with torch.inference_mode():
        for piece in micro_batches(range(len(examples)), sizes, max_tokens):
            batch = pack([examples[index] for index in piece]).to(device)
            totals = batch.per_sequence(model(batch)).cpu()
            counts = [len(examples[index].completions) for index in piece]
            for index, total in zip(piece, totals.split(counts), strict=True):
                sums[index] = total
            on_done(len(piece))
    return sums


_OWN_HEAD: WeakKeyDictionary[Any, dict[bool, bool]] = WeakKeyDictionary()
"""What ``_needs_own_head`` has found out, for each module and precision."""


def _needs_own_head(module: Any, bf16: bool) -> bool:
    """Whether the module's own logits are needed; found out once, as by ``models.proof`` before generation.

    Whatever an architecture does that packing does not know of (a capped or scaled head, a state that
    runs along the tokens, a bias that depends on the distance) shows up as a difference from the module's
    own forward over each sequence alone.

    Raises:
        ModelError: they differ either way, so training would optimise the wrong thing.
    """
    known = _OWN_HEAD.setdefault(module, {})
    if bf16 not in known:
        problem = _disagreement(PackedLM(module, bf16=bf16))
        known[bf16] = problem is not None
        if problem and (again := _disagreement(PackedLM(module, bf16=bf16, own_head=True))):
            del known[bf16]
            name = type(module.get_decoder()).__name__
            raise ModelError(f"{name} cannot be trained on packed batches: {again}")
    return known[bf16]


@torch.inference_mode()
def _disagreement(model: PackedLM) -> str | None:
    """What differs on a short batch of unequal sequences, two of which begin alike; None: nothing."""
    _, second, third, fourth = proof_prompts(model.module)
    sequences = [(second, 2), (third, len(third) // 2), (fourth, len(third) // 2)]
    examples = [
        Example(tuple(ids[:start]), (tuple(ids[start:]),)) for ids, start in sequences if len(ids) > start
    ]
    rows = [[*example.prompt, *example.completions[0]] for example in examples]
    starts = [len(example.prompt) for example in examples]
    batch = pack(examples).to(next(model.parameters()).device)
    try:
        ours = model(batch)[batch.rows[batch.rows >= 0]]
    except ModelError as error:
        return str(error)
    except Exception as error:  # whatever an architecture trips over that packing does not know
        return said(error)
    return disagreement(model.module, ours, rows, starts, bf16=model.bf16)
