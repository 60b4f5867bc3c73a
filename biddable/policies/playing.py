"""Playing a policy in an environment: episodes, what came of them, and a film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biddable.envs.base import make_env
from biddable.errors import InputError, MissingDependency
from biddable.policies.base import Policy, returns, rollouts
from biddable.runs.files import replacing
from biddable.runs.statistics import Interval, share_interval
from biddable.types import Trajectory

FILMS = (".mp4", ".gif")
CODEC = "libx264"
_SHOWN: dict[str, dict[str, Any]] = {"gym": {"render_mode": "rgb_array"}, "miniwob": {"screenshots": True}}
"""Family of environments -> the options without which it shows no pictures."""


class RandomPolicy:
    """Draws actions from the environment's space: what a policy has to beat.

    On a page it draws among what can be done there: clicks on its elements, and each field typed into each
    element that takes text.

    Args:
        space: of Gymnasium's.
        seed: of the draws.
    """

    def __init__(self, space: Any, seed: int):
        self._space = space
        # Not the seed itself: an environment with the same one would draw the same numbers.
        self._space.seed(int(np.random.SeedSequence([seed, 1]).generate_state(1)[0]))
        self._rng = np.random.default_rng([seed, 1])

    def act(self, observations: Sequence[dict[str, Any]]) -> list[Any]:
        """See ``Policy.act``."""
        return [self._on_page(obs) if "dom" in obs else self._space.sample() for obs in observations]

    def _on_page(self, observation: dict[str, Any]) -> Any:
        from biddable.envs.web import BARE_TEXT, WebAction

        elements = [element for element in observation["dom"] if element.tag != BARE_TEXT]
        possible = [WebAction("click", element.ref) for element in elements]
        fields = range(len(observation["fields"]))
        possible += [
            WebAction("type", each.ref, field) for each in elements if each.takes_text for field in fields
        ]
        return possible[self._rng.integers(len(possible))] if possible else self._space.sample()


@dataclass(frozen=True, slots=True)
class Played:
    """What came of some episodes.

    Attributes:
        episodes: all of them, in the order of their seeds.
        frames: pictures of the first ones, [height, width, 3] each; empty where none were wanted.
    """

    episodes: list[Trajectory]
    frames: list[NDArray[np.uint8]]

    @property
    def known(self) -> list[bool]:
        """Success of the episodes of which the environment says whether they succeeded."""
        return [bool(each.success) for each in self.episodes if each.success is not None]

    def success(self) -> tuple[float, Interval] | None:
        """The share that succeeded with its 95 % interval; None where the environment never says."""
        if not self.known:
            return None
        return float(np.mean(self.known)), share_interval(sum(self.known), len(self.known))

    def summary(self) -> dict[str, Any]:
        """Numbers: episodes, success with its interval, mean return and length, time limits."""
        rate = self.success()
        return {
            "episodes": len(self.episodes),
            "success": None if rate is None else rate[0],
            "success_interval": None if rate is None else list(rate[1]),
            "mean_return": float(returns(self.episodes).mean()),
            "mean_length": float(np.mean([len(each) for each in self.episodes])),
            "truncated": int(sum(each.truncated for each in self.episodes)),
        }

    def by_instruction(self) -> dict[str, list[Trajectory]]:
        """Instruction -> its episodes, in the order in which they came."""
        groups: dict[str, list[Trajectory]] = {}
        for episode in self.episodes:
            groups.setdefault(episode.instruction, []).append(episode)
        return groups


def play(
    policy: Policy | None,
    env: str,
    seeds: Sequence[int],
    *,
    parallel: int = 8,
    film: int = 0,
    **options: Any,
) -> Played:
    """Play an episode for each seed; the first ``film`` of them one after the other, with pictures.

    Args:
        policy: what acts; None for random actions.
        env: see ``make_env``.
        seeds: which episodes; the same seed gives the same start.
        parallel: environments side by side.
        film: of how many episodes pictures are taken.
        options: of ``make_env``.

    Raises:
        InputError: no episode, or an environment that shows no pictures where they are wanted.
    """
    if not len(seeds):
        raise InputError("episodes", 0, "an integer of at least 1")
    first, rest = list(seeds[:film]), list(seeds[film:])
    episodes: list[Trajectory] = []
    frames: list[NDArray[np.uint8]] = []
    if first:
        shown = _SHOWN.get(env.partition(":")[0], {})
        made = make_env(env, **{**shown, **options})
        try:
            _take_pictures(made, env, frames)
            episodes += rollouts([made], policy or RandomPolicy(made.action_space, int(first[0])), first)
        finally:
            made.close()
    if rest:
        many = [make_env(env, **options) for _ in range(min(parallel, len(rest)))]
        try:
            episodes += rollouts(many, policy or RandomPolicy(many[0].action_space, int(rest[0])), rest)
        finally:
            for each in many:
                each.close()
    return Played(episodes, frames)


def write_film(path: Path, frames: Sequence[NDArray[np.uint8]], fps: int) -> None:
    """Write pictures as .mp4 or .gif, whole or not at all.

    Raises:
        InputError: another ending, no pictures, or pictures of several sizes.
        MissingDependency: PyAV is not installed (for .mp4).
    """
    if path.suffix not in FILMS:
        raise InputError("video", str(path), "a name that ends in " + " or ".join(FILMS))
    if not frames or len({frame.shape for frame in frames}) > 1:
        raise InputError(
            "pictures", f"{len(frames)} of several sizes" if frames else "none", "some, of one size"
        )
    with replacing(path) as temporary:
        named = temporary.with_suffix(path.suffix)
        if path.suffix == ".gif":
            _write_gif(named, frames, fps)
        else:
            try:
                from biddable.policies.datasets.video import write_video
            except ModuleNotFoundError:
                raise MissingDependency("av", 'pip install "biddable[robots]"') from None
            height, width = (side - side % 2 for side in frames[0].shape[:2])  # the codec wants even sides
            write_video(named, np.stack(frames)[:, :height, :width], fps, CODEC)
        named.replace(temporary)


def _write_gif(path: Path, frames: Sequence[NDArray[np.uint8]], fps: int) -> None:
    from PIL import Image

    pictures = [Image.fromarray(frame).quantize(128) for frame in frames]
    # The format has hundredths of a second: they differ by one, so that the whole lasts as long as it should.
    ends = [round(100 * end / fps) for end in range(len(frames) + 1)]
    lasts = [10 * (end - start) for start, end in pairwise(ends)]
    pictures[0].save(path, "GIF", save_all=True, append_images=pictures[1:], duration=lasts, loop=0)


def _take_pictures(env: Any, name: str, frames: list[NDArray[np.uint8]]) -> None:
    """Have an environment add a picture after each reset and step."""
    reset, step = env.reset, env.step

    def shown(result: Any) -> Any:
        picture = env.render()
        if not (isinstance(picture, np.ndarray) and picture.ndim == 3 and picture.dtype == np.uint8):
            raise InputError("video", name, "an environment whose render gives pictures (rgb_array)")
        frames.append(picture)
        return result

    env.reset = lambda **how: shown(reset(**how))
    env.step = lambda action: shown(step(action))
