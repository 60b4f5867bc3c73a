"""A language model that says how likely "yes" is, or rates a response on a scale."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from biddable.judges.labels import label_probabilities
from biddable.models.base import LanguageModel
from biddable.types import Prompt

logger = logging.getLogger(__name__)

YES_OR_NO = (("Yes", "yes", "YES"), ("No", "no", "NO"))
_YES_OR_NO = re.compile(r"\b(?:(yes)|no)\b", re.IGNORECASE)


def yes_probabilities(model: LanguageModel, prompts: Sequence[Prompt]) -> list[float]:
    """How likely the answer to each question is yes: P(yes) / (P(yes) + P(no)), from one call of ``score``.

    A model without log-probabilities writes its answer, which counts as 1 (yes), 0 (no) or, where it says
    neither, 0.5; how many those are is logged. So is a prompt that cannot be asked.

    Args:
        model: any model.
        prompts: questions that are answered with yes or no, as chats or raw text.

    Raises:
        ModelError: log-probabilities are not numbers.
        EndpointError: a served model answers nothing.
    """
    answers = label_probabilities(model, prompts, YES_OR_NO, _read_yes)
    if problems := [answer.problem for answer in answers if answer.problem]:
        counted = f"{len(problems)} of {len(answers)} questions"
        logger.warning("%s to %s count as 0.5; the first: %s", counted, model.name, problems[0])
    return [answer.probabilities[0] if answer.probabilities else 0.5 for answer in answers]


def _read_yes(text: str) -> int | None:
    """0 for yes, 1 for no, by the first of the two words; None without either."""
    match = _YES_OR_NO.search(text)
    return None if match is None else int(match[1] is None)
