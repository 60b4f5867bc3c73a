"""What of an episode was recorded: files that end with the last action do not show what it did."""

from __future__ import annotations

from dataclasses import replace

from biddable.types import Trajectory

REPEATED = {"last_observation": "repeated"}
"""In ``meta`` of an episode whose last observation is that before its last action once more."""


def recorded(episode: Trajectory) -> Trajectory:
    """The steps whose next observation was recorded: all but the last where ``meta`` says that it was not.

    LeRobot's files, and some of the others, end with the last action: the reader repeats the last
    observation, from which nobody can tell what that action did.
    """
    if not REPEATED.items() <= episode.meta.items():
        return episode
    parts = {name: values[:-1] for name, values in episode.observations.items()}
    meta = {name: value for name, value in episode.meta.items() if name not in REPEATED}
    actions, rewards = episode.actions[:-1], episode.rewards[:-1]
    return replace(episode, observations=parts, actions=actions, rewards=rewards, meta=meta)
