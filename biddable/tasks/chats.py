"""Reading a chat from a row of a file, in the forms that the field's data sets have.

A row holds one of ``prompt`` (a text, or a list of messages), ``messages`` (role and content),
``conversations`` (ShareGPT's: from and value), or ``instruction`` with or without ``input`` (Alpaca's),
``context`` (Dolly's) and ``history`` (pairs of what was asked and answered before). Lists of messages may be
JSON text, as in the cells of a table. What cannot be passed on to a model that reads text, a picture or a
call of a tool, is refused, not left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
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
_LEARNED = ("loss", "loss_weight", "weight", "train")
_THOUGHT = ("thinking", "reasoning", "reasoning_content")
_HH_TURN = re.compile(r"\n\n(Human|Assistant):")
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
    if (beside := one_of(row, ("system", "system_prompt"))) is None:
        return given[longest]
    opening = Message("system", sendable(*beside))
    if any(turn.role == "system" for turn in given[longest]):
        raise InputError(*beside, f"nothing: {longest} has a system turn of its own")
    return (opening, *given[longest])


def learned(turns: Any, chat: Chat) -> tuple[bool, ...]:
    """Which turns of ``chat`` are learned: the assistant's, but those that ``turns`` (as read) mark as not.

    A mark is ``loss`` (AgentInstruct's: true, false or null), ``train`` (axolotl's: true or false),
    ``loss_weight`` or ``weight`` (0 or 1).

    Raises:
        InputError: a mark is another value, or has a turn learned that is not the assistant's; or a turn to
            learn holds thoughts beside its content, which would not be learned.
    """
    trained = []
    for index, (turn, message) in enumerate(zip(turns, chat, strict=True)):
        mark: Any = None
        for name in _LEARNED:
            if turn.get(name) is None:
                continue
            mark = turn[name]
            if not isinstance(mark, bool | int | float) or mark not in (0, 1):
                raise InputError(f"turn [{index}].{name}", mark, "true or false, 1 or 0")
            if mark and message.role != "assistant":
                raise InputError(
                    f"turn [{index}].{name}", mark, "false: only the assistant's turns are learned"
                )
        trained.append(message.role == "assistant" and (mark is None or bool(mark)))
        thought = next((name for name in _THOUGHT if trained[-1] and turn.get(name)), None)
        if thought:
            expected = "none: only content is learned; put thoughts into it or take them out"
            raise InputError(f"turn [{index}].{thought}", turn[thought], expected)
    return tuple(trained)


def transcript(text: Any) -> Chat | None:
    """The chat in a text that begins with a blank line and ``Human:`` (HH-RLHF's); None for any other value.

    An empty turn of the assistant's at the end, which asks for an answer, is left off.

    Raises:
        InputError: a turn is empty.
    """
    if not isinstance(text, str) or not text.startswith("\n\nHuman:"):
        return None
    _, *parts = _HH_TURN.split(text)
    turns = list(zip(parts[::2], parts[1::2], strict=True))
    if turns[-1][0] == "Assistant" and not turns[-1][1].strip():
        turns.pop()
    return tuple(
        Message(ROLES[who.lower()], sendable(f"a turn of {who}", said).strip()) for who, said in turns
    )


def from_json(value: Any) -> Any:
    """What a text says in JSON, where it does and that is a list, an object or null; else the value."""
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return read if read is None or isinstance(read, list | dict) else value


def messages(field: str, value: Any) -> Chat:
    """A list of messages, or one of them. Raises InputError: it is neither."""
    return _turns(field, [value] if isinstance(value, dict) else value)


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
        return transcript(value) or (Message("user", sendable(field, value)),)
    value = from_json(value)
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
    if isinstance(part, dict) and part.get("type") in _TEXT_PARTS:
        text = part.get("value") if part.get("text") is None else part["text"]
        if isinstance(text, str):
            return text
    raise InputError(field, part, "a part of type text: only text is passed on to the model")


def _instruction(row: dict[str, Any]) -> Chat:
    text = sendable("instruction", row["instruction"])
    if beside := one_of(row, ("input", "context")):
        text = f"{text}\n{sendable(*beside)}"
    earlier = from_json(row.get("history") or [])
    if not isinstance(earlier, list):
        raise InputError("history", earlier, "a list of pairs, what was asked and what was answered")
    return (
        *(turn for index, pair in enumerate(earlier) for turn in _pair(index, pair)),
        Message("user", text),
    )


def _pair(index: int, pair: Any) -> Chat:
    field = f"history[{index}]"
    if not isinstance(pair, list) or len(pair) != 2:
        raise InputError(field, pair, "a pair, what was asked and what was answered")
    asked, answered = (sendable(field, text) for text in pair)
    return Message("user", asked), Message("assistant", answered)


def one_of(row: dict[str, Any], names: Sequence[str]) -> tuple[str, Any] | None:
    """The field of ``row`` among some that mean the same, and its value; None where none holds anything.

    Raises:
        InputError: two of them hold different values.
    """
    given = [(name, row[name]) for name in names if row.get(name) not in (None, "")]
    for name, value in given[1:]:
        if value != given[0][1]:
            raise InputError(name, value, f"nothing: the row has {given[0][0]} as well")
    return given[0] if given else None


def _refuse(row: dict[str, Any], names: tuple[str, ...], place: str, expected: str) -> None:
    for name in names:
        if row.get(name):
            raise InputError(f"{place}{name}", row[name], expected)
