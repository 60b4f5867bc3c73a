"""Fields of a request that a server refuses: which may be sent otherwise, which may be left out.

What changes nothing (a filter that is switched off) or was only ever asked for as a favour (seeds,
log-probabilities) is left out where a refusal names it; what matters is never dropped in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NEUTRAL: dict[str, Any] = {"top_k": 0, "min_p": 0.0, "logprobs": True, "top_logprobs": 1, "stream": False}
"""Fields that are sent although not every server takes them, and the value at which they may be left out.

Left to themselves servers filter: llama.cpp to the 40 likeliest tokens of at least 5 % of the best
one's probability, vLLM as the model's own generation config says. ``Sampling`` promises no filter
unless asked for, so the filters are switched off in so many words.
"""

_DEFAULTS: dict[str, Any] = {**NEUTRAL, "top_p": 1.0, "temperature": 1.0}
_OF_VALUES = re.compile(r"-1|must|should|at least|greater|larger|positive|between|range|minimum|>=? ?[01]")
_ABOVE_ZERO = re.compile(r"positive|greater than|>=? ?0|above")
_OF_SIZES = re.compile(r"too (large|long|many|high)|context|at most|less than|exceed")
_OF_SUPPORT = re.compile(
    r"max_completion_tokens|support|permit|allow|unknown|recogni[sz]ed|unexpected|extra|deprecated", re.I
)
_OTHERS = re.compile(r"(supported|allowed|permitted|valid|accepted|expected)[\w ]*( are\b|:)", re.I)
_NO_STATEMENT = {"input", "ctx", "url", "body", "request", "type", "code", "status", "documentation_url"}
_NAMING = {"param", "parameter", "field", "loc"}


@dataclass(frozen=True, slots=True)
class Change:
    """What is done about a field: sent as ``name`` with ``value``, or left out where ``name`` is None.

    ``asked`` is the value that the change is for; None where it is for any, which is then sent as it is.
    """

    field: str
    asked: Any
    name: str | None = None
    value: Any = None

    def fits(self, body: Mapping[str, Any]) -> bool:
        """Whether the change is for what ``body`` asks for."""
        return self.field in body and self.asked in (None, body[self.field])

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The request with the change made."""
        changed = {name: value for name, value in body.items() if name != self.field}
        if self.field == "logprobs":
            changed.pop("top_logprobs", None)  # which nobody takes without the other
        if self.name is not None and self.field in body:
            changed[self.name] = body[self.field] if self.asked is None else self.value
        return changed

    def note(self) -> str:
        """What to tell the user, after the model's name; "" where it makes no difference."""
        if self.field in ("stream", "max_tokens"):
            return ""
        if self.name is not None:
            return f"does not take {self.field} {self.asked}; {self.value} is sent instead"
        lost = ""
        if self.field == "temperature" and self.asked == 0:
            lost = ": its answers are drawn at random, not greedy"
        elif self.field == "seed":
            lost = ": its answers may differ from call to call"
        return f"does not take {self.field} and goes by its own default{lost}"


def changes(answer: bytes, sent: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Change]:
    """What may be done about the fields that a refusal names; empty where nothing may.

    Args:
        answer: the body of the refusal.
        sent: the request that was refused.
        asked: the request as it was before any change.
    """
    places, words = _named(answer)
    said = " ".join(words)
    told = _OTHERS.split(said)[0]  # without the list of what would be right
    for text in (" ".join(places), told, said):
        named = [name for name in sent if name in asked and _word(name, text)]
        of_text = [_change(name, sent[name], asked[name], said) for name in named]
        if known := {change.field: change for change in of_text if change is not None}:
            return known
    return {}


def _change(name: str, sent: Any, asked: Any, said: str) -> Change | None:
    """What may be done about one field that was refused as ``sent``; None: nothing, the refusal stands."""
    if name == "max_tokens":
        other_name = _OF_SUPPORT.search(said) and not _OF_SIZES.search(said)
        return Change(name, None, "max_completion_tokens") if other_name else None
    if name == "seed":
        return Change(name, None)
    if name == "top_k" and sent == asked == 0 and _OF_VALUES.search(said):
        return Change(name, asked, name, -1)
    if name == "temperature" and sent == asked == 0 and _ABOVE_ZERO.search(said):
        return Change(name, asked, name, 0.01)
    neutral = name in _DEFAULTS and asked == _DEFAULTS[name]
    return Change(name, asked) if neutral or (name == "temperature" and asked == 0) else None


def _named(answer: bytes) -> tuple[list[str], list[str]]:
    """The texts of a refusal: those in places that name a field, and those that say something."""
    places: list[str] = []
    words: list[str] = []
    try:
        _walk(json.loads(answer), places.append, words.append)
    except (ValueError, RecursionError):
        return [], [answer.decode(errors="replace")]
    return places, words


def _walk(answer: Any, place: Callable[[str], None], word: Callable[[str], None]) -> None:
    if isinstance(answer, str):
        word(answer)
    elif isinstance(answer, list):
        for inner in answer:
            _walk(inner, place, word)
    elif isinstance(answer, dict):
        for key, inner in answer.items():
            if key in _NAMING:
                for name in _strings(inner):
                    place(name)
            elif key not in _NO_STATEMENT:
                place(key)
                _walk(inner, place, word)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _word(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None
