"""Reading a chat from a row of a file, in the forms that the field's data sets have.

A row holds one of ``prompt`` (a text, or a list of messages), ``messages`` (role and content),
``conversations`` (ShareGPT's: from and value), or ``instruction`` with or without ``input`` (Alpaca's) or
``context`` (Dolly's). What cannot be passed on to a model that reads text, a picture or a call of a tool, is
refused, not left out.
"""

from __future__ import annotations

from typing import Any

from biddable.errors import InputError
from biddable.types import Chat, Message, Role

ROLES: dict[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "system": "system",
    "developer": "system",
}
"""The names that data sets and services have for the three roles."""

_FORMS = ("prompt", "messages", "conversations")
_TEXT_PARTS = ("text", "input_text", "output_text")
_MEDIA = ("image", "images", "audio", "audios", "video", "videos", "documents")
_TOOLS = ("tools", "functions", "tool_calls", "function_call")


def read_chat(row: Any) -> Chat:
    """The chat that a row holds, all its turns; a text ``system`` (``system_prompt``) beside it comes first.

    A row with two of the forms is read if one of them holds all turns of the other.

    Raises:
        InputError: the row is none of the forms, or a part of it (which is named) cannot be used.
    """
    if not isinstance(row, dict):
        raise InputError("the line", row, "an object with either prompt or messages")
    _refuse(row, _MEDIA, "", "none: only text is passed on to the model")
    _refuse(row, _TOOLS, "", "none: tools are not passed on to the model")
    given = {name: _turns(name, row[name]) for name in _FORMS if row.get(name) is not None}
    if not given and row.get("instruction") is not None:
        given = {"instruction": _instruction(row)}
    if not given:
        expected = "an object with either prompt or messages (or conversations, or instruction)"
        raise InputError("the line", row, expected)
    longest = max(given, key=lambda name: len(given[name]))
    for name, turns in given.items():
        if not set(turns) <= set(given[longest]):
            expected = f"either {name} or {longest}, or a {name} that is among the turns of {longest}"
            raise InputError(name, row[name], expected)
    if (beside := _one_of(row, ("system", "system_prompt"))) is None:
        return given[longest]
    opening = Message("system", sendable(*beside))
    if any(turn.role == "system" for turn in given[longest]):
        raise InputError(*beside, f"nothing: {longest} has a system turn of its own")
    return (opening, *given[longest])


def asked(chat: Chat) -> Chat:
    """A chat without the answer that a data set has at its end: up to the last turn that is to be answered.

    Raises:
        InputError: every turn is the assistant's.
    """
    last = max((index for index, turn in enumerate(chat) if turn.role != "assistant"), default=-1)
    if last < 0:
        raise InputError("messages", [turn.role for turn in chat], "a turn to answer, of the user's")
    return chat[: last + 1]


def sendable(field: str, text: Any) -> str:
    """``text``, if a tokenizer can take it.

    Raises:
        InputError: it is no text, is blank, or holds half a character (an unpaired surrogate).
    """
    if not isinstance(text, str) or not text.strip():
        raise InputError(field, text, "a text that is not blank")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(field, text, "text of whole characters, no unpaired surrogates") from None
    return text


def _turns(field: str, value: Any) -> Chat:
    if field == "prompt" and not isinstance(value, list):
        return (Message("user", sendable(field, value)),)
    if not isinstance(value, list):
        raise InputError(field, value, "a list of role and content")
    if not value:
        raise InputError(field, value, "at least one message")
    return tuple(_message(f"{field}[{index}]", turn) for index, turn in enumerate(value))


def _message(field: str, turn: Any) -> Message:
    names = ("from", "value") if isinstance(turn, dict) and "from" in turn else ("role", "content")
    if not isinstance(turn, dict) or not set(names) <= turn.keys():
        raise InputError(field, turn, f"an object with {' and '.join(names)}")
    speaker, content = (turn[name] for name in names)
    if not isinstance(speaker, str) or speaker not in ROLES:
        expected = "one of user, assistant, system and developer (results of tools are not passed on)"
        raise InputError(f"{field}.{names[0]}", speaker, expected)
    _refuse(turn, _MEDIA, f"{field}.", "none: only text is passed on to the model")
    _refuse(turn, _TOOLS, f"{field}.", "none: calls of tools are not passed on to the model")
    return Message(ROLES[speaker], _content(f"{field}.{names[1]}", content))


def _content(field: str, content: Any) -> str:
    """A text, or the texts of a list of parts, joined as the chat templates that take parts join them."""
    if not isinstance(content, list):
        return sendable(field, content)
    return sendable(field, "".join(_part(f"{field}[{i}]", part) for i, part in enumerate(content)))


def _part(field: str, part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and part.get("type") in _TEXT_PARTS and isinstance(part.get("text"), str):
        return str(part["text"])
    raise InputError(field, part, "a part of type text: only text is passed on to the model")


def _instruction(row: dict[str, Any]) -> Chat:
    _refuse(row, ("history",), "", "none: a row with earlier turns is written as messages")
    text = sendable("instruction", row["instruction"])
    if beside := _one_of(row, ("input", "context")):
        text = f"{text}\n{sendable(*beside)}"
    return (Message("user", text),)


def _one_of(row: dict[str, Any], names: tuple[str, str]) -> tuple[str, Any] | None:
    """The field of ``row`` among two that mean the same, and its value; None where neither holds anything."""
    found = [(name, row[name]) for name in names if row.get(name) not in (None, "")]
    if len(found) > 1 and found[0][1] != found[1][1]:
        raise InputError(*found[1], f"nothing: the row has {names[0]} as well")
    return found[0] if found else None


def _refuse(row: dict[str, Any], names: tuple[str, ...], place: str, expected: str) -> None:
    for name in names:
        if row.get(name):
            raise InputError(f"{place}{name}", row[name], expected)
