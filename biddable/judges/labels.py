"""How likely a model is to answer with each of a few labels: yes or no, a digit, A or B.

By log-probability where a model gives them, with one call for all prompts; else by what it writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from biddable.errors import InputError
from biddable.judges.thinking import without_thinking
from biddable.models.base import LanguageModel
from biddable.models.choices import Ranking, rank_choices
from biddable.types import Prompt, as_chat

ANSWER_TOKENS = 16
"""The longest answer of a model that writes it."""

Read = Callable[[str], Sequence[float] | None]
"""The probabilities of the labels that a written answer stands for, adding up to 1; None: it names none."""

# What our requests put around a quoted text, and what chat templates put around a turn.
_RESERVED = re.compile(
    r"<(?=\s*/?\s*(?:instruction|response|criteria)\b)"
    r"|<(?=[|｜])|<(?=/?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn)>)|\[(?=/?(?:INST|SYSTEM_PROMPT)\])",
    re.IGNORECASE,
)


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
    read: Read,
    max_tokens: int = ANSWER_TOKENS,
) -> list[LabelProbabilities]:
    """How likely each label is after each prompt.

    Prompts that are the same are asked once. One that cannot be asked (it is longer than the model's
    context), or after which log-probabilities are no numbers, does not end the others.

    Args:
        model: any model.
        prompts: chats or raw text. After raw text a label is a new word.
        labels: of each label its surface forms ("Yes", "yes"), whose probabilities are added up.
        read: reads a written answer, without its thinking.
        max_tokens: the longest written answer.

    Raises:
        EndpointError: a served model answers nothing.
    """
    distinct = list(dict.fromkeys(prompts))
    asked = dict(zip(distinct, _ask(model, distinct, labels, read, max_tokens), strict=True))
    return [asked[prompt] for prompt in prompts]


def _ask(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    labels: Sequence[Sequence[str]],
    read: Read,
    max_tokens: int,
) -> list[LabelProbabilities]:
    forms = [form for label in labels for form in label]
    offered = [[f" {form}" if _opens_a_word(prompt) else form for form in forms] for prompt in prompts]
    try:
        rankings = rank_choices(model, prompts, offered, max_tokens=max_tokens)
    except InputError as error:
        if len(prompts) == 1:
            return [LabelProbabilities((), problem=str(error))]
        half = len(prompts) // 2  # a model looks at all prompts before it computes any
        parts = prompts[:half], prompts[half:]
        return [each for part in parts for each in _ask(model, part, labels, read, max_tokens)]
    return [_of(ranking, labels, read) for ranking in rankings]


def _opens_a_word(prompt: Prompt) -> bool:
    return isinstance(prompt, str) and not prompt[-1:].isspace()


def _of(ranking: Ranking, labels: Sequence[Sequence[str]], read: Read) -> LabelProbabilities:
    if ranking.written is None:
        weights = iter(ranking.probabilities)
        return LabelProbabilities(tuple(sum(next(weights) for _ in label) for label in labels))
    if ranking.written.error:
        return LabelProbabilities((), True, f"no answer: {ranking.written.error}")
    probabilities = read(without_thinking(ranking.written.text))
    if probabilities is None:
        return LabelProbabilities((), True, f"the answer cannot be read: {ranking.written.text!r}")
    return LabelProbabilities(tuple(probabilities), True)


def quoted(text: str) -> str:
    """``text`` as a request may quote it between tags: nothing in it ends the quotation, or the turn."""
    return _RESERVED.sub(lambda match: f"{match[0]} ", text)


def quoted_prompt(prompt: Prompt) -> str:
    """The same of a prompt: a single user turn as it is; anything longer with its roles."""
    turns = as_chat(prompt)
    if len(turns) == 1 and turns[0].role == "user":
        return quoted(turns[0].content)
    return "\n\n".join(f"{turn.role}: {quoted(turn.content)}" for turn in turns)
