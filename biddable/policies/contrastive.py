"""Contrast: InfoNCE with several positives and a mask, and retrieval, for what is said and what is seen.

Source: InfoNCE of van den Oord et al. 2018; both directions and a learned temperature as in CLIP (Radford et
al. 2021).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biddable.errors import InputError

FIRST_TEMPERATURE = 0.07
TEMPERATURES = (0.01, 100.0)


class Temperature(nn.Module):
    """A learned temperature, kept between ``TEMPERATURES``."""

    def __init__(self, first: float = FIRST_TEMPERATURE):
        super().__init__()
        self.log = nn.Parameter(torch.tensor(math.log(first)))

    def forward(self) -> Tensor:
        """[] the temperature."""
        return self.log.exp().clamp(*TEMPERATURES)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """[N, M] cosines of vectors [N, d] and [M, d]. Raises InputError: a vector of length 0."""
    for name, vectors in (("a", a), ("b", b)):
        if bool((vectors.norm(dim=-1) == 0).any()):
            raise InputError(f"vectors {name}", "one of length 0", "vectors that have a direction")
    return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T


def info_nce(
    a: Tensor,
    b: Tensor,
    temperature: Tensor | float,
    *,
    positive: Tensor | None = None,
    valid: Tensor | None = None,
    both: bool = True,
) -> Tensor:
    """[] InfoNCE of B pairs, in nats: of each a, the probability of its positives among all b; and back.

    With several positives for a row, it is the negative log of their probabilities' sum.

    Args:
        a, b: [B, d]; the i-th of both belong together.
        temperature: what cosines are divided by.
        positive: [B, B] whether a pair is a positive one (the same instruction, say); the diagonal without
        it. valid: [B] whether both of a pair are there; the others are neither rows, columns nor counted.
        both: also of each b among all a; else one direction.

    Returns:
        the mean over valid rows (and directions); 0, with a gradient of 0, where fewer than two are valid.

    Raises:
        InputError: a batch of other sizes.
    """
    if a.shape != b.shape or a.ndim != 2:
        raise InputError("a, b", (tuple(a.shape), tuple(b.shape)), "two [B, d] of one shape")
    rows = torch.ones(len(a), dtype=torch.bool, device=a.device) if valid is None else valid.bool()
    if int(rows.sum()) < 2:
        return (a.sum() + b.sum()) * 0.0
    pairs = torch.eye(len(a), dtype=torch.bool, device=a.device) if positive is None else positive.bool()
    logits = cosines(a[rows], b[rows]) / temperature  # [V, V]
    pairs = pairs[rows][:, rows]
    loss = _row_loss(logits, pairs)
    return (loss + _row_loss(logits.T, pairs.T)) / 2 if both else loss


def _row_loss(logits: Tensor, positive: Tensor) -> Tensor:
    """Mean over rows of -log of the softmax over a row, summed over its positives."""
    logprobs = logits.log_softmax(-1).masked_fill(~positive, -torch.inf)
    return -logprobs.logsumexp(-1).mean()


def same(values: Tensor) -> Tensor:
    """[B, B] whether two of [B] ids are the same: the positives of pairs that share a text."""
    return values[:, None] == values[None]


def hits(scores: Tensor, positive: Tensor, k: int) -> Tensor:
    """[N] whether one of a row's positives is among its k best; ties count as hits.

    Args:
        scores: [N, M] higher is better.
        positive: [N, M].
        k: at least 1.

    Raises:
        InputError: k below 1, or a row without a positive.
    """
    if k < 1:
        raise InputError("k", k, "an integer of at least 1")
    if not bool(positive.any(-1).all()):
        raise InputError("positive", "a row without one", "at least one in each row")
    best = scores.masked_fill(~positive, -torch.inf).amax(-1)
    limit = scores.topk(min(k, scores.shape[1]), -1).values[:, -1]
    return best >= limit
