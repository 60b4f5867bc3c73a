"""Episodes as animations."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from biddable.envs.reach2d import Reach2DEnv
from biddable.errors import InputError
from biddable.experiments.demonstrators import scripted_demonstrator
from biddable.policies.base import ScriptedPolicy, rollouts
from biddable.policies.replays import SIDE, animated, clip
from biddable.runs.figures import Clip, Replays, load_figures, save_figures


def frames_of(gif: str) -> list[np.ndarray]:
    picture = Image.open(io.BytesIO(base64.b64decode(gif)))
    frames = []
    for place in range(picture.n_frames):
        picture.seek(place)
        frames.append(np.asarray(picture.convert("RGB")).astype(int))
    return frames


def test_an_episode_is_all_there(tmp_path) -> None:
    env, policy = Reach2DEnv("Reach2D"), ScriptedPolicy(scripted_demonstrator("straight"))
    (episode,) = rollouts([env], policy, [5])
    made = clip(env, policy, 5, "straight")
    env.close()
    frames = frames_of(made.gif)
    assert made.success
    assert len(frames) == len(episode) + 1
    assert np.abs(frames[0] - frames[-1]).max() > 100, "the point is somewhere else at the end"
    path = tmp_path / "figures.json"
    save_figures(path, [Replays("Watch", (made,))])
    assert load_figures(path) == [Replays("Watch", (made,))]


def test_large_pictures_are_made_smaller() -> None:
    rng = np.random.default_rng(0)
    (frame, *_) = frames_of(animated(rng.integers(0, 255, (2, 400, 200, 3), dtype=np.uint8)))
    assert frame.shape == (SIDE, SIDE // 2, 3)


@pytest.mark.parametrize("gif", ["", "not base64!", base64.b64encode(b"<svg>").decode()])
def test_what_is_no_gif_is_refused(gif) -> None:
    with pytest.raises(InputError, match="an animated GIF in base64"):
        Clip("x", gif, True)
