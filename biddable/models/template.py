"""Chat templates: how a chat becomes the text that a model reads.

A template is a program that somebody else wrote, and many leave out what they were not written for:
content that is not a list of parts, a system turn, an earlier answer. So none is trusted. The first chat
with certain roles is preceded by one with the same roles whose words are known; where some of them are
missing from what the template renders, the next way of handing chats over is tried, and where none is
left, the template is said to refuse such chats.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from threading import Thread
from typing import Any, TypeVar, cast

from jinja2 import TemplateError

from biddable.errors import ModelError, said
from biddable.types import Chat, Message, Role

SECONDS = 10.0
"""How long trying a template may take; a common one takes some thousandths of a second."""

logger = logging.getLogger(__name__)

Turns = list[dict[str, Any]]
T = TypeVar("T")


class TemplateRefusal(Exception):
    """The template does not take a chat; the text says why."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How chats with certain roles are handed to a template.

    Attributes:
        parts: content is a list of parts (``[{"type": "text", "text": …}]``), not a text.
        merge: the system's words stand before the first user's, with a blank line between.
        header: what opens the assistant's turn where the template does not write it when asked to.
    """

    parts: bool
    merge: bool
    header: str = ""

    def turns(self, chat: Chat) -> Turns:
        if self.merge:
            system, first, *others = chat
            chat = (replace(first, content=f"{system.content}\n\n{first.content}"), *others)
        return [{"role": turn.role, "content": self._content(turn.content)} for turn in chat]

    def _content(self, text: str) -> Any:
        return [{"type": "text", "text": text}] if self.parts else text


class Template:
    """A tokenizer's chat template.

    Args:
        tokenizer: a ``transformers`` tokenizer that has a chat template.

    Raises:
        ModelError: it cannot be used at all: it has a mistake, say, or leaves out what the user says.
    """

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        self._ways: dict[tuple[Role, ...], _Way | TemplateRefusal] = {}
        named = tokenizer.chat_template
        if isinstance(named, dict) and "default" not in named:
            names, expected = ", ".join(named), "expected one named default"
            raise ModelError(f"{owner(tokenizer)} chat templates are named {names}, {expected}")
        first = self._way(("user",))
        if isinstance(first, TemplateRefusal) and isinstance(self._way(("system", "user")), TemplateRefusal):
            raise ModelError(f"{owner(tokenizer)} chat template cannot be used: {first}")

    def prompt(self, chat: Chat) -> str:
        """``chat`` up to where the assistant speaks next.

        Raises:
            TemplateRefusal: the template does not take it.
        """
        way = self._way(tuple(turn.role for turn in chat))
        if isinstance(way, TemplateRefusal):
            raise way
        return self._text(way.turns(chat), asking=True) + way.header

    def finished(self, chat: Chat) -> str:
        """``chat`` as it stands when nobody speaks next.

        Raises:
            TemplateRefusal: the template does not take it.
        """
        way = self._way(tuple(turn.role for turn in chat))
        if isinstance(way, TemplateRefusal):
            raise way
        return self._text(way.turns(chat), asking=False)

    def closings(self) -> Iterator[tuple[str, str]]:
        """What may end an assistant's turn, best first: the text after it, and a text that no end stands in.

        The first is what follows the last answer of a chat. A template that closes only what is followed
        by another turn shows the end there, before that turn's opening.
        """
        last: list[tuple[Role, ...]] = [("user", "assistant"), ("system", "user", "assistant")]
        for roles in last:
            yield from self._closings(roles, followed=False)
        for roles in last:
            yield from self._closings((*roles, "user"), followed=True)

    def _closings(self, roles: tuple[Role, ...], *, followed: bool) -> Iterator[tuple[str, str]]:
        way = self._way(roles)
        if isinstance(way, TemplateRefusal):
            return
        marks = _marks(roles)
        answer = roles.index("assistant")
        try:
            text = _in_time(lambda: self._text(way.turns(_probe(roles)), asking=False))
        except TemplateRefusal:
            return
        _, mark, after = text.rpartition(marks[answer][1])
        if mark:
            opening = text.partition(marks[0][0])[0] if followed else ""
            yield (after.partition(marks[answer + 1][0])[0] if followed else after), opening

    def _way(self, roles: tuple[Role, ...]) -> _Way | TemplateRefusal:
        if roles not in self._ways:
            try:
                self._ways[roles] = _in_time(lambda: self._find_way(roles))
            except TemplateRefusal as refusal:
                self._ways[roles] = refusal
        return self._ways[roles]

    def _find_way(self, roles: tuple[Role, ...]) -> _Way:
        refusals = []
        for merge in (False, True) if roles[:2] == ("system", "user") else (False,):
            for parts in (False, True):
                way = _Way(parts, merge)
                try:
                    self._require_all_words(way, roles)
                except TemplateRefusal as refusal:
                    refusals.append(refusal)
                    continue
                if merge:
                    logger.warning(
                        "the chat template takes no system turn: what it says is put before the first "
                        "user's words"
                    )
                return replace(way, header=self._header(way, roles))
        raise refusals[0]

    def _require_all_words(self, way: _Way, roles: tuple[Role, ...]) -> None:
        text = self._text(way.turns(_probe(roles)), asking=True)
        for place, (role, (start, end)) in enumerate(zip(roles, _marks(roles), strict=True)):
            # A template that takes texts may write the list of parts down as Python or JSON shows it.
            shown_raw = any(f"text{quote}: {quote}{start}" in text for quote in "'\"")
            if start not in text or end not in text or shown_raw:
                raise TemplateRefusal(f"it leaves out what the {role} says in turn {place + 1}")

    def _header(self, way: _Way, roles: tuple[Role, ...]) -> str:
        """What a finished chat has between its last turn and the answer, where asking for it adds nothing."""
        chat = _probe(roles)
        start = _marks((*roles, "assistant"))[-1][0]
        try:
            without, asked = (self._text(way.turns(chat), asking=asking) for asking in (False, True))
            if asked != without:
                return ""
            answered = self._text(way.turns(_probe((*roles, "assistant"))), asking=False)
        except TemplateRefusal:
            return ""
        header, mark, _ = answered.removeprefix(without).partition(start)
        # A blank before the answer ("[/INST] Yes") belongs to the answer's first token.
        return header if mark and answered.startswith(without) and header.strip() else ""

    def _text(self, turns: Turns, *, asking: bool) -> str:
        """What the template renders. Raises TemplateRefusal whatever it raised."""
        try:
            options = {"tokenize": False, "add_generation_prompt": asking}
            return str(self._tokenizer.apply_chat_template(turns, **options))
        except TemplateError as error:
            raise TemplateRefusal(" ".join(str(error).split()) or type(error).__name__) from None
        except Exception as error:  # a template is a program: it raises whatever it trips over
            raise TemplateRefusal(said(error)) from None


def _in_time(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises.

    Raises:
        TemplateRefusal: it has not come to an end after ``SECONDS``.
    """
    outcome: list[tuple[T | None, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except BaseException as error:
            outcome.append((None, error))

    # Only a thread can be given up everywhere: signals reach nothing but the main one.
    worker = Thread(target=run, daemon=True, name="chat template")
    worker.start()
    worker.join(SECONDS)
    if not outcome:
        # Nothing else ends a loop in another thread.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(worker.ident or 0), ctypes.py_object(SystemExit)
        )
        raise TemplateRefusal(f"it does not come to an end within {SECONDS:g} s")
    ((result, error),) = outcome
    if error is not None:
        raise error
    return cast(T, result)


def owner(tokenizer: Any) -> str:
    """Whose tokenizer it is, to begin an error with: where it was read from, if it was."""
    return f"{tokenizer.name_or_path}: its" if tokenizer.name_or_path else "the"


def _marks(roles: tuple[Role, ...]) -> list[tuple[str, str]]:
    """The first and the last word of each turn of ``_probe``.

    Digits, as a template may write words in capitals or small letters.
    """
    return [(f"7302{place:04}1", f"7302{place:04}2") for place in range(len(roles))]


def _probe(roles: tuple[Role, ...]) -> Chat:
    """A chat whose words are known; the turns are long, as a template may cut them off."""
    filling = " word" * 200
    return tuple(
        Message(role, f"{start}{filling} {end}")
        for role, (start, end) in zip(roles, _marks(roles), strict=True)
    )
