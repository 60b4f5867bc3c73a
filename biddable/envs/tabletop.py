"""A table with a hand, two blocks, a bin and a drawer, in MuJoCo.

``mujoco:Tabletop`` draws one of six tasks for each episode; ``mujoco:TabletopReach``, ``…Push``, ``…Lift``,
``…Bin``, ``…Stack`` and ``…Drawer`` have one each. The instruction says which block, and to which side.

Forward is +x, left is +y, up is +z, as the hand sees it. ``biddable.envs.tabletop_expert`` does the tasks.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from biddable.envs.base import finite_numbers, instruction_space
from biddable.envs.drawing import renderer, without_screen
from biddable.errors import InputError

without_screen()
import mujoco  # noqa: E402

TASKS = ("reach", "push", "lift", "bin", "stack", "drawer")
NAMES = {"Tabletop": TASKS, **{f"Tabletop{task.title()}": (task,) for task in TASKS}}
"""Name of an environment -> the tasks that its episodes are drawn from."""
PAINTS = {
    "red": ".85 .15 .1",
    "blue": ".1 .25 .85",
    "green": ".1 .65 .2",
    "yellow": ".95 .8 .1",
    "purple": ".6 .15 .7",
    "cyan": ".1 .75 .85",
}
"""Colours of blocks, as red, green and blue from 0 to 1."""
COLOURS = tuple(PAINTS)[:2]
SIDES = {"left": 1.0, "right": -1.0}
STATE = (
    *("hand x", "hand y", "hand z", "opening"),
    *(f"{colour} {axis}" for colour in COLOURS for axis in ("x", "y", "z", "turn")),
    "drawer",
)
"""What the numbers of a state are: where the hand is, in metres; the opening of the gripper from 0 to 1;
where each block is as seen from the hand, and its turn in radians, from -45 to 45 degrees (a quarter turn
looks the same); how far the drawer is out."""

MAX_STEPS = 80
MOVE = 0.02
"""Metres that the hand is sent in a step, at most."""
SUBSTEPS = 10
LOW, HIGH = np.array([-0.24, -0.24, 0.018]), np.array([0.2, 0.24, 0.2])
"""Where the hand can go."""
HALF = 0.02
"""Half the side of a block."""
OPEN = 0.04
"""How far each finger opens."""
BIN = np.array([0.14, 0.13])
BIN_HALF = 0.05
SIDE_LINE = 0.16
"""A block is at a side when its middle is this far from the middle of the table."""
DRAWER_Y = -0.13
HANDLE_X = 0.1
"""Where the handle is while the drawer is shut."""
DRAWER_OUT = 0.09
"""So far out it is open."""
LIFTED = 0.1

_WALLS = "".join(
    f'<geom type="box" pos="{x:.3f} {y:.3f} .018" size="{a} {b} .018" rgba=".35 .55 .4 1"/>'
    for x, y, a, b in (
        (BIN[0] - BIN_HALF, BIN[1], 0.004, BIN_HALF),
        (BIN[0] + BIN_HALF, BIN[1], 0.004, BIN_HALF),
        (BIN[0], BIN[1] - BIN_HALF, BIN_HALF, 0.004),
        (BIN[0], BIN[1] + BIN_HALF, BIN_HALF, 0.004),
    )
)
_FINGERS = "".join(
    f'<body name="{name}" gravcomp="1"><joint name="{name}" type="slide" axis="0 {sign} 0" range="0 {OPEN}"/>'
    f'<geom type="box" pos="0 {sign * 0.005} .018" size=".009 .005 .03" mass=".05" friction="2 .01 .001" '
    f'rgba=".3 .3 .3 1"/></body>'
    for name, sign in (("left", 1), ("right", -1))
)
_LINES = "".join(
    f'<site type="box" pos="-.05 {y} .0005" size=".18 .002 .0005" rgba=".5 .5 .5 1"/>'
    for y in (-SIDE_LINE, SIDE_LINE)
)
_MOTORS = "".join(
    f'<position joint="{joint}" kp="4000" kv="130" forcerange="-40 40"/>' for joint in "xyz"
) + "".join(f'<position joint="{joint}" kp="250" kv="8" forcerange="-12 12"/>' for joint in ("left", "right"))
_XML = f"""
<mujoco>
  <option timestep="0.005" integrator="implicitfast" cone="elliptic" impratio="10"/>
  <visual>
    <quality offsamples="0" shadowsize="0"/>
    <global offwidth="480" offheight="480"/>
    <headlight ambient=".6 .6 .6" diffuse=".4 .4 .4" specular="0 0 0"/>
  </visual>
  <default><geom condim="4" friction="1 .01 .001"/></default>
  <worldbody>
    <camera name="near" pos="-.62 0 .82" xyaxes="0 -1 0 .809 0 .588" fovy="30"/>
    <camera name="front" pos="-.42 0 .5" xyaxes="0 -1 0 .753 0 .657" fovy="52"/>
    <geom name="table" type="plane" size=".4 .4 .1" rgba=".9 .88 .84 1"/>
    {_LINES}{_WALLS}
    <body name="cabinet" pos="{HANDLE_X + 0.04} {DRAWER_Y} 0">
      <geom type="box" pos=".07 0 .088" size=".06 .06 .006" rgba=".6 .5 .4 1"/>
      <geom type="box" pos=".07 .058 .045" size=".06 .004 .045" rgba=".6 .5 .4 1"/>
      <geom type="box" pos=".07 -.058 .045" size=".06 .004 .045" rgba=".6 .5 .4 1"/>
    </body>
    <body name="drawer" pos="{HANDLE_X + 0.04} {DRAWER_Y} 0">
      <joint name="drawer" type="slide" axis="-1 0 0" range="0 .12" damping="4" frictionloss=".4"/>
      <geom type="box" pos="0 0 .04" size=".005 .05 .035" mass=".2" rgba=".75 .65 .5 1"/>
      <geom type="box" pos=".06 0 .01" size=".055 .05 .004" mass=".1" rgba=".75 .65 .5 1"/>
      <geom type="box" pos="-.04 0 .05" size=".004 .035 .008" mass=".02" rgba=".2 .2 .2 1"/>
      <geom type="box" pos="-.02 .035 .05" size=".02 .004 .008" mass=".02" rgba=".2 .2 .2 1"/>
      <geom type="box" pos="-.02 -.035 .05" size=".02 .004 .008" mass=".02" rgba=".2 .2 .2 1"/>
    </body>
    <body name="hand" gravcomp="1">
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="y" type="slide" axis="0 1 0"/>
      <joint name="z" type="slide" axis="0 0 1"/>
      <geom type="box" pos="0 0 .056" size=".012 .05 .008" mass=".8" rgba=".5 .5 .55 1"/>
      <site type="box" pos="0 0 -.115" size=".007 .007 .105" group="3" rgba=".9 .1 .6 1"/>
      {_FINGERS}
    </body>
    BLOCKS
  </worldbody>
  <contact>
    <exclude body1="cabinet" body2="drawer"/>
    <exclude body1="left" body2="right"/>
  </contact>
  <actuator>{_MOTORS}</actuator>
</mujoco>
"""


@functools.cache
def _model(colours: tuple[str, ...]) -> mujoco.MjModel:
    """The scene with blocks of these colours; nothing changes it, so that environments share it."""
    blocks = "".join(
        f'<body name="{name}" pos="0 0 {HALF}"><freejoint name="{name}"/>'
        f'<geom type="box" size="{HALF} {HALF} {HALF}" mass=".05" rgba="{PAINTS[name]} 1"/></body>'
        for name in colours
    )
    return mujoco.MjModel.from_xml_string(_XML.replace("BLOCKS", blocks))


def _other(colour: str) -> str:
    return COLOURS[1] if colour == COLOURS[0] else COLOURS[0]


def instruction_of(task: str, colour: str, side: str) -> str:
    """What an episode asks for."""
    return {
        "reach": f"Hold the open hand over the {colour} block.",
        "push": f"Push the {colour} block to the {side} side.",
        "lift": f"Pick up the {colour} block.",
        "bin": f"Put the {colour} block in the bin.",
        "stack": f"Stack the {colour} block on the {_other(colour)} block.",
        "drawer": "Open the drawer.",
    }[task]


MEANINGS = {
    instruction_of(task, colour, side): (task, colour, side)
    for task in TASKS
    for colour in COLOURS
    for side in SIDES
}
"""Instruction -> task, colour and side."""


class TabletopEnv(gym.Env[dict[str, Any], Any]):
    """The six tasks (see the module).

    Observation: ``instruction`` and ``state`` [13] (see ``STATE``). Action: four numbers in [-1, 1]: how far
    the hand goes along x, y and z, in ``MOVE``; and the gripper, from -1 (open) to 1 (closed). Reward 1 for
    success, which ends the episode; ``MAX_STEPS`` truncate it.

    ``reset(options={"instruction": text})`` commands one of the six tasks in the place of the one that was
    drawn.

    Success: reach: the open hand is just above the block. push: the block is at the side. lift: it is held
    ``LIFTED`` above the table. bin, stack: it lies in the bin, or on the other block, and was let go. drawer:
    it is ``DRAWER_OUT``.

    Args:
        name: one of ``NAMES``.
        tasks: which of the name's tasks; empty for all.
        size: height and width of rendered pictures.

    Raises:
        InputError: another name or task.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    render_mode = "rgb_array"
    colours = COLOURS
    """Of the blocks."""
    family = "Tabletop"
    meanings = MEANINGS
    """Instruction -> task, colour and side."""

    def __init__(self, name: str = "Tabletop", *, tasks: Sequence[str] = (), size: int = 240):
        if name not in NAMES:
            raise InputError("env", f"mujoco:{name}", "mujoco: and one of " + ", ".join(NAMES))
        self.tasks = (tasks,) if isinstance(tasks, str) else tuple(tasks or NAMES[name])
        if unknown := [task for task in self.tasks if task not in NAMES[name]]:
            raise InputError("tasks", unknown[0], f"some of {', '.join(NAMES[name])}")
        self._model = _model(self.colours)
        self._data = mujoco.MjData(self._model)
        at = {joint: int(self._model.joint(joint).qposadr[0]) for joint in ("x", "left", "right", "drawer")}
        self._blocks = {colour: int(self._model.joint(colour).qposadr[0]) for colour in self.colours}
        self._hand, self._fingers = slice(at["x"], at["x"] + 3), [at["left"], at["right"]]
        self._drawer = at["drawer"]
        self.task, self.colour, self.side, self.instruction = self.tasks[0], self.colours[0], "left", ""
        self._steps = 0
        self._size = size
        self._renderer: Any = None
        state = spaces.Box(-np.inf, np.inf, (5 + 4 * len(self.colours),))
        self.observation_space = spaces.Dict({"instruction": instruction_space(), "state": state})
        self.action_space = spaces.Box(-1.0, 1.0, (4,))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draw a task, where the hand is, and where the blocks are; the same seed gives the same.

        Raises:
            InputError: an instruction in ``options`` that is none of this table's.
        """
        super().reset(seed=seed)
        rng, data = self.np_random, self._data
        self.task = self.tasks[rng.integers(len(self.tasks))]
        self.colour = self.colours[rng.integers(len(self.colours))]
        self.side = tuple(SIDES)[rng.integers(2)]
        if options and "instruction" in options:
            self.task, self.colour, self.side = self.meaning(str(options["instruction"]))
        self.instruction = instruction_of(self.task, self.colour, self.side)
        mujoco.mj_resetData(self._model, data)
        self._place(rng)
        data.ctrl[:3], data.ctrl[3:] = data.qpos[self._hand], OPEN
        mujoco.mj_forward(self._model, data)
        self._steps = 0
        return self._observation(), {"success": False, "task": self.task}

    @classmethod
    def meaning(cls, instruction: str) -> tuple[str, str, str]:
        """Task, colour and side of an instruction. Raises InputError: it is none of this table's."""
        if instruction not in cls.meanings:
            raise InputError("instruction", instruction, f"one of mujoco:{cls.family}")
        return cls.meanings[instruction]

    def step(self, action: NDArray[np.float64]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Move the hand and the fingers.

        Raises:
            InputError: not four finite numbers; nothing was changed.
        """
        move = finite_numbers(action, 4, "four finite numbers, for x, y, z and the gripper").clip(-1, 1)
        self._move(move)
        self._steps += 1
        seen = self._observation()
        success = is_done((self.task, self.colour, self.side), seen["state"])
        late = not success and self._steps >= MAX_STEPS
        return seen, float(success), success, late, {"success": success, "task": self.task}

    def render(self) -> NDArray[np.uint8]:
        """[size, size, 3]: forward is up, left is left.

        Raises:
            BiddableError: MuJoCo cannot draw on this machine.
        """
        if self._renderer is None:
            self._renderer = renderer(lambda: mujoco.Renderer(self._model, self._size, self._size))
            for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
                self._renderer.scene.flags[flag] = 0
        mujoco.mj_kinematics(self._model, self._data)  # a step leaves bodies where they were just before
        self._renderer.update_scene(self._data, camera="front")
        return np.asarray(self._renderer.render())

    def close(self) -> None:
        """Close the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _move(self, move: NDArray[np.float64]) -> None:
        """One step of an action within its bounds."""
        data = self._data
        data.ctrl[:3] = (data.qpos[self._hand] + MOVE * move[:3]).clip(LOW, HIGH)
        data.ctrl[3:] = OPEN * (1 - move[3]) / 2
        mujoco.mj_step(self._model, data, nstep=SUBSTEPS)

    def _place(self, rng: np.random.Generator) -> None:
        """Draw where the hand and the blocks are."""
        data = self._data
        data.qpos[self._hand] = rng.uniform([-0.2, -0.15, 0.1], [0.02, 0.15, 0.16])
        data.qpos[self._fingers] = OPEN
        places = rng.uniform([-0.18, -0.1], [0.02, 0.1], (2, 2))
        while abs(places[0, 0] - places[1, 0]) < 0.075:  # so that the fingers find room, and a push a way
            places = rng.uniform([-0.18, -0.1], [0.02, 0.1], (2, 2))
        for start, place in zip(self._blocks.values(), places, strict=True):
            data.qpos[start : start + 7] = [*place, HALF, 1, 0, 0, 0]

    def _observation(self) -> dict[str, Any]:
        qpos = self._data.qpos
        hand = qpos[self._hand]
        state = [*hand, qpos[self._fingers].mean() / OPEN]
        for start in self._blocks.values():
            w, x, y, z = qpos[start + 3 : start + 7]
            yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
            state += [*(qpos[start : start + 3] - hand), (yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4]
        state.append(qpos[self._drawer])
        return {"instruction": self.instruction, "state": np.array(state, dtype=np.float32)}


def is_done(meaning: tuple[str, str, str], state: NDArray[Any]) -> bool:
    """Whether what a task, a colour and a side ask for is done in a state."""
    task, colour, side = meaning
    hand, opening, drawer = state[:3], state[3], state[-1]
    block = block_of(state, colour)
    away = hand - block
    let_go = bool(opening > 0.65)
    match task:
        case "reach":
            near = np.linalg.norm(away[:2]) < 0.012 and 0.03 < away[2] < 0.06
            return bool(near and let_go)
        case "push":
            return bool(SIDES[side] * block[1] > SIDE_LINE)
        case "lift":
            return bool(block[2] > LIFTED and np.abs(away).max() < HALF)
        case "bin":
            inside = np.abs(block[:2] - BIN).max() < BIN_HALF and block[2] < 0.04
            return bool(inside and let_go)
        case "stack":
            above = block - block_of(state, _other(colour))
            on = np.linalg.norm(above[:2]) < HALF and abs(above[2] - 2 * HALF) < 0.005
            return bool(on and let_go and away[2] > HALF)
        case _:
            return bool(drawer > DRAWER_OUT)


def block_of(state: NDArray[Any], colour: str) -> NDArray[Any]:
    """[3] where on the table a block is."""
    start = 4 + 4 * tuple(PAINTS).index(colour)
    return state[:3] + state[start : start + 3]
