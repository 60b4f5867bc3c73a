"""Chats as token ids: the prompt that a response follows, and the response up to the end of its turn.

The two are tokenised apart and joined as ids. Tokenising the joined text could merge characters across
the border into tokens that a model which answers never sees.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from jinja2 import TemplateError

from biddable.errors import InputError
from biddable.types import Chat

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
"""What a base model, which has no chat template, is prompted with."""


def messages(chat: Chat) -> list[dict[str, str]]:
    """A chat as templates and servers take it."""
    return [{"role": message.role, "content": message.content} for message in chat]


class ChatFormat:
    """How a model reads chats.

    Args:
        tokenizer: its ``transformers`` tokenizer; one without a chat template is given the plain one.
    """

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        if not tokenizer.chat_template:
            tokenizer.chat_template = _beginning(tokenizer) + PLAIN_TEMPLATE

    def prompt(self, chat: Chat) -> list[int]:
        """Token ids of ``chat`` up to where the response begins.

        Raises:
            InputError: it has no turn, or its turns are not what the template takes (two of the user in a
                row, say).
        """
        if not chat:
            raise InputError("prompt", chat, "at least one turn")
        try:
            return self._ids(self._text(messages(chat), add_generation_prompt=True))
        except TemplateError as error:
            raise InputError("prompt", chat, f"turns that the chat template takes ({error})") from None

    def response(self, text: str) -> list[int]:
        """Token ids of a response, the end of the turn included, to follow ``prompt``."""
        return [*self._ids(text), self.end_id]

    @cached_property
    def end_id(self) -> int:
        """The token the template closes an assistant's turn with, which is the one generation stops at.

        Not always ``eos_token``: Gemma's chat models end a turn with a token of their own.
        """
        marker = "MARKER"
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": marker}]
        closing = self._text(turns, add_generation_prompt=False).rpartition(marker)[2]
        ids = self._ids(closing) if closing else []
        added = self._tokenizer.added_tokens_decoder.get(ids[0]) if ids else None
        # Gemma's newline is an added token too, but no special one.
        return ids[0] if added and added.special else int(self._tokenizer.eos_token_id)

    def _text(self, turns: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        options = {"tokenize": False, "add_generation_prompt": add_generation_prompt}
        return str(self._tokenizer.apply_chat_template(turns, **options))

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def _beginning(tokenizer: Any) -> str:
    """The token that texts begin with, where there is one: Gemma writes nonsense without it."""
    first = tokenizer("", add_special_tokens=True)["input_ids"][:1]
    return "{{ bos_token }}" if first and first[0] == tokenizer.bos_token_id else ""
