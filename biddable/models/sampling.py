"""Exact sampling from logits by inverse transform, one uniform number per row and step.

The number comes from the row's own seed and the position, so a response never depends on what else
was in the batch. No filter is approximated: a nucleus is looked for among the 64 likeliest tokens, and
in the few rows where it is wider, among more, at last in the whole vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from biddable.models.base import Sampling
from biddable.models.kernels import draw_kernel

BLOCK = 256  # vocabulary entries summed together before the search for the drawn one; draw.c has the same
CHUNK = 8  # rows worked on at a time on CPU, so that their logits stay in the second-level cache
COLDEST = 1e-30  # a lower temperature takes the likeliest: 32 bits hold no quotient by it
SHORTLISTS = (64, 1024, 1 << 30)  # likeliest tokens among which a nucleus is looked for, in turn


def uniforms(seeds: Sequence[int], steps: int) -> np.ndarray:
    """[rows, steps] numbers in [0, 1), each a hash of (seed, step): SplitMix64, in 53 bits."""
    rows = np.array([seed & 0xFFFF_FFFF_FFFF_FFFF for seed in seeds], dtype=np.uint64)
    with np.errstate(over="ignore"):
        state = _mix(rows)[:, None] + np.arange(1, steps + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return (_mix(state) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def draw(logits: Tensor, uniform: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Draw one token for each row.

    Args:
        logits: [rows, vocabulary], which may be overwritten.
        uniform: [rows] in [0, 1), float64.
        sampling: temperature and filters.

    Returns:
        token ids [rows], and their log-probabilities [rows] under the model itself (temperature 1,
        no filter).
    """
    if 0 < sampling.temperature < COLDEST:
        sampling = replace(sampling, temperature=0.0)
    filtered = sampling.temperature > 0 and (sampling.top_k > 0 or sampling.top_p < 1)
    kernel = None if filtered or logits.device.type != "cpu" else draw_kernel(logits.dtype)
    if kernel is not None:
        return _draw_by(kernel, logits.contiguous(), uniform.contiguous(), sampling.temperature)
    chunk = CHUNK if logits.device.type == "cpu" else len(logits)
    parts = [
        _draw(logits[start : start + chunk], uniform[start : start + chunk], sampling)
        for start in range(0, len(logits), chunk)
    ]
    return torch.cat([token for token, _ in parts]), torch.cat([logprob for _, logprob in parts])


def _draw_by(
    kernel: Callable[..., None], logits: Tensor, uniform: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    rows, vocabulary = logits.shape
    threads = torch.get_num_threads()
    token = torch.empty(rows, dtype=torch.long)
    below, total = torch.empty(2, rows)
    scratch = torch.empty(threads, -(-vocabulary // BLOCK), dtype=torch.float64)
    results = (x.data_ptr() for x in (token, below, total, scratch))
    kernel(logits.data_ptr(), uniform.data_ptr(), rows, vocabulary, temperature, *results, threads)
    return token, below - total.log_()


def _draw(logits: Tensor, uniform: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    logits = logits.float()
    top, token = logits.max(-1)
    shifted = logits.sub_(top[:, None])
    weights = None
    if sampling.temperature > 0:
        scaled = shifted if sampling.temperature == 1 else shifted / sampling.temperature
        if sampling.top_k or sampling.top_p < 1:
            token = _draw_filtered(scaled, uniform, sampling.top_k, sampling.top_p)
        else:
            weights = scaled.exp()
            token = _search(weights, uniform)
    chosen = shifted.gather(1, token[:, None])[:, 0]
    if weights is None or sampling.temperature != 1:
        weights = shifted.exp_()
    return token, chosen - _blocks(weights).sum(-1).sum(-1).log_()


def _blocks(weights: Tensor) -> Tensor:
    """[rows, blocks, BLOCK], zeros at the end: torch adds up one long row otherwise than several."""
    padding = -weights.shape[-1] % BLOCK
    padded = torch.nn.functional.pad(weights, (0, padding)) if padding else weights
    return padded.view(len(weights), -1, BLOCK)


def _search(weights: Tensor, uniform: Tensor) -> Tensor:
    """The first token whose cumulative weight exceeds ``uniform`` of all: by blocks, then inside one."""
    rows = len(weights)
    blocks = _blocks(weights)
    ends = blocks.sum(-1).double().cumsum(-1)
    goal = uniform[:, None] * ends[:, -1:]
    block = torch.searchsorted(ends, goal, right=True).clamp_(max=ends.shape[1] - 1)
    start = torch.where(block > 0, ends.gather(1, (block - 1).clamp(min=0)), 0.0)
    inside = blocks[torch.arange(rows, device=weights.device), block[:, 0]].double().cumsum(-1)
    place = torch.searchsorted(inside, goal - start, right=True)
    # Rounding may push the goal past the block's end: take the last token there that has any weight.
    last = (inside < inside[:, -1:]).sum(-1, keepdim=True)
    return (block * BLOCK + torch.minimum(place, last))[:, 0]


def _draw_filtered(scaled: Tensor, uniform: Tensor, top_k: int, top_p: float) -> Tensor:
    """Inverse transform in order of likelihood, over what top-k and then top-p leave."""
    vocabulary = scaled.shape[-1]
    if top_k:
        values, tokens = scaled.topk(min(top_k, vocabulary))
        return _from_nucleus(values.double().softmax(-1), tokens, uniform, top_p)
    total = _blocks(scaled.exp()).sum(-1).sum(-1)[:, None]
    out = torch.empty(len(scaled), dtype=torch.long, device=scaled.device)
    open_rows = torch.arange(len(scaled), device=scaled.device)
    for length in SHORTLISTS:  # few rows have a nucleus wider than the first
        values, tokens = scaled[open_rows].topk(min(length, vocabulary))
        weights = values.double().exp_() / total[open_rows]
        settled = (weights.sum(-1) >= top_p) | (length >= vocabulary)
        out[open_rows[settled]] = _from_nucleus(
            weights[settled], tokens[settled], uniform[open_rows[settled]], top_p
        )
        open_rows = open_rows[~settled]
        if not len(open_rows):
            break
    return out


def _from_nucleus(weights: Tensor, tokens: Tensor, uniform: Tensor, top_p: float) -> Tensor:
    """Draw from the shortest part of each row, likeliest first, that reaches ``top_p``."""
    # A token stays while those before it do not reach it.
    before = weights.cumsum(-1) - weights
    weights = weights.masked_fill(before >= top_p, 0)
    ends = weights.cumsum(-1)
    place = torch.searchsorted(ends, uniform[:, None] * ends[:, -1:], right=True)
    last = ((weights > 0).sum(-1, keepdim=True) - 1).clamp(min=0)  # no weight is one where logits are NaN
    return tokens.gather(1, torch.minimum(place, last))[:, 0]
