"""Subgoals on a grid: the oracle's, which are reached, their bonus, their encoding for a student.

Source: arXiv 2410.08632 and its official code; the order of checks within a step is the code's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from minigrid.core.constants import IDX_TO_COLOR
from minigrid.core.world_object import WorldObj
from minigrid.minigrid_env import MiniGridEnv
from numpy.typing import NDArray

from biddable.errors import InputError

Encoding = Literal["relative", "representation", "language"]
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
    """(cell, object) of everything in the grid but walls, floor and lava, row by row."""
    for y in range(level.height):
        for x in range(level.width):
            thing = level.grid.get(x, y)
            if thing is not None and thing.type not in ("wall", "floor", "lava"):
                yield (x, y), thing


def oracle_subgoals(level: MiniGridEnv) -> list[Subgoal]:
    """The subgoals that solve a level as it is after its reset, in order.

    KeyCorridor: key, locked door, ball. DoorKey: key, door, goal. ObstructedMaze with one door: the blocking
    ball, the box (or key), the door, the ball. MultiRoom: every door on the shortest way, then the goal.

    Raises:
        InputError: another level, or one that lacks an object it should hold.
    """
    name = type(level).__name__
    if name not in ORACLES:
        raise InputError("level", name, "one of " + ", ".join(ORACLES))
    things = dict(objects(level))
    return [Subgoal(cell, kind_of(things[cell])) for cell in ORACLES[name](level)]


def _key_corridor(level: MiniGridEnv) -> list[Cell]:
    target = level.obj.cur_pos  # type: ignore[attr-defined]
    return [_find(level, "key"), _find(level, "door", locked=True), _cell(target)]


def _door_key(level: MiniGridEnv) -> list[Cell]:
    return [_find(level, "key"), _find(level, "door", locked=True), _find(level, "goal")]


def _obstructed_maze(level: MiniGridEnv) -> list[Cell]:
    door, target = _find(level, "door", locked=True), _cell(level.obj.cur_pos)  # type: ignore[attr-defined]
    blocking = [
        cell
        for cell, thing in objects(level)
        if thing.type == "ball" and _distance(cell, door) == 1 and cell != target
    ]
    opener = [cell for cell, thing in objects(level) if thing.type in ("box", "key")]
    if not opener:
        raise InputError("level", type(level).__name__, "a key or a box")
    return [*opener[:1], *blocking[:1], door, target]


def _multi_room(level: MiniGridEnv) -> list[Cell]:
    goal = _find(level, "goal")
    path = shortest_path(level, _cell(level.agent_pos), goal)
    return [*(cell for cell in path if _type_at(level, cell) == "door"), goal]


ORACLES = {
    "KeyCorridorEnv": _key_corridor,
    "DoorKeyEnv": _door_key,
    "ObstructedMaze_1Dlhb": _obstructed_maze,
    "MultiRoomEnv": _multi_room,
}


def shortest_path(level: MiniGridEnv, start: Cell, end: Cell) -> list[Cell]:
    """The cells from ``start`` to ``end``, both included, by four neighbours, through whatever is no wall.

    Raises:
        InputError: there is no path.
    """
    came_from: dict[Cell, Cell] = {start: start}
    waiting = deque([start])
    while waiting and end not in came_from:
        x, y = here = waiting.popleft()
        for neighbour in ((x + 1, y), (x, y + 1), (x - 1, y), (x, y - 1)):
            inside = 0 <= neighbour[0] < level.width and 0 <= neighbour[1] < level.height
            if inside and neighbour not in came_from and _type_at(level, neighbour) != "wall":
                came_from[neighbour] = here
                waiting.append(neighbour)
    if end not in came_from:
        raise InputError("end", end, "a cell that can be reached")
    path = [end]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]


def beacon_bonus(steps: int, max_steps: int, alpha: float) -> float:
    """The bonus for reaching a subgoal after ``steps`` steps: alpha * (1 - steps / max_steps).

    Raises:
        InputError: ``alpha`` below 0.
    """
    if not alpha >= 0:
        raise InputError("alpha", alpha, "a number of at least 0")
    return alpha * (1 - steps / max_steps)


class Tracker:
    """Which subgoals of an episode have been reached; call ``before`` and ``after`` around each step.

    A subgoal is reached when the agent stands on its cell, or when the content of the cell changed in the
    step. Only the current one earns a bonus, and never the last, which the task rewards. One that is reached
    out of order is marked, earns no bonus, and still has to be reached in its turn.

    Args:
        subgoals: in order; may be empty.
        level: the grid they are on.

    Raises:
        InputError: a cell outside the grid.

    Attributes:
        reached: [subgoals] whether each has been reached, in any order.
        index: place of the current subgoal.
        steps: steps since the current subgoal became current.
    """

    def __init__(self, subgoals: Sequence[Subgoal], level: MiniGridEnv):
        for subgoal in subgoals:
            if not (0 <= subgoal.position[0] < level.width and 0 <= subgoal.position[1] < level.height):
                raise InputError(
                    "subgoal", subgoal.position, f"a cell of the {level.width} x {level.height} grid"
                )
        self.subgoals, self._level = tuple(subgoals), level
        self.reached = [False] * len(self.subgoals)
        self.index = self.steps = 0
        self._before: list[tuple[int, ...] | None] = []

    @property
    def current(self) -> Subgoal | None:
        """The subgoal to reach, or None when only the last is left."""
        return self.subgoals[self.index] if self.index + 1 < len(self.subgoals) else None

    def before(self) -> None:
        """Remember the content of the cells, encoded: an object that changes stays the same object."""
        self._before = [_content(self._level, subgoal.position) for subgoal in self.subgoals]

    def after(self) -> int | None:
        """The steps that the current subgoal took, if this step reached it; else None."""
        self.steps += 1
        steps_taken = None
        agent = _cell(self._level.agent_pos)
        for i, subgoal in enumerate(self.subgoals):
            if agent == subgoal.position or _content(self._level, subgoal.position) != self._before[i]:
                self.reached[i] = True
                if i == self.index:
                    if self.current is not None:
                        steps_taken = self.steps
                    self.index = min(i + 1, len(self.subgoals) - 1)
                    self.steps = 0
        return steps_taken


WIDTHS: Mapping[Encoding, int] = {"relative": 2, "representation": 3}


def encode_subgoal(
    subgoal: Subgoal | None,
    level: MiniGridEnv,
    encoding: Encoding,
    pool: Mapping[str, NDArray[np.float32]] | None = None,
) -> NDArray[np.float32]:
    """The vector of a subgoal, or of the absence of one, for the student's network.

    Args:
        subgoal: None for none.
        level: the grid as it is now.
        encoding: ``relative``: two numbers, how far right and down from the agent. ``representation``:
            object, colour and state of what is in the cell now; once it is empty, as if there were no
            subgoal. ``language``: the vector of its kind's phrase.
        pool: the vectors, by ``Subgoal.kind``.

    Raises:
        InputError: another encoding, a kind that the pool lacks, or a wall to represent.
    """
    if encoding == "relative":
        offset = (0, 0) if subgoal is None else np.subtract(subgoal.position, level.agent_pos)
        return np.asarray(offset, dtype=np.float32)
    if encoding == "representation":
        content = None if subgoal is None else _content(level, subgoal.position)
        if subgoal is not None and content is not None and _type_at(level, subgoal.position) == "wall":
            raise InputError("subgoal", subgoal.position, "an object, not a wall")
        return np.array((-1, -1, -1) if content is None else content, dtype=np.float32)
    if encoding != "language":
        raise InputError("encoding", encoding, "one of " + ", ".join(ENCODINGS))
    if not pool:
        raise InputError("pool", pool, "a vector for each kind of subgoal")
    if subgoal is None:
        return np.zeros_like(next(iter(pool.values())))
    if subgoal.kind not in pool:
        raise InputError("subgoal", subgoal.kind, "one of the pool's phrases: " + ", ".join(pool))
    return pool[subgoal.kind]


def _content(level: MiniGridEnv, cell: Cell) -> tuple[int, ...] | None:
    thing = level.grid.get(*cell)
    return None if thing is None else tuple(map(int, thing.encode()))


def _type_at(level: MiniGridEnv, cell: Cell) -> str:
    thing = level.grid.get(*cell)
    return "" if thing is None else str(thing.type)


def _find(level: MiniGridEnv, type: str, *, locked: bool = False) -> Cell:
    for cell, thing in objects(level):
        if thing.type == type and (not locked or getattr(thing, "is_locked", False)):
            return cell
    raise InputError("level", level.__class__.__name__, f"one with a {'locked ' if locked else ''}{type}")


def _cell(position: object) -> Cell:
    x, y = np.asarray(position).tolist()
    return int(x), int(y)


def _distance(first: Cell, second: Cell) -> int:
    return abs(first[0] - second[0]) + abs(first[1] - second[1])
