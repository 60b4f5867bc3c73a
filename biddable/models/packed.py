"""A language model as a function from packed batches to numbers for every completion token.

One scorer for all: training, its reference pass and ``LocalModel.score`` go through here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from biddable.models.attention import AfterHeaderPlan, Header, HeaderPlan, TreePlan, planned_attention
from biddable.models.fused import fused_layers
from biddable.models.head import token_logprobs
from biddable.models.packing import Packed, Span, pack
from biddable.models.plain import context_of
from biddable.models.prefix_tree import PrefixTree, prefix_tree, shared_prefix

RowFunctions = Mapping[str, Callable[[Tensor], Tensor]]
"""Names of further numbers, and what makes each of them, [n], from rows of logits [n, V] in fp32."""

HEADER_TOKENS = 64
"""What at least so many tokens open all sequences with is computed once, not once in every pass."""

ROW_LOGITS = 2**25  # logits held at once for row functions: 128 MB


class PackedLM(nn.Module):
    """A ``transformers`` causal language model, with or without a PEFT adapter, over packed batches.

    Body and heads are called from one ``forward``, so that DDP and FSDP, which act on forward, see all.

    Args:
        module: the language model; it is used in place, not copied.
        bf16: compute in bfloat16; weights and log-probabilities stay as they are.
        own_head: take the logits that the module's own forward gives, for heads that are more than a
            product with the output embedding (a bias, a cap, a scale). They are all in memory at once.
        value_head: maps states [N, H] to one number each, [N, 1]; for learners that need a value.

    Raises:
        ModelError: on calling, where the architecture cannot be packed (see ``packing``).
    """

    def __init__(
        self,
        module: Any,
        *,
        bf16: bool = False,
        own_head: bool = False,
        value_head: nn.Module | None = None,
    ):
        super().__init__()
        self.module, self.bf16, self.own_head, self.value_head = module, bf16, own_head, value_head

    def forward(
        self,
        batch: Packed,
        rows: RowFunctions | None = None,
        layers: Sequence[int] = (),
        header: Header | None = None,
    ) -> dict[str, Tensor]:
        """Numbers at every completion token, in fp32; [S, L], 0 where a token does not count.

        Args:
            batch: S sequences whose completions have at most L tokens.
            rows: further numbers of the whole next-token distribution, such as its entropy.
            layers: whose states to give (0: the embeddings).
            header: what ``self.header`` made of tokens that all sequences open with, and that none of the
                tokens that count follows at once.

        Returns:
            ``logprobs``, what ``rows`` names, ``values`` where there is a value head, and ``layer I``
            [S, L, H]: the states that predict the tokens.
        """
        tree, rows = batch.tree, rows or {}
        start = len(header) if header else 0
        predictors = batch.predictors - start
        states: Any = None
        with self._computing(tree.tokens.device):
            inputs = {
                "input_ids": tree.tokens[None, start:],
                "position_ids": self._positions(tree)[None, start:],
                "use_cache": False,
                "plan": AfterHeaderPlan(tree, header) if header else TreePlan(tree),
            }
            if layers or (self.own_head and self.value_head is not None):
                inputs["output_hidden_states"] = True
            if self.own_head:
                out = self.module(**inputs, logits_to_keep=predictors)
                states = out.hidden_states[-1][0] if out.hidden_states else None
                logits = out.logits[0].float()
                numbers = {"logprobs": logits.log_softmax(-1).gather(1, batch.targets[:, None])[:, 0]}
                numbers |= {name: function(logits) for name, function in rows.items()}
            else:
                out = self.module.get_decoder()(**inputs)
                states = out.last_hidden_state[0]
        if not self.own_head:
            predicting = states[predictors]  # [N, H]
            predicting = predicting.bfloat16() if self.bf16 else predicting
            weight = self.module.get_output_embeddings().weight
            numbers = {"logprobs": token_logprobs(predicting, weight, batch.targets)}
            numbers |= _by_rows(predicting, weight, rows)
        if self.value_head is not None:
            numbers["values"] = self.value_head(states[predictors].float())[:, 0]
        for layer in layers:
            numbers[f"layer {layer}"] = out.hidden_states[layer][0][predictors].float()
        return {name: batch.per_token(values) for name, values in numbers.items()}

    def _positions(self, tree: PrefixTree) -> Tensor:
        """[T]; a token right after a full context is only predicted: no place of its own is needed."""
        context = context_of(self.module.config)
        return (
            tree.positions.clamp(max=context - 1) if tree.gather.shape[1] == context + 1 else tree.positions
        )

    @torch.no_grad()
    def header(self, tokens: Sequence[int]) -> Header:
        """Compute what many sequences open with, for any number of calls under the same weights."""
        header = Header(tokens)
        tree = prefix_tree([tokens]).to(next(self.parameters()).device)
        with self._computing(tree.tokens.device):
            self.module.get_decoder()(
                input_ids=tree.tokens[None],
                position_ids=tree.positions[None],
                use_cache=False,
                plan=HeaderPlan(tree, header),
            )
        return header

    @contextmanager
    def _computing(self, device: torch.device) -> Iterator[None]:
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=self.bf16)
        with planned_attention(self.module), fused_layers(self.module), autocast:
            yield


class PackedClassifier(nn.Module):
    """A ``transformers`` sequence classifier of one label over packed batches.

    Args:
        module: the classifier, with or without a PEFT adapter.
        bf16: compute the body in bfloat16.
    """

    def __init__(self, module: Any, *, bf16: bool = False):
        super().__init__()
        self.module, self.bf16 = module, bf16

    def forward(self, batch: Packed) -> dict[str, Tensor]:
        """``scores`` [S], in fp32: of each sequence at its last token."""
        tree = batch.tree
        bare = self.module.get_base_model() if hasattr(self.module, "get_base_model") else self.module
        body = bare.base_model
        with (
            planned_attention(body),
            fused_layers(body),
            torch.autocast(tree.tokens.device.type, torch.bfloat16, enabled=self.bf16),
        ):
            states = body(
                input_ids=tree.tokens[None],
                position_ids=tree.positions[None],
                use_cache=False,
                plan=TreePlan(tree),
            ).last_hidden_state[0]
        return {"scores": bare.score(states[tree.last].float())[:, 0]}


def span_logprobs(
    model: PackedLM,
    spans: Sequence[Span],
    max_tokens: int,
    on_done: Callable[[int], None] = lambda count: None,
) -> list[Tensor]:
    """Log-probability of every token of every completion, without gradients.

    Args:
        model: the model.
        spans: prompts and completions.
        max_tokens: how many tokens to compute at once; shared ones count once. What all prompts open with
            comes on top, or before all else where it is long.
        on_done: told how many more spans are done.

    Returns:
        [completion tokens] of each span, on the CPU.
    """
    device = next(model.parameters()).device
    logprobs: list[Tensor] = [torch.empty(0)] * len(spans)
    shared = shared_header([prompt for prompt, _ in spans])
    rest = [(*prompt[shared:], *completion) for prompt, completion in spans]
    cut = list(passes(rest, max_tokens))
    with torch.inference_mode():
        several = shared >= HEADER_TOKENS and len(cut) > 1
        header = model.header(spans[0][0][:shared]) if several else None
        for indices in cut:
            batch = pack([spans[index] for index in indices]).to(device)
            rows = model(batch, header=header)["logprobs"].cpu()
            for index, row in zip(indices, rows, strict=True):
                logprobs[index] = row[: len(spans[index][1])]
            on_done(len(indices))
    return logprobs


def shared_header(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all ``prompts`` open with, the last of each aside: its state is needed."""
    if not prompts:
        return 0
    return min(shared_prefix(prompts), min(map(len, prompts)) - 1)


def passes(sequences: Sequence[tuple[int, ...]], max_tokens: int) -> Iterator[list[int]]:
    """Indices of the ``sequences`` of each pass: neighbours in order, of ``max_tokens`` distinct tokens.

    A sequence that is longer alone has a pass to itself.
    """
    order = sorted(range(len(sequences)), key=sequences.__getitem__)
    chosen: list[int] = []
    tokens = 0
    for index in order:
        # In order, a sequence shares most with the one before it.
        new = len(sequences[index]) - (
            shared_prefix([sequences[chosen[-1]], sequences[index]]) if chosen else 0
        )
        if chosen and tokens + new > max_tokens:
            yield chosen
            chosen, tokens, new = [], 0, len(sequences[index])
        chosen.append(index)
        tokens += new
    if chosen:
        yield chosen


def _by_rows(states: Tensor, weight: Tensor, rows: RowFunctions) -> dict[str, Tensor]:
    """What ``rows`` makes of the logits of ``states`` [N, H]; a chunk of logits is there at a time."""
    if not rows:
        return {}

    def of_chunk(chunk: Tensor) -> tuple[Tensor, ...]:
        logits = (chunk @ weight.to(chunk.dtype).t()).float()
        return tuple(function(logits) for function in rows.values())

    chunks = states.split(max(1, ROW_LOGITS // len(weight)))
    parts = [checkpoint(of_chunk, chunk, use_reentrant=False) for chunk in chunks]
    return {name: torch.cat([part[i] for part in parts]) for i, name in enumerate(rows)}
