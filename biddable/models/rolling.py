"""Log-probabilities of whole texts, however long, by windows of the model's context: for perplexity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from biddable.errors import InputError
from biddable.models.base import LanguageModel
from biddable.models.chat import require_text
from biddable.models.local import LocalModel
from biddable.models.packing import Span
from biddable.models.plain import context_of


@dataclass(frozen=True, slots=True)
class RollingScore:
    """How likely a text is.

    Attributes:
        nats: its log-probability.
        tokens: how many tokens it has.
        bytes: how many UTF-8 bytes.
    """

    nats: float
    tokens: int
    bytes: int

    @property
    def perplexity(self) -> float:
        """Per token."""
        return math.exp(-self.nats / self.tokens)

    @property
    def bits_per_byte(self) -> float:
        """Comparable between models with different tokenizers."""
        return -self.nats / self.bytes / math.log(2)


def loglikelihood_rolling(model: LanguageModel, texts: Sequence[str]) -> list[RollingScore]:
    """The log-probability of each whole text, its first token after the beginning (or end) token.

    A text longer than the context is cut into windows as lm-evaluation-harness cuts it: each token counts
    once, and the last window reaches back as far as the context does.

    Args:
        model: one whose weights are here.
        texts: any texts of at least one token.

    Raises:
        InputError: the model is served, or a text has no token.
    """
    if not isinstance(model, LocalModel):
        raise InputError("model", model.name, "a model whose weights are here (a folder, a hub name, a run)")
    window = context_of(model.module.config)
    first = model.begin_id
    spans: list[Span] = []
    of_text: list[tuple[int, int]] = []  # windows and tokens
    for index, text in enumerate(texts):
        require_text(f"texts[{index}]", text)
        ids = model.encode_text(text)
        if not ids:
            raise InputError(f"texts[{index}]", text, "a text of at least one token")
        cut = list(_windows(ids, first, window))
        spans += cut
        of_text.append((len(cut), len(ids)))
    scores = iter(model.score_tokens(spans))
    return [
        RollingScore(sum(next(scores).total for _ in range(count)), tokens, len(text.encode()))
        for text, (count, tokens) in zip(texts, of_text, strict=True)
    ]


def _windows(ids: Sequence[int], first: int, window: int) -> Iterator[Span]:
    """Spans that score each of ``ids`` once, of at most ``window`` + 1 tokens: the last is only predicted."""
    yield [first], ids[:window]
    for start in range(window, len(ids), window):
        end = min(start + window, len(ids))
        yield ids[end - window - 1 : start], ids[start:end]
