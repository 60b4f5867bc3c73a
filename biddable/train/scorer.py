"""A language model as a function from packed batches to log-probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from biddable.errors import ModelError
from biddable.models.attention import TreePlan, forward, planned_attention
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

    Raises:
        ModelError: on calling, where the architecture cannot be packed (see ``packing``).
    """

    def __init__(self, module: Any, *, bf16: bool = False):
        super().__init__()
        self.module, self.bf16 = module, bf16

    def forward(self, batch: Packed) -> Tensor:
        """Log-probability [N], in fp32, of each distinct completion token of the batch."""
        tree = batch.tree
        device = tree.tokens.device.type
        autocast = torch.autocast(device, torch.bfloat16, enabled=self.bf16)
        with planned_attention(self.module), fused_layers(self.module), autocast:
            hidden = forward(self.module, tree.tokens, tree.positions, TreePlan(tree))
        hidden = hidden[batch.predictors]
        if self.bf16:
            hidden = hidden.bfloat16()
        return token_logprobs(hidden, self.module.get_output_embeddings().weight, batch.targets)


@contextmanager
def packed(module: Any, config: TrainConfig) -> Iterator[PackedLM]:
    """The module as it is trained: trained weights in fp32, no dropout (a policy is compared with itself)."""
    bf16 = config.bf16_on(next(module.parameters()).device)
    was_training = module.training
    stored = {parameter: parameter.dtype for parameter in module.parameters()}
    for parameter in stored:
        if parameter.requires_grad or not bf16:
            parameter.data = parameter.data.float()
    module.train()
    for layer in module.modules():
        if isinstance(layer, nn.Dropout):
            layer.eval()
    try:
        yield PackedLM(module, bf16=bf16)
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


def check_packing(model: PackedLM) -> None:
    """Compare packed log-probabilities of a tiny batch with those of the module's own plain forward.

    Whatever an architecture does that packing does not know of (a capped or scaled head, a state that
    runs along the tokens, a bias that depends on the distance) shows up as a difference here.

    Raises:
        ModelError: they differ, so training would optimise the wrong thing.
    """
    vocab_size = model.module.config.get_text_config().vocab_size
    ids = tuple((7 * place + 11) % vocab_size for place in range(24))
    examples = [
        Example(ids[:8], (ids[8:16], ids[12:18])),
        Example(ids[3:9], (ids[20:21],)),
    ]
    ours = torch.cat(sequence_logprobs(model, examples, max_tokens=1024))
    plain = [_plain_logprob(model, one.prompt, answer) for one in examples for answer in one.completions]
    error = (ours / torch.stack(plain) - 1).abs().max().item()
    if not error <= (0.02 if model.bf16 else 1e-3):
        name = type(model.module.get_decoder()).__name__
        raise ModelError(
            f"{name} cannot be trained on packed batches: log-probabilities differ by {error:.1%}"
        )


@torch.inference_mode()
def _plain_logprob(model: PackedLM, prompt: Sequence[int], completion: Sequence[int]) -> Tensor:
    device = next(model.parameters()).device
    ids = torch.tensor([[*prompt, *completion]], device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=model.bf16):
        logits = model.module(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    logprobs = logits.float().log_softmax(-1)
    return logprobs.gather(1, ids[0, len(prompt) :, None]).sum().cpu()
