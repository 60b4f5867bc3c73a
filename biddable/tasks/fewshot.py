"""Few-shot prompts: a description and solved examples before a query, as many as there is room for.

Source: the rule of INSTRUCTEVAL (arXiv 2306.04757) and Tk-Instruct (arXiv 2204.07705): where a prompt is too
long, examples are dropped from the end until it fits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from biddable.errors import InputError


@dataclass(frozen=True, slots=True)
class Shots:
    """What precedes a query.

    Attributes:
        description: what the task is, in words; empty where nothing is said of it.
        examples: solved examples, each rendered as the query is, with its answer.
    """

    description: str = ""
    examples: tuple[str, ...] = ()


def few_shot_prompt(
    query: str,
    shots: Shots,
    k: int,
    *,
    room: int | None = None,
    count: Callable[[str], int] | None = None,
    separator: str = "\n\n",
) -> tuple[str, int]:
    """The description, the first examples and the query, with ``separator`` between them.

    Args:
        query: the text that the model goes on with.
        shots: what precedes it.
        k: how many examples are shown, at most; fewer where there are fewer.
        room: how long the prompt may be, as ``count`` counts. The description and the query stay even where
            they are longer by themselves.
        count: the length of a prompt, in tokens say.
        separator: what stands between two parts.

    Returns:
        The prompt, and how many examples are in it.

    Raises:
        InputError: ``k`` is negative, or ``room`` is given without ``count``.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 0:
        raise InputError("shots", k, "an integer of at least 0")
    if room is not None and count is None:
        raise InputError("count", count, "a function that counts what room is given in")
    kept = min(k, len(shots.examples))
    while True:
        parts = (shots.description, *shots.examples[:kept], query)
        prompt = separator.join(part for part in parts if part)
        if kept == 0 or room is None or count is None or count(prompt) <= room:
            return prompt, kept
        kept -= 1
