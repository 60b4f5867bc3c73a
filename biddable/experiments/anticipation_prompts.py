"""Windows of actions in three parts, what a language model is asked about them, and their goals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from biddable.errors import FileError, InputError
from biddable.experiments.stages import Weights, sampled
from biddable.models.base import GREEDY
from biddable.runs.run import Run
from biddable.tasks.action_data import read_sequences
from biddable.tasks.action_windows import ActionSequence, Window, windows
from biddable.tasks.actions import Action, Taxonomy, action_text
from biddable.tasks.data import split
from biddable.types import Chat, Conversation, Message, Task

SYSTEM = "Say what the person does next."
DEMOS = 12
"""Solved examples before a question for the goal, as in the paper."""
FEWEST = 3
"""Sources at least: one for each part."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Windows to learn from, to choose by and to test on; no source is in two parts."""

    train: list[Window]
    validation: list[Window]
    test: list[Window]


def divide(
    sequences: Sequence[ActionSequence],
    observed: int,
    ahead: int,
    strides: tuple[int, int],
    share: float,
    most: tuple[int, int, int],
    rng: np.random.Generator,
) -> Parts:
    """Windows of sequences in three parts, by source.

    Args:
        sequences: each long enough for a window.
        observed, ahead: actions of a history and of a future.
        strides: between windows to learn from, and between the others.
        share: of all sources, for validation and test together: a quarter of them for the first.
        most: windows of each part; of more, so many are drawn, from all sources alike.
        rng: of the draws.

    Raises:
        InputError: there are not enough sources.
    """
    sources = sorted({each.source or each.id for each in sequences})
    if len(sources) < FEWEST:
        expected = f"sequences of at least {FEWEST} sources (people, videos, goals), one for each part"
        raise InputError("data", f"{len(sources)} sources", expected)
    train, held = split(sources, sources, share, seed=0)
    if len(held) < 2:
        raise InputError("held_out", share, "a share of at least two sources: to choose by, and to test on")
    test, validation = split(held, held, 1 / 4, seed=1)
    made = []
    for part, stride, number in zip(
        (train, validation, test), (strides[0], strides[1], strides[1]), most, strict=True
    ):
        of_source: dict[str, list[Window]] = {source: [] for source in part}
        for each in sequences:
            if (source := each.source or each.id) in of_source:
                of_source[source] += windows(each, observed, ahead, stride)
        made.append(_drawn(list(of_source.values()), number, rng))
    return Parts(*made)


def _drawn(of_sources: Sequence[Sequence[Window]], number: int, rng: np.random.Generator) -> list[Window]:
    """So many windows at most, of each source as many as of the others while it has any; in their order."""
    places = [
        (turn, int(rng.integers(2**31)), source, int(at))
        for source, of in enumerate(of_sources)
        for turn, at in enumerate(rng.permutation(len(of)))
    ]
    chosen = sorted((source, at) for _, _, source, at in sorted(places)[:number])
    return [of_sources[source][at] for source, at in chosen]


# -- prompts ---------------------------------------------------------------------------------------------


def prompt(history: Sequence[Action], ahead: int, goal: str = "") -> Chat:
    """What the model is given, in training and afterwards: the goal if there is one, and the history."""
    lines = [f"Goal: {goal}"] if goal else []
    lines += [f"Observed actions: {action_text(history)}", f"Next {ahead} actions:"]
    return Message("system", SYSTEM), Message("user", "\n".join(lines))


def lesson(window: Window, goal: str) -> Conversation:
    """A window to learn: its future is the answer."""
    answer = Message("assistant", action_text(window.future))
    asked = prompt(window.history, len(window.future), goal)
    return Conversation((*asked, answer), (*(False for _ in asked), True))


def lessons(of: Sequence[Window]) -> list[Conversation]:
    """Every second window with its goal, the others without: one model learns to do with and without."""
    return [lesson(window, window.goal if at % 2 else "") for at, window in enumerate(of)]


def read_histories(source: Path, observed: int, taxonomy: Taxonomy) -> tuple[list[Window], list[str]]:
    """A user's histories to continue, the last actions of each, and what is to be said of them.

    Synonyms become the words of their classes, which are all that is learned; unknown words stay.

    Raises:
        FileError: the file cannot be read, or a history (the first is named) is too short.
    """
    read = read_sequences(source)
    made, notes = [], list(read.notes)
    for name, row in read.funnel.kept.items():
        end = row.observed or len(row.actions)
        if end < observed:
            raise FileError(source, f"{name}: {end} actions, expected at least {observed}")
        history = tuple(_in_words(action, taxonomy) for action in row.actions[end - observed : end])
        made.append(Window(row.id, history, (), row.goal, row.source))
    if read.funnel.dropped:
        first = read.funnel.dropped[0]
        told = f"{len(read.funnel.dropped)} histories of --ask cannot be read; the first"
        notes.append(f"{told}: {first.why.detail or first.why.reason}.")
    words: dict[str, None] = {}
    for verb, noun in (action for each in made for action in each.history):
        words |= {} if taxonomy.knows(verb, "verb") else {verb: None}
        words |= {} if taxonomy.knows(noun, "noun") else {noun: None}
    if words:
        named = f"{', '.join([*words][:5])}{' …' if len(words) > 5 else ''}"
        notes.append(f"{len(words)} words of --ask are none of the taxonomy's: {named}.")
    return made, notes


def _in_words(action: Action, taxonomy: Taxonomy) -> Action:
    verb, noun = action
    return (
        taxonomy.find(verb, "verb")[0] if taxonomy.knows(verb, "verb") else verb,
        taxonomy.find(noun, "noun")[0] if taxonomy.knows(noun, "noun") else noun,
    )


def wrong_goals(of: Sequence[Window], rng: np.random.Generator) -> list[str]:
    """For each window the goal of another one, none of its own.

    Raises:
        InputError: all have the same goal.
    """
    goals = sorted({window.goal for window in of})
    if len(goals) < 2:
        raise InputError("goal", goals, "at least two different ones among the test windows")
    others = ([goal for goal in goals if goal != window.goal] for window in of)
    return [each[int(rng.integers(len(each)))] for each in others]


def infer_goals(
    run: Run, model: Weights, of: Sequence[Window], train: Sequence[Window], longest: int = 24
) -> list[str]:
    """The goal of each window as a model says it, after solved examples of other goals; it is not tuned.

    Args:
        run: stage ``goals-answers``.
        model: who says it.
        of: windows to name the goals of.
        train: where the examples are from.
        longest: tokens of an answer.
    """
    known = {window.goal: window for window in reversed(train) if window.goal}
    chosen = list(known.values())
    order = run.rng("demos").permutation(len(chosen))[:DEMOS]
    turns: list[Message] = [Message("system", "Name the goal of the person's actions.")]
    for i in order:
        turns += [Message("user", action_text(chosen[i].history)), Message("assistant", chosen[i].goal)]
    tasks = [Task(each.id, (*turns, Message("user", action_text(each.history)))) for each in of]
    texts = sampled(run, "goals", model, tasks, 1, replace(GREEDY, max_tokens=longest, stop=("\n",)))
    return [text.strip().rstrip(".") for (text,) in texts]
