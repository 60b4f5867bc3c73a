"""Reading a completion of a chat or of raw text, in the forms in which servers send one."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from biddable.types import FinishReason, Response

_STOP = {"stop", "eos", "eos_token", "stop_sequence", "end_turn", "complete", "completed"}
_LENGTH = {"length", "max_tokens", "max_output_tokens", "model_length"}
_REASONING = ("reasoning_content", "reasoning", "thinking")
_SAYING = {"content", "refusal", "tool_calls", "function_call", *_REASONING}


def parse_completion(body: bytes) -> Response:
    """The response in a chat completion: JSON, or the events of a stream that nobody asked for.

    The text is the message's content, the text parts of it where it is a list, or else the refusal. A
    message without any says why in ``error``: it holds only reasoning, or calls of tools, or was filtered.
    Log-probabilities that are not all finite numbers of at most 0 are left out.

    Raises:
        ValueError: it is no chat completion.
    """
    try:
        choice = _completion(body)["choices"][0]
        message = choice["message"] if "message" in choice else {"content": choice["text"]}
        text, parts = _text(message.get("content"))
        refusal = message.get("refusal") or parts.get("refusal")
        if not text and isinstance(refusal, str):
            text = refusal
        if not text and not message.keys() & _SAYING:
            raise ValueError("no chat completion: the message is empty")
        finish = choice.get("finish_reason")
        reason = finish.lower() if isinstance(finish, str) else ""
        finish_reason: FinishReason = (
            "stop" if reason in _STOP else "length" if reason in _LENGTH else "error"
        )
        error = "" if text else _why_empty(message, parts, reason)
        if error and finish_reason != "length":
            finish_reason = "error"
        elif text and reason in {"tool_calls", "function_call"}:
            finish_reason = "stop"
        return Response(_whole_characters(text), (), _logprobs(choice), finish_reason, error)
    except (LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"no chat completion: {type(error).__name__} {error}") from error


def identifying(body: bytes) -> tuple[str, str, str]:
    """What tells in a completion which model answered: its name, its fingerprint, and the text.

    Raises:
        ValueError: it is no chat completion.
    """
    completion, text = _completion(body), parse_completion(body).text
    return str(completion.get("model")), str(completion.get("system_fingerprint")), text


def _completion(body: bytes) -> Mapping[str, Any]:
    """The completion's object; events are put together to one."""
    text = body.removeprefix(codecs.BOM_UTF8).decode().strip()
    if text.startswith(("data:", "event:", "id:", "retry:", ":")):
        return _put_together(text)
    completion, end = json.JSONDecoder().raw_decode(text)
    rest = text[end:].strip().removeprefix("data:").strip()
    if rest not in ("", "[DONE]"):
        raise ValueError("more than one JSON value")
    if not isinstance(completion, dict):
        raise TypeError(f"expected an object, not {type(completion).__name__}")
    return completion


def _put_together(text: str) -> dict[str, Any]:
    """The completion that a stream of server-sent events spells out."""
    # Not splitlines: texts may hold other characters that end lines for Python, U+2028 say.
    lines = [line.partition(":")[2].strip() for line in re.split("[\r\n]", text) if line.startswith("data:")]
    data = [line for line in lines if line]
    events = [json.loads(line) for line in data if line != "[DONE]"]
    whole: dict[str, Any] = {"choices": []}
    message: dict[str, Any] = {}
    tokens: list[Any] = []
    finish = None
    for event in events:
        if event.get("error"):
            raise ValueError("an error among the events")
        whole |= {name: event[name] for name in ("model", "system_fingerprint") if event.get(name)}
        for choice in event.get("choices") or ():
            if choice.get("index", 0) != 0:
                continue
            if "message" in choice:  # a whole completion as one event
                return dict(event)
            delta = {"content": choice["text"]} if "text" in choice else choice.get("delta") or {}
            for name, value in delta.items():
                if isinstance(value, str | list):
                    message[name] = message[name] + value if name in message else value
            tokens += (choice.get("logprobs") or {}).get("content") or ()
            finish = choice.get("finish_reason") or finish
    if finish is None and "[DONE]" not in data:
        raise ValueError("the events break off")
    message.setdefault("content", None)
    return whole | {
        "choices": [{"message": message, "finish_reason": finish, "logprobs": {"content": tokens}}]
    }


def _text(content: Any) -> tuple[str, dict[str, str]]:
    """A message's text, and what other parts it holds by their type."""
    if content is None or isinstance(content, str):
        return content or "", {}
    if not isinstance(content, list):
        raise TypeError("the content is not text")
    texts, others = [], {}
    for part in content:
        kind = "text" if isinstance(part, str) else part.get("type", "text")
        if kind in ("text", "output_text"):
            text = part if isinstance(part, str) else part["text"]
            texts.append(text["value"] if isinstance(text, dict) else text)
        else:
            others[str(kind)] = str(part.get(kind) or "")
    return "".join(texts), others


def _why_empty(message: Mapping[str, Any], parts: Mapping[str, str], finish: str) -> str:
    """Why a message has no text, in one line; "" where it plainly says nothing."""
    if "filter" in finish or finish in {"safety", "recitation"}:
        return f"no answer: the server filtered it ({finish})"
    if message.get("tool_calls") or message.get("function_call"):
        return "no answer: the model called tools instead"
    if any(message.get(name) for name in _REASONING) or parts.keys() & {"thinking", "reasoning"}:
        cut = ", cut off at the limit of tokens" if finish in _LENGTH else ""
        return f"no answer: the model only reasoned{cut}"
    if parts:
        return f"no answer: no part of the content is text ({', '.join(sorted(parts))})"
    return ""


def _logprobs(choice: Mapping[str, Any]) -> tuple[float, ...]:
    """One log-probability per token, or none at all: they are no reason to lose a text."""
    try:
        told = choice["logprobs"]
        listed = told.get("token_logprobs")  # of raw text, in most servers
        logprobs = tuple(map(float, listed or [token["logprob"] for token in told["content"]]))
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError):
        return ()
    return logprobs if all(-math.inf < value <= 0 for value in logprobs) else ()


def _whole_characters(text: str) -> str:
    """``text`` with U+FFFD for half characters, which JSON can hold and no file or terminal can."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
