"""QWeb: values of every action on a page, from what its elements are and how they match the instruction."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from biddable.envs.web import KINDS
from biddable.policies.dqn import FORBIDDEN
from biddable.policies.web.features import ELEMENT_NUMBERS, OVERLAPS, VOCABULARY

WORD_SIZE = 32
PAIR_SIZE = 32


class QWeb(nn.Module):
    """Values [N, kinds * fields * elements] of ``featurize``'s arrays, each [N, ...].

    *Deep*: words are embedded and averaged to vectors of fields and elements; each element attends to the
    fields, and a bidirectional LSTM runs over the elements in tree order. The value of typing a field into an
    element is the product of their vectors, that of a click the highest product over fields, each plus a
    value of the element alone. *Shallow*: the same from overlaps of words, which generalise to unseen words,
    and from how far each field is done. A learned gate for each kind of action mixes the two.

    Args:
        hidden: size of the vectors.
        shallow: whether the shallow part is used.
    """

    def __init__(self, *, hidden: int = 32, shallow: bool = True):
        super().__init__()
        self.words = nn.EmbeddingBag(VOCABULARY, WORD_SIZE, mode="mean", padding_idx=0)
        nn.init.normal_(self.words.weight, std=0.1)  # words never trained on should say little
        self.field = nn.Sequential(nn.Linear(2 * WORD_SIZE, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.element = nn.Sequential(nn.Linear(2 * WORD_SIZE + ELEMENT_NUMBERS, hidden), nn.ReLU())
        self.along = nn.LSTM(hidden, hidden // 2, bidirectional=True, batch_first=True)
        self.alone = nn.Linear(hidden, len(KINDS))
        self.shallow = Overlaps() if shallow else None
        self.gate = nn.Parameter(torch.zeros(len(KINDS)))

    def forward(
        self, element_words: Tensor, numbers: Tensor, field_words: Tensor, overlaps: Tensor, mask: Tensor
    ) -> Tensor:
        """See the class; what ``mask`` forbids gets the lowest value."""
        # Pages differ in size: nothing is computed where none of these has an element or a field.
        rows, columns = _used(field_words), _used(element_words)
        there = (field_words[:, :rows] > 0).flatten(2).any(-1)
        element_words, numbers = element_words[:, :columns], numbers[:, :columns]
        values = self._deep(element_words, numbers, field_words[:, :rows], there)
        if self.shallow is not None:
            share = self.gate.sigmoid()[:, None, None]
            overlaps = overlaps[:, :rows, :columns]
            values = (1 - share) * values + share * self.shallow(overlaps, numbers, there)
        table = mask.view(len(mask), len(KINDS), field_words.shape[1], -1)
        out = torch.full_like(table, FORBIDDEN)
        out[:, :, :rows, :columns] = values.masked_fill(table[:, :, :rows, :columns] <= 0, FORBIDDEN)
        return out.flatten(1)

    def _deep(self, element_words: Tensor, numbers: Tensor, field_words: Tensor, there: Tensor) -> Tensor:
        fields = self.field(self._averaged(field_words))
        elements = self.element(torch.cat([self._averaged(element_words), numbers], -1))
        likeness = _products(fields, elements).masked_fill(~there[:, :, None], -math.inf).softmax(1)
        elements = self.along(elements + likeness.mT @ fields)[0]
        pairs = _products(fields, elements)
        return _by_kind(pairs, pairs, there) + self.alone(elements).mT[:, :, None]

    def _averaged(self, words: Tensor) -> Tensor:
        """[N, rows, 2, words] -> [N, rows, 2 * size]: means over the words that are there, else zeros."""
        return self.words(words.long().flatten(0, 2)).view(*words.shape[:2], -1)


class Overlaps(nn.Module):
    """The shallow part: values [N, kinds, fields, elements] from overlaps of words."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = nn.Sequential(nn.Linear(OVERLAPS + ELEMENT_NUMBERS, PAIR_SIZE), nn.ReLU())
        self.pair_values = nn.Linear(PAIR_SIZE, len(KINDS))
        self.alone = nn.Sequential(
            nn.Linear(2 * PAIR_SIZE + ELEMENT_NUMBERS, PAIR_SIZE),
            nn.ReLU(),
            nn.Linear(PAIR_SIZE, len(KINDS)),
        )

    def forward(self, overlaps: Tensor, numbers: Tensor, there: Tensor) -> Tensor:
        """See the class. ``there`` [N, fields] says which fields there are."""
        beside = numbers[:, None].expand(-1, overlaps.shape[1], -1, -1)
        pairs = self.pair(torch.cat([overlaps, beside], -1))
        # How far each field is done, by the element where it is furthest; then on average, and the least.
        done, absent = pairs.amax(2), ~there[:, :, None]
        mean = done.masked_fill(absent, 0.0).sum(1) / there.sum(1, keepdim=True)
        whole = torch.cat([mean, done.masked_fill(absent, math.inf).amin(1)], -1)
        state = torch.cat([whole[:, None].expand(-1, numbers.shape[1], -1), numbers], -1)
        click, typed = self.pair_values(pairs).unbind(-1)
        return _by_kind(click, typed, there) + self.alone(state).mT[:, :, None]


def _used(words: Tensor) -> int:
    """How many rows of [N, rows, 2, words] hold a word in any of them."""
    return int((words > 0).flatten(2).any(-1).any(0).sum())


def _products(fields: Tensor, elements: Tensor) -> Tensor:
    """[N, fields, elements] scaled products of vectors."""
    return fields @ elements.mT / math.sqrt(fields.shape[-1])


def _by_kind(click: Tensor, typed: Tensor, there: Tensor) -> Tensor:
    """[N, kinds, fields, elements]: to click an element is worth what it is for its best field."""
    best = click.masked_fill(~there[:, :, None], -math.inf).amax(1, keepdim=True)
    return torch.stack([best.expand_as(typed), typed], 1)
