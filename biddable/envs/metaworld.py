"""Meta-World: fifty tasks of a robot arm on a table, each with an instruction in words (its own have none).

``metaworld:drawer-open-v3`` and so on. The package pins MuJoCo 3.3.0, so it is an extra of its own.

Source: Yu et al., "Meta-World" (arXiv 1910.10897), and McLean et al., "Meta-World+" (arXiv 2505.11289), whose
names and rewards these are. Departures: the goal is always in the state; an episode ends with success; where
things lie is drawn anew for each seed, not from fifty places.
"""

from __future__ import annotations

import warnings
from typing import Any

from biddable.errors import InputError, MissingDependency

try:
    import gymnasium as gym
except ModuleNotFoundError:  # or `make_env` would tell to install the other families
    raise MissingDependency("gymnasium", 'pip install "biddable[metaworld]"') from None
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from biddable.envs.base import finite_numbers, instruction_space
from biddable.envs.drawing import renderer, without_screen

INSTRUCTIONS = {
    "assembly-v3": "Pick up the nut by its handle and put it over the peg.",
    "basketball-v3": "Pick up the basketball and drop it into the hoop.",
    "bin-picking-v3": "Take the cube out of one bin and put it into the other.",
    "box-close-v3": "Pick up the lid and close the box with it.",
    "button-press-topdown-v3": "Press the button down from above.",
    "button-press-topdown-wall-v3": "Reach over the wall and press the button down from above.",
    "button-press-v3": "Press the button on the side of the box.",
    "button-press-wall-v3": "Reach around the wall and press the button on the side of the box.",
    "coffee-button-v3": "Press the button of the coffee machine.",
    "coffee-pull-v3": "Pull the mug away from the coffee machine to the goal.",
    "coffee-push-v3": "Push the mug to its place under the coffee machine.",
    "dial-turn-v3": "Turn the dial.",
    "disassemble-v3": "Lift the nut off the peg.",
    "door-close-v3": "Close the door.",
    "door-lock-v3": "Lock the door by turning its lock.",
    "door-open-v3": "Open the door.",
    "door-unlock-v3": "Unlock the door by turning its lock.",
    "drawer-close-v3": "Push the drawer shut.",
    "drawer-open-v3": "Pull the drawer open.",
    "faucet-close-v3": "Turn the handle of the faucet to close it.",
    "faucet-open-v3": "Turn the handle of the faucet to open it.",
    "hammer-v3": "Pick up the hammer and drive the nail in.",
    "hand-insert-v3": "Put the gripper into the hole in the table.",
    "handle-press-side-v3": "Press down the handle that points to the side.",
    "handle-press-v3": "Press the handle down.",
    "handle-pull-side-v3": "Pull up the handle that points to the side.",
    "handle-pull-v3": "Pull the handle up.",
    "lever-pull-v3": "Pull the lever up.",
    "peg-insert-side-v3": "Pick up the peg and put it into the hole in the side of the box.",
    "peg-unplug-side-v3": "Pull the peg out of the hole in the side of the box.",
    "pick-out-of-hole-v3": "Take the puck out of the hole and lift it to the goal.",
    "pick-place-v3": "Pick up the puck and hold it at the goal.",
    "pick-place-wall-v3": "Pick up the puck, lift it over the wall and hold it at the goal.",
    "plate-slide-back-side-v3": "Slide the plate sideways out of the goal.",
    "plate-slide-back-v3": "Slide the plate back out of the goal.",
    "plate-slide-side-v3": "Slide the plate sideways into the goal.",
    "plate-slide-v3": "Slide the plate forward into the goal.",
    "push-back-v3": "Pull the block back to the goal.",
    "push-v3": "Push the puck to the goal.",
    "push-wall-v3": "Push the puck around the wall to the goal.",
    "reach-v3": "Move the gripper to the goal.",
    "reach-wall-v3": "Move the gripper past the wall to the goal.",
    "shelf-place-v3": "Pick up the block and put it on the shelf.",
    "soccer-v3": "Push the ball into the soccer goal.",
    "stick-pull-v3": "Pick up the stick, hook the thermos by its handle and pull it to the goal.",
    "stick-push-v3": "Pick up the stick and push the thermos to the goal with it.",
    "sweep-into-v3": "Sweep the block into the hole in the table.",
    "sweep-v3": "Sweep the block off the table.",
    "window-close-v3": "Slide the window shut.",
    "window-open-v3": "Slide the window open.",
}
"""What each task asks for, in our words."""


class MetaWorldEnv(gym.Env[dict[str, Any], Any]):
    """One of the fifty tasks.

    Observation: ``instruction`` and ``state`` [39] float64: the gripper's place (x, y, z, in metres) and
    opening (0 to 1); place and quaternion of one or two things, filled up with zeros to 14; the same 18
    numbers one step before; and the goal's place. Action: four numbers in [-1, 1]: where the gripper goes
    along x, y and z, in centimetres, and how hard it closes. The reward is Meta-World's, up to 10 a step.
    Success ends the episode; so do 500 steps, as a failure.

    Args:
        name: ``drawer-open-v3`` …
        size: of the pictures, in pixels.

    Raises:
        InputError: there is no such task.
        MissingDependency: Meta-World is not installed.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 80}  # noqa: RUF012
    render_mode = "rgb_array"

    def __init__(self, name: str, *, size: int = 240):
        if name not in INSTRUCTIONS:
            raise InputError(
                "env", f"metaworld:{name}", f"metaworld: and a task, such as {next(iter(INSTRUCTIONS))}"
            )
        self.name = name
        robots, _ = _tasks_and_experts()
        self._robot: Any = robots[name](
            render_mode="rgb_array", camera_name="corner2", width=size, height=size
        )
        # What Meta-World's own `..._GOAL_OBSERVABLE` tasks do, which can neither be seeded anew nor drawn.
        self._robot._partially_observable = False
        self._robot._set_task_called = True
        self._robot.seeded_rand_vec = True
        del self._robot.sawyer_observation_space  # cached
        quality = self._robot.model.vis.quality
        quality.offsamples = quality.shadowsize = 0  # smooth edges and shadows cost most of a picture's time
        self.observation_space = spaces.Dict(
            {"instruction": instruction_space(), "state": spaces.Box(-np.inf, np.inf, (39,), np.float64)}
        )
        self.action_space = spaces.Box(-1.0, 1.0, (4,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Place things and goal anew; the same seed gives the same places."""
        super().reset(seed=seed)
        robot = self._robot
        robot.seed(int(self.np_random.integers(2**31)))
        # Meta-World's reset lays out twice; it must find the same places both times.
        robot._freeze_rand_vec = False
        robot.reset_model()
        robot._freeze_rand_vec = True
        state, _ = robot.reset()
        return self._observation(state), {"success": False}

    def step(self, action: NDArray[np.float64]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Move the gripper.

        Raises:
            InputError: not four finite numbers; nothing was changed.
        """
        move = finite_numbers(action, 4, "four finite numbers, for x, y, z and the gripper").clip(-1, 1)
        state, reward, _, late, info = self._robot.step(move)
        success = bool(info["success"])
        return self._observation(state), float(reward), success, late and not success, {"success": success}

    def render(self) -> NDArray[np.uint8]:
        """[size, size, 3], from a corner.

        Raises:
            BiddableError: MuJoCo cannot draw on this machine.
        """
        return np.asarray(renderer(self._robot.render))[::-1, ::-1]  # the camera hangs upside down

    def close(self) -> None:
        """Close the renderer."""
        self._robot.close()

    def _observation(self, state: NDArray[np.float64]) -> dict[str, Any]:
        return {"instruction": INSTRUCTIONS[self.name], "state": state}


def _tasks_and_experts() -> tuple[dict[str, Any], dict[str, Any]]:
    """Meta-World's tasks and scripted experts, by name. Raises MissingDependency: it is not installed."""
    without_screen()
    try:
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS
        from metaworld.policies import ENV_POLICY_MAP
    except ModuleNotFoundError as missing:
        what = str(missing.name).partition(".")[0]
        raise MissingDependency(what, 'pip install "biddable[metaworld]"') from None
    return ALL_V3_ENVIRONMENTS, ENV_POLICY_MAP


def expert(name: str) -> Any:
    """Meta-World's scripted expert for a task, as a demonstrator: a function from observations to actions.

    Raises:
        InputError: there is no such task.
        MissingDependency: Meta-World is not installed.
    """
    if name not in INSTRUCTIONS:
        raise InputError("task", name, f"a task, such as {next(iter(INSTRUCTIONS))}")
    _, experts = _tasks_and_experts()
    policy = experts[name]()

    def act(observation: dict[str, Any]) -> NDArray[np.float32]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that actions are too large, which the clipping below cures
            action = policy.get_action(observation["state"])
        return np.clip(action, -1, 1).astype(np.float32)

    return act
