"""SOAR on pictures of one's own: they are scaled as the data are, and cannot be said to a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("minari", reason='minari is not installed: pip install "biddable[envs]"')

import gymnasium as gym
from gymnasium import spaces

import biddable
from biddable.envs.base import instruction_space
from biddable.errors import InputError
from biddable.methods.act.soar import Soar, SoarConfig
from biddable.policies.datasets import read_trajectories
from biddable.policies.datasets.write_minari import write_minari
from biddable.types import Trajectory

LEFT, RIGHT = "go to the left", "move one to the right"
TINY = {"workers": 1, "cases": 6, "episodes": 8, "fit.steps": 4, "subgoal_fit.steps": 4,
        "fit.batch_size": 8, "subgoal_fit.batch_size": 8}  # fmt: skip


class Picture(gym.Env):
    """A bright column in a picture of 24 x 24, which a number moves; done at either end."""

    observation_space = spaces.Dict(
        {"image": spaces.Box(0, 255, (24, 24, 3), np.uint8), "instruction": instruction_space()}
    )
    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        self._text, self._at = (options or {}).get("instruction", LEFT), 11 + int(seed or 0) % 3
        return self._seen(), {}

    def step(self, action):
        self._at = int(np.clip(self._at + round(6 * float(action[0])), 0, 23))
        done = self._at in (0, 23)
        return self._seen(), 0.0, done, False, {"success": done and (self._at == 0) == (self._text == LEFT)}

    def _seen(self):
        image = np.zeros((24, 24, 3), np.uint8)
        image[:, self._at] = 255
        return {"image": image, "instruction": self._text}


gym.register("SoarPicture-v0", lambda: Picture())


def slides(count: int) -> list[Trajectory]:
    """Two steps to the side that is asked for, in pictures."""
    made = []
    for i in range(count):
        side = 1 if i % 2 else -1
        images = np.zeros((3, 24, 24, 3), np.uint8)
        for t in range(3):
            images[t, :, 12 + 5 * side * t] = 255
        actions = np.tile(np.array([side, 0], np.float32), (2, 1))
        made.append(Trajectory(RIGHT if i % 2 else LEFT, {"image": images}, actions, np.zeros(2)))
    return made


def test_pictures_are_scaled_as_the_data_are_and_episodes_can_be_all_that_is_learned_from(tmp_path) -> None:
    options = {**TINY, "mix": (0.0, 0.0, 1.0), "errors": (), "compare_proposers": False, "seeds": 1}
    data = write_minari([*slides(12), replace(slides(1)[0], success=False)], tmp_path / "slides-v0")
    options |= {"data": data, "env": "gym:SoarPicture-v0", "pixels": 16}
    results = biddable.run("soar", out=tmp_path / "run", preset="smoke", **options)
    own = read_trajectories(tmp_path / "run" / "artifacts" / "data" / "autonomous-v0")
    assert own[0].observations["image"].shape[1:] == (16, 16, 3)
    assert own[0].actions.shape[1:] == (2,)
    assert any(note.startswith("1 episodes without an instruction, or that failed") for note in results.notes)


def test_a_picture_cannot_be_said_to_a_model(tmp_path) -> None:
    data = write_minari(slides(6), tmp_path / "slides-v0")
    config = SoarConfig(data=data, env="gym:SoarPicture-v0", detector="openai:m@http://localhost:1/v1")
    with pytest.raises(InputError, match="expected parts that can be said in words"):
        Soar(config).check()
