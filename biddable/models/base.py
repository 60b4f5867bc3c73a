"""What a language model is to the rest of the library.

Both calls take the whole batch: the engine behind them decides how to cut it up. Seeds belong to
rows, so a response depends on its own seed and never on what else was in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import Field

from biddable.config import Count, settings
from biddable.errors import ModelError
from biddable.types import Prompt, Response


@settings
class Sampling:
    """How to draw a response.

    Top-k goes first, then top-p on what is left, renormalised (the order of the field's engines).
    """

    max_tokens: Count = 256
    """Longest response, in tokens."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """0: the likeliest token."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """Draw from this many of the likeliest tokens; 0: from all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Draw from the likeliest tokens that make up this share of probability; 1: from all."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Texts that end a response; they are cut off."""


GREEDY = Sampling(temperature=0.0)


class NoScoresError(ModelError):
    """The model answers, but gives no log-probabilities of given text."""


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Log-probabilities (nats) of a given continuation, one per token of it."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]

    @property
    def total(self) -> float:
        """Log-probability of the whole continuation, in nats."""
        return sum(self.logprobs)


@runtime_checkable
class LanguageModel(Protocol):
    """Anything that answers prompts."""

    name: str

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        n: int = 1,
        sampling: Sampling = GREEDY,
        seeds: Sequence[int] | None = None,
    ) -> list[list[Response]]:
        """``n`` responses to each prompt, in order; ``seeds`` has an integer for each (default 0, 1, …)."""

    def score(
        self, prompts: Sequence[Prompt], continuations: Sequence[str], *, end: bool = True
    ) -> list[TokenScores]:
        """How likely each continuation is after its prompt; ``end``: the end of the turn included.

        Raises:
            NoScoresError: the model gives no log-probabilities of given text.
        """


@runtime_checkable
class TrainableModel(LanguageModel, Protocol):
    """A language model whose weights are here."""

    module: Any
    tokenizer: Any

    def save(self, folder: Path) -> Path:
        """Write the weights as safetensors (or a PEFT adapter), with config and tokenizer."""
