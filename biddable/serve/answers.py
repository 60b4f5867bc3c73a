"""Answers in OpenAI's form: whole ones, events of a stream, errors."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from biddable.errors import one_line
from biddable.serve.backends import Part, Token
from biddable.serve.text import HALF, offsets

LEAST = -9999.0
"""What stands for a log-probability of minus infinity, which JSON cannot hold."""


@dataclass(frozen=True, slots=True)
class Form:
    """How the answer to one request is written.

    Attributes:
        model: the name of the model.
        fingerprint: what tells it from others of that name; "" where that is not known.
        chat: whether a chat was asked, or raw text.
        logprobs: whether tokens are told.
        prompt_tokens: of all prompts; None where the model tells none.
    """

    model: str
    fingerprint: str
    chat: bool
    logprobs: bool
    prompt_tokens: int | None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, choices: Sequence[Sequence[Part]]) -> dict[str, Any]:
        """The answer; ``choices`` has the parts of each."""
        listed = []
        for index, parts in enumerate(choices):
            tokens = [token for part in parts for token in part.tokens]
            text = parts[-1].whole
            said = {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
            end = {"logprobs": self._told(tokens, text, 0), "finish_reason": parts[-1].finish}
            listed.append({"index": index, **said, **end})
        count = sum(part.count for parts in choices for part in parts)
        return {**self._head(whole=True), "choices": listed, "usage": self._usage(count)}

    def opening(self, choice: int) -> dict[str, Any]:
        """The event that begins a choice of a chat."""
        delta = {"delta": {"role": "assistant", "content": ""}}
        return self._event([{"index": choice, **delta, "logprobs": None, "finish_reason": None}])

    def event(self, part: Part, offset: int) -> dict[str, Any]:
        """The event of a part whose text begins at ``offset``."""
        said = {"delta": {"content": part.text} if part.text else {}} if self.chat else {"text": part.text}
        end = {"logprobs": self._told(part.tokens, part.text, offset), "finish_reason": part.finish}
        return self._event([{"index": part.choice, **said, **end}])

    def ending(self, count: int) -> dict[str, Any]:
        """The event that says how many tokens there were."""
        return {**self._event([]), "usage": self._usage(count)}

    def _head(self, *, whole: bool) -> dict[str, Any]:
        kind = "text_completion" if not self.chat else "chat.completion" if whole else "chat.completion.chunk"
        name = f"{'chatcmpl' if self.chat else 'cmpl'}-{self.id}"
        head = {"id": name, "object": kind, "created": self.created, "model": self.model}
        return head | ({"system_fingerprint": self.fingerprint} if self.fingerprint else {})

    def _event(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._head(whole=False), "choices": choices}

    def _usage(self, count: int) -> dict[str, int] | None:
        if self.prompt_tokens is None:
            return None
        asked = self.prompt_tokens
        return {"prompt_tokens": asked, "completion_tokens": count, "total_tokens": asked + count}

    def _told(self, tokens: Sequence[Token], text: str, offset: int) -> dict[str, Any] | None:
        if not self.logprobs:
            return None
        if self.chat:
            return {"content": [_told(token) for token in tokens]}
        return {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [_number(token.logprob) for token in tokens],
            "top_logprobs": [{text: _number(value) for text, value in token.top} for token in tokens],
            "text_offset": [offset + place for place in offsets(text, [token.text for token in tokens])],
        }


def error_body(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """An error; ``param`` is the field at fault, ``code`` a word for programs."""
    # A field that a client made up may hold half a character, which UTF-8 cannot.
    named = None if param is None else one_line(param)
    return {"error": {"message": message, "type": kind, "param": named, "code": code}}


def sent_event(value: Mapping[str, Any]) -> str:
    """A server-sent event."""
    return f"data: {json.dumps(value, ensure_ascii=False, allow_nan=False)}\n\n"


def _told(token: Token) -> dict[str, Any]:
    top = [_spelt(text, logprob) for text, logprob in token.top]
    return {**_spelt(token.text, token.logprob), "top_logprobs": top}


def _spelt(text: str, logprob: float) -> dict[str, Any]:
    whole = None if HALF in text else list(text.encode())  # of half a character the bytes are not known
    return {"token": text, "logprob": _number(logprob), "bytes": whole}


def _number(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else LEAST
