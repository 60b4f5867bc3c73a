"""One decoding step of grouped-query attention over a cache in two parts, on a GPU.

What ``decode_attention.c`` is for a CPU, in Triton: torch's own kernels would need every row's prompt
copied beside its suffix, padded to the longest. One program computes the heads of one row that share a
key-value head; rows of one prompt read it from the GPU's second-level cache.

Nothing here waits for the GPU or depends on lengths known to Python, so it can be captured in a graph.
"""

# Triton's compile-time arguments are written in capitals, and its functions have no types of Python's.
# ruff: noqa: N803
# mypy: disallow-untyped-defs=False

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 64  # keys looked at together
MIN_GROUP = 16  # the fewest rows that the tensor cores multiply


def decode_attention(
    query: Tensor,
    prompt_keys: Tensor,
    prompt_values: Tensor,
    suffix_keys: Tensor,
    suffix_values: Tensor,
    slots: Tensor,
    prompt_lengths: Tensor,
    suffix_lengths: Tensor,
    *,
    scale: float,
    window: int,
) -> Tensor:
    """Attention of one token per row.

    Args:
        query: [rows, heads, dim], of the cache's type and contiguous.
        prompt_keys: [slots, kv_heads, prompt_capacity, dim]; ``prompt_values`` likewise.
        prompt_values: see ``prompt_keys``.
        suffix_keys: [at least rows, kv_heads, suffix_capacity, dim]; ``suffix_values`` likewise.
        suffix_values: see ``suffix_keys``.
        slots: [rows] which prompt each row has.
        prompt_lengths: [rows] tokens of it.
        suffix_lengths: [rows] tokens after it, the query's own included: at least 1.
        scale: what scores are multiplied by.
        window: a row sees the last ``window`` positions; 0 for all.

    Returns:
        [rows, heads, dim].
    """
    rows, heads, dim = query.shape
    kv_heads, group = prompt_keys.shape[1], heads // prompt_keys.shape[1]
    out = torch.empty_like(query)
    _decode[(rows, kv_heads)](
        out,
        query,
        prompt_keys,
        prompt_values,
        suffix_keys,
        suffix_values,
        slots,
        prompt_lengths,
        suffix_lengths,
        scale,
        prompt_keys.shape[2],
        suffix_keys.shape[2],
        WINDOW=window,
        KV_HEADS=kv_heads,
        GROUP=group,
        GROUP_PAD=max(MIN_GROUP, triton.next_power_of_2(group)),
        DIM=dim,
        DIM_PAD=max(MIN_GROUP, triton.next_power_of_2(dim)),
        BLOCK=BLOCK,
    )
    return out


@triton.jit
def _decode(
    out,
    query,
    prompt_keys,
    prompt_values,
    suffix_keys,
    suffix_values,
    slots,
    prompt_lengths,
    suffix_lengths,
    scale,
    prompt_capacity,
    suffix_capacity,
    WINDOW: tl.constexpr,
    KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    GROUP_PAD: tl.constexpr,
    DIM: tl.constexpr,
    DIM_PAD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    slot = tl.load(slots + row)
    prompt_length = tl.load(prompt_lengths + row)
    suffix_length = tl.load(suffix_lengths + row)
    skipped = prompt_length * 0
    if WINDOW > 0:
        skipped = tl.maximum(prompt_length + suffix_length - WINDOW, 0)

    member, place = tl.arange(0, GROUP_PAD), tl.arange(0, DIM_PAD)
    used = (member[:, None] < GROUP) & (place[None, :] < DIM)
    mine = ((row * KV_HEADS + head) * GROUP + member[:, None]) * DIM + place[None, :]
    q = tl.load(query + mine, mask=used, other=0.0)

    top = tl.full([GROUP_PAD], float("-inf"), tl.float32)
    total = tl.zeros([GROUP_PAD], tl.float32)
    sums = tl.zeros([GROUP_PAD, DIM_PAD], tl.float32)
    at = (slot * KV_HEADS + head) * prompt_capacity * DIM
    first = tl.minimum(skipped, prompt_length)
    top, total, sums = _over(
        q, prompt_keys + at, prompt_values + at, first, prompt_length, scale, top, total, sums,
        DIM, DIM_PAD, BLOCK,
    )  # fmt: skip
    at = (row * KV_HEADS + head) * suffix_capacity * DIM
    first = tl.maximum(skipped - prompt_length, 0)
    top, total, sums = _over(
        q, suffix_keys + at, suffix_values + at, first, suffix_length, scale, top, total, sums,
        DIM, DIM_PAD, BLOCK,
    )  # fmt: skip
    tl.store(out + mine, (sums / total[:, None]).to(out.dtype.element_ty), mask=used)


@triton.jit
def _over(
    q, keys, values, first, end, scale, top, total, sums,
    DIM: tl.constexpr, DIM_PAD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Go on with a softmax (largest score, sum of weights, weighted values) over the keys first..end."""
    place = tl.arange(0, DIM_PAD)
    for start in range(first, end, BLOCK):
        token = start + tl.arange(0, BLOCK)
        there = (token[:, None] < end) & (place[None, :] < DIM)
        at = token[:, None] * DIM + place[None, :]
        k = tl.load(keys + at, mask=there, other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        scores = tl.where(token[None, :] < end, scores, float("-inf"))
        higher = tl.maximum(top, tl.max(scores, 1))
        weights = tl.exp(scores - higher[:, None])
        shrink = tl.exp(top - higher)
        v = tl.load(values + at, mask=there, other=0.0)
        total = total * shrink + tl.sum(weights, 1)
        sums = sums * shrink[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        top = higher
    return top, total, sums
