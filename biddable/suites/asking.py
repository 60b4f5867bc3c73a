"""How a model is asked the tasks of a suite: by any process, whole batches at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from biddable.errors import InputError
from biddable.models.base import LanguageModel, Sampling
from biddable.models.choices import NOT_FINITE, Ranking, choose, rank_choices
from biddable.models.lazy import LazyModel
from biddable.suites.base import Ask
from biddable.tasks.fewshot import Shots, few_shot_prompt
from biddable.tasks.templates import PromptTemplate, Template
from biddable.types import Prompt, Response, as_chat

"""Prompts as a user's turn, as raw text, or "auto": as a turn where the model has a chat template."""


@dataclass(frozen=True, slots=True)
class Query:
    """One task to ask: what is asked, what to choose among, what stands before it, its prior and its seed."""

    prompt: Prompt
    choices: tuple[str, ...]
    shots: Shots
    prior: Prompt | None
    seed: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a query (fields of a ``Record``), and how the model was asked (fields of a ``Cell``)."""

    responses: tuple[Response, ...] = ()
    scores: tuple[float, ...] = ()
    priors: tuple[float, ...] = ()
    shots: int = 0
    prompt_tokens: int = 0
    template: str = "none"
    limit: int = 0


@dataclass(frozen=True)
class Asking:
    """Asks a model a batch of queries; it can be sent to other processes, each of which loads it once.

    Attributes:
        model: the model.
        ask: see ``Suite``; so for ``k`` and ``separator``.
        sampling: how responses are written.
        samples: responses to each query.
        template: see ``Template``; that of ``around`` stands before it.
        around: what stands around every query that is not a conversation.
    """

    model: LazyModel
    ask: Ask
    sampling: Sampling
    samples: int = 1
    template: Template = "auto"
    k: int = 0
    separator: str = "\n\n"
    around: PromptTemplate | None = None

    def __call__(self, batch: Sequence[Query]) -> list[Answer]:
        """Answers in order. What the model does not take has a response with its ``error``."""
        model = self.model()
        if self.ask == "perplexity":
            return _perplexities(model, batch)
        around: Template = self.around.template if self.around else "auto"
        template = self.template if around == "auto" else around
        chat, limit = uses_chat(model, template), self.longest(model)
        name = "chat" if chat else "none"
        shown = [self._shown(model, query, chat) for query in batch]
        prompts, kept = [prompt for prompt, _ in shown], [shots for _, shots in shown]
        answers = (self._chosen if self.ask == "choose" else self._written)(model, batch, prompts, chat)
        return [
            replace(answer, shots=shots, prompt_tokens=_length(model, prompt), template=name, limit=limit)
            for answer, shots, prompt in zip(answers, kept, prompts, strict=True)
        ]

    def longest(self, model: LanguageModel) -> int:
        """The longest response, in tokens: half the context of a model made for less than twice as many."""
        context = _context(model)
        limit = self.sampling.max_tokens
        return limit if context is None else max(1, min(limit, context // 2))

    def _shown(self, model: LanguageModel, query: Query, chat: bool) -> tuple[Prompt, int]:
        """The prompt as the model is shown it, and how many solved examples are in it."""
        if not isinstance(query.prompt, str):  # a conversation: nothing stands before it
            prompt = self.around.prompt(query.prompt) if self.around and chat else query.prompt
            return (prompt if chat else _as_text(prompt)), 0
        answer = self.longest(model)
        if self.ask == "choose":
            answer = max(_length(model, choice) for choice in query.choices)

        def count(text: str) -> int:
            return _length(model, as_chat(text) if chat else text)

        text, kept = few_shot_prompt(
            self.around.text(query.prompt) if self.around else query.prompt,
            query.shots,
            self.k,
            room=None if (context := _context(model)) is None else context - answer,
            count=count,
            separator=self.separator,
        )
        return (as_chat(text) if chat else text), kept

    def _written(
        self, model: LanguageModel, batch: Sequence[Query], prompts: Sequence[Prompt], chat: bool
    ) -> list[Answer]:
        if self.around and self.around.choices:
            return [Answer((each,)) for each in choose(model, prompts, self.around.choices)]
        seeds = [query.seed for query in batch]
        sampling = replace(self.sampling, max_tokens=self.longest(model))
        try:
            rows = model.generate(prompts, n=self.samples, sampling=sampling, seeds=seeds)
        except InputError as error:
            if len(batch) > 1:
                pairs = zip(batch, prompts, strict=True)
                return [self._written(model, [query], [prompt], chat)[0] for query, prompt in pairs]
            rows = [[_refused(error)] * self.samples]
        return [Answer(tuple(row)) for row in rows]

    def _chosen(
        self, model: LanguageModel, batch: Sequence[Query], prompts: Sequence[Prompt], chat: bool
    ) -> list[Answer]:
        # After raw text a choice is a new word.
        choices = [
            [choice if chat or choice[:1].isspace() else f" {choice}" for choice in query.choices]
            for query in batch
        ]
        try:
            rankings = rank_choices(model, prompts, choices)
            priors = self._priors(model, batch, choices, chat)
        except InputError as error:
            if len(batch) > 1:
                pairs = zip(batch, prompts, strict=True)
                return [self._chosen(model, [query], [prompt], chat)[0] for query, prompt in pairs]
            return [Answer((_refused(error),))]
        return [
            _taken(query, ranking, prior)
            for query, ranking, prior in zip(batch, rankings, priors, strict=True)
        ]

    def _priors(
        self, model: LanguageModel, batch: Sequence[Query], choices: Sequence[Sequence[str]], chat: bool
    ) -> list[tuple[float, ...]]:
        """Of each query the scores of its choices after its prior; those of equal ones computed once."""
        asked = [
            None
            if query.prior is None
            else (self._shown(model, replace(query, prompt=query.prior), chat)[0], tuple(row))
            for query, row in zip(batch, choices, strict=True)
        ]
        distinct = list(dict.fromkeys(each for each in asked if each is not None))
        ranked = rank_choices(model, [prompt for prompt, _ in distinct], [row for _, row in distinct])
        scores = dict(zip(distinct, (ranking.scores for ranking in ranked), strict=True))
        return [() if each is None else scores[each] for each in asked]


def uses_chat(model: LanguageModel, template: Template) -> bool:
    """Whether prompts become a user's turn.

    Raises:
        InputError: a chat is asked for, and the model has no template.
    """
    tokenizer: Any = getattr(model, "tokenizer", None)
    has = tokenizer is None or bool(getattr(tokenizer, "chat_template", None))
    if template == "chat" and not has:
        raise InputError("template", template, f"none or auto: {model.name} has no chat template")
    return has if template == "auto" else template == "chat"


def _perplexities(model: LanguageModel, batch: Sequence[Query]) -> list[Answer]:
    from biddable.models.rolling import loglikelihood_rolling

    rolled = loglikelihood_rolling(model, [str(query.prompt) for query in batch])
    return [Answer(scores=(each.nats,), prompt_tokens=each.tokens) for each in rolled]


def _as_text(prompt: Prompt) -> str:
    return "\n\n".join(turn.content for turn in as_chat(prompt))


def _taken(query: Query, ranking: Ranking, prior: tuple[float, ...]) -> Answer:
    if ranking.scores and query.prior is not None and not prior:
        problem = f"{NOT_FINITE} after the prompt without content"
        return Answer((Response("", finish_reason="error", error=problem),))
    return Answer((_choice(query, ranking),), ranking.scores, prior)


def _choice(query: Query, ranking: Ranking) -> Response:
    """The choice that was taken; else what the model wrote instead, or why it wrote nothing."""
    if ranking.best is not None:
        return Response(query.choices[ranking.best])
    return ranking.written or Response("")


def _refused(error: InputError) -> Response:
    return Response("", finish_reason="error", error=str(error))


def _length(model: LanguageModel, prompt: Prompt) -> int:
    """Tokens of a prompt; 0 for a model that is served."""
    encode = getattr(model, "encode_prompt", None)
    return len(encode(prompt)) if encode else 0


def _context(model: LanguageModel) -> int | None:
    module = getattr(model, "module", None)
    if module is None:
        return None
    from biddable.models.plain import context_of

    return context_of(module.config)
