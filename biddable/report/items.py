"""Answered items as a page holds them: JSON that its script filters and shows, and an overview in numbers."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from biddable.errors import printable
from biddable.runs.figures import Answer, Items

LONG_OPENING = 300
"""Letters from which on what all prompts of a group open with is kept once and folded."""
_MARKUP = {letter: f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


def embedded(figure: Items) -> Markup:
    """The items as JSON that may stand in a ``script`` element: it holds no letter that ends one.

    Models, suites, groups and openings stand once; an item refers to them by their place.
    """
    openings = _openings(figure)
    suites, groups, shared = _Places(), _Places(), _Places()
    rows = []
    for item in figure.items:
        opening = openings[item.suite, item.group]
        rows.append(
            {
                "id": printable(item.id),
                "suite": suites.of(item.suite),
                "group": groups.of(item.group),
                "opening": shared.of(opening),
                "prompt": printable(item.prompt[len(opening) :]),
                "references": [printable(each) for each in item.references],
                "answers": [_answer(item.answers.get(model)) for model in figure.models],
            }
        )
    names = {"models": figure.models, "suites": suites, "groups": groups, "openings": shared}
    names |= {"outcomes": figure.outcomes, "places": figure.places}
    plain = {name: [printable(each) for each in texts] for name, texts in names.items()}
    text = json.dumps({**plain, "items": rows}, ensure_ascii=False, separators=(",", ":"))
    for letter, escape in _MARKUP.items():
        text = text.replace(letter, escape)
    return Markup(text)


def overview(figure: Items) -> tuple[list[str], list[list[str | int]]]:
    """How many items each suite and group has, how many each model got right: the columns and the rows."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * (1 + len(figure.models)))
    for item in figure.items:
        row = counts[item.suite, item.group]
        row[0] += 1
        for place, model in enumerate(figure.models, 1):
            answer = item.answers.get(model)
            row[place] += answer is not None and answer.correct is True
    right = [f"{model}, {figure.outcomes[0]}" for model in figure.models]
    columns = [*figure.places, "items", *right]
    suites = list(dict.fromkeys(suite for suite, _ in counts))
    ordered = sorted(counts.items(), key=lambda entry: suites.index(entry[0][0]))
    return columns, [[*names, *row] for names, row in ordered]


class _Places(dict[str, int]):
    """Texts, each with its place among those that came before it."""

    def of(self, text: str) -> int:
        return self.setdefault(text, len(self))


def _answer(answer: Answer | None) -> dict[str, Any] | None:
    if answer is None:
        return None
    return {
        "text": printable(answer.text),
        "correct": answer.correct,
        "score": answer.score,
        "notes": [printable(note) for note in answer.notes],
    }


def _openings(figure: Items) -> dict[tuple[str, str], str]:
    """What all prompts of a suite's group open with (solved examples), up to an empty line."""
    prompts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for item in figure.items:
        prompts[item.suite, item.group].append(item.prompt)
    return {names: _opening(texts) for names, texts in prompts.items()}


def _opening(prompts: Sequence[str]) -> str:
    """Empty where it is short or all there is to a prompt."""
    # The first and the last in order share what all share.
    first, last = min(prompts), max(prompts)
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    opening = first[: first.rfind("\n\n", 0, same) + 2]
    return opening if LONG_OPENING <= len(opening) < len(first) and len(prompts) > 1 else ""
