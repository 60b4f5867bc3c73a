"""Moving a point to a goal that is not in the picture, in MuJoCo: ``mujoco:HiddenGoal``.

The multitask point mass of "Inverse Dynamics Pretraining Learns Good Representations for Multitask Imitation"
(arXiv 2305.16985): starts and goals are anywhere, and neither picture nor state shows the goal. With
``mujoco:HiddenGoal?goal=3`` it is the same one in every episode: a task that a policy can learn from
demonstrations alone.

The picture of 40 x 40 pixels is drawn by NumPy from the point's position, in a hundredth of the time that
MuJoCo's renderer takes without a graphics card.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from biddable.envs.base import instruction_space
from biddable.envs.reach2d import ARENA, Reach2DEnv, Region
from biddable.errors import InputError
from biddable.registry import split_spec

NAMES = ("HiddenGoal",)
PIXELS = 40
_MARGIN, _RADIUS = 2.0, 2.5
_REGION = Region(0.1, 2.9)
_FLOOR, _WALL, _POINT = (236.0, 236.0, 230.0), (90.0, 90.0, 96.0), (26.0, 77.0, 204.0)
_GAIN, _DAMPING = 2.0, 1.0


class HiddenGoalEnv(Reach2DEnv):
    """The task (see the module); dynamics, reward and end of ``mujoco:PointMass``.

    Observation: ``instruction``, ``image`` [40, 40, 3] uint8, and ``state``: x, y and the two speeds.

    Args:
        name: ``HiddenGoal``, or ``HiddenGoal?goal=N``.
        goal: number of the goal that all episodes have; each has its own without.

    Raises:
        InputError: another name or option, or a goal that is no number of at least 0.
    """

    def __init__(self, name: str = "HiddenGoal", *, goal: int | None = None):
        bare, asked = split_spec("env", name)
        text = asked.pop("goal", None)
        if bare not in NAMES or asked:
            raise InputError("env", f"mujoco:{name}", "mujoco:HiddenGoal, or mujoco:HiddenGoal?goal=NUMBER")
        if text is not None and not text.isdecimal():
            raise InputError("goal", text, "a number of at least 0")
        goal = goal if text is None else int(text)
        if goal is not None and goal < 0:
            raise InputError("goal", goal, "a number of at least 0")
        super().__init__("PointMass", start_region=_REGION, goal_region=_REGION)
        self._fixed = None if goal is None else _REGION.draw(np.random.default_rng(goal))
        self._text = "Move the point to " + ("the hidden goal." if goal is None else f"hidden goal {goal}.")
        self.observation_space = spaces.Dict(
            {
                "instruction": instruction_space(),
                "image": spaces.Box(0, 255, (PIXELS, PIXELS, 3), np.uint8),
                "state": spaces.Box(-np.inf, np.inf, (4,)),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draw a start and, unless it is fixed, a goal; the same seed gives the same."""
        obs, info = super().reset(seed=seed, options=options)
        if self._fixed is not None:
            self._goal = self._fixed
            self._model.site_pos[0, :2] = self._goal
        return obs, info

    def expert(self, _obs: dict[str, Any]) -> NDArray[np.float32]:
        """The action of a PD controller that knows the goal; what it is shown, it does not need."""
        push = _GAIN * (self._goal - self._data.qpos) - _DAMPING * self._data.qvel
        return push.clip(-1, 1).astype(np.float32)

    def _observation(self) -> dict[str, Any]:
        state = np.array([*self._data.qpos, *self._data.qvel], dtype=np.float32)
        return {"instruction": self._text, "image": picture(self._data.qpos), "state": state}


def picture(position: NDArray[np.float64]) -> NDArray[np.uint8]:
    """[40, 40, 3] the floor with its walls and the point at ``position``, (0, 0) at the lower left."""
    across, up = _MARGIN + position / ARENA * (PIXELS - 1 - 2 * _MARGIN)
    ys, xs = np.ogrid[:PIXELS, :PIXELS]
    away = np.hypot(xs - across, ys - (PIXELS - 1 - up))
    share = (_RADIUS + 0.5 - away).clip(0, 1)[..., None]  # of a pixel that the point covers
    return np.asarray(_BACKGROUND + share * (np.array(_POINT) - _BACKGROUND)).round().astype(np.uint8)


def _background() -> NDArray[np.float64]:
    pixels = np.empty((PIXELS, PIXELS, 3))
    pixels[:] = _WALL
    pixels[1:-1, 1:-1] = _FLOOR
    return pixels


_BACKGROUND = _background()
