"""Frames of robot tasks as tensors to learn from, and sequences of symbols back as frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from biddable.errors import InputError
from biddable.policies.frame_config import Labels, States
from biddable.policies.frame_networks import IGNORED, STOP, FrameBatch
from biddable.tasks.frames import UNKNOWN, Argument, InstructionExample, Span, TaskFrame


def as_batch(states: States, examples: Sequence[InstructionExample], labels: Labels) -> FrameBatch:
    """Sentences with what is to be predicted; labels that are not known are taken for none."""
    lengths = [len(each) for each in states]
    n = max(lengths)
    T = max([len(each.tasks) for each in examples] + [1])  # noqa: N806
    A = max([len(task.arguments) for each in examples for task in each.tasks] + [1])  # noqa: N806
    B = len(states)  # noqa: N806
    x = np.zeros((B, n, states[0].shape[1]), dtype=np.float32)
    skills, triggers = np.full((B, T + 1), IGNORED), np.zeros((B, T, 2), dtype=np.int64)
    roles, spans = np.full((B, T, A + 1), IGNORED), np.zeros((B, T, A, 2), dtype=np.int64)
    tags = np.full((B, n), IGNORED)
    skill_of = {name: at for at, name in enumerate(labels.skills, 1)}
    role_of = {name: at for at, name in enumerate(labels.roles, 1)}
    for row, state in enumerate(states):
        x[row, : len(state)] = state
    for row, example in enumerate(examples):
        tags[row, : lengths[row]] = object_tags(example, labels)
        skills[row, len(example.tasks)] = STOP
        for t, task in enumerate(example.tasks):
            skills[row, t], triggers[row, t] = skill_of[task.skill], _place(task.span)
            roles[row, t, len(task.arguments)] = STOP
            for a, each in enumerate(task.arguments):
                roles[row, t, a], spans[row, t, a] = role_of[each.role], _place(each.span)
    sequences = [flat_symbols(each, labels) for each in examples] or [[STOP]]
    symbols = np.full((max(len(examples), 1), max(map(len, sequences))), IGNORED)
    for row, sequence in enumerate(sequences):
        symbols[row, : len(sequence)] = sequence
    arrays = (x, np.array(lengths), skills, triggers, roles, spans, tags, symbols)
    return FrameBatch(*map(torch.from_numpy, arrays))


def _place(span: Span | None) -> tuple[int, int]:
    if span is None:
        raise InputError("span", None, "where the words stand, to learn from")
    return span.start, span.end


def object_tags(example: InstructionExample, labels: Labels) -> list[int]:
    """A tag of each word: 0 outside, 2c - 1 where a mention of class c begins, 2c within one."""
    tags = [0] * len(example.words)
    number = {name: at for at, name in enumerate(labels.objects, 1)}
    for each in (each for task in example.tasks for each in task.arguments):
        if each.span is not None and each.object_class in number:
            c = number[each.object_class]
            for place in range(each.span.start, each.span.end + 1):
                tags[place] = 2 * c - (place == each.span.start)
    return tags


def object_of(tags: Sequence[int], labels: Labels) -> str:
    """The class of a span by the tags of its words: what most say; of as many, the last."""
    classes = [(tag + 1) // 2 for tag in tags]
    counts = Counter(classes)
    best = max(reversed(classes), key=lambda c: counts[c])
    return labels.objects[best - 1] if best else UNKNOWN


def flat_symbols(example: InstructionExample, labels: Labels) -> list[int]:
    """All tasks as one sequence: SKILL words (ROLE words CLASS)* …, then the end."""
    number = {symbol: at for at, symbol in enumerate(labels.symbols)}
    base, sequence = len(number), []
    for task in example.tasks:
        sequence += [number["skill", task.skill], *_copied(task.span, base)]
        for each in task.arguments:
            known = number.get(("object", each.object_class), number["object", UNKNOWN])
            sequence += [number["role", each.role], *_copied(each.span, base), known]
    return [*sequence, STOP]


def _copied(span: Span | None, base: int) -> list[int]:
    start, end = _place(span)
    return [base + place for place in range(start, end + 1)]


def flat_frames(symbols: Sequence[int], words: Sequence[str], labels: Labels) -> tuple[TaskFrame, ...]:
    """The tasks of a sequence; labels and words that stand where they say nothing are left out."""
    names, frames = labels.symbols, []
    task: tuple[str, list[int], list[Argument]] | None = None
    role, places = "", list[int]()

    def close(object_class: str = UNKNOWN) -> None:
        nonlocal role
        if task and role and places:
            task[2].append(Argument(role, *_said(places, words, object_class)))
        role = ""

    for symbol in [*symbols, STOP]:
        if symbol >= len(names):
            (places if role else task[1] if task and not task[2] else []).append(symbol - len(names))
            continue
        kind, name = names[symbol]
        close(name if kind == "object" else UNKNOWN)
        if kind in ("skill", "end"):
            if task and task[1]:
                trigger, _, span = _said(task[1], words, "")
                frames.append(TaskFrame(task[0], trigger, tuple(task[2]), span))
            task = (name, [], []) if kind == "skill" else None
        elif kind == "role" and task:
            role, places = name, []
    return tuple(frames)


def _said(places: Sequence[int], words: Sequence[str], object_class: str) -> tuple[str, str, Span | None]:
    """Words that were copied; they have a span where they stand side by side."""
    side_by_side = list(places) == list(range(places[0], places[0] + len(places)))
    span = Span(places[0], places[-1]) if side_by_side else None
    return " ".join(words[place] for place in places), object_class, span


def on(batch: FrameBatch, device: torch.device) -> FrameBatch:
    """A batch on a device."""
    return FrameBatch(*(getattr(batch, name).to(device) for name in FrameBatch.__slots__))
