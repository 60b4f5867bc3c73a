"""The context of a repair: the task's rules and limits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from biddable.tasks.compose import conflicts as ids


@dataclass(slots=True)
class Context:
    """The task's rules (id -> arguments), the generator, and the room that the body has.

    ``room`` is how many words and sentences the body may have, by rule; it starts at what the rule says
    and shrinks by what stands around the body.
    """

    rules: Mapping[str, Mapping[str, Any]]
    rng: np.random.Generator
    room: dict[str, int]

    @property
    def may_add_english(self) -> bool:
        """Whether an English sentence may be added."""
        return ids.LANGUAGE not in self.rules

    @property
    def comma(self) -> str:
        """A comma where the task allows one."""
        return "" if ids.NO_COMMA in self.rules else ","

    def allows(self, text: str) -> bool:
        """Whether added text keeps clear of the forbidden words and of commas."""
        forbidden = self.rules.get(ids.FORBIDDEN, {}).get("forbidden_words", ())
        return not any(
            re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) for word in forbidden
        ) and not ("," in text and ids.NO_COMMA in self.rules)

    def choose(self, options: Sequence[str]) -> str | None:
        """One of the options that the task allows."""
        allowed = [option for option in options if self.allows(option)]
        return allowed[int(self.rng.integers(len(allowed)))] if allowed else None
