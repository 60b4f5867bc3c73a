"""The view of a MiniGrid agent, computed several times faster than by MiniGrid itself; the whole grid.

MiniGrid copies the part of the world in view and turns it, cell by cell, up to four times. Here the cells in
view are looked up by where the agent stands and how it is turned, and what hides what is looked up row by
row: seven cells are seven bits, and what a row lets through to the next is a table over them.
"""

from __future__ import annotations

import functools
from itertools import product
from typing import Any

import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.core.world_object import Door, Wall, WorldObj
from minigrid.minigrid_env import MiniGridEnv

WIDEST = 7
"""The widest view there are tables for: they have 4**width entries."""

KNOWN = 10_000
"""Of how many arrangements of walls it is kept what they hide; levels have some hundred."""

# A cell's code is (object, colour, state) as one number; ``TRIPLES`` [codes, 3] gives them back.
SHAPE = (len(OBJECT_TO_IDX), len(COLOR_TO_IDX), 3)
TRIPLES = np.stack(np.unravel_index(np.arange(np.prod(SHAPE)), SHAPE), axis=-1).astype(np.uint8)
CODES = {
    (kind, color): int(np.ravel_multi_index((i, j, 0), SHAPE))
    for (kind, i), (color, j) in product(OBJECT_TO_IDX.items(), COLOR_TO_IDX.items())
}
EMPTY = CODES["empty", "red"]
AGENT = OBJECT_TO_IDX["agent"]
SEE_BEHIND = (TRIPLES[:, 0] != OBJECT_TO_IDX["wall"]) & (
    (TRIPLES[:, 0] != OBJECT_TO_IDX["door"]) | (TRIPLES[:, 2] == 0)
)
OUTSIDE = Wall()  # what lies beyond the edge of the world


class View:
    """``env.gen_obs``, faster; the same observation, cell by cell.

    Args:
        env: a MiniGrid whose view is at most ``WIDEST`` cells wide.
    """

    def __init__(self, env: MiniGridEnv):
        self._env, self._size = env, env.agent_view_size
        self._rows = _rows(self._size)
        self._known: dict[bytes, np.ndarray] = {}
        self._masks = np.unpackbits(
            np.arange(1 << self._size, dtype=np.uint8)[:, None], axis=1, count=self._size, bitorder="little"
        ).astype(np.int64)

    def __call__(self) -> dict[str, Any]:
        """The current observation."""
        env, size = self._env, self._size
        x, y = env.agent_pos
        places = _in_view(env.grid.width, env.grid.height, size, int(x), int(y), env.agent_dir)
        cells = [*env.grid.grid, OUTSIDE]
        codes = np.array([EMPTY if (cell := cells[place]) is None else _code(cell) for place in places])
        codes = codes.reshape(size, size)
        visible = 1 if env.see_through_walls else self._visible(codes)
        codes[-1, size // 2] = EMPTY if env.carrying is None else _code(env.carrying)
        codes *= visible  # 0 is the code of an unseen cell
        # The image has the column first.
        return {"image": TRIPLES.take(codes.T, 0), "direction": env.agent_dir, "mission": env.mission}

    def _visible(self, codes: np.ndarray) -> np.ndarray:
        """[row, column] 1 where a cell is visible; sight goes from the agent's row (the last) upwards."""
        clear = np.packbits(SEE_BEHIND[codes], axis=1, bitorder="little").tobytes()
        if (known := self._known.get(clear)) is not None:
            return known
        masks, above = [], 1 << (self._size // 2)
        for row in reversed(clear):
            mask, above = self._rows[above, row]
            masks.append(mask)
        visible = self._masks[masks[::-1]]
        if len(self._known) < KNOWN:
            self._known[clear] = visible
        return visible


class FullView:
    """The whole grid as an observation, the same wherever the agent looks.

    ``grid`` [width, height, 3] holds object, colour and state of each cell, the column first; the agent
    stands in it as an object, with its direction for a state. ``carrying`` [2] holds object and colour of
    what the agent carries, which is nowhere in the grid; (1, 0), an empty cell's, where it carries nothing.

    Args:
        env: a MiniGrid.
    """

    def __init__(self, env: MiniGridEnv):
        self._env = env

    def __call__(self) -> dict[str, Any]:
        """The current observation."""
        env = self._env
        codes = np.array([EMPTY if cell is None else _code(cell) for cell in env.grid.grid])
        grid = TRIPLES.take(codes.reshape(env.grid.height, env.grid.width).T, 0)
        x, y = env.agent_pos
        grid[x, y] = AGENT, 0, env.agent_dir
        carried = TRIPLES[EMPTY if env.carrying is None else _code(env.carrying)][:2].copy()
        return {"grid": grid, "carrying": carried, "direction": env.agent_dir, "mission": env.mission}


def _code(cell: WorldObj) -> int:
    code = CODES[cell.type, cell.color]
    if isinstance(cell, Door):
        return code + (0 if cell.is_open else 2 if cell.is_locked else 1)
    return code


@functools.cache
def _in_view(width: int, height: int, size: int, x: int, y: int, direction: int) -> list[int]:
    """Places in ``grid.grid`` of the cells in view, farthest row first; -1 beyond the edge."""
    fx, fy = ((1, 0), (0, 1), (-1, 0), (0, -1))[direction]
    rx, ry = -fy, fx  # to the agent's right; y grows downwards
    cells = (
        (x + fx * ahead + rx * aside, y + fy * ahead + ry * aside)
        for ahead in reversed(range(size))
        for aside in range(-(size // 2), size // 2 + 1)
    )
    return [j * width + i if 0 <= i < width and 0 <= j < height else -1 for i, j in cells]


@functools.cache
def _rows(size: int) -> dict[tuple[int, int], tuple[int, int]]:
    """Table: (cells seen from below, clear cells) of a row -> its visible cells, and the row above's."""
    every = range(1 << size)
    return {(known, clear): _row(size, known, clear) for known in every for clear in every}


def _row(size: int, mask: int, clear: int) -> tuple[int, int]:
    """Sight spreads from clear cells along the row, first to the right, then to the left, and upwards."""
    above = 0
    for places, step in ((range(size - 1), 1), (range(size - 1, 0, -1), -1)):
        for i in places:
            if mask >> i & clear >> i & 1:
                mask |= 1 << (i + step)
                above |= 1 << i | 1 << (i + step)
    return mask, above
