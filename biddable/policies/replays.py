"""Replays: an episode of a policy as an animated picture."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from biddable.errors import said
from biddable.policies.base import Policy
from biddable.runs.figures import Clip

MILLISECONDS = 60
LINGER = 1200
SIDE = 180

_log = logging.getLogger(__name__)


def clip(env: Any, policy: Policy, seed: int, caption: str) -> Clip:
    """One episode, rendered at every step.

    Args:
        env: a Gymnasium environment whose ``render`` gives pictures.
        policy: what acts.
        seed: of the episode.
        caption: what stands under it.
    """
    obs, info = env.reset(seed=seed)
    frames = [env.render()]
    done = False
    while not done:
        obs, _, terminated, truncated, info = env.step(policy.act([obs])[0])
        frames.append(env.render())
        done = terminated or truncated
    return Clip(caption, animated(frames), bool(info["success"]))


def filmed(make: Callable[[], list[Clip]]) -> list[Clip]:
    """The clips that ``make`` returns; an empty list, and a logged warning, where it raises."""
    try:
        return make()
    except Exception as error:  # whatever a simulator, a browser or a driver for pictures raises
        _log.warning("no replays: %s", said(error))
        return []


def animated(frames: Sequence[NDArray[np.uint8]]) -> str:
    """Pictures [height, width, 3] as an animated GIF in base64; the last one stays for a while."""
    pictures = []
    for frame in frames:
        picture = Image.fromarray(np.asarray(frame, dtype=np.uint8))
        picture.thumbnail((SIDE, SIDE))
        pictures.append(picture.quantize(64))
    file = io.BytesIO()
    durations = [MILLISECONDS] * (len(pictures) - 1) + [LINGER]
    pictures[0].save(
        file, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0, disposal=1
    )
    return base64.b64encode(file.getvalue()).decode()
