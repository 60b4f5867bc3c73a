"""CleanRL's own scripts, to be timed beside ours.

CleanRL is a folder of scripts and no package, so they are run from a checkout, each in a process of its own;
what counts is the steps a second that they print. They make their environment by its name:
``benchmarks._cleanrl:Level-v0`` is the MiniGrid level that ``BIDDABLE_LEVEL`` names, the picture laid flat.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from biddable.envs.base import make_env
from biddable.errors import FileError

ROOT = Path(__file__).parent.parent
LEVEL = "BIDDABLE_LEVEL"


class Flat(gym.Env[Any, Any]):
    """A level's picture as one row of numbers; an episode that is cut short counts as ended."""

    def __init__(self) -> None:
        self.env = make_env(f"minigrid:{os.environ[LEVEL]}")
        self.action_space = self.env.action_space
        self.observation_space = gym.spaces.Box(0, 255, (7 * 7 * 3,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """The first picture."""
        return self.env.reset(seed=seed)[0]["image"].astype(np.float32).ravel(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """The next picture."""
        obs, reward, terminated, truncated, _ = self.env.step(int(action))
        return obs["image"].astype(np.float32).ravel(), float(reward), terminated or truncated, False, {}


gym.register("Level-v0", entry_point=Flat)


def beside_cleanrl(
    ours: Callable[[], object],
    steps: int,
    checkout: Path,
    script: str,
    level: str,
    *,
    rounds: int,
    **options: float,
) -> tuple[float, float]:
    """Median steps a second of ``ours``, which makes ``steps``, and of CleanRL's script, in turns."""
    mine, theirs = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        ours()
        mine.append(steps / (time.perf_counter() - start))
        theirs.append(steps_a_second(checkout, script, level, **options))
    return statistics.median(mine), statistics.median(theirs)


def steps_a_second(checkout: Path, script: str, level: str, **options: float) -> float:
    """What ``cleanrl/SCRIPT.py`` of a checkout says, with its options by their names.

    Raises:
        FileError: there is no such script, or it failed.
    """
    path = checkout.resolve() / "cleanrl" / f"{script}.py"
    if not path.exists():
        raise FileError(path, "not there; --cleanrl takes the folder of a checkout of CleanRL")
    command = [sys.executable, str(path), "--env-id", f"{__name__}:Level-v0", "--no-cuda"]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    paths = os.pathsep.join([str(ROOT), str(checkout.resolve())])
    variables = {**os.environ, LEVEL: level, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    said = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("SPS:")]
    if not said:
        raise FileError(path, f"it failed: {done.stderr.strip().splitlines()[-1:]}")
    return float(said[-1])
