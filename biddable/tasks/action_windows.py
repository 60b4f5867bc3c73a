"""Sequences of actions, and windows of them: what was observed, and what followed."""

from __future__ import annotations

from dataclasses import dataclass

from biddable.errors import InputError
from biddable.tasks.actions import Action


@dataclass(frozen=True, slots=True)
class ActionSequence:
    """What was done, in order.

    Attributes:
        id: tells it from the others.
        actions: pairs of a verb and a noun.
        goal: what it was done for, in words; empty where nobody says.
        source: what it shares with sequences that it is not independent of: a person, a video.
        observed: where its history ends, if the file says so; 0: at any place.
    """

    id: str
    actions: tuple[Action, ...]
    goal: str = ""
    source: str = ""
    observed: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """The last actions that were observed, and those that followed.

    Attributes:
        id: the sequence's, and the place of the last action observed (Ego4D's key of a case).
        history, future: both of the length that was asked for.
        goal, source: see ``ActionSequence``.
    """

    id: str
    history: tuple[Action, ...]
    future: tuple[Action, ...]
    goal: str = ""
    source: str = ""


def windows(sequence: ActionSequence, observed: int, ahead: int, stride: int = 1) -> list[Window]:
    """Every ``stride``-th window of a sequence; one, or none, where it says itself where its history ends.

    Raises:
        InputError: a number is below 1.
    """
    for name, value in (("observed", observed), ("ahead", ahead), ("stride", stride)):
        if value < 1:
            raise InputError(name, value, "an integer of at least 1")
    actions = sequence.actions
    last = len(actions) - ahead
    ends = [sequence.observed] if sequence.observed else range(observed, last + 1, stride)
    return [
        Window(
            f"{sequence.id}_{end - 1}",
            actions[end - observed : end],
            actions[end : end + ahead],
            sequence.goal,
            sequence.source or sequence.id,
        )
        for end in ends
        if observed <= end <= last
    ]
