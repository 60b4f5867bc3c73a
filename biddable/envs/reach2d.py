"""Moving a point to a goal, in MuJoCo.

``mujoco:Reach2D``, ``mujoco:Reach2DPillar`` and ``mujoco:PointMass``. The first two are the toy tasks of
"Eliciting Compatible Demonstrations for Multi-Human Imitation Learning" (arXiv 2210.08073): the action is a
displacement, and ways to the goal that are equally good (up then right, right then up) do not mix; with a
pillar between start and goal, their mean runs into it. ``PointMass`` is pushed by forces instead, and keeps
its speed.

Departures: the paper's code gives 50 steps to the open task, too few to go 6 units along two axes by 0.1;
here all have 70.
"""

from __future__ import annotations

from dataclasses import dataclass
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

ARENA = 3.0
STEP = 0.1
REACHED = 0.1
MAX_STEPS = 70
INSTRUCTION = "Move the point to the green goal."

_PILLAR = '<geom name="pillar" type="box" pos="1.5 1.5 .15" size=".5 .5 .15" rgba=".45 .45 .5 1"/>'
_FORCES = '<motor joint="x" gear="4"/><motor joint="y" gear="4"/>'
_XML = """
<mujoco>
  <option timestep="0.05" gravity="0 0 0"><flag eulerdamp="enable"/></option>
  <visual>
    <quality offsamples="0" shadowsize="0"/>
    <global offwidth="480" offheight="480"/>
    <headlight ambient=".8 .8 .8" diffuse=".2 .2 .2" specular="0 0 0"/>
  </visual>
  <worldbody>
    <camera name="above" pos="1.5 1.5 4.4" xyaxes="1 0 0 0 1 0" fovy="42"/>
    <geom name="floor" type="plane" pos="1.5 1.5 0" size="2 2 .1" rgba=".93 .93 .9 1" contype="0"
          conaffinity="0"/>
    <site name="goal" type="cylinder" size=".1 .01" pos="0 0 .01" rgba=".1 .65 .3 1"/>
    {pillar}
    <body name="point" pos="0 0 .06">
      <joint name="x" type="slide" axis="1 0 0" damping="{damping}"/>
      <joint name="y" type="slide" axis="0 1 0" damping="{damping}"/>
      <geom name="point" type="sphere" size=".05" mass="1" rgba=".1 .3 .8 1"/>
      <site type="cylinder" size=".09 .01" pos="0 0 .05" rgba=".1 .3 .8 1"/>
    </body>
  </worldbody>
  <actuator>{actuators}</actuator>
</mujoco>
"""


@dataclass(frozen=True, slots=True)
class Region:
    """A square to draw points from: ``low`` to ``high`` in both directions."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= ARENA:
            raise InputError("region", (self.low, self.high), f"0 <= low < high <= {ARENA}")

    def draw(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """A point (x, y), drawn uniformly."""
        return rng.uniform(self.low, self.high, 2)


class Reach2DEnv(gym.Env[dict[str, Any], Any]):
    """The three tasks (see the module).

    Observation: ``instruction`` and ``state``: x, y, goal x, goal y (and, in ``PointMass``, the two speeds).
    Action: two numbers in [-1, 1]: a displacement in tenths, or a force. Reward 1 at the goal, which ends the
    episode, as does the pillar, which is a failure.

    Args:
        name: ``Reach2D``, ``Reach2DPillar`` or ``PointMass``.
        start_region, goal_region: where starts and goals are drawn from.
        size: height and width of rendered pictures.

    Raises:
        InputError: another name.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    render_mode = "rgb_array"

    def __init__(
        self,
        name: str,
        *,
        start_region: Region | None = None,
        goal_region: Region | None = None,
        size: int = 240,
    ):
        if name not in NAMES:
            raise InputError("env", f"mujoco:{name}", "mujoco: and one of " + ", ".join(NAMES))
        self._pushed = name == "PointMass"
        self._start_region, self._goal_region = (
            start_region or Region(0.1, 0.9),
            goal_region or Region(2.1, 2.9),
        )
        xml = _XML.format(
            pillar=_PILLAR if name == "Reach2DPillar" else "",
            damping=2.0 if self._pushed else 0.0,
            actuators=_FORCES if self._pushed else "",
        )
        self._model = mujoco.MjModel.from_xml_string(xml)
        self._data = mujoco.MjData(self._model)
        self._goal = np.zeros(2)
        self._steps = 0
        self._size = size
        self._renderer: Any = None
        width = 6 if self._pushed else 4
        self.observation_space = spaces.Dict(
            {"instruction": instruction_space(), "state": spaces.Box(-np.inf, np.inf, (width,))}
        )
        self.action_space = spaces.Box(-1.0, 1.0, (2,))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draw a start and a goal; the same seed gives the same."""
        super().reset(seed=seed)
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:] = self._start_region.draw(self.np_random)
        self._goal = self._goal_region.draw(self.np_random)
        self._model.site_pos[0, :2] = self._goal
        mujoco.mj_forward(self._model, self._data)
        self._steps = 0
        return self._observation(), {"success": False}

    def step(self, action: NDArray[np.float64]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Move.

        Raises:
            InputError: not two finite numbers; nothing was changed.
        """
        move = finite_numbers(action, 2, "two finite numbers, for x and y").clip(-1, 1)
        if self._pushed:
            self._data.ctrl[:] = move
            mujoco.mj_step(self._model, self._data)
        else:
            self._data.qpos[:] = (self._data.qpos + STEP * move).clip(0, ARENA)
            mujoco.mj_forward(self._model, self._data)
        self._steps += 1
        hit = self._data.ncon > 0
        success = not hit and bool(np.linalg.norm(self._data.qpos - self._goal) <= REACHED)
        late = not (hit or success) and self._steps >= MAX_STEPS
        info = {"success": success, "collision": hit}
        return self._observation(), float(success), success or hit, late, info

    def render(self) -> NDArray[np.uint8]:
        """[size, size, 3], seen from above.

        Raises:
            BiddableError: MuJoCo cannot draw on this machine.
        """
        if self._renderer is None:
            self._renderer = renderer(lambda: mujoco.Renderer(self._model, self._size, self._size))
            for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
                self._renderer.scene.flags[flag] = 0
        self._renderer.update_scene(self._data, camera="above")
        return np.asarray(self._renderer.render())

    def close(self) -> None:
        """Close the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _observation(self) -> dict[str, Any]:
        state = [*self._data.qpos, *self._goal, *(self._data.qvel if self._pushed else ())]
        return {"instruction": INSTRUCTION, "state": np.array(state, dtype=np.float32)}


NAMES = ("Reach2D", "Reach2DPillar", "PointMass")
