"""Batches without padding, in which what sequences have in common is computed once.

A batch is laid out as a prefix tree (``models.prefix_tree``). A preference pair therefore costs its
prompt once, and so do the words its two sides open with; pairs on one prompt, or under one system
message, share those too. The share is exact: a token's state depends on its prefix and on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from biddable.models.prefix_tree import PrefixTree, prefix_tree

Span = tuple[Sequence[int], Sequence[int]]
"""Token ids of a prompt and of what is scored after it; neither is empty."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch of S sequences (prompt + completion), whose completions have N distinct tokens that count.

    Attributes:
        tree: the sequences; T distinct tokens.
        predictors: [N] the packed token whose state predicts each distinct completion token.
        targets: [N] token ids of the distinct completion tokens.
        rows: [S, L] which of the N each completion token is; -1 where it does not count, and at padding.
    """

    tree: PrefixTree
    predictors: Tensor
    targets: Tensor
    rows: Tensor

    def to(self, device: torch.device) -> Packed:
        """The same batch on another device."""
        return Packed(*(getattr(self, name).to(device) for name in self.__slots__))

    @property
    def mask(self) -> Tensor:
        """[S, L] which completion tokens count."""
        return self.rows >= 0

    def per_token(self, values: Tensor) -> Tensor:
        """[S, L, …] the ``values`` [N, …] of distinct tokens at every completion token; else 0."""
        padded = F.pad(values, (0, 0) * (values.ndim - 1) + (0, 1))  # row -1 is the zero
        return padded[self.rows]


def pack(spans: Sequence[Span], masks: Sequence[Sequence[bool] | None] | None = None) -> Packed:
    """Lay out all ``spans`` as one batch.

    Args:
        spans: prompts and completions.
        masks: for each span which tokens of its completion count; None: all do.
    """
    tree = prefix_tree([[*prompt, *completion] for prompt, completion in spans])
    starts = torch.tensor([len(prompt) for prompt, _ in spans])
    lengths = torch.tensor([len(completion) for _, completion in spans])
    place = torch.arange(int(lengths.max()))  # of a completion token in its completion
    counts = place < lengths[:, None]  # [S, L]
    for row, mask in enumerate(masks or ()):
        if mask is not None:
            counts[row, : len(mask)] &= torch.tensor(mask, dtype=torch.bool)
    in_sequence = (starts[:, None] + place).clamp(max=tree.gather.shape[1] - 1)
    nodes = tree.gather.gather(1, in_sequence)[counts]
    distinct, which = nodes.unique(return_inverse=True)
    rows = torch.full(counts.shape, -1)
    rows[counts] = which
    predictors = tree.gather.flatten()[tree.scatter[distinct] - 1]
    return Packed(tree, predictors, tree.tokens[distinct], rows)
