"""Networks that read frames of robot tasks off states of words: nested decoders, and a flat one that copies.

Both have the same encoder, two GRU layers for decoding and attention over the words. Letters of shapes: B
sentences, n words, D numbers of a word's state, W the width, T tasks of a sentence, A arguments of a task, L
symbols of a sequence.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

IGNORED = -100
"""A target that does not count in the loss."""
STOP = 0
"""The first of the skills, of the roles and of the symbols: nothing more follows."""

Spans = list[tuple[int, int, int, list[tuple[int, int, int]]]]
"""Of each task: skill, first and last word of the trigger, and of each argument role, first and last word."""


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Sentences as tensors; what is to be predicted is empty where it is not known.

    Attributes:
        states: [B, n, D]; lengths: [B] words of each.
        skills: [B, T + 1] with ``STOP`` after the last; triggers: [B, T, 2] first and last word.
        roles: [B, T, A + 1]; spans: [B, T, A, 2]. Beyond the last ``IGNORED``, places 0.
        tags: [B, n] of object classes.
        symbols: [B, L] of the flat sequence, ``STOP`` last: labels, then from their number on word places.
    """

    states: Tensor
    lengths: Tensor
    skills: Tensor
    triggers: Tensor
    roles: Tensor
    spans: Tensor
    tags: Tensor
    symbols: Tensor

    @property
    def mask(self) -> Tensor:
        """[B, n] whether there is a word."""
        return torch.arange(self.states.shape[1], device=self.states.device) < self.lengths[:, None]


class WordEncoder(nn.Module):
    """Frozen states [B, n, D] -> [B, n, W] that know both sides: standardised, projected, a BiGRU."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, width: int, dropout: float):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.project = nn.Linear(len(mean), width)
        self.gru = nn.GRU(width, width // 2, bidirectional=True, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """See the class."""
        x = self.dropout(F.relu(self.project((states - self.mean) / self.std)))
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        both, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=states.shape[1])
        return self.dropout(both)


class Pointer(nn.Module):
    """How well each word answers a query: [..., Q], [B, n, W] -> [..., n], -inf where there is no word."""

    def __init__(self, query: int, width: int):
        super().__init__()
        self.query, self.key = nn.Linear(query, width), nn.Linear(width, width)

    def forward(self, query: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """``query`` [B, S, Q], ``words`` [B, n, W], ``mask`` [B, n] -> [B, S, n]."""
        scores = self.query(query) @ self.key(words).transpose(1, 2) / words.shape[-1] ** 0.5
        return scores.masked_fill(~mask[:, None], -torch.inf)


class Attended(nn.Module):
    """A decoder's state with what it attends to: [B, S, W], [B, n, W] -> [B, S, W]."""

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.pointer, self.mix = Pointer(width, width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, state: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """See the class."""
        context = self.pointer(state, words, mask).softmax(-1) @ words
        return self.dropout(torch.tanh(self.mix(torch.cat((state, context), -1))))


class SpanHead(nn.Module):
    """First and last word: the last by a pointer that knows the first, and not before it."""

    def __init__(self, width: int):
        super().__init__()
        self.start, self.end = Pointer(width, width), Pointer(2 * width, width)

    def loss(self, state: Tensor, words: Tensor, mask: Tensor, spans: Tensor, counts: Tensor) -> Tensor:
        """Cross-entropies of [B, S, 2] places, the mean over those that count [B, S]."""
        if not counts.any():
            return words.sum() * 0
        start, end = spans.unbind(-1)
        ends = self._ends(state, words, mask, start)
        starts = self.start(state, words, mask)
        return F.cross_entropy(starts[counts], start[counts]) + F.cross_entropy(ends[counts], end[counts])

    def best(self, state: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """[B, S, 2] the likeliest first word, and the likeliest last one after it."""
        start = self.start(state, words, mask).argmax(-1)
        return torch.stack((start, self._ends(state, words, mask, start).argmax(-1)), -1)

    def _ends(self, state: Tensor, words: Tensor, mask: Tensor, start: Tensor) -> Tensor:
        first = words.gather(1, start[..., None].expand(-1, -1, words.shape[-1]))
        scores = self.end(torch.cat((state, first), -1), words, mask)
        before = torch.arange(words.shape[1], device=words.device) < start[..., None]
        return scores.masked_fill(before, -torch.inf)


def pooled(words: Tensor, spans: Tensor) -> Tensor:
    """The mean of words [B, n, W] over spans [B, S, 2] -> [B, S, W]."""
    sums = F.pad(words.cumsum(1), (0, 0, 1, 0))
    start, end = spans.unbind(-1)
    width = words.shape[-1]
    total = sums.gather(1, (end + 1)[..., None].expand(-1, -1, width))
    total = total - sums.gather(1, start[..., None].expand(-1, -1, width))
    return total / (end + 1 - start)[..., None]


class NestedDecoder(nn.Module):
    """tagE's decoders: the outer one emits tasks, and for each of them the inner one its arguments.

    The outer state takes in what was emitted last: the skill, its trigger and, pooled, its arguments.
    """

    def __init__(self, encoder: WordEncoder, width: int, skills: int, roles: int, tags: int, dropout: float):
        super().__init__()
        self.encoder, self.width = encoder, width
        self.skill, self.role = nn.Embedding(skills + 1, width), nn.Embedding(roles + 1, width)
        self.first = nn.Linear(width, width)
        self.outer_input, self.outer = nn.Linear(3 * width, width), nn.GRU(width, width, batch_first=True)
        self.inner_first = nn.Linear(3 * width, width)
        self.inner_input, self.inner = nn.Linear(2 * width, width), nn.GRU(width, width, batch_first=True)
        self.task, self.argument = Attended(width, dropout), Attended(width, dropout)
        self.to_skill, self.to_role = nn.Linear(width, skills + 1), nn.Linear(width, roles + 1)
        self.trigger, self.span = SpanHead(width), SpanHead(width)
        self.to_tag = nn.Linear(width, tags)

    def loss(self, batch: FrameBatch) -> Tensor:
        """The sum of mean cross-entropies: skill, role, tag, both ends of triggers and of arguments."""
        words, mask = self.encoder(batch.states, batch.lengths), batch.mask
        B, T, A = batch.spans.shape[:3]  # noqa: N806
        real, there = batch.skills[:, :T] > STOP, batch.roles[:, :, :A] > STOP  # [B, T], [B, T, A]

        # 1. The outer decoder, taught: before task t it is given task t - 1.
        triggers = pooled(words, batch.triggers)  # [B, T, W]
        flat = pooled(words, batch.spans.reshape(B, T * A, 2)).reshape(B, T, A, -1)
        arguments = (flat * there[..., None]).sum(2) / there.sum(2, keepdim=True).clamp(min=1)
        skills = batch.skills[:, :T].clamp(min=0)
        given = self.outer_input(torch.cat((self.skill(skills), triggers, arguments), -1)) * real[..., None]
        states, _ = self.outer(F.pad(given, (0, 0, 1, 0)), self._begin(words, mask))  # [B, T + 1, W]
        tasks = self.task(states, words, mask)

        # 2. The inner decoder, for every task at once: before argument a it is given argument a - 1.
        rows, places = real.nonzero(as_tuple=True)  # [N] tasks
        own_words, own_mask = words[rows], mask[rows]
        begin = self._begin_inner(states[rows, places], skills[rows, places], triggers[rows, places])
        roles, own = batch.roles[rows, places], there[rows, places]
        before = torch.cat((self.role(roles[:, :A].clamp(min=0)), flat[rows, places]), -1)
        before = self.inner_input(before) * own[..., None]
        inner, _ = self.inner(F.pad(before, (0, 0, 1, 0)), begin)
        found = self.argument(inner, own_words, own_mask)  # [N, A + 1, W]

        # 3. What each was to say.
        return (
            F.cross_entropy(self.to_skill(tasks).flatten(0, 1), batch.skills.flatten(), ignore_index=IGNORED)
            + self.trigger.loss(tasks[:, :T], words, mask, batch.triggers, real)
            + F.cross_entropy(self.to_role(found).flatten(0, 1), roles.flatten(), ignore_index=IGNORED)
            + self.span.loss(found[:, :A], own_words, own_mask, batch.spans[rows, places], own)
            + F.cross_entropy(self.to_tag(words).flatten(0, 1), batch.tags.flatten(), ignore_index=IGNORED)
        )

    @torch.inference_mode()
    def decode(self, batch: FrameBatch, max_tasks: int, max_arguments: int) -> list[tuple[Spans, list[int]]]:
        """Of each sentence its tasks, greedily, and the tag of each word."""
        words, mask = self.encoder(batch.states, batch.lengths), batch.mask
        B = len(words)  # noqa: N806
        tasks: list[Spans] = [[] for _ in range(B)]
        going = torch.ones(B, dtype=torch.bool, device=words.device)
        state, given = self._begin(words, mask), words.new_zeros(B, 1, self.width)
        for _ in range(max_tasks):
            _, state = self.outer(given, state)
            task = self.task(state[0][:, None], words, mask)
            skill = self.to_skill(task)[:, 0].argmax(-1)
            going = going & (skill != STOP)
            if not going.any():
                break
            trigger = self.trigger.best(task, words, mask)  # [B, 1, 2]
            pool = pooled(words, trigger)
            begin = self._begin_inner(state[0], skill, pool[:, 0])
            arguments, told = self._decode_inner(begin, going, words, mask, max_arguments)
            for row in going.nonzero().flatten().tolist():
                first, last = trigger[row, 0].tolist()
                tasks[row].append((int(skill[row]), first, last, arguments[row]))
            given = self.outer_input(torch.cat((self.skill(skill)[:, None], pool, told), -1))
        tags = self.to_tag(words).argmax(-1).tolist()
        return list(zip(tasks, tags, strict=True))

    def _decode_inner(
        self, state: Tensor, going: Tensor, words: Tensor, mask: Tensor, most: int
    ) -> tuple[list[list[tuple[int, int, int]]], Tensor]:
        """The arguments of one task of each sentence, and the mean of their words [B, 1, W]."""
        found: list[list[tuple[int, int, int]]] = [[] for _ in words]
        given = words.new_zeros(len(words), 1, self.width)
        total, number = torch.zeros_like(given), words.new_zeros(len(words), 1, 1)
        for _ in range(most):
            _, state = self.inner(given, state)
            argument = self.argument(state[0][:, None], words, mask)
            role = self.to_role(argument)[:, 0].argmax(-1)
            going = going & (role != STOP)
            if not going.any():
                break
            span = self.span.best(argument, words, mask)
            pool = pooled(words, span)
            for row in going.nonzero().flatten().tolist():
                first, last = span[row, 0].tolist()
                found[row].append((int(role[row]), first, last))
            total, number = total + pool * going[:, None, None], number + going[:, None, None]
            given = self.inner_input(torch.cat((self.role(role)[:, None], pool), -1))
        return found, total / number.clamp(min=1)

    def _begin(self, words: Tensor, mask: Tensor) -> Tensor:
        """[1, B, W] of the mean word."""
        return _mean_state(self.first, words, mask)

    def _begin_inner(self, state: Tensor, skill: Tensor, trigger: Tensor) -> Tensor:
        """[1, N, W] of the task's state, its skill and its trigger."""
        return torch.tanh(self.inner_first(torch.cat((state, self.skill(skill), trigger), -1)))[None]


class FlatDecoder(nn.Module):
    """One sequence of labels and words for all tasks; each word is copied from its place in the sentence."""

    def __init__(self, encoder: WordEncoder, width: int, labels: int, dropout: float):
        super().__init__()
        self.encoder, self.width, self.labels = encoder, width, labels
        self.label, self.copied = nn.Embedding(labels, width), nn.Linear(width, width)
        self.first = nn.Linear(width, 2 * width)
        self.gru = nn.GRU(width, width, num_layers=2, batch_first=True)
        self.attended = Attended(width, dropout)
        self.to_label, self.copy = nn.Linear(width, labels), Pointer(width, width)

    def loss(self, batch: FrameBatch) -> Tensor:
        """The mean cross-entropy of a symbol, over labels and the words of the sentence alike."""
        words, mask = self.encoder(batch.states, batch.lengths), batch.mask
        before = batch.symbols[:, :-1].clamp(min=0)
        states, _ = self.gru(F.pad(self._embed(before, words), (0, 0, 1, 0)), self._begin(words, mask))
        logits = self._logits(states, words, mask)  # [B, L, labels + n]
        return F.cross_entropy(logits.flatten(0, 1), batch.symbols.flatten(), ignore_index=IGNORED)

    @torch.inference_mode()
    def decode(self, batch: FrameBatch, max_symbols: int) -> list[list[int]]:
        """The symbols of each sentence, greedily, without ``STOP``."""
        words, mask = self.encoder(batch.states, batch.lengths), batch.mask
        found: list[list[int]] = [[] for _ in words]
        going = torch.ones(len(words), dtype=torch.bool, device=words.device)
        state, given = self._begin(words, mask), words.new_zeros(len(words), 1, self.width)
        for _ in range(max_symbols):
            output, state = self.gru(given, state)
            symbol = self._logits(output, words, mask)[:, 0].argmax(-1)
            going = going & (symbol != STOP)
            if not going.any():
                break
            for row in going.nonzero().flatten().tolist():
                found[row].append(int(symbol[row]))
            given = self._embed(symbol[:, None], words)
        return found

    def _begin(self, words: Tensor, mask: Tensor) -> Tensor:
        """[2, B, W], one for each layer."""
        return torch.cat(_mean_state(self.first, words, mask).chunk(2, -1)).contiguous()

    def _embed(self, symbols: Tensor, words: Tensor) -> Tensor:
        """[B, L] -> [B, L, W]: labels by their embedding, copied words by their states."""
        place = (symbols - self.labels).clamp(min=0)[..., None].expand(-1, -1, words.shape[-1])
        copied = self.copied(words.gather(1, place))
        is_label = symbols < self.labels
        return torch.where(is_label[..., None], self.label(symbols.clamp(max=self.labels - 1)), copied)

    def _logits(self, states: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        state = self.attended(states, words, mask)
        return torch.cat((self.to_label(state), self.copy(state, words, mask)), -1)


def _mean_state(layer: nn.Linear, words: Tensor, mask: Tensor) -> Tensor:
    mean = (words * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return torch.tanh(layer(mean))[None]
