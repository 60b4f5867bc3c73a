"""Our own attention inside any ``transformers`` decoder, without touching its code.

``transformers`` looks its attention up by name in a table. We register one name whose function hands
queries, keys and values to the *plan* that was passed to the model's forward, and builds no mask. The
plan decides who attends to whom: over a prefix tree (training, scoring, prefill; this file) or over
the decoder's cache (``models/kv_cache.py``). So one forward serves every architecture, and PEFT adapters.

Tokens always come packed: ``input_ids`` and ``position_ids`` are [1, T], with no padding anywhere, and
linear layers, norms and embeddings see exactly the T tokens that have to be computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from biddable.errors import ModelError
from biddable.models import tree_attention
from biddable.models.prefix_tree import PrefixTree

NAME = "biddable"
UNSUPPORTED = ("softcap", "s_aux", "position_bias")


class Plan(Protocol):
    """Who attends to whom in one forward pass."""

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int
    ) -> Tensor:
        """Attention of layer ``layer``.

        Args:
            layer: index of the layer.
            query: [T, heads, head size].
            key: [T, key-value heads, head size]; ``value`` likewise.
            value: see ``key``.
            scale: what scores are multiplied by.
            window: how many positions back, itself included, a token sees; 0 for all.

        Returns:
            [T, heads, head size].
        """


@contextmanager
def planned_attention(module: Any) -> Iterator[None]:
    """Within it, ``module`` attends by the ``plan`` given to its forward."""
    config = module.config
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before


class TreePlan:
    """Causal attention along the sequences of a prefix tree."""

    def __init__(self, tree: PrefixTree):
        self.tree = tree

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int
    ) -> Tensor:
        """See ``Plan.attend``."""
        self.keep(layer, key, value)
        kernel = tree_attention.kernel_for(value)
        if kernel is not None:
            return tree_attention.attend(self.tree, kernel, query, key, value, scale, window)
        return self._by_torch(query, key, value, scale, window)

    def keep(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Called with each layer's keys and values [T, key-value heads, head size]."""

    def _by_torch(self, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int) -> Tensor:
        """On padded sequences, where there is no kernel."""
        length = self.tree.gather.shape[1]
        banded = 0 < window < length
        out = F.scaled_dot_product_attention(
            self.padded(query.to(value.dtype)),
            self.padded(key.to(value.dtype)),
            self.padded(value),
            attn_mask=_band(length, window, query.device) if banded else None,
            is_causal=not banded,  # padding is on the right, where causal attention never looks
            scale=scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return out.transpose(1, 2).flatten(0, 1).index_select(0, self.tree.scatter)

    def padded(self, states: Tensor) -> Tensor:
        """[T, heads, size] -> [S, heads, L, size]."""
        sequences, length = self.tree.gather.shape
        rows = states.flatten(1).index_select(0, self.tree.gather.flatten())
        return rows.view(sequences, length, *states.shape[1:]).transpose(1, 2)


class Header:
    """Keys and values of tokens that many sequences open with, computed once for any number of trees.

    Attributes:
        tokens: their ids.
        states: for each layer its keys and values, [H, key-value heads, head size].
    """

    def __init__(self, tokens: Sequence[int]):
        self.tokens = list(tokens)
        self.states: dict[int, tuple[Tensor, Tensor]] = {}

    def __len__(self) -> int:
        return len(self.tokens)


class HeaderPlan(TreePlan):
    """Causal attention along the one sequence of ``tree``, whose keys and values go into ``header``."""

    def __init__(self, tree: PrefixTree, header: Header):
        super().__init__(tree)
        self.header = header

    def keep(self, layer: int, key: Tensor, value: Tensor) -> None:
        """See ``TreePlan.keep``."""
        self.header.states[layer] = key.to(value.dtype), value


class AfterHeaderPlan(TreePlan):
    """Causal attention of the tokens after a header, along trees whose first tokens are the header's.

    Args:
        tree: of whole sequences.
        header: what all of them open with; its states are not computed again.
    """

    def __init__(self, tree: PrefixTree, header: Header):
        begins = tree.begins.clone()
        begins[0] = begins[0].clamp(min=len(header))  # the kernel asks for nothing at the places before
        super().__init__(replace(tree, begins=begins))
        self.header = header

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float, window: int
    ) -> Tensor:
        """See ``Plan.attend``; the T tokens are those after the header."""
        keys, values = self.header.states[layer]
        count = len(self.header)
        query = torch.cat([query.new_zeros(count, *query.shape[1:]), query])
        key, value = torch.cat([keys, key.to(keys.dtype)]), torch.cat([values, value])
        return super().attend(layer, query, key, value, scale, window)[count:]


def _band(length: int, window: int, device: torch.device) -> Tensor:
    """[L, L] who may look at whom: oneself and the ``window`` - 1 tokens before."""
    places = torch.arange(length, device=device)
    distance = places[:, None] - places[None, :]
    return (distance >= 0) & (distance < window)


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    plan: Plan | None = None,
    **other: Any,
) -> tuple[Tensor, None]:
    """What ``transformers`` calls: states come as [1, heads, T, size] and leave as [1, T, heads, size]."""
    if plan is None:
        raise ModelError(f"{type(module).__name__} does not hand keyword arguments on to its attention")
    for extra in UNSUPPORTED:
        if other.get(extra) is not None:
            raise ModelError(f"{type(module).__name__} uses {extra}, which is not supported here")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    return plan.attend(module.layer_idx, q, k, v, scale, sliding_window or 0)[None], None


ALL_ATTENTION_FUNCTIONS.register(NAME, _attend)
