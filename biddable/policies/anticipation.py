"""What somebody does next, by a small transformer that learned from sequences of actions alone.

It knows no word but those of its training, and draws candidates at a temperature. It may be told a goal, of
which it knows the words of its training, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from biddable.config import Count, Natural, Positive, Share, settings
from biddable.errors import InputError
from biddable.policies.bigram import Candidates, require_sizes
from biddable.tasks.action_windows import Window
from biddable.tasks.actions import Action

if TYPE_CHECKING:
    from torch import Tensor, nn


@settings
class ActionTransformerConfig:
    """A transformer over verbs and nouns, trained from nothing."""

    width: Count = 64
    """Numbers of a hidden state."""
    layers: Count = 2
    """Layers."""
    heads: Count = 4
    """Attention heads of each."""
    dropout: Share = 0.2
    """Share of hidden numbers left out in training."""
    lr: Positive = 2e-3
    """Learning rate of AdamW."""
    weight_decay: Positive = 0.01
    """Its weight decay."""
    batch_size: Count = 32
    """Windows of a step, in two forms where there are goals."""
    epochs: Count = 60
    """The most epochs; the best on validation windows is kept."""
    patience: Count = 8
    """Epochs without a lower validation loss after which it ends."""
    goal_words: Natural = 16
    """Words of a goal that are read."""


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """Numbers of words: 0 for none (padding), 1 for the start, 2 for one that is not known."""

    verbs: dict[str, int]
    nouns: dict[str, int]
    goal: dict[str, int]

    @classmethod
    def of(cls, windows: Sequence[Window]) -> _Vocabulary:
        actions = [action for each in windows for action in each.history + each.future]
        kinds = (
            {verb for verb, _ in actions},
            {noun for _, noun in actions},
            {word for each in windows for word in goal_words(each.goal)},
        )
        tables, start = [], 3
        for words in kinds:
            tables.append({word: start + at for at, word in enumerate(sorted(words))})
            start += len(words)
        return cls(*tables)

    def __len__(self) -> int:
        return 3 + len(self.verbs) + len(self.nouns) + len(self.goal)


def goal_words(goal: str) -> list[str]:
    """The words of a goal, in lower case."""
    return re.findall(r"[^\W_]+", goal.lower())


class ActionTransformer:
    """A causal transformer: start, the words of the goal (or as much padding), then verb, noun, verb, noun …

    The loss is the mean cross-entropy of all verbs and nouns, of history and future.

    Args:
        windows: to learn from, all of one length.
        config: its sizes and training.
        seed: of first weights, order and dropout.
    """

    def __init__(self, windows: Sequence[Window], config: ActionTransformerConfig, seed: int):
        import torch

        if not windows:
            raise InputError("windows", 0, "at least one")
        self.config, self._words = config, _Vocabulary.of(windows)
        self._places = 1 + config.goal_words + 2 * len(windows[0].history + windows[0].future)
        self._windows = windows
        self._generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = _network(len(self._words), self._places, config)

    def fit(self, validation: Sequence[Window]) -> list[float]:
        """Train, and keep the weights of the epoch that did best on ``validation``.

        Returns:
            the validation loss after each epoch, in nats per word.

        Raises:
            InputError: no window to validate on.
        """
        import torch

        if not validation:
            raise InputError("validation", 0, "at least one window")
        rows, held = self._rows(self._windows), self._rows(validation)
        optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=self.config.lr, weight_decay=self.config.weight_decay
        )
        losses: list[float] = []
        best: dict[str, Tensor] = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**31, (1,), generator=self._generator)))
            for _ in range(self.config.epochs):
                self.net.train()
                for batch in torch.randperm(len(rows), generator=self._generator).split(
                    self.config.batch_size
                ):
                    optimizer.zero_grad()
                    self._loss(rows[batch]).backward()
                    torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
                    optimizer.step()
                self.net.eval()
                with torch.inference_mode():
                    losses.append(float(self._loss(held)))
                if losses[-1] == min(losses):
                    best = {name: value.clone() for name, value in self.net.state_dict().items()}
                if len(losses) - 1 - int(np.argmin(losses)) >= self.config.patience:
                    break
        self.net.load_state_dict(best)
        return losses

    def predict(
        self, windows: Sequence[Window], k: int, ahead: int, temperature: float, seed: int
    ) -> Candidates:
        """``k`` continuations of each history; with its goal where a window has one.

        Raises:
            InputError: a number is too small, or there is no place for so many actions.
        """
        import torch

        require_sizes(k, ahead, temperature)
        generator = torch.Generator().manual_seed(seed)
        words = self._words
        kinds = (list(words.verbs), list(words.nouns))
        spans = ((3, 3 + len(kinds[0])), (3 + len(kinds[0]), 3 + len(kinds[0]) + len(kinds[1])))
        start = torch.tensor([self._prefix(each.goal) + self._encoded(each.history) for each in windows])
        if start.shape[1] + 2 * ahead > self._places:
            raise InputError("ahead", ahead, f"at most {(self._places - start.shape[1]) // 2}")
        tokens = start.repeat_interleave(k, 0)  # [N·K, T]
        self.net.eval()
        with torch.inference_mode():
            for step in range(2 * ahead):
                first, end = spans[step % 2]  # a verb, then a noun
                logits = self.net(tokens, last=True)[:, -1, first:end] / temperature
                drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)
                tokens = torch.cat([tokens, drawn + first], dim=1)
        made = tokens[:, start.shape[1] :].view(len(windows), k, ahead, 2).tolist()
        return [
            [[(kinds[0][v - spans[0][0]], kinds[1][n - spans[1][0]]) for v, n in row] for row in of]
            for of in made
        ]

    def _loss(self, rows: Tensor) -> Tensor:
        """Of rows [B, T]: cross-entropy of the words after the prefix."""
        import torch.nn.functional as F

        at = self.config.goal_words  # from here on, the next word is one of an action
        logits = self.net(rows[:, :-1])[:, at:]  # [B, 2·L, V]
        return F.cross_entropy(logits.flatten(0, 1), rows[:, at + 1 :].flatten(), ignore_index=2)

    def _rows(self, windows: Sequence[Window]) -> Tensor:
        """Each window without a goal and, where it has one, with it."""
        import torch

        rows = []
        for each in windows:
            actions = self._encoded(each.history + each.future)
            rows += [self._prefix(goal) + actions for goal in dict.fromkeys(("", each.goal))]
        return torch.tensor(rows)

    def _prefix(self, goal: str) -> list[int]:
        places = self.config.goal_words
        words = [self._words.goal.get(word, 2) for word in goal_words(goal)[:places]]
        return [1, *words, *[0] * (places - len(words))]

    def _encoded(self, actions: Sequence[Action]) -> list[int]:
        tables = (self._words.verbs, self._words.nouns)
        return [table.get(word, 2) for action in actions for table, word in zip(tables, action, strict=True)]


def _network(words: int, places: int, config: ActionTransformerConfig) -> nn.Module:
    """[B, T] numbers of words -> [B, T, words] logits of the next one; [B, 1, words] of the last place alone.

    The head is the embedding turned round.
    """
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(words, config.width)
            nn.init.normal_(self.words.weight, std=config.width**-0.5)
            self.places = nn.Parameter(torch.zeros(places, config.width))
            layer = nn.TransformerEncoderLayer(
                config.width,
                config.heads,
                4 * config.width,
                config.dropout,
                batch_first=True,
                norm_first=True,
            )
            self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
            self.norm = nn.LayerNorm(config.width)

        def forward(self, tokens: Tensor, last: bool = False) -> Tensor:
            length = tokens.shape[1]
            later = torch.ones(length, length, dtype=torch.bool).triu(1)
            states = self.layers(
                self.words(tokens) * config.width**0.5 + self.places[:length],
                mask=later,
                src_key_padding_mask=tokens == 0,  # the start is never padding: every place sees something
            )
            logits: Tensor = self.norm(states[:, -1:] if last else states) @ self.words.weight.T
            return logits

    if config.width % config.heads:
        raise InputError("width", config.width, f"a multiple of heads ({config.heads})")
    return Network()
