"""Commanded instructions and inner walls in BabyAI's levels.

A level draws its own instruction. ``instruction_of`` makes another out of its text, so that a policy can be
told to do anything in a level: go to, pick up, open, put next to. ``add_walls`` makes other rooms of a room.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from minigrid.core.constants import COLOR_NAMES
from minigrid.core.world_object import Wall
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel
from minigrid.envs.babyai.core.verifier import (
    ActionInstr,
    GoToInstr,
    ObjDesc,
    OpenInstr,
    PickupInstr,
    PutNextInstr,
)

from biddable.errors import InputError

KINDS = ("box", "ball", "key", "door")
COMMANDS = "go to THING, pick up THING, open DOOR, put THING next to THING (a THING is: the red ball)"

_THING = rf"(?:the|a|an) (?:({'|'.join(COLOR_NAMES)}) )?({'|'.join(KINDS)}|object)"
_FORMS = {
    "go to": re.compile(rf"go to {_THING}"),
    "pick up": re.compile(rf"pick up {_THING}"),
    "open": re.compile(rf"open {_THING}"),
    "put next": re.compile(rf"put {_THING} next to {_THING}"),
}
_LENGTHS = (2, 5)
"""Cells of an inner wall: from, and below."""


def instruction_of(text: str) -> ActionInstr:
    """The instruction that a text asks for, as BabyAI's verifier has it.

    Raises:
        InputError: it is none of ``COMMANDS``, or one that cannot be (a door that is picked up, say).
    """
    words = " ".join(text.lower().split()).removesuffix(".")
    for name, form in _FORMS.items():
        if match := form.fullmatch(words):
            color, kind, *fixed = match.groups()
            if (kind == "door" and name in ("pick up", "put next")) or (kind != "door" and name == "open"):
                break
            thing = _described(color, kind)
            match name:
                case "go to":
                    return GoToInstr(thing)
                case "pick up":
                    return PickupInstr(thing)
                case "open":
                    return OpenInstr(thing)
            return PutNextInstr(thing, _described(*fixed))
    raise InputError("instruction", text, f"one that can be commanded in BabyAI: {COMMANDS}")


def command(level: Any, text: str) -> None:
    """Make a text the instruction of a level that was reset.

    What it names need not be there; then the episode cannot succeed.

    Raises:
        InputError: a level of MiniGrid's own, or see ``instruction_of``.
    """
    if not is_babyai(level):
        raise InputError("instruction", text, f"none: {type(level).__name__} is no level of BabyAI")
    made = instruction_of(text)
    made.reset_verifier(level)
    level.instrs, level.mission, level.surface = made, text, text
    if not level.fixed_max_steps:
        rooms = level.room_size**2 * level.num_rows * level.num_cols
        level.max_steps = level.num_navs_needed(made) * rooms


def with_walls(level: Any, layout: int) -> None:
    """Have a level of one room begin with inner walls, before anything else is in it.

    Args:
        level: of BabyAI.
        layout: which walls; the same number makes the same walls in a room of the same size.

    Raises:
        InputError: no level of BabyAI with one room.
    """
    if not is_babyai(level) or level.num_rows * level.num_cols != 1:
        raise InputError("walls", layout, f"none: {type(level).__name__} is no level of BabyAI with one room")
    places, drawn = wall_cells(level.room_size, layout), level.gen_mission

    def gen_mission() -> None:
        for x, y in places:
            level.grid.set(x, y, Wall())
        drawn()

    level.gen_mission = gen_mission


def wall_cells(size: int, layout: int) -> list[tuple[int, int]]:
    """The cells of the inner walls of a layout: two or three straight ones; every free cell stays reachable.

    Args:
        size: of the room, its outer walls included.
        layout: decides the walls.

    Raises:
        InputError: a room too small for them.
    """
    if size < 6:
        raise InputError("walls", layout, f"none in a room of {size} cells: from 6 on")
    rng = np.random.default_rng(layout)
    while True:
        walls: set[tuple[int, int]] = set()
        for _ in range(int(rng.integers(2, 4))):
            length, across = int(rng.integers(*_LENGTHS)), bool(rng.integers(2))
            start, line = int(rng.integers(1, size - length)), int(rng.integers(2, size - 2))
            walls |= {(start + i, line) if across else (line, start + i) for i in range(length)}
        free = {(x, y) for x in range(1, size - 1) for y in range(1, size - 1)} - walls
        if _connected(free):
            return sorted(walls)


def is_babyai(level: Any) -> bool:
    """Whether a level is one of BabyAI's, whose instruction can be another."""
    return isinstance(level, RoomGridLevel)


def _connected(free: set[tuple[int, int]]) -> bool:
    waiting, reached = [next(iter(free))], set()
    while waiting:
        x, y = place = waiting.pop()
        if place in free and place not in reached:
            reached.add(place)
            waiting += [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
    return reached == free


def _described(color: str | None, kind: str) -> ObjDesc:
    return ObjDesc(None if kind == "object" else kind, color)
