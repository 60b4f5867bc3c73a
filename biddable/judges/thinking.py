"""Blocks of thinking before or between the parts of an answer, which reasoning models write into the text."""

from __future__ import annotations

import re

_NAME = r"(?:think|thinking|thought|thoughts|reasoning)"
_OPEN = rf"(?:<{_NAME}>|\[THINK\]|◁think▷)"
_CLOSE = rf"(?:</{_NAME}>|\[/THINK\]|◁/think▷)"
_FLAGS = re.DOTALL | re.IGNORECASE
_BLOCK = re.compile(rf"{_OPEN}.*?{_CLOSE}", _FLAGS)
_BEGUN_BEFORE = re.compile(rf".*{_CLOSE}", _FLAGS)
_NOT_CLOSED = re.compile(rf"{_OPEN}.*", _FLAGS)


def without_thinking(text: str) -> str:
    """``text`` without its blocks of thinking (``<think>…</think>`` and the like) and the blanks around it.

    Where the opening tag is missing, as a chat template has written it into the prompt, everything up to the
    closing tag goes; where the closing one is, as the limit of tokens was reached, everything from the
    opening tag. A text that holds no tag is returned as it is.
    """
    rest = _NOT_CLOSED.sub("", _BEGUN_BEFORE.sub("", _BLOCK.sub("", text)))
    return text if rest == text else rest.strip()


def has_thinking(text: str) -> bool:
    """Whether ``without_thinking`` takes something off."""
    return without_thinking(text) != text
