"""Rows of a data set as they are compared, counted and read: conversations and preferences alike."""

from __future__ import annotations

from typing import Any

from biddable.tasks.data import Unreadable
from biddable.tasks.neighbours import words
from biddable.types import Chat, Conversation, Preference, Prompt, as_chat

Row = Any
"""A Conversation or a Preference."""


def transcript_of(chat: Chat) -> str:
    """A chat to be read: the text of a single user turn, else each turn after its role."""
    if [turn.role for turn in chat] == ["user"]:
        return chat[0].content
    return "\n\n".join(f"{turn.role}: {turn.content}" for turn in chat)


def marks(row: Row) -> list[str]:
    """Whose turn each is, and whether it is learned."""
    turns = zip(row.chat, row.trained, strict=True) if isinstance(row, Conversation) else []
    return [f"{turn.role} {'learned' if learned else ''}" for turn, learned in turns]


def asked_in(prompt: Prompt) -> str:
    """What is asked in a chat: the user's turns, or all where there are none."""
    chat = as_chat(prompt)
    users = [turn.content for turn in chat if turn.role == "user"]
    return "\n\n".join(users or [turn.content for turn in chat])


def prompt_of_row(row: Row) -> str:
    """What a row is near to others by."""
    return asked_in(row.prompt if isinstance(row, Preference) else row.chat)


def last_learned(row: Conversation) -> int:
    """The place of the last turn that is learned."""
    return max(place for place, learned in enumerate(row.trained) if learned)


def opening(row: Row) -> Chat:
    """The turns before the (last) response."""
    return as_chat(row.prompt) if isinstance(row, Preference) else row.chat[: last_learned(row)]


def responses(row: Row) -> list[tuple[str, str]]:
    """What is learned, each with the request before it."""
    if isinstance(row, Preference):
        return [(asked_in(row.prompt), text) for text in (row.chosen, row.rejected)]
    requests, request = [], ""
    for turn, learned in zip(row.chat, row.trained, strict=True):
        if learned:
            requests.append((request, turn.content))
        request = turn.content if turn.role == "user" else request
    return requests


def word_counts(row: Row) -> list[int]:
    """How many words are learned; of a preference, of each response."""
    counts = [len(words(text)) for _, text in responses(row)]
    return counts if isinstance(row, Preference) else [sum(counts)]


def texts(row: Row) -> list[str]:
    """Every turn of a row, and both responses of a preference."""
    chat = row.chat if isinstance(row, Conversation) else as_chat(row.prompt)
    pair = [row.chosen, row.rejected] if isinstance(row, Preference) else []
    return [turn.content for turn in chat] + pair


def shown(row: Row) -> tuple[str, str]:
    """A row to be read: its prompt and its (last) response."""
    if isinstance(row, Unreadable):
        return (row.value if isinstance(row.value, str) else str(row.value)), ""
    if isinstance(row, Preference):
        return transcript_of(as_chat(row.prompt)), f"chosen: {row.chosen}\n\nrejected: {row.rejected}"
    if not any(row.trained):
        return transcript_of(row.chat), ""
    place = last_learned(row)
    return transcript_of(row.chat[:place]), row.chat[place].content
