"""From answers and trees to training data: the selections of SPaR, each a pure function.

Source: SPaR (arXiv 2412.11605), section 2.3 and appendix; step numbers as in the method's docstring.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from biddable.judges.lm_judge import judge_chat, refine_chat
from biddable.search.nodes import RefinementNode, SearchResult
from biddable.types import Chat, Message, Preference, Task, Verdict


@dataclass(frozen=True, slots=True)
class Negative:
    """One failed answer to a task, and the critique that says so."""

    task: Task
    response: str
    critique: str


@dataclass(frozen=True, slots=True)
class Caps:
    """How much of each kind goes into the refiner's data (the paper's numbers, for 10,000 prompts).

    With fewer prompts they stay as they are, and rarely bind: shares of so little would be next to nothing.
    """

    refinements: int = 4000
    tree_positive: int = 1500
    tree_negative: int = 1000
    answers_negative: int = 500
    answers_positive: int = 2500

    def scaled(self, prompts: int) -> Caps:
        """The same shares for another number of prompts."""
        return Caps(*(max(1, round(getattr(self, name) * prompts / 10_000)) for name in self.__slots__))


def critique_of(verdict: Verdict) -> str:
    """A rule judge's verdict in the form that a language model judges in."""
    lines = [f"- {'Met' if check.passed else 'Missed'}: {check.reason}" for check in verdict.checks]
    return "\n".join([*lines, f"Final Judgement: {'Yes' if verdict.passed else 'No'}"])


def collect_negatives(
    tasks: Sequence[Task],
    samples: Sequence[Sequence[str]],
    assessed: Sequence[Sequence[Verdict]],
    rng: np.random.Generator,
) -> list[Negative]:
    """Step 3: one randomly chosen failed answer of each task that has any."""
    negatives = []
    for task, texts, notes in zip(tasks, samples, assessed, strict=True):
        failed = [i for i, note in enumerate(notes) if note.passed is False and texts[i].strip()]
        if failed:
            pick = failed[int(rng.integers(len(failed)))]
            negatives.append(Negative(task, texts[pick], notes[pick].critique))
    return negatives


def build_dpo_pairs(negatives: Sequence[Negative], results: Sequence[SearchResult]) -> list[Preference]:
    """Step 5: what the tree found against the *original* answer, for trees that were solved."""
    return [
        _pair(negative.task, result.best.response, negative.response)
        for negative, result in zip(negatives, results, strict=True)
        if result.solved and result.best.response != negative.response
    ]


def independent_pairs(
    tasks: Sequence[Task],
    samples: Sequence[Sequence[str]],
    assessed: Sequence[Sequence[Verdict]],
    rng: np.random.Generator,
) -> list[Preference]:
    """Baseline "without refinement": an answer that passed against one that failed, both sampled.

    Not where the two read alike: a model that judges by vote may pass a text and fail the same again.
    """
    pairs = []
    for task, texts, notes in zip(tasks, samples, assessed, strict=True):
        passed = [i for i, note in enumerate(notes) if note.passed]
        failed = [i for i, note in enumerate(notes) if note.passed is False]
        if passed and failed:
            chosen, rejected = (texts[group[int(rng.integers(len(group)))]] for group in (passed, failed))
            if chosen != rejected:
                pairs.append(_pair(task, chosen, rejected))
    return pairs


def best_against_worst(
    tasks: Sequence[Task], samples: Sequence[Sequence[str]], assessed: Sequence[Sequence[Verdict]]
) -> list[Preference]:
    """Baseline Self-Rewarding: the answer with the highest score against the one with the lowest.

    Not where the two read alike: a model that judges by vote may score the same text differently.
    """
    pairs = []
    for task, texts, notes in zip(tasks, samples, assessed, strict=True):
        values = [note.score or 0.0 for note in notes]
        best, worst = int(np.argmax(values)), int(np.argmin(values))
        if values[best] > values[worst] and texts[best] != texts[worst]:
            pairs.append(_pair(task, texts[best], texts[worst]))
    return pairs


def build_refiner_data(
    negatives: Sequence[Negative],
    results: Sequence[SearchResult],
    answers: Iterable[tuple[Task, str, Verdict]],
    caps: Caps,
    rng: np.random.Generator,
) -> list[Chat]:
    """Step 6: refinements and disputed judgements, at most one of each for a judge prompt.

    Refinements repair the winning node's *parent*. Judgements come from nodes and answers on which the
    votes were split: unanimous ones teach nothing. Rules do not vote; ``answers`` are then left out.
    """
    searched = [
        (negative.task, result) for negative, result in zip(negatives, results, strict=True) if result.refined
    ]
    refinements = [_refinement(task, result.best) for task, result in searched if result.solved]
    positive: list[Chat] = []
    negative_nodes: list[Chat] = []
    for task, result in searched:
        nodes = [node for node in result.root.walk() if node.parent is not None]
        for kept, low, high in ((positive, 0.5, 1.0), (negative_nodes, 0.0, 0.5)):
            split = [node for node in nodes if low < node.value < high and node.critique.strip()]
            if split:
                node = split[int(rng.integers(len(split)))]
                kept.append(_judgement(task, node.response, node.critique))
    disputed = [row for row in answers if row[2].score is not None and 0 < row[2].score < 1]
    by_decision = {
        passed: [_judgement(task, text, v.critique) for task, text, v in disputed if v.passed is passed]
        for passed in (False, True)
    }
    groups = (
        (refinements, caps.refinements),
        (positive, caps.tree_positive),
        (negative_nodes, caps.tree_negative),
        (by_decision[False], caps.answers_negative),
        (by_decision[True], caps.answers_positive),
    )
    return _without_repeats(chat for group, cap in groups for chat in group[:cap])


def pair_similarity(pairs: Sequence[Preference]) -> list[float]:
    """How much of each pair's two sides is the same text, from 0 to 1 (difflib's ratio)."""
    return [difflib.SequenceMatcher(None, p.chosen, p.rejected, autojunk=False).ratio() for p in pairs]


def _pair(task: Task, chosen: str, rejected: str) -> Preference:
    return Preference(task.prompt, chosen, rejected, {"task": task.id})


def _refinement(task: Task, node: RefinementNode) -> Chat:
    assert node.parent is not None
    chat = refine_chat(task, node.parent.response, node.parent.critique)
    return (*chat, Message("assistant", node.refinement))


def _judgement(task: Task, response: str, critique: str) -> Chat:
    return (*judge_chat(task, response), Message("assistant", critique))


def _without_repeats(chats: Iterable[Chat]) -> list[Chat]:
    """The first chat for each judge prompt and kind (a refinement has four turns, a judgement two)."""
    first: dict[tuple[str, int], Chat] = {}
    for chat in chats:
        first.setdefault((chat[0].content, len(chat)), chat)
    return list(first.values())
