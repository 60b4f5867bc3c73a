"""Joining a request and its rules into one prompt, in several layouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from biddable.tasks.compose.rule import Wordings


@dataclass(frozen=True, slots=True)
class Layout:
    """Prompt templates with the fields ``{base}`` and ``{rules}``, and how the rules are strung together."""

    templates: Wordings
    bullet: str | None = None
    """What each rule stands behind in a list; None runs them on as sentences."""

    def rules(self, sentences: Sequence[str]) -> str:
        """The rules as the templates' ``{rules}``."""
        if self.bullet is None:
            return " ".join(sentences)
        return "\n".join(self.bullet.format(i) + sentence for i, sentence in enumerate(sentences, start=1))


BELOW = Layout(Wordings(train=("{base}\n\n{rules}",), test=("{base}\n\n{rules}",)))
"""The request alone on top: for rules that say "the request above"."""

SENTENCES = Layout(
    Wordings(
        train=("{base} {rules}", "{base}\n\n{rules}", "{rules}\n\n{base}", "{base}\n\nNote: {rules}"),
        test=("{base}\n{rules}", "{rules} With that in mind:\n\n{base}", "{base}\n\nAlso: {rules}"),
    )
)
DASHES = Layout(
    Wordings(
        train=("{base}\n\nRequirements:\n{rules}", "{base}\n\nA few rules:\n{rules}"),
        test=("{base}\n\nPlease stick to the following:\n{rules}",),
    ),
    bullet="- ",
)
NUMBERS = Layout(
    Wordings(
        train=("{base}\n\nWhen you write it:\n{rules}",),
        test=("Read these rules first:\n{rules}\n\nNow the request:\n{base}",),
    ),
    bullet="{}. ",
)


def join(base: str, sentences: Sequence[str], split: str, rng: np.random.Generator, *, below: bool) -> str:
    """One prompt out of a request and at least one rule.

    ``below`` keeps the request on top, in a paragraph of its own.
    """
    layouts = [BELOW] if below else [SENTENCES] if len(sentences) == 1 else [SENTENCES, DASHES, NUMBERS]
    options = [(layout, template) for layout in layouts for template in layout.templates.of(split)]
    layout, template = options[int(rng.integers(len(options)))]
    return template.format(base=base, rules=layout.rules(sentences))
