"""How likely a model is to answer with each of a few labels: yes or no, a digit, A or B.

By log-probability where a model gives them, with one call for all prompts; else by what it writes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from biddable.errors import InputError
from biddable.models.base import LanguageModel
from biddable.models.choices import Ranking, rank_choices
from biddable.types import Prompt

logger = logging.getLogger(__name__)

_TAG = re.compile(r"<(?=\s*/?\s*(?:instruction|response|criteria))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LabelProbabilities:
    """How likely each label is as the answer to one prompt.

    Attributes:
        probabilities: of each label, adding up to 1; a written answer gives 1 to the one that it names. Empty
            where the answer names none, or there is none.
        written: whether the model wrote its answer, because it gives no log-probabilities.
        problem: why there are no probabilities; else empty.
    """

    probabilities: tuple[float, ...]
    written: bool = False
    problem: str = ""


def label_probabilities(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    labels: Sequence[Sequence[str]],
    read: Callable[[str], int | None],
) -> list[LabelProbabilities]:
    """How likely each label is after each prompt.

    Prompts that are the same are asked once. One that cannot be asked (it is longer than the model's context)
    does not end the others.

    Args:
        model: any model.
        prompts: chats or raw text. After raw text a label is a new word.
        labels: of each label its surface forms ("Yes", "yes"), whose probabilities are added up.
        read: which label a written answer names, by its place; None: none.

    Raises:
        ModelError: log-probabilities are not numbers.
        EndpointError: a served model answers nothing.
    """
    distinct = list(dict.fromkeys(prompts))
    found = dict(zip(distinct, _ask(model, distinct, labels, read), strict=True))
    return [found[prompt] for prompt in prompts]


def _ask(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    labels: Sequence[Sequence[str]],
    read: Callable[[str], int | None],
) -> list[LabelProbabilities]:
    forms = [form for label in labels for form in label]
    offered = [[f" {form}" if _opens_a_word(prompt) else form for form in forms] for prompt in prompts]
    try:
        rankings = rank_choices(model, prompts, offered)
    except InputError as error:
        if len(prompts) == 1:
            return [LabelProbabilities((), problem=str(error))]
        half = len(prompts) // 2  # nothing was computed: what is wrong is looked for before
        return [each for part in (prompts[:half], prompts[half:]) for each in _ask(model, part, labels, read)]
    return [_of(ranking, labels, read) for ranking in rankings]


def _opens_a_word(prompt: Prompt) -> bool:
    return isinstance(prompt, str) and not prompt[-1:].isspace()


def _of(
    ranking: Ranking, labels: Sequence[Sequence[str]], read: Callable[[str], int | None]
) -> LabelProbabilities:
    if ranking.written is None:
        weights = iter(ranking.probabilities)
        return LabelProbabilities(tuple(sum(next(weights) for _ in label) for label in labels))
    if ranking.written.error:
        return LabelProbabilities((), True, f"no answer: {ranking.written.error}")
    place = read(ranking.written.text)
    if place is None:
        return LabelProbabilities((), True, f"the answer says none of them: {ranking.written.text!r}")
    return LabelProbabilities(tuple(float(place == each) for each in range(len(labels))), True)


def quoted(text: str) -> str:
    """``text`` as it may stand between tags such as ``<response>``: without anything that reads as one."""
    return _TAG.sub("< ", text)
