"""Subgoals on a grid: what they are, who has reached them, what that pays, how a student sees them.

Source: arXiv 2410.08632 and its official code; the order of things within a step is the code's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from minigrid.core.constants import IDX_TO_COLOR
from minigrid.core.world_object import WorldObj
from minigrid.minigrid_env import MiniGridEnv
from numpy.typing import NDArray

from biddable.errors import InputError
from biddable.methods.act.words_as_beacons.jobs import Encoding

ENCODINGS: tuple[Encoding, ...] = ("relative", "representation", "language")
Cell = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Subgoal:
    """Something to reach or to change: where it is and, in words, what (``locked_door``, ``red_ball``)."""

    position: Cell
    kind: str = ""


def kind_of(thing: WorldObj) -> str:
    """What an object is called: the phrases of the official code's language pool."""
    if thing.type == "door":
        return "locked_door" if getattr(thing, "is_locked", False) else f"{thing.color}_door"
    return f"{thing.color}_ball" if thing.type == "ball" else str(thing.type)


KINDS = (
    "locked_door",
    *(f"{color}_door" for color in IDX_TO_COLOR.values()),
    "key",
    "box",
    "ball",
    *(f"{color}_ball" for color in IDX_TO_COLOR.values()),
    "goal",
)


def objects(level: MiniGridEnv) -> Iterator[tuple[Cell, WorldObj]]:
    """Everything in the grid but walls, with its place, row by row."""
    for y in range(level.height):
        for x in range(level.width):
            thing = level.grid.get(x, y)
            if thing is not None and thing.type not in ("wall", "floor", "lava"):
                yield (x, y), thing


def oracle_subgoals(level: MiniGridEnv) -> list[Subgoal]:
    """What has to be done, in order, in a level as it is after its reset.

    KeyCorridor: key, locked door, ball. DoorKey: key, door, goal. ObstructedMaze with one door: the blocking
    ball, the box (or key), the door, the ball. MultiRoom: every door on the shortest way, then the goal.

    Raises:
        InputError: another level, or one without what it should hold.
    """
    name = type(level).__name__
    if name not in ORACLES:
        raise InputError("level", name, "one of " + ", ".join(ORACLES))
    there = dict(objects(level))
    return [Subgoal(cell, kind_of(there[cell])) for cell in ORACLES[name](level)]


def _key_corridor(level: MiniGridEnv) -> list[Cell]:
    target = level.obj.cur_pos  # type: ignore[attr-defined]
    return [_the(level, "key"), _the(level, "door", locked=True), _cell(target)]


def _door_key(level: MiniGridEnv) -> list[Cell]:
    return [_the(level, "key"), _the(level, "door", locked=True), _the(level, "goal")]


def _obstructed_maze(level: MiniGridEnv) -> list[Cell]:
    door, target = _the(level, "door", locked=True), _cell(level.obj.cur_pos)  # type: ignore[attr-defined]
    blocking = [
        cell
        for cell, thing in objects(level)
        if thing.type == "ball" and _apart(cell, door) == 1 and cell != target
    ]
    opener = [cell for cell, thing in objects(level) if thing.type in ("box", "key")]
    if not opener:
        raise InputError("level", type(level).__name__, "a key or a box")
    return [*opener[:1], *blocking[:1], door, target]


def _multi_room(level: MiniGridEnv) -> list[Cell]:
    goal = _the(level, "goal")
    way = shortest_way(level, _cell(level.agent_pos), goal)
    return [*(cell for cell in way if _type_at(level, cell) == "door"), goal]


ORACLES = {
    "KeyCorridorEnv": _key_corridor,
    "DoorKeyEnv": _door_key,
    "ObstructedMaze_1Dlhb": _obstructed_maze,
    "MultiRoomEnv": _multi_room,
}


def shortest_way(level: MiniGridEnv, start: Cell, end: Cell) -> list[Cell]:
    """The cells from ``start`` to ``end``, both included, by four neighbours, through whatever is no wall.

    Raises:
        InputError: there is no way.
    """
    came_from: dict[Cell, Cell] = {start: start}
    waiting = deque([start])
    while waiting and end not in came_from:
        x, y = here = waiting.popleft()
        for there in ((x + 1, y), (x, y + 1), (x - 1, y), (x, y - 1)):
            inside = 0 <= there[0] < level.width and 0 <= there[1] < level.height
            if inside and there not in came_from and _type_at(level, there) != "wall":
                came_from[there] = here
                waiting.append(there)
    if end not in came_from:
        raise InputError("end", end, "a cell that can be reached")
    way = [end]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1]


def beacon_bonus(steps: int, max_steps: int, alpha: float) -> float:
    """What reaching a subgoal pays: ``alpha``, less the share of an episode that it took.

    Raises:
        InputError: ``alpha`` below 0.
    """
    if not alpha >= 0:
        raise InputError("alpha", alpha, "a number of at least 0")
    return alpha * (1 - steps / max_steps)


class Tracker:
    """Which subgoals of an episode have been reached; ``before`` and ``after`` go around each step.

    A subgoal counts as reached when the agent stands on its cell, or what is in the cell has changed in the
    step. Only the current one pays, and never the last, which the task itself pays. What is reached out of
    order is marked, and neither paid nor passed over later.

    Args:
        subgoals: in order; none is allowed.
        level: the grid they are on.

    Raises:
        InputError: a place outside the grid.
    """

    def __init__(self, subgoals: Sequence[Subgoal], level: MiniGridEnv):
        for one in subgoals:
            if not (0 <= one.position[0] < level.width and 0 <= one.position[1] < level.height):
                raise InputError(
                    "subgoal", one.position, f"a cell of the {level.width} x {level.height} grid"
                )
        self.subgoals, self._level = tuple(subgoals), level
        self.done = [False] * len(self.subgoals)
        self.index = self.steps = 0
        self._before: list[tuple[int, ...] | None] = []

    @property
    def current(self) -> Subgoal | None:
        """The one to reach, or None when there is none but the last."""
        return self.subgoals[self.index] if self.index + 1 < len(self.subgoals) else None

    def before(self) -> None:
        """Remember the cells (their values: an object that changes is still the same object)."""
        self._before = [_content(self._level, one.position) for one in self.subgoals]

    def after(self) -> int | None:
        """How many steps the current subgoal took, if this step reached it."""
        self.steps += 1
        taken = None
        agent = _cell(self._level.agent_pos)
        for i, one in enumerate(self.subgoals):
            if agent == one.position or _content(self._level, one.position) != self._before[i]:
                self.done[i] = True
                if i == self.index:
                    if self.current is not None:
                        taken = self.steps
                    self.index = min(i + 1, len(self.subgoals) - 1)
                    self.steps = 0
        return taken


WIDTHS: Mapping[Encoding, int] = {"relative": 2, "representation": 3}


def encode_subgoal(
    one: Subgoal | None,
    level: MiniGridEnv,
    encoding: Encoding,
    pool: Mapping[str, NDArray[np.float32]] | None = None,
) -> NDArray[np.float32]:
    """A subgoal as the student sees it, and what it sees where there is none.

    Args:
        one: None for none.
        level: the grid as it is now.
        encoding: ``relative``: two numbers, how far right and down from the agent. ``representation``:
            object, colour and state of what is in the cell now; once it is empty, as if there were no
            subgoal. ``language``: the vector of what it is called.
        pool: the vectors, by ``Subgoal.kind``.

    Raises:
        InputError: another encoding, a kind that the pool lacks, or a wall to represent.
    """
    if encoding == "relative":
        offset = (0, 0) if one is None else np.subtract(one.position, level.agent_pos)
        return np.asarray(offset, dtype=np.float32)
    if encoding == "representation":
        content = None if one is None else _content(level, one.position)
        if one is not None and content is not None and _type_at(level, one.position) == "wall":
            raise InputError("subgoal", one.position, "an object, not a wall")
        return np.array((-1, -1, -1) if content is None else content, dtype=np.float32)
    if encoding != "language":
        raise InputError("encoding", encoding, "one of " + ", ".join(ENCODINGS))
    if not pool:
        raise InputError("pool", pool, "a vector for each kind of subgoal")
    if one is None:
        return np.zeros_like(next(iter(pool.values())))
    if one.kind not in pool:
        raise InputError("subgoal", one.kind, "one of the pool's phrases: " + ", ".join(pool))
    return pool[one.kind]


def _content(level: MiniGridEnv, cell: Cell) -> tuple[int, ...] | None:
    thing = level.grid.get(*cell)
    return None if thing is None else tuple(map(int, thing.encode()))


def _type_at(level: MiniGridEnv, cell: Cell) -> str:
    thing = level.grid.get(*cell)
    return "" if thing is None else str(thing.type)


def _the(level: MiniGridEnv, type: str, *, locked: bool = False) -> Cell:
    for cell, thing in objects(level):
        if thing.type == type and (not locked or getattr(thing, "is_locked", False)):
            return cell
    raise InputError("level", level.__class__.__name__, f"one with a {'locked ' if locked else ''}{type}")


def _cell(position: object) -> Cell:
    x, y = np.asarray(position).tolist()
    return int(x), int(y)


def _apart(one: Cell, other: Cell) -> int:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])
