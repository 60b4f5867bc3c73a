"""Labelled texts composed of phrases, for methods that measure or teach classification without data."""

from __future__ import annotations

from itertools import product

import numpy as np

from biddable.tasks.labelled import Labelled

_THINGS = (
    *("The film", "The hotel", "The soup", "Our waiter", "The concert", "This phone", "The book", "The tour"),
    *("The garden", "Her speech", "The course", "The new chair", "The bread", "The museum", "The game"),
)
_GOOD = ("was wonderful", "is excellent", "was delightful", "is superb", "was a joy", "is fantastic")
_BAD = ("was terrible", "is awful", "was dreadful", "is a disaster", "was a misery", "is horrible")
_AFTER_GOOD = (
    "and I loved every minute",
    "and we will come back",
    "and it made my day",
    "and I recommend it",
)
_AFTER_BAD = ("and I hated every minute", "and we will never return", "and it ruined my day", "so avoid it")

_WHO = ("My sister", "The old man", "A neighbour", "The twins", "Our teacher", "Their uncle", "The doctor")
_SPORT = (
    *("scored two goals in the match", "won the tennis final", "ran a marathon on Sunday"),
    *("trained for the swimming race", "joined the basketball team", "cheered at the football stadium"),
)
_FOOD = (
    *("baked a loaf of bread", "cooked a pot of onion soup", "roasted potatoes with garlic"),
    *("ate pancakes with honey", "peeled apples for a pie", "tasted the cheese and the olives"),
)
_WHEN = ("before noon", "with great patience", "last week", "once more", "as every year", "in the rain")

SETS = {
    "sentiment": {
        "negative": [f"{a} {b} {c}." for a, b, c in product(_THINGS, _BAD, _AFTER_BAD)],
        "positive": [f"{a} {b} {c}." for a, b, c in product(_THINGS, _GOOD, _AFTER_GOOD)],
    },
    "topic": {
        "food": [f"{a} {b} {c}." for a, b, c in product(_WHO, _FOOD, _WHEN)],
        "sport": [f"{a} {b} {c}." for a, b, c in product(_WHO, _SPORT, _WHEN)],
    },
}
"""All texts by set and label."""


def composed_labels(name: str, n: int, seed: int = 0) -> list[Labelled]:
    """``n`` different texts of a set, its labels in turn. Raises KeyError: there is no such set."""
    texts = SETS[name]
    rng = np.random.default_rng([seed, len(name)])
    orders = {label: rng.permutation(len(of)).tolist() for label, of in texts.items()}
    labels = list(texts)
    rows = [(labels[i % len(labels)], i // len(labels)) for i in range(n)]
    return [Labelled(texts[label][orders[label][at]], "", label, f"{name} {label}") for label, at in rows]
