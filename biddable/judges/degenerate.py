"""Whether a text is an answer at all: rules on its form cannot see it, and training for them ruins it first.

``"*this*"`` highlights a phrase, and the request sent back between quotation marks is quoted. A model that
is rewarded for rules alone finds such answers within a few steps, so whoever trains on rules needs this too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from biddable.types import Task

MAY_COPY = {"combination:repeat_prompt", "detectable_format:constrained_response"}
"""Rules that ask for words of the request, or for hardly any."""
RUN = 4
"""Length, in words, of what counts as repeated or copied."""
MOST_REPEATED = 0.3
FEWEST_OWN_WORDS = 5

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+|[^\w\s]")


def repetition(text: str) -> float:
    """The share of 4-grams that were there before, from 0 to 1 (seq-rep-4; Welleck et al. 2020, section 3).

    Words and punctuation marks count, so that loops of either are seen.
    """
    grams = _grams(_TOKEN.findall(text.lower()))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def own_words(request: str, text: str) -> tuple[int, int]:
    """How many words of ``text`` are outside runs of four or more from ``request``, and how many it has."""
    known = set(_grams(_WORD.findall(request.lower())))
    words = _WORD.findall(text.lower())
    copied = {i + k for i, gram in enumerate(_grams(words)) if gram in known for k in range(RUN)}
    return len(words) - len(copied), len(words)


def degeneracy(request: str, text: str, *, may_copy: bool = False) -> str:
    """What keeps a text from being an answer, in one sentence; empty where nothing does.

    A text is degenerate where more than 30 % of its 4-grams are repeats, where it has fewer than five words
    of its own, or where more than half of its words are copied from the request in runs of four or more. It
    is meant for answers of a sentence or longer: an answer of one word is not told from none.

    Args:
        may_copy: look for repetition only, as the request asks for its own words or for a word or two.
    """
    if repetition(text) > MOST_REPEATED:
        return "The answer repeats itself."
    if may_copy:
        return ""
    own, words = own_words(request, text)
    if own < min(FEWEST_OWN_WORDS, words) or own < words / 2:
        return "The answer copies the request."
    return "The answer says nothing." if own < FEWEST_OWN_WORDS else ""


def task_degeneracy(task: Task, text: str) -> str:
    """``degeneracy`` of a response to a task, as far as the task's rules let it be told."""
    request = "\n".join(message.content for message in task.prompt if message.role == "user")
    return degeneracy(request, text, may_copy=any(check.id in MAY_COPY for check in task.checks))


def _grams(tokens: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + RUN]) for i in range(len(tokens) - RUN + 1)]
