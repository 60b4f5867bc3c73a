"""Choosing among given texts by their log-probabilities.

The choices of all prompts are scored in one call, so that a header which prompts share is computed once, and
each prompt once for all its choices.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from biddable.errors import InputError
from biddable.models.base import LanguageModel, NoScoresError, Sampling, TokenScores
from biddable.models.chat import require_prompt, require_text
from biddable.types import Prompt, Response

logger = logging.getLogger(__name__)

Normalization = Literal["none", "tokens", "bytes"]

NOT_FINITE = "the model's log-probabilities of the choices are not finite"


@dataclass(frozen=True, slots=True)
class Ranking:
    """What was found of the choices after one prompt.

    Attributes:
        best: index of the likeliest choice, the first of those that are equally likely; None where the model
            gives no log-probabilities and its answer matches no choice, or ``written`` has an error.
        scores: of each choice its log-probability in nats, less that after the prior and divided as asked
            for; empty where the model gives none, or one that is no number.
        probabilities: of each choice, the softmax of ``scores``; empty likewise.
        how: "log-probability" with what was done to it, how the generated answer was matched, or "no answer".
        written: that answer, where the model gives no log-probabilities; or an error: why nothing was chosen.
    """

    best: int | None
    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    how: str
    written: Response | None = None


def rank_choices(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    choices: Sequence[str] | Sequence[Sequence[str]],
    *,
    normalize: Normalization = "none",
    prior: Prompt | None = None,
    max_tokens: int | None = None,
) -> list[Ranking]:
    """Rank choices by how likely each is after its prompt, the end of the turn left out.

    After raw text a choice usually begins with a blank; after a chat it does not. Of two choices one of
    which opens with the other, the shorter is never less likely, unless ``normalize`` says otherwise.

    A model without log-probabilities (a chat endpoint) answers greedily instead. Its answer counts for the
    choice that it equals, else for the longest that it begins with as words, letter case aside.

    Args:
        model: any model.
        prompts: chats or raw text.
        choices: one list for all prompts, or one for each.
        normalize: divide a log-probability by the choice's number of tokens, or of UTF-8 bytes.
        prior: a prompt without content, such as "Answer:": log-probabilities after it are subtracted, as in
            Holtzman et al. 2021 (Surface Form Competition).
        max_tokens: the longest answer of a model without log-probabilities; None: of the longest choice.

    Raises:
        InputError: a prompt or choice cannot be scored, or there are no choices.
    """
    if normalize not in ("none", "tokens", "bytes"):
        raise InputError("normalize", normalize, "none, tokens or bytes")
    offered = _one_list_each(prompts, choices)
    for index, prompt in enumerate(prompts):
        require_prompt(f"prompts[{index}]", prompt)
    if not prompts:
        return []
    try:
        scores = _scores(model, prompts, offered, normalize, prior)
    except NoScoresError as error:
        logger.warning("%s chooses by the text that it generates: %s", model.name, error)
        return _by_answers(model, prompts, offered, max_tokens)
    how = "log-probability" + {"none": "", "tokens": " per token", "bytes": " per byte"}[normalize]
    how += "" if prior is None else ", less that after the prior"
    return [_ranking(row, how) for row in scores]


def choose(model: LanguageModel, prompts: Sequence[Prompt], choices: Sequence[str]) -> list[Response]:
    """The likeliest of some choices after each prompt, as a response; what cannot be asked has an ``error``.

    After raw text a choice is a new word. A model without log-probabilities writes, and what it writes stands
    where it is none of the choices. Raises InputError: see ``rank_choices``.
    """
    offered = [
        [
            choice if not isinstance(prompt, str) or choice[:1].isspace() else f" {choice}"
            for choice in choices
        ]
        for prompt in prompts
    ]
    try:
        rankings = rank_choices(model, prompts, offered)
    except InputError as error:
        if len(prompts) > 1:
            return [response for prompt in prompts for response in choose(model, [prompt], choices)]
        return [Response("", finish_reason="error", error=str(error))]
    return [
        Response(choices[each.best]) if each.best is not None else each.written or Response("")
        for each in rankings
    ]


def _one_list_each(
    prompts: Sequence[Prompt], choices: Sequence[str] | Sequence[Sequence[str]]
) -> list[tuple[str, ...]]:
    """The choices of each prompt."""
    shared = not isinstance(choices, str) and all(isinstance(choice, str) for choice in choices)
    lists = [choices] * len(prompts) if shared else choices
    if isinstance(lists, str) or any(isinstance(row, str) for row in lists):
        raise InputError("choices", choices, "a list of texts, or a list of such lists")
    if len(lists) != len(prompts):
        raise InputError("choices", f"{len(lists)} lists", f"one for each of the {len(prompts)} prompts")
    for index, row in enumerate(lists):
        field = "choices" if shared else f"choices[{index}]"
        if not isinstance(row, Sequence) or not row:
            raise InputError(field, row, "at least one choice")
        for place, choice in enumerate(row):
            require_text(f"{field}[{place}]", choice)
            if not choice:
                raise InputError(f"{field}[{place}]", choice, "a text that says something")
    return [tuple(row) for row in lists]  # type: ignore[arg-type]


def _scores(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    offered: Sequence[tuple[str, ...]],
    normalize: Normalization,
    prior: Prompt | None,
) -> list[list[float]]:
    """The score of each choice of each prompt, from one call of ``score``."""
    pairs = [
        (prompt, choice)
        for prompt, row in zip(prompts, offered, strict=True)
        for choice in dict.fromkeys(row)
    ]
    distinct = list(dict.fromkeys(choice for row in offered for choice in row)) if prior is not None else []
    pairs += [(prior, choice) for choice in distinct]  # type: ignore[misc]
    scores_of_pairs = model.score([prompt for prompt, _ in pairs], [choice for _, choice in pairs], end=False)
    scored = iter(scores_of_pairs)
    by_prompt = [{choice: next(scored) for choice in dict.fromkeys(row)} for row in offered]
    after_prior = {choice: next(scored).total for choice in distinct}
    return [
        [_score(scores[choice], choice, after_prior.get(choice, 0.0), normalize) for choice in row]
        for scores, row in zip(by_prompt, offered, strict=True)
    ]


def _score(scores: TokenScores, choice: str, prior: float, normalize: Normalization) -> float:
    length = {"none": 1, "tokens": len(scores.logprobs), "bytes": len(choice.encode())}[normalize]
    return (scores.total - prior) / length


def _ranking(scores: Sequence[float], how: str) -> Ranking:
    highest = max(scores)
    if any(map(math.isnan, scores)) or math.isinf(highest):
        return _no_answer(Response("", finish_reason="error", error=NOT_FINITE))
    weights = [math.exp(score - highest) for score in scores]
    probabilities = tuple(weight / sum(weights) for weight in weights)
    return Ranking(scores.index(highest), tuple(scores), probabilities, how)


def _no_answer(failed: Response) -> Ranking:
    return Ranking(None, (), (), f"no answer: {failed.error}", failed)


def _by_answers(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    offered: Sequence[tuple[str, ...]],
    max_tokens: int | None,
) -> list[Ranking]:
    """The choices that greedy answers match."""
    # A token is a byte or more.
    longest = max_tokens or max(len(choice.encode()) for row in offered for choice in row)
    answers = model.generate(prompts, sampling=Sampling(max_tokens=longest, temperature=0.0))
    return [
        _no_answer(answer) if answer.error else Ranking(*_matched(answer.text, row), answer)
        for [answer], row in zip(answers, offered, strict=True)
    ]


def _matched(answer: str, choices: Sequence[str]) -> tuple[int | None, tuple[()], tuple[()], str]:
    """The fields of a ``Ranking`` by a generated answer."""
    answer, texts = answer.strip(), [choice.strip() for choice in choices]
    if answer in texts:
        return texts.index(answer), (), (), "generated text, exact"
    folded = answer.casefold()
    opening = [i for i, text in enumerate(texts) if text and _begins(folded, text.casefold())]
    if opening:
        return max(opening, key=lambda i: len(texts[i])), (), (), "generated text, prefix"
    return None, (), (), "generated text, no match"


def _begins(answer: str, text: str) -> bool:
    """Whether ``answer`` opens with ``text``, which ends where a word does."""
    after = answer[len(text) : len(text) + 1]
    return answer.startswith(text) and not (after.isalnum() and text[-1].isalnum())
