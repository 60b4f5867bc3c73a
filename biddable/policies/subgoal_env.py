"""A grid level whose observation holds the current subgoal and whose reward includes its bonus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from biddable.envs.minigrid import GridEnv
from biddable.envs.minigrid_subgoals import (
    WIDTHS,
    Encoding,
    Tracker,
    beacon_bonus,
    encode_subgoal,
)
from biddable.errors import InputError
from biddable.policies.teachers import Teacher


class SubgoalEnv(gym.Env[dict[str, Any], int]):
    """``env`` with a teacher.

    The observation gets ``subgoal``, a vector. ``info`` gets ``subgoals_done`` and ``in_order``: the shares
    of subgoals that were reached at all, and in order.

    Args:
        env: the level.
        teacher: None for none: there is never a subgoal.
        encoding: how the student sees a subgoal.
        alpha: the most that reaching a subgoal adds to the reward, at least 0.
        shown: False hides the subgoals from the student; the reward is the same.
        pool: vectors for ``language``.
    """

    def __init__(
        self,
        env: GridEnv,
        teacher: Teacher | None,
        encoding: Encoding,
        *,
        alpha: float = 0.2,
        shown: bool = True,
        pool: Mapping[str, NDArray[np.float32]] | None = None,
    ):
        beacon_bonus(0, 1, alpha)
        if encoding == "language" and not pool:
            raise InputError("pool", pool, "a vector for each kind of subgoal")
        self.env, self._teacher, self._encoding = env, teacher, encoding
        self._alpha, self._shown, self._pool = alpha, shown, pool
        self.width = WIDTHS[encoding] if encoding != "language" else len(next(iter((pool or {}).values())))
        self.action_space, self.render_mode = env.action_space, env.render_mode
        self.actions = int(env.action_space.n)  # type: ignore[attr-defined]
        box = gym.spaces.Box(-np.inf, np.inf, (self.width,))
        spaces: Any = env.observation_space
        self.observation_space = gym.spaces.Dict({**spaces.spaces, "subgoal": box})
        self._tracker = Tracker((), env.level)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new level, and its teacher's subgoals."""
        obs, info = self.env.reset(seed=seed, options=options)
        level = self.env.level
        proposed = self._teacher.propose(level) if self._teacher else ()
        self._tracker = Tracker(proposed, level)
        return self._with_subgoal(obs), info

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """See ``gymnasium.Env.step``; the reward includes the bonus of a subgoal reached in this step."""
        tracker = self._tracker
        tracker.before()
        obs, reward, terminated, truncated, info = self.env.step(action)
        steps_taken = tracker.after()
        bonus = (
            0.0 if steps_taken is None else beacon_bonus(steps_taken, self.env.level.max_steps, self._alpha)
        )
        count = max(1, len(tracker.subgoals))
        info = {**info, "subgoals_done": sum(tracker.reached) / count, "in_order": tracker.index / count}
        return self._with_subgoal(obs), float(reward) + bonus, terminated, truncated, info

    def render(self) -> Any:
        """The level."""
        return self.env.render()

    def close(self) -> None:
        """Close the level."""
        self.env.close()

    def _with_subgoal(self, obs: dict[str, Any]) -> dict[str, Any]:
        current = self._tracker.current if self._shown else None
        return {**obs, "subgoal": encode_subgoal(current, self.env.level, self._encoding, self._pool)}
