"""What a row of data is, by its columns: a conversation, a preference, an example, a task or a prompt.

Each function takes one row of a file and gives the noun, or raises ``UnknownShapeError`` (the row has not the
columns) or ``InputError`` (it has, and what they hold, which is named, cannot be used).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from biddable.errors import InputError
from biddable.tasks.chats import asked, from_json, learned, messages, one_of, read_chat, sendable, transcript
from biddable.tasks.ifeval import read_task, task_id
from biddable.tasks.rows import Row
from biddable.types import Chat, Check, Conversation, Message, Preference, Prompt, Task

_PROMPTS = ("prompt", "messages", "conversations", "instruction")
_INPUTS = ("input", "inputs", "question", "query", "article", "document")
_BESIDE_INPUT = re.compile(
    "context|passage|paragraph|background|story|scenario|snippet|history|dialogue|table|premise|hypothesis"
    r"|options?|choices?|(choice|option)_?\d|[A-E]"
)
"""Columns that a question is incomplete without."""
_REFERENCES = (
    *("references", "reference", "outputs", "output", "targets", "target", "answers", "answer"),
    *("completion", "response", "highlights", "summary"),
)
_REPLIES = ("completion", "response", "output")
_CHOSEN, _REJECTED = ("chosen", "chosen_messages"), ("rejected", "rejected_messages")
_PROMPT_SHAPES = "prompt (a text or messages), messages, conversations, instruction with or without input"
SHAPES = {
    "conversations": "messages or conversations (from and value); instruction, input and output; prompt and "
    "completion (or response); or input and output",
    "preferences": "chosen and rejected, beside prompt, conversations, instruction or input, or each a whole "
    "chat, alike but for the last turn",
    "examples": f"one of {', '.join(_INPUTS)} or of prompt, messages, conversations, instruction; and one of "
    f"{', '.join(_REFERENCES)}",
    "tasks": f"prompt with instruction_id_list and kwargs (IFEval's); or {_PROMPT_SHAPES}, or input",
    "prompts": f"{_PROMPT_SHAPES}, or input, or text (for raw text); or a text for each line",
}
"""The columns that each reader knows."""


class UnknownShapeError(Exception):
    """A row has none of the shapes that a reader knows."""


def is_row(value: dict[str, Any]) -> bool:
    """Whether an object has a column of what is asked or said."""
    return any(value.get(name) is not None for name in (*_PROMPTS, *_INPUTS, *_CHOSEN, "chat", "text"))


def _object(row: Row, *needed: Sequence[str]) -> dict[str, Any]:
    """The row's value, if it is an object that has one column of each group."""
    value = row.value
    if not isinstance(value, dict):
        raise UnknownShapeError
    if not all(any(value.get(name) is not None for name in names) for names in needed):
        raise UnknownShapeError
    return value


def _chat(value: dict[str, Any]) -> Chat:
    """The chat of a row, all turns: in one of the forms of ``read_chat``, or as a single input."""
    if any(value.get(name) is not None for name in _PROMPTS):
        return read_chat(value)
    if (given := one_of(value, _INPUTS)) is None:
        raise UnknownShapeError
    name, text = given
    for beside, held in value.items():
        if held and _BESIDE_INPUT.fullmatch(beside):
            raise InputError(beside, held, f"nothing beside {name}: put all that is asked in {name}")
    return read_chat({**value, "prompt": sendable(name, text)})


def _prompt_chat(value: dict[str, Any]) -> Chat:
    chat = _chat(value)
    if chat[-1].role == "assistant":
        raise InputError("prompt", chat[-1].content, "a last turn that is not the assistant's")
    return chat


def conversation_of(row: Row) -> Conversation:
    """A chat to learn from, and which of its turns are learned."""
    if isinstance(row.value, dict) and isinstance(row.value.get("trained"), list):
        return _stored(_object(row, ("chat",)))
    value = _object(row, (*_PROMPTS, *_INPUTS))
    name = next((name for name in ("messages", "conversations") if value.get(name) is not None), None)
    reply = None if name else _one_reply(value)
    if str(value.get("label")).lower() in ("true", "false"):
        raise InputError("label", value["label"], "none: it says of an answer that it is good or bad (KTO)")
    if reply:
        chat: Chat = (*(prompt := _prompt_chat(value)), Message("assistant", _reply(*reply, prompt)))
        if reply[0] == "completion":  # TRL's form, in which the prompt is not learned, whoever speaks in it
            return Conversation(chat, (*(False,) * len(prompt), True))
        return Conversation(chat, learned([{}] * len(chat), chat))
    assert name
    turns = from_json(value[name])
    chat = read_chat({**{key: held for key, held in value.items() if key not in _PROMPTS}, name: turns})
    if all(turn.role != "assistant" for turn in chat):
        raise InputError(name, [turn.role for turn in chat], "a turn of the assistant's, to learn")
    opening = len(chat) - len(turns)  # a system turn from a column of its own
    return Conversation(chat, (False,) * opening + learned(turns, chat[opening:]))


def _stored(value: dict[str, Any]) -> Conversation:
    """A conversation as a run leaves it. Only turns of the assistant's can be learned."""
    chat = messages("chat", value["chat"])
    marks = value["trained"]
    if len(marks) != len(chat):
        raise InputError("trained", marks, f"one for each of {len(chat)} turns")
    return Conversation(chat, learned([{"loss": mark} for mark in marks], chat))


def _one_reply(value: dict[str, Any]) -> tuple[str, Any]:
    """The column that holds the answer: any reference beside an input, else one of three."""
    names = _REPLIES if any(value.get(name) is not None for name in _PROMPTS) else _REFERENCES
    return _given(value, names)


def _given(value: dict[str, Any], names: Sequence[str]) -> tuple[str, Any]:
    """The column among some that holds something; one that is blank is named."""
    if given := one_of(value, names):
        return given
    if blank := [name for name in names if value.get(name) is not None]:
        raise InputError(blank[0], value[blank[0]], "a text that is not blank")
    raise UnknownShapeError


def preference_of(row: Row) -> Preference:
    """Two answers to one prompt, which stands beside them or is what the two have in common."""
    value = _object(row, _CHOSEN, _REJECTED)
    chosen, rejected = (_given(value, names) for names in (_CHOSEN, _REJECTED))
    if any(value.get(name) is not None for name in (*_PROMPTS, *_INPUTS)):
        prompt = asked(_chat(value))
    else:
        whole = _whole(*chosen)
        if whole is None:
            expected = "a prompt beside it, or a chat: messages, or a text that begins with \\n\\nHuman:"
            raise InputError(*chosen, expected)
        prompt = whole[:-1]
    if not prompt:
        raise InputError(*chosen, "at least one turn before the answer, or a prompt beside it")
    return Preference(prompt, _reply(*chosen, prompt), _reply(*rejected, prompt), _meta(value))


def _whole(field: str, value: Any) -> Chat | None:
    """The turns in an answer that is more than a text; None where it is a text."""
    if isinstance(value, list | dict):
        return messages(field, value)
    return transcript(value)


def _reply(field: str, value: Any, prompt: Chat) -> str:
    """An answer to ``prompt``: a text, a message, or messages that may repeat the prompt before it."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        if len(value) != 1:
            raise InputError(field, value, "one text, or messages")
        value = value[0]
    turns = _whole(field, value)
    if turns is None:
        return sendable(field, value)
    if turns[-1].role != "assistant":
        raise InputError(field, turns[-1].role, "a last turn that is the assistant's")
    if turns[:-1] not in ((), prompt, tuple(turn for turn in prompt if turn.role != "system")):
        raise InputError(field, value, "the turns of the prompt (of chosen), then one of the assistant's")
    return turns[-1].content


def example_of(row: Row) -> Task:
    """An input with its right answers."""
    value = _object(row, (*_PROMPTS, *_INPUTS), _REFERENCES)
    return Task(
        _id(row, value),
        asked(_chat(value)),
        references=_references(*_given(value, _REFERENCES)),
        meta=_meta(value),
    )


def _references(field: str, value: Any) -> tuple[str, ...]:
    if field == "references":
        value = from_json(value)
    if not isinstance(value, list):
        return (_reference(field, value),)
    if not value:
        raise InputError(field, value, "at least one text")
    return tuple(_reference(f"{field}[{index}]", each) for index, each in enumerate(value))


def _reference(field: str, value: Any) -> str:
    whole_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole_number else sendable(field, value)


def task_of(row: Row) -> Task:
    """An instruction, with its checks where the row has them."""
    value = row.value.get("doc", row.value) if isinstance(row.value, dict) else row.value
    if isinstance(value, dict) and value.get("instruction_id_list") is not None:
        task = read_task(row)
    elif isinstance(value, dict) and isinstance(value.get("checks"), list):  # as a run leaves it
        checks = tuple(_check(index, check) for index, check in enumerate(value["checks"]))
        task = Task(_id(row, value), _prompt_chat(value), checks)
    else:
        value = _object(row, (*_PROMPTS, *_INPUTS))
        task = Task(_id(row, value), asked(_chat(value)))
    references = _references("references", value["references"]) if value.get("references") else ()
    return replace(task, references=references, meta=_meta(value))


def _check(index: int, check: Any) -> Check:
    if not isinstance(check, dict) or not isinstance(check.get("id"), str):
        raise InputError(f"checks[{index}]", check, "an object with id and args")
    args = from_json(check.get("args") or {})
    if not isinstance(args, dict):
        raise InputError(f"checks[{index}].args", args, "an object")
    return Check(check["id"], args)


def prompt_of(row: Row) -> Prompt:
    """A chat to answer, or raw text."""
    whole = turns_of(row)
    return whole if isinstance(whole, str) else asked(whole)


def turns_of(row: Row) -> Prompt:
    """All turns of a chat, an answer at its end among them, or raw text."""
    if isinstance(row.value, str):
        return (Message("user", sendable("the line", row.value)),)
    value = _object(row, (*_PROMPTS, *_INPUTS, "text"))
    if any(value.get(name) is not None for name in (*_PROMPTS, *_INPUTS)):
        return _chat(value)
    return sendable("text", value["text"])


def _id(row: Row, value: dict[str, Any]) -> str:
    name = "key" if value.get("key") is not None else "id"
    given = value.get(name)
    if isinstance(given, bool) or not isinstance(given, str | int | float | None):
        raise InputError(name, given, "an integer or a text")
    return task_id(given) or place_of(row)


def place_of(row: Row) -> str:
    """What a row without a name of its own is called: ``line-3``."""
    return row.name.replace(" ", "-")


def _meta(value: dict[str, Any]) -> dict[str, Any]:
    """What a row's ``meta`` holds, an object or the JSON text of one; nothing where it is something else."""
    meta = from_json(value.get("meta"))
    return meta if isinstance(meta, dict) else {}
