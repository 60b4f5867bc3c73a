"""What rewrites a response in a search: the protocol, and a language model as refiner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from biddable.judges.lm_judge import extract_refinement, refine_chat
from biddable.models.base import LanguageModel, Sampling
from biddable.types import Task

REFINE_SAMPLING = Sampling(max_tokens=1024, temperature=0.7)
"""SPaR's, but for the length (3072 there)."""


@dataclass(frozen=True, slots=True)
class Refinement:
    """A rewriting: the new ``response``, and the whole ``text`` that the refiner wrote it in."""

    response: str
    text: str = ""


class Refiner(Protocol):
    """Rewrites many responses at once."""

    def __call__(
        self,
        tasks: Sequence[Task],
        responses: Sequence[str],
        critiques: Sequence[str],
        *,
        seeds: Sequence[int] | None = None,
    ) -> Sequence[Refinement | None]:
        """Rewrite each response to its task in the light of its critique.

        Args:
            tasks: what was asked.
            responses: one for each task; empty where there is none yet.
            critiques: what is wrong with each.
            seeds: one for each response.

        Returns:
            One rewriting for each response, in order; None where none came.
        """


@dataclass(frozen=True)
class LMRefiner:
    """A language model as refiner: what it marks in its answer to ``refine_chat`` is the new response."""

    model: LanguageModel
    sampling: Sampling = REFINE_SAMPLING

    def __call__(
        self,
        tasks: Sequence[Task],
        responses: Sequence[str],
        critiques: Sequence[str],
        *,
        seeds: Sequence[int] | None = None,
    ) -> list[Refinement | None]:
        """See ``Refiner``; one call of the model. Texts in which no response is marked give None."""
        chats = [refine_chat(*row) for row in zip(tasks, responses, critiques, strict=True)]
        answers = self.model.generate(chats, sampling=self.sampling, seeds=seeds)
        texts = [samples[0].text for samples in answers]
        refined = [(extract_refinement(text), text) for text in texts]
        return [None if response is None else Refinement(response, text) for response, text in refined]
