"""What a request may say, in OpenAI's words. Whatever would change the answer and is not done is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from biddable.errors import InputError
from biddable.models.base import Sampling
from biddable.models.chat import require_prompt
from biddable.tasks import chats
from biddable.types import Prompt

BODY = "the body"
"""What errors name where no field is at fault."""

MOST_CHOICES = 128
"""Responses to one request, over all its prompts."""

TEXT_TOKENS = 16
"""The longest response to raw text where a request does not say, as OpenAI has it."""

HARMLESS = {
    *("user", "metadata", "store", "service_tier", "safety_identifier"),
    *("prompt_cache_key", "prompt_cache_retention", "parallel_tool_calls"),
}
"""Fields that change no answer; they are not read."""

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "min_p": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "echo": (False,),
    "best_of": (1,),
    "suffix": ("",),
    "ignore_eos": (False,),
}
"""Fields that are not supported, and the values at which they ask for nothing."""

_SILENT = ("refusal", "annotations", "audio", "tool_calls", "function_call", "reasoning_content")
"""What a message of an answer has beside its text: allowed where it is empty."""

_Stop = Annotated[str, Field(min_length=1, max_length=256)]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request.

    Attributes:
        model: the name that it asks for; "" for none.
        prompts: what is to be answered; one chat, or texts.
        n: responses to each.
        sampling: how to draw; its ``max_tokens`` counts where ``max_tokens`` is given.
        max_tokens: the longest response; None where the request does not say.
        seed: None where the request does not say.
        logprobs: whether to tell each token's.
        top: how many of the likeliest tokens to tell at each step.
        stream: whether to send tokens as they are drawn.
        usage: whether a stream ends with the number of tokens.
    """

    model: str
    prompts: tuple[Prompt, ...]
    n: int
    sampling: Sampling
    max_tokens: int | None
    seed: int | None
    logprobs: bool
    top: int
    stream: bool
    usage: bool


class _StreamOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    include_usage: bool = False
    include_obfuscation: bool = False


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    model: str = ""
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] = 1
    stop: Annotated[list[_Stop], Field(max_length=16)] = []
    seed: Annotated[int, Field(ge=-(2**63), lt=2**64)] | None = None
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=-1)] = 0
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None


class _ChatBody(_Body):
    messages: list[Any]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0


class _TextBody(_Body):
    prompt: list[str]
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


def read_body(data: bytes) -> dict[str, Any]:
    """The object that a request's body is. Raises InputError."""
    try:
        body = json.loads(data, object_pairs_hook=_once_each, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InputError(BODY, data[:60], f"a JSON object ({error})") from None
    if not isinstance(body, dict):
        raise InputError(BODY, body, "a JSON object")
    return body


def read_request(body: Mapping[str, Any], *, chat: bool) -> Asked:
    """What a body asks for. Raises InputError naming the field."""
    given = {name: value for name, value in body.items() if value is not None and name not in HARMLESS}
    for name in [name for name in given if name in NEUTRAL]:
        value = given.pop(name)
        if value not in NEUTRAL[name]:
            allowed = " or ".join(json.dumps(neutral) for neutral in NEUTRAL[name])
            raise InputError(name, value, f"{allowed}: it is not supported")
    for name in ("stop", "prompt"):
        if isinstance(given.get(name), str):
            given[name] = [given[name]]
    kind = _ChatBody if chat else _TextBody
    for name in given:
        if name not in kind.model_fields:
            raise InputError(name, given[name], "no such field: it is not supported")
    for name, field in kind.model_fields.items():
        if field.is_required() and name not in given:
            raise InputError(name, None, "a list of messages" if chat else "a text")
    try:
        read = kind.model_validate(given)
    except ValidationError as error:
        raise _wrong(error) from None
    if read.stream_options is not None and not read.stream:
        raise InputError("stream_options", body["stream_options"], "none where stream is not true")
    how = Sampling(
        temperature=read.temperature, top_k=max(read.top_k, 0), top_p=read.top_p, stop=tuple(read.stop)
    )
    prompts, longest, logprobs, top = _of_chat(read) if isinstance(read, _ChatBody) else _of_text(read)
    if len(prompts) * read.n > MOST_CHOICES:
        raise InputError("n", read.n, f"at most {MOST_CHOICES} responses over all {len(prompts)} prompts")
    usage = read.stream_options is not None and read.stream_options.include_usage
    return Asked(read.model, prompts, read.n, how, longest, read.seed, logprobs, top, read.stream, usage)


def _of_chat(read: _ChatBody) -> tuple[tuple[Prompt, ...], int | None, bool, int]:
    """Prompts, longest response, whether log-probabilities are asked for, and of how many tokens a step."""
    for index, message in enumerate(read.messages):
        for name, value in message.items() if isinstance(message, dict) else ():
            empty = value is None or (name in _SILENT and value in ("", [], {}))
            if name not in ("role", "content") and not empty:
                raise InputError(f"messages[{index}].{name}", value, "none: it is not passed on to the model")
    if read.top_logprobs and not read.logprobs:
        raise InputError("top_logprobs", read.top_logprobs, "0 where logprobs is not true")
    longest = read.max_tokens if read.max_completion_tokens is None else read.max_completion_tokens
    if read.max_tokens not in (None, longest):
        raise InputError("max_tokens", read.max_tokens, f"nothing beside max_completion_tokens {longest}")
    return (chats.messages("messages", read.messages),), longest, read.logprobs, read.top_logprobs


def _of_text(read: _TextBody) -> tuple[tuple[Prompt, ...], int | None, bool, int]:
    """As ``_of_chat``."""
    if not read.prompt:
        raise InputError("prompt", [], "a text, or a list of texts")
    for index, prompt in enumerate(read.prompt):
        require_prompt("prompt" if len(read.prompt) == 1 else f"prompt[{index}]", prompt)
    longest = TEXT_TOKENS if read.max_tokens is None else read.max_tokens
    return tuple(read.prompt), longest, read.logprobs is not None, read.logprobs or 0


def _wrong(error: ValidationError) -> InputError:
    """The first thing pydantic found wrong."""
    first = error.errors(include_url=False)[0]
    place = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    field = "".join(place).lstrip(".")
    expected = re.sub("^Input should be (?=greater|less)", "a number ", first["msg"])
    expected = expected.removeprefix("Input should be ")
    expected = re.sub(r"^(\w+) should have", lambda match: f"a {match[1].lower()} with", expected)
    return InputError(field, first["input"], expected)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a field stands in it twice")
    return made


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
