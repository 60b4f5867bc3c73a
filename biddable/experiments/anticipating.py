"""Arms that say what comes next: windows in three parts, prompts, candidates, and how far these are off."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from biddable.experiments.anticipation_prompts import Parts, prompt
from biddable.experiments.scores import ArmScores
from biddable.experiments.stages import Weights, sampled
from biddable.judges.steps import auc_edit_distance, edit_curve, edit_distances
from biddable.models.base import Sampling
from biddable.policies.anticipation import ActionTransformer, ActionTransformerConfig
from biddable.policies.bigram import Bigram, Candidates
from biddable.runs.run import Run
from biddable.tasks.action_windows import ActionSequence, Window
from biddable.tasks.actions import Action, Taxonomy, action_text, parse_action_list
from biddable.types import Task

PAIRS, VERBS, NOUNS = "edit distance of pairs", "edit distance of verbs", "edit distance of nouns"
RARE = "rare pairs foreseen"
MOVED = "nouns of the other goal"


@dataclass
class Foreseen:
    """What arms foresee of the same windows.

    Attributes:
        windows: the cases.
        rare: pairs that are rare in training.
        scores: edit distances and the rest, by arm and seed.
        candidates: the same arms' candidates of the first seed.
        counts: by arm, what was counted in reading its replies, of all seeds.
        curves: by arm, ED@1 to ED@Z of pairs for each seed.
    """

    windows: list[Window]
    rare: frozenset[Action]
    scores: ArmScores = field(default_factory=ArmScores)
    candidates: dict[str, Candidates] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    curves: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)

    def add(self, arm: str, found: Candidates, seed: int) -> None:
        """Score an arm's candidates [windows][K][Z], where an empty list foresees nothing."""
        futures = [window.future for window in self.windows]
        for metric, of in ((PAIRS, None), (VERBS, 0), (NOUNS, 1)):
            self.scores.add(
                arm, edit_distances(_words(found, of), _words([futures], of)[0]), metric=metric, seed=seed
            )
        self.curves.setdefault(arm, []).append(edit_curve(found, futures))
        self.candidates.setdefault(arm, found)
        rare = [self.rare.intersection(future) for future in futures]
        shares = [
            len(pairs.intersection(*[[a for one in of for a in one]])) / len(pairs)
            for pairs, of in zip(rare, found, strict=True)
            if pairs
        ]
        if shares:
            self.scores.add(arm, shares, metric=RARE, seed=seed)

    def add_moved(self, arm: str, found: Candidates, others: Sequence[frozenset[str]], seed: int) -> None:
        """Score how many of an arm's nouns are those of another goal alone, ``others`` of each window."""
        shares = [
            float(np.mean([noun in words for one in of for _, noun in one] or [False]))
            for of, words in zip(found, others, strict=True)
        ]
        self.scores.add(arm, shares, metric=MOVED, seed=seed)

    def cluster(self) -> None:
        """Say which windows are of one source."""
        for metric in (PAIRS, VERBS, NOUNS, RARE, MOVED):
            of = [each for each in self.windows if metric != RARE or self.rare.intersection(each.future)]
            sources = [window.source for window in of]
            if self.scores.arms(metric) and 1 < len({*sources}) < len(sources):
                self.scores.cluster(metric, sources)

    def area(self, arm: str) -> float:
        """AUED of pairs, the mean over seeds."""
        return float(np.mean([auc_edit_distance(curve) for curve in self.curves[arm]]))


def _words(lists: Sequence[Sequence[Sequence[Action]]], of: int | None) -> list[list[list[object]]]:
    """Pairs as they are (None), or their verbs (0) or nouns (1)."""
    return [[[pair if of is None else pair[of] for pair in one] for one in each] for each in lists]


def rare_pairs(train: Sequence[Window]) -> frozenset[Action]:
    """The third of the pairs to learn from that is least frequent."""
    counts = Counter(action for window in train for action in window.history + window.future)
    ranked = sorted(counts, key=lambda action: (counts[action], action))
    return frozenset(ranked[: len(ranked) // 3])


def nouns_of_goals(sequences: Sequence[ActionSequence]) -> dict[str, frozenset[str]]:
    """By goal, the nouns of all that was done for it."""
    nouns: dict[str, set[str]] = {}
    for each in sequences:
        nouns.setdefault(each.goal, set()).update(noun for _, noun in each.actions)
    return {goal: frozenset(words) for goal, words in nouns.items()}


def continuations(
    run: Run,
    name: str,
    weights: Weights,
    of: Sequence[Window],
    goals: Sequence[str],
    taxonomy: Taxonomy,
    k: int,
    ahead: int,
    sampling: Sampling,
) -> tuple[Candidates, Counter[str]]:
    """``k`` continuations of each history by a model, and what was counted in reading its replies.

    Stage ``NAME-answers``; every window draws with a seed of its own.
    """
    tasks = [Task(each.id, prompt(each.history, ahead, goal)) for each, goal in zip(of, goals, strict=True)]
    texts = sampled(run, name, weights, tasks, k, sampling)
    counts: Counter[str] = Counter()
    found: Candidates = []
    for row in texts:
        parsed = [parse_action_list(text, taxonomy, ahead) for text in row]
        for each in parsed:
            counts.update(each.counts)
        found.append([list(each.actions) for each in parsed])
    return found, counts


@dataclass(frozen=True, slots=True)
class Foretold:
    """What a model from scratch foretells of the test windows, at the temperature that was chosen."""

    temperature: float
    without: Candidates
    with_goals: Candidates
    losses: list[float]


def from_scratch(
    run: Run, seed: int, parts: Parts, config: ActionTransformerConfig, k: int, temperatures: Sequence[float]
) -> Foretold:
    """The transformer of a seed; its temperature is the best of some on validation windows."""

    def make() -> Foretold:
        model = ActionTransformer(parts.train, config, run.seed("scratch", seed))
        losses = model.fit(parts.validation)
        draw = run.seed("scratch-draw", seed)
        ahead = len(parts.test[0].future)
        on = partial(model.predict, bare(parts.validation), k, ahead, seed=draw)
        best = coolest({each: on(temperature=each) for each in temperatures}, parts.validation)
        test = [bare(parts.test), parts.test if any(each.goal for each in parts.test) else []]
        made = [model.predict(of, k, ahead, best, draw) if of else [] for of in test]
        return Foretold(best, made[0], made[1], losses)

    return run.stage(f"scratch{seed}", make, Foretold)


def from_bigrams(
    run: Run, seed: int, parts: Parts, k: int, temperatures: Sequence[float]
) -> tuple[float, Candidates]:
    """The bigram model's temperature, and its candidates of the test windows."""
    model, ahead = Bigram(parts.train), len(parts.test[0].future)

    def draw(of: Sequence[Window], temperature: float) -> Candidates:
        return model.predict(of, k, ahead, temperature, run.rng("bigram", seed))

    best = coolest({each: draw(parts.validation, each) for each in temperatures}, parts.validation)
    return best, draw(parts.test, best)


def coolest(found: Mapping[float, Candidates], of: Sequence[Window]) -> float:
    """The temperature whose candidates are least far off (pairs); of equals the lowest."""
    futures = [window.future for window in of]
    return min(sorted(found), key=lambda each: float(edit_distances(found[each], futures).mean()))


def bare(of: Sequence[Window]) -> list[Window]:
    """The windows without goals."""
    return [replace(window, goal="") for window in of]


def prediction_lines(foreseen: Foreseen, goals: Mapping[str, Sequence[str]]) -> str:
    """JSON lines: each test window, and what each arm of the first seed foresees of it."""
    lines = []
    for at, window in enumerate(foreseen.windows):
        told = {
            arm: {"goal": goals[arm][at]} | {"candidates": [action_text(one) for one in found[at]]}
            if arm in goals
            else {"candidates": [action_text(one) for one in found[at]]}
            for arm, found in foreseen.candidates.items()
        }
        row = {"id": window.id, "source": window.source, "goal": window.goal}
        row |= {"history": action_text(window.history), "future": action_text(window.future)}
        lines.append(json.dumps(row | {"predictions": told}, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines)
