"""QWeb: values of every action on a page, from what its elements are and how they match the instruction."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from biddable.envs.web import KINDS
from biddable.methods.act.web_navigation.features import ELEMENT_NUMBERS, OVERLAPS, VOCABULARY
from biddable.policies.dqn import masked

WORD_SIZE = 32


class QWeb(nn.Module):
    """Values [N, kinds * fields * elements] of ``featurize``'s arrays, each [N, ...].

    *Deep*: words are embedded and averaged, fields and elements become vectors, a bidirectional LSTM runs
    over the elements in tree order; a pair's value is the product of its vectors and what the element alone
    is worth for each kind of action. *Shallow*: the overlaps of words alone, which say little and hold
    everywhere at once. A learned gate for each kind mixes the two.

    Args:
        hidden: size of the vectors.
        shallow: whether the overlaps are looked at.
    """

    def __init__(self, *, hidden: int = 64, shallow: bool = True):
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WORD_SIZE, padding_idx=0)
        self.field = nn.Sequential(nn.Linear(2 * WORD_SIZE, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.element = nn.Sequential(nn.Linear(2 * WORD_SIZE + ELEMENT_NUMBERS, hidden), nn.ReLU())
        self.along = nn.LSTM(hidden, hidden // 2, bidirectional=True, batch_first=True)
        self.alone = nn.Linear(hidden, len(KINDS))
        self.shallow = None
        if shallow:
            inputs = OVERLAPS + ELEMENT_NUMBERS
            self.shallow = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, len(KINDS)))
            self.gate = nn.Parameter(torch.zeros(len(KINDS)))

    def forward(
        self, element_words: Tensor, numbers: Tensor, field_words: Tensor, overlaps: Tensor, mask: Tensor
    ) -> Tensor:
        """See the class; what ``mask`` forbids gets the lowest value."""
        fields = self.field(self._averaged(field_words))
        elements = self.element(torch.cat([self._averaged(element_words), numbers], -1))
        elements = self.along(elements)[0]
        pairs = fields @ elements.mT / math.sqrt(fields.shape[-1])
        values = pairs[:, None] + self.alone(elements).mT[:, :, None]
        if self.shallow is not None:
            beside = numbers[:, None].expand(-1, overlaps.shape[1], -1, -1)
            matched = self.shallow(torch.cat([overlaps, beside], -1)).movedim(-1, 1)
            share = self.gate.sigmoid()[:, None, None]
            values = (1 - share) * values + share * matched
        return masked(values.flatten(1), mask)

    def _averaged(self, words: Tensor) -> Tensor:
        """[N, rows, 2, words] -> [N, rows, 2 * size]: means over the words that are there, else zeros."""
        numbers = words.long()
        there = (numbers > 0).sum(-1, keepdim=True).clamp(min=1)
        return (self.words(numbers).sum(-2) / there).flatten(-2)
