"""A table with four of six blocks, seen as a picture: ``mujoco:TabletopBlocks``.

Eighteen instructions: push a block to the left or to the right side, or put it in the bin. Other blocks lie
at the sides, and in the bin, from the beginning: what lies where in the end does not say what was asked, what
has changed does.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from biddable.envs.base import finite_numbers
from biddable.envs.drawing import renderer, without_screen
from biddable.envs.tabletop import (
    BIN,
    HALF,
    MOVE,
    OPEN,
    PAINTS,
    SIDE_LINE,
    SIDES,
    TabletopEnv,
    block_of,
    instruction_of,
    is_done,
)
from biddable.envs.tabletop_expert import action_for, over, towards
from biddable.errors import InputError

without_screen()
import mujoco  # noqa: E402

NAMES = ("TabletopBlocks",)
PIXELS = 48
ALL = tuple(PAINTS)
MEANINGS = {
    **{instruction_of("push", colour, side): ("push", colour, side) for side in SIDES for colour in ALL},
    **{instruction_of("bin", colour, "left"): ("bin", colour, "left") for colour in ALL},
}
"""Instruction -> task, colour and side (of no meaning for the bin): six pushes to the left, six to the
right, six to the bin; within each the colours in the order of ``ALL``."""
PRESENT = 4
"""Blocks on the table."""
REPEAT = 2
"""Steps of ``Tabletop`` in one."""
MAX_STEPS = 60
REST = np.array([0.12, 0.0, 0.13])
"""Where the hand is at the start, between the bin and the drawer."""
RESTS = 0.045
"""From the place of rest, in metres, so near the hand is back."""
TOUCHED = 0.03
"""Another block that is so far from where it was, in metres, has been moved."""
CLEAR = 0.08
"""So high the hand is above all blocks."""
_LANES = np.linspace(-0.19, -0.01, PRESENT)
"""One block in each, so that there is a way to push it."""
_AWAY = -2.0
"""Where blocks are that are not on the table."""


class TabletopBlocksEnv(TabletopEnv):
    """Push a block to a side, or put it in the bin (see the module).

    Observation: ``instruction``, ``image`` [48, 48, 3] uint8 and ``state`` [29], as that of ``Tabletop`` with
    six blocks, of which two are far away. In the picture a beam under the hand shows what it is above.
    Action: as of ``Tabletop``, done twice. Reward 1 for success, which ends the episode. Another block that
    is moved by ``TOUCHED`` ends it as a failure; ``MAX_STEPS`` truncate it.

    ``reset(options={"instruction": text})`` commands one of the eighteen instructions; its block is then on
    the table, and not yet where it is to be.

    Args:
        name: ``TabletopBlocks``.
        rest: an episode succeeds only once the hand is back where it was at the start, so that the last
            picture does not show what it did last.
        size: height and width of rendered pictures.

    Raises:
        InputError: another name.
    """

    metadata: dict[str, Any] = {**TabletopEnv.metadata, "render_fps": 10}  # noqa: RUF012
    colours = ALL
    family = NAMES[0]
    meanings = MEANINGS

    def __init__(self, name: str = NAMES[0], *, rest: bool = False, size: int = 240):
        if name not in NAMES:
            raise InputError("env", f"mujoco:{name}", f"mujoco:{NAMES[0]}")
        super().__init__(tasks=("push", "bin"), size=size)
        self._rest = rest
        self._start: dict[str, NDArray[np.float64]] = {}
        parts = dict(self.observation_space.spaces)  # type: ignore[attr-defined]
        self.observation_space = spaces.Dict(
            {**parts, "image": spaces.Box(0, 255, (PIXELS, PIXELS, 3), np.uint8)}
        )

    def step(self, action: NDArray[np.float64]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Move the hand and the fingers.

        Raises:
            InputError: not four finite numbers; nothing was changed.
        """
        move = finite_numbers(action, 4, "four finite numbers, for x, y, z and the gripper").clip(-1, 1)
        for _ in range(REPEAT):
            self._move(move)
        self._steps += 1
        seen = self._observation()
        state = seen["state"]
        done = is_done((self.task, self.colour, self.side), state)
        failed = any(
            np.linalg.norm(block_of(state, colour) - place) > TOUCHED
            for colour, place in self._start.items()
            if colour != self.colour
        )
        success = done and not failed and (is_back(state) or not self._rest)
        late = not (success or failed) and self._steps >= MAX_STEPS
        return seen, float(success), success or failed, late, {"success": success, "task": self.task}

    def _place(self, rng: np.random.Generator) -> None:
        """Draw which blocks there are and where they lie; the hand is near its place of rest."""
        data = self._data
        data.qpos[self._hand] = REST + rng.uniform(-0.015, 0.015, 3)
        data.qpos[self._fingers] = OPEN
        others = [colour for colour in ALL if colour != self.colour]
        present = [self.colour, *(others[i] for i in rng.permutation(len(others))[: PRESENT - 1])]
        lanes = _LANES[rng.permutation(PRESENT)] + rng.uniform(-0.004, 0.004, PRESENT)
        # As pushes leave them; the block that is to be pushed leaves the hand room behind it.
        out = rng.uniform(SIDE_LINE + 0.005, 0.225, PRESENT)
        out[0] = min(out[0], 0.188)
        rows = {side: sign * out for side, sign in SIDES.items()}
        rows["middle"] = rng.uniform(-0.11, 0.11, PRESENT)
        self._start = {}
        for i, colour in enumerate(present):
            row = ("middle", "middle", "left", "right")[rng.integers(4)]
            if colour == self.colour and self.task == "push" and row == self.side:
                row = "middle"
            self._start[colour] = np.array([lanes[i], rows[row][i], HALF])
        if self.task == "push" and rng.random() < 0.4:
            inside = BIN + rng.uniform(-0.02, 0.02, 2)
            self._start[present[1]] = np.array([*inside, HALF])
        for i, colour in enumerate(ALL):
            start = self._blocks[colour]
            away = np.array([_AWAY, 0.2 * i, HALF])
            data.qpos[start : start + 7] = [*self._start.get(colour, away), 1, 0, 0, 0]

    def _observation(self) -> dict[str, Any]:
        return {**super()._observation(), "image": _picture(self._model, self._data)}


def expert(observation: Mapping[str, Any]) -> NDArray[np.float32]:
    """[4] the action of what does the tasks, a function of instruction and state; then the hand goes back.

    Raises:
        InputError: an instruction that is none of the table's.
    """
    meaning = TabletopBlocksEnv.meaning(str(observation["instruction"]))
    state = np.asarray(observation["state"], dtype=np.float64)
    if is_done(meaning, state):
        move = towards(state[:3], over(state[:3], REST), REPEAT * MOVE)
        beside = meaning[0] == "push" and state[2] < CLEAR  # opening, the fingers would push the block on
        return np.array([*move, 1.0 if beside else -1.0], dtype=np.float32)
    return action_for(meaning, state, REPEAT * MOVE)


def is_back(state: NDArray[Any]) -> bool:
    """Whether the hand is where it was at the start."""
    return bool(np.linalg.norm(state[:3] - REST) < RESTS)


@functools.cache
def _drawer(model: mujoco.MjModel) -> tuple[Any, Any]:
    """What draws all environments of a process, and what it shows beside the usual: the beam."""
    # Mesa's threads for drawing without a graphics card cost more than they save in so small a picture.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    made = renderer(lambda: mujoco.Renderer(model, PIXELS, PIXELS))
    for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
        made.scene.flags[flag] = 0
    options = mujoco.MjvOption()
    options.sitegroup[3] = 1
    return made, options


def _picture(model: mujoco.MjModel, data: mujoco.MjData) -> NDArray[np.uint8]:
    """[48, 48, 3] the table from nearer than ``render`` shows it."""
    made, options = _drawer(model)
    mujoco.mj_kinematics(model, data)  # as in ``render``
    made.update_scene(data, camera="near", scene_option=options)
    return np.array(made.render())
