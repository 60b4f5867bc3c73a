"""Blocks of thinking before or between the parts of an answer, which reasoning models write into the text."""

from __future__ import annotations

import re

_NAME = r"(?:\w+:)?(?:think|thinking|thought|thoughts|reasoning)"
# XML, Magistral, Kimi, OpenThinker, Command A and gpt-oss have tags of their own.
_TAG = re.compile(
    rf"(?P<open><{_NAME}>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|START_THINKING\|>"
    r"|(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)<\|message\|>)"
    rf"|</{_NAME}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|END_THINKING\|>"
    r"|(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>",
    re.IGNORECASE,
)
_WITHOUT_TAGS = re.compile(r"analysis.*?assistantfinal", re.DOTALL)
"""How an answer of gpt-oss begins where its special tokens are left out."""


def without_thinking(text: str) -> str:
    """``text`` without its blocks of thinking (``<think>…</think>`` and the like) and the blanks around it.

    Where the opening tag is missing, as a chat template has written it into the prompt, everything up to the
    closing tag goes; a second closing tag at the very end goes alone. Where the closing tag is missing, as
    the limit of tokens was reached, everything from the opening tag goes. One closing tag ends a block within
    a block as well. A text that holds no tag is returned as it is.
    """
    if bare := _WITHOUT_TAGS.match(text):
        return text[bare.end() :].strip()
    tags = list(_TAG.finditer(text))
    if not tags:
        return text
    kept: list[str] = []
    depth, at, end = 0, 0, len(text.rstrip())
    for tag in tags:
        if tag["open"]:
            kept += [text[at : tag.start()]] * (depth == 0)
            depth += 1
        elif depth:
            depth -= 1
        elif at and tag.end() == end:
            kept.append(text[at : tag.start()])
        else:
            kept.clear()
        at = tag.end()
    if depth == 0 or not tags[-1]["open"]:
        kept.append(text[at:])
    return "".join(kept).strip()


def has_thinking(text: str) -> bool:
    """Whether ``without_thinking`` takes something off."""
    return without_thinking(text) != text
