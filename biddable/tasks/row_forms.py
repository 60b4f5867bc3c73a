"""The rows that conversations, preferences, tasks and prompts are written as."""

from __future__ import annotations

from typing import Any

from biddable.tasks.chats import transcript
from biddable.types import Chat, Conversation, Message, Preference, Prompt, Task, as_chat

_SPEAKERS = {"user": "human", "assistant": "gpt"}


def messages_row(conversation: Conversation) -> dict[str, Any]:
    """A conversation in ``messages``; turns of the assistant's that are not learned have ``weight`` 0."""
    return {"messages": _turns(conversation, ("role", "content"), {}, ("weight", 0))}


def sharegpt_row(conversation: Conversation) -> dict[str, Any]:
    """A conversation in ShareGPT's form; answers that are not learned have ``loss`` false."""
    return {"conversations": _turns(conversation, ("from", "value"), _SPEAKERS, ("loss", False))}


def _turns(
    conversation: Conversation, names: tuple[str, str], speakers: dict[str, str], unlearned: tuple[str, Any]
) -> list[dict[str, Any]]:
    who, what = names
    turns: list[dict[str, Any]] = []
    for message, trained in zip(conversation.chat, conversation.trained, strict=True):
        turn = {who: speakers.get(message.role, message.role), what: message.content}
        turns.append(turn if trained or message.role != "assistant" else turn | dict([unlearned]))
    return turns


def alpaca_row(conversation: Conversation) -> dict[str, Any]:
    """A conversation in Alpaca's form, all of whose answers are learned."""
    system = [turn.content for turn in conversation.chat if turn.role == "system"]
    *earlier, asked, answer = (turn.content for turn in conversation.chat[len(system) :])
    row: dict[str, Any] = {"instruction": asked, "input": "", "output": answer}
    if system:
        row["system"] = system[0]
    if earlier:
        row["history"] = [list(pair) for pair in zip(earlier[::2], earlier[1::2], strict=True)]
    return row


def preference_row(pair: Preference) -> dict[str, Any]:
    """A pair in TRL's columns."""
    answers = {"chosen": pair.chosen, "rejected": pair.rejected}
    row: dict[str, Any] = {"prompt": message_list(as_chat(pair.prompt))}
    row |= {name: message_list((Message("assistant", text),)) for name, text in answers.items()}
    return row | ({"meta": pair.meta} if pair.meta else {})


def task_row(task: Task) -> dict[str, Any]:
    """A task in IFEval's columns, with what it has besides in further ones."""
    chat = as_chat(task.prompt)
    text = chat[0].content if [turn.role for turn in chat] == ["user"] else None
    prompt = message_list(chat) if text is None or transcript(text) else text
    row: dict[str, Any] = {"key": task.id, "prompt": prompt}
    if task.checks:
        row["instruction_id_list"] = [check.id for check in task.checks]
        row["kwargs"] = [check.args for check in task.checks]
    if task.references:
        row["references"] = list(task.references)
    return row | ({"meta": task.meta} if task.meta else {})


def prompt_row(prompt: Prompt) -> dict[str, Any]:
    """A chat in ``messages``, raw text in ``text``."""
    return {"text": prompt} if isinstance(prompt, str) else {"messages": message_list(prompt)}


def message_list(chat: Chat) -> list[dict[str, str]]:
    """The turns of a chat as role and content."""
    return [{"role": turn.role, "content": turn.content} for turn in chat]
