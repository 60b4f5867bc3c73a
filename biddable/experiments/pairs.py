"""Preference pairs out of judged answers, and how alike their two sides are."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import numpy as np

from biddable.experiments.stages import Answers
from biddable.runs.figures import Table
from biddable.types import Preference


def best_against_worst(answers: Answers) -> list[Preference]:
    """The answer with the highest score against the one with the lowest, of each task.

    Not where the two read alike: a model that judges by vote may score the same text differently. An answer
    without a score is neither: nothing is known of it.
    """
    pairs = []
    for task, texts, verdicts in zip(answers.tasks, answers.texts, answers.verdicts, strict=True):
        values = {i: verdict.score for i, verdict in enumerate(verdicts) if verdict.score is not None}
        if not values:
            continue
        best, worst = max(values, key=values.__getitem__), min(values, key=values.__getitem__)
        if values[best] > values[worst] and texts[best] != texts[worst]:
            pairs.append(Preference(task.prompt, texts[best], texts[worst], {"task": task.id}))
    return pairs


def independent_pairs(answers: Answers, rng: np.random.Generator) -> list[Preference]:
    """An answer that passed against one that failed, both sampled and chosen at random, of each task."""
    pairs = []
    for task, texts, verdicts in zip(answers.tasks, answers.texts, answers.verdicts, strict=True):
        passed = [i for i, v in enumerate(verdicts) if v.passed is True]
        failed = [i for i, v in enumerate(verdicts) if v.passed is False]
        if passed and failed:
            chosen, rejected = (texts[group[int(rng.integers(len(group)))]] for group in (passed, failed))
            if chosen != rejected:  # a model that judges by vote may pass a text and fail the same again
                pairs.append(Preference(task.prompt, chosen, rejected, {"task": task.id}))
    return pairs


def pair_similarity(pairs: Sequence[Preference]) -> float | None:
    """How much of the two sides is the same text, 0 to 1 (mean of difflib's ratio); None without pairs."""
    ratios = [
        difflib.SequenceMatcher(None, pair.chosen, pair.rejected, autojunk=False).ratio() for pair in pairs
    ]
    return float(np.mean(ratios)) if ratios else None


def similarity_table(kinds: Mapping[str, Sequence[Preference]], note: str = "") -> Table:
    """How many pairs of each kind there are, and how alike their sides."""
    rows = [(kind, len(pairs), f"{pair_similarity(pairs):.2f}") for kind, pairs in kinds.items() if pairs]
    title = "Training pairs: how much of the two sides is the same text"
    return Table(title, ("pairs", "count", "similarity"), tuple(rows), note=note)
