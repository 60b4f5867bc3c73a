"""Sequences laid out as a prefix tree: what they have in common is stored and computed once.

One packed token stands for each distinct prefix. Prompts under one system message share it; a
preference pair costs its prompt once, and so do the words its two sides open with. A token's state
depends on its prefix and on nothing else, so it does not matter through which of its sequences it is
computed, and autograd adds up what all of them contribute to its key and value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PrefixTree:
    """A prefix tree of T tokens, through which S sequences of at most L tokens run.

    Attributes:
        tokens: [T] token ids; a token's parent always stands before it.
        positions: [T] its place in its sequence, from 0.
        gather: [S, L] which packed token each place of each sequence is, padded on the right with 0.
        scatter: [T] a place of the flattened [S, L] that holds the token.
        last: [S] the packed token that each sequence ends with.
        begins: [S] the first place of each sequence that no earlier one has; all places before it are shared.
        lengths: [S] tokens of each sequence.
    """

    tokens: Tensor
    positions: Tensor
    gather: Tensor
    scatter: Tensor
    last: Tensor
    begins: Tensor
    lengths: Tensor

    def to(self, device: torch.device | str) -> PrefixTree:
        """The same tree on another device."""
        return PrefixTree(*(getattr(self, name).to(device, non_blocking=True) for name in self.__slots__))


def prefix_tree(sequences: Sequence[Sequence[int]]) -> PrefixTree:
    """Lay out non-empty ``sequences`` of token ids, in order, as one prefix tree."""
    nodes: dict[tuple[int, int], int] = {}  # (parent, token id) -> packed index; parent -1: none
    width = max(map(len, sequences))
    gather = torch.zeros(len(sequences), width, dtype=torch.long)
    begins = torch.empty(len(sequences), dtype=torch.long)
    for index, sequence in enumerate(sequences):
        node, path, known = -1, [], len(nodes)
        for token in sequence:
            node = nodes.setdefault((node, token), len(nodes))
            path.append(node)
        gather[index, : len(path)] = torch.tensor(path)
        begins[index] = len(path) - (len(nodes) - known)

    lengths = torch.tensor([len(sequence) for sequence in sequences])
    place = torch.arange(width).expand_as(gather)
    real = place < lengths[:, None]
    scatter = torch.empty(len(nodes), dtype=torch.long)
    positions = torch.empty(len(nodes), dtype=torch.long)
    scatter[gather[real]] = torch.arange(gather.numel()).view_as(gather)[real]
    positions[gather[real]] = place[real]
    tokens = torch.tensor([token for _, token in nodes])
    last = gather.gather(1, lengths[:, None] - 1)[:, 0]
    return PrefixTree(tokens, positions, gather, scatter, last, begins, lengths)


def shared_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """How many tokens all ``sequences`` have in common from the start; at least one is given."""
    first, last = min(sequences, key=list), max(sequences, key=list)  # in order, what these share all share
    shorter = min(len(first), len(last))
    return next((i for i in range(shorter) if first[i] != last[i]), shorter)
