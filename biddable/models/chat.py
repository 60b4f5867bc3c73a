"""Chats as token ids: the prompt that a response follows, and the response up to the end of its turn.

The two are tokenised apart and joined as ids. Tokenising the joined text could merge characters across
the border into tokens that a model which answers never sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, cached_property, partial
from typing import Any, get_args

from biddable.errors import InputError, ModelError
from biddable.models.template import Template, TemplateRefusal, owner
from biddable.types import Chat, Message, Prompt, Role

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
"""What a base model, which has no chat template, is prompted with."""


def messages(chat: Chat) -> list[dict[str, str]]:
    """A chat as templates and servers take it."""
    return [{"role": message.role, "content": message.content} for message in chat]


def require_text(field: str, value: object) -> None:
    """Refuse what is no text, and half a character, which no tokenizer takes.

    Raises:
        InputError: naming ``field``.
    """
    if not isinstance(value, str):
        raise InputError(field, value, "a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = value[error.start]
        expected = f"a text of whole characters (character {error.start + 1} is the surrogate {half!r})"
        raise InputError(field, value, expected) from None


def require_prompt(field: str, prompt: object) -> None:
    """Refuse what is neither a chat of at least one turn nor raw text.

    Raises:
        InputError: naming ``field``, or the turn in it and its part.
    """
    if isinstance(prompt, str):
        require_text(field, prompt)
        if not prompt:
            raise InputError(field, prompt, "a text that says something")
    else:
        require_chat(field, prompt)


def require_chat(field: str, chat: object) -> None:
    """Refuse what is no chat of at least one turn.

    Raises:
        InputError: naming ``field``, or the turn in it and its part (``chats[3][1].content``).
    """
    if not isinstance(chat, tuple | list):
        raise InputError(field, chat, "a tuple of Message, as user(text) makes it")
    if not chat:
        raise InputError(field, chat, "at least one turn")
    for place, message in enumerate(chat):
        if not isinstance(message, Message):
            raise InputError(f"{field}[{place}]", message, "a Message(role, content)")
        if message.role not in get_args(Role):
            raise InputError(f"{field}[{place}].role", message.role, f"one of {', '.join(get_args(Role))}")
        require_text(f"{field}[{place}].content", message.content)


class ChatFormat:
    """How a model reads chats.

    A chat goes through the tokenizer's template (see ``Template``), and what it renders is tokenised as a
    whole. So a control token that a user types (``<|im_end|>``) is read as that token, as ``transformers``
    reads it: whoever serves strangers takes such tokens out of their texts.

    Args:
        tokenizer: its ``transformers`` tokenizer; one without a chat template is given the plain one.
        vocabulary: how many tokens the model has, the rows of its embedding; any, when None.
        end: the token that ends the model's texts, for a tokenizer that does not name one.

    Raises:
        ModelError: the chat template cannot be used, or ends turns with a token that the model lacks.
    """

    def __init__(self, tokenizer: Any, *, vocabulary: int | None = None, end: int | None = None):
        self._tokenizer, self._vocabulary, self._end = tokenizer, vocabulary, end
        if not tokenizer.chat_template:
            tokenizer.chat_template = _beginning(tokenizer) + PLAIN_TEMPLATE
        self._template = Template(tokenizer)

    @classmethod
    def of(cls, module: Any, tokenizer: Any) -> ChatFormat:
        """The format of a module's chats: the rows of its embedding, the end token it is configured with."""
        configured = getattr(getattr(module, "generation_config", None), "eos_token_id", None)
        ends = configured if isinstance(configured, list) else [configured]
        weight = getattr(module.get_input_embeddings(), "weight", None)
        vocabulary = None if weight is None else int(weight.shape[0])
        return cls(tokenizer, vocabulary=vocabulary, end=ends[0] if ends else None)

    def prompt(self, prompt: Prompt) -> list[int]:
        """Token ids of a chat up to where the response begins, or of raw text as it stands.

        Raw text has the tokenizer's beginning token before it, if it has one, and no other.

        Raises:
            InputError: it is no chat, its turns are not what the template takes (two of the user in a row,
                say), or it holds a token that the model lacks.
        """
        require_prompt("prompt", prompt)
        if isinstance(prompt, str):
            ids = [*self._first, *self._ids(prompt)]
        else:
            try:
                ids = self._ids(self._template.prompt(tuple(prompt)))
            except TemplateRefusal as error:
                raise InputError("prompt", prompt, f"turns that the chat template takes ({error})") from None
        if not ids:
            raise InputError("prompt", prompt, "a text of at least one token")
        self._require_known("prompt", ids)
        return ids

    def whole(self, prompt: Prompt, answer: str) -> list[int]:
        """Token ids of a conversation that ends with ``answer``, as the template renders it.

        Raises:
            InputError: see ``prompt`` and ``response``.
        """
        if isinstance(prompt, str):
            return [*self.prompt(prompt), *self.response(answer)]
        require_chat("prompt", prompt)
        require_text("response", answer)
        try:
            text = self._template.finished((*prompt, Message("assistant", answer)))
        except TemplateRefusal as error:
            raise InputError("prompt", prompt, f"turns that the chat template takes ({error})") from None
        ids = self._ids(text)
        self._require_known("prompt", ids)
        return ids

    def response(self, text: str, *, end: bool = True) -> list[int]:
        """Token ids of a response to follow ``prompt``; with ``end`` the end of the turn is one of them.

        Raises:
            InputError: it is no text, or holds a token that the model lacks.
        """
        require_text("response", text)
        ids = [*self._ids(text), *([self.end_id] if end else [])]
        if not ids:
            raise InputError("response", text, "a text of at least one token")
        self._require_known("response", ids)
        return ids

    def spans(
        self, prompts: Sequence[Prompt], continuations: Sequence[str], *, end: bool = True
    ) -> list[tuple[list[int], list[int]]]:
        """Token ids of each prompt and of what is scored after it.

        After a chat these are the tokens of ``response``. After raw text they are those of both texts
        together beyond as many as the prompt has, and blanks that the prompt ends with belong to what is
        scored, as lm-evaluation-harness has it: most tokenizers join a blank to the word after it. Texts
        that repeat are tokenised once.

        Raises:
            InputError: see ``prompt`` and ``response``.
        """
        for prompt in prompts:
            require_prompt("prompt", prompt)
        ids, responses = cache(self.prompt), cache(partial(self.response, end=end))
        return [
            self._split(prompt, text, end=end, ids=ids)
            if isinstance(prompt, str)
            else (ids(tuple(prompt)), responses(text))
            for prompt, text in zip(prompts, continuations, strict=True)
        ]

    def _split(
        self, prompt: str, continuation: str, *, end: bool, ids: Callable[[str], list[int]]
    ) -> tuple[list[int], list[int]]:
        """The tokens of raw text and of what is scored after it; ``ids`` gives those of a prompt."""
        require_text("response", continuation)
        context = prompt.rstrip()
        if not context and not self._first:
            context = prompt  # else nothing would be before the first token
        start = ids(context) if context else list(self._first)
        whole = self.prompt(prompt + continuation)
        # A word that the two texts make up together may be one token: then there is no other way than apart.
        target = [*(whole[len(start) :] or self._ids(continuation)), *([self.end_id] if end else [])]
        if not target:
            raise InputError("response", continuation, "a text of at least one token")
        return start, target

    @cached_property
    def end_id(self) -> int:
        """The token the template closes an assistant's turn with, which is the one generation stops at.

        Not always ``eos_token``: Gemma's chat models end a turn with a token of their own. It need not be
        marked as a special token, but is one that was added to the vocabulary, and no blank: Gemma's
        newline is an added token too. ``eos_token`` ends what the template closes with ordinary words, or
        not at all.

        Raises:
            ModelError: nothing ends a turn, or what does is no token of the model.
        """
        controls = (self._control(closing, but=opening) for closing, opening in self._template.closings())
        end = next((token for token in controls if token is not None), self._tokenizer.eos_token_id)
        if end is None:
            end = self._end
        if end is None:
            problem = "tokenizer has no eos_token, and the chat template closes no turn"
            raise ModelError(f"{owner(self._tokenizer)} {problem}: nothing would end a response")
        if problem := self._unknown([int(end)]):
            raise ModelError(f"{owner(self._tokenizer)} responses cannot be ended: {problem}")
        return int(end)

    def text(self, text: str) -> list[int]:
        """Token ids of a text by itself, without a token that marks its beginning; perhaps none.

        Raises:
            InputError: it is no text, or holds a token that the model lacks.
        """
        require_text("text", text)
        ids = self._ids(text)
        if ids:
            self._require_known("text", ids)
        return ids

    @property
    def begin_id(self) -> int:
        """What stands before the first token of a text: the beginning token, or else what ends texts."""
        candidates = (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id)
        return next((int(token) for token in candidates if token is not None), self.end_id)

    @cached_property
    def _first(self) -> list[int]:
        """The token that texts begin with, where there is one."""
        first = self._tokenizer("", add_special_tokens=True)["input_ids"][:1]
        return list(first) if first and first[0] == self._tokenizer.bos_token_id else []

    def _control(self, closing: str, *, but: str) -> int | None:
        """The token that ``closing`` begins with, blanks aside, if it was added and is not in ``but``."""
        for token in self._ids(closing):
            if not self._tokenizer.decode([token], skip_special_tokens=False).strip():
                continue
            added = self._tokenizer.added_tokens_decoder.get(token)
            return token if added and added.content not in but else None
        return None

    def _require_known(self, field: str, ids: Sequence[int]) -> None:
        if problem := self._unknown(ids):
            raise InputError(field, f"{len(ids)} tokens", f"tokens that the model has ({problem})")

    def _unknown(self, ids: Sequence[int]) -> str:
        """Which token lies beyond the embedding, as a clause; empty when none does."""
        if self._vocabulary is None or (highest := max(ids)) < self._vocabulary:
            return ""
        token = self._tokenizer.convert_ids_to_tokens(highest)
        return f"{token!r} is number {highest}, and the model's embedding has {self._vocabulary} rows"

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def _beginning(tokenizer: Any) -> str:
    """The token that texts begin with, where there is one: Gemma writes nonsense without it."""
    first = tokenizer("", add_special_tokens=True)["input_ids"][:1]
    return "{{ bos_token }}" if first and first[0] == tokenizer.bos_token_id else ""
