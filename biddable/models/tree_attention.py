"""Attention along a prefix tree in C, with its gradients (``kernels/tree_attention.c``).

torch's own attention wants every sequence padded to the longest, the shared tokens of each included, and
reads them at a third of the speed.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from biddable.models.kernels import TreeAttention, TreeStruct, tree_attention
from biddable.models.prefix_tree import PrefixTree

PANEL = 32  # a head's size must be a multiple of it


def kernel_for(value: Tensor) -> TreeAttention | None:
    """The C functions that serve such states [T, heads, size], if there are any."""
    if value.device.type != "cpu" or value.shape[-1] % PANEL:
        return None
    return tree_attention(value.dtype)


def attend(
    tree: PrefixTree,
    kernel: TreeAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    window: int,
) -> Tensor:
    """``Plan.attend`` over ``tree``, computed in fp32 from states of the type of ``value``."""
    states = (x.to(value.dtype).contiguous() for x in (query, key, value))
    return _TreeAttention.apply(*states, tree, kernel, scale, window)


class _TreeAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        tree: PrefixTree,
        kernel: TreeAttention,
        scale: float,
        window: int,
    ) -> Tensor:
        struct = _struct(tree, query, key, window)
        out, stats = torch.empty_like(query), query.new_empty(*query.shape[:2], 2, dtype=torch.float32)
        tensors = (query, key, value, out, stats, _rooms(kernel, struct))
        kernel.forward(ctypes.byref(struct), scale, *(x.data_ptr() for x in tensors))
        ctx.save_for_backward(query, key, value, out, stats)
        ctx.tree, ctx.kernel, ctx.scale, ctx.window = tree, kernel, scale, window
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, stats = ctx.saved_tensors
        struct = _struct(ctx.tree, query, key, ctx.window)
        d_query = torch.empty_like(query)
        d_key, d_value = torch.zeros(2, struct.threads, *key.shape)  # each thread adds up its own
        given = (query, key, value, out, stats, grads[0].contiguous())
        tensors = (*given, d_query, d_key, d_value, _rooms(ctx.kernel, struct))
        ctx.kernel.backward(ctypes.byref(struct), ctx.scale, *(x.data_ptr() for x in tensors))
        return d_query, d_key.sum(0).to(key.dtype), d_value.sum(0).to(key.dtype), None, None, None, None


def _struct(tree: PrefixTree, query: Tensor, key: Tensor, window: int) -> TreeStruct:
    tokens, heads, dim = query.shape
    sizes = (tokens, key.shape[1], heads // key.shape[1], dim, window, torch.get_num_threads())
    places = (tree.gather, tree.begins, tree.lengths)
    return TreeStruct(*tree.gather.shape, *sizes, *(x.data_ptr() for x in places))


def _rooms(kernel: TreeAttention, struct: TreeStruct) -> Tensor:
    """Where the threads work."""
    return torch.empty(struct.threads, kernel.room(ctypes.byref(struct)))
