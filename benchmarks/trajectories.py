"""Reading all episodes of a Minari data set beside Minari's own ``iterate_episodes``.

    python -m benchmarks.trajectories [--json] [--rounds N]

States: 200 episodes of 100 steps, [17] float64. Pictures: 20 episodes of 100 steps, [84, 84, 3], as JPEG
(Minari's default) and as they are. Both sides read everything, ours makes checked trajectories of it; that
both read the same is checked first. Seconds of all episodes, the median of the rounds.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minari
import numpy as np
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from PIL import Image

from benchmarks._common import Row, parser, report, time_both
from biddable.policies.datasets import read_trajectories

STEPS, STATE, ACTION, SIDE = 100, 17, 4, 84
FORMATS = ("hdf5", "arrow", "parquet")


def written(name: str, form: str, episodes: int, space: Any, jpeg: bool) -> Path:
    """A data set under Minari's folder, of smooth pictures and random numbers."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    picture = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BILINEAR))

    def observations() -> Any:
        states = rng.normal(size=(STEPS + 1, STATE))
        if not isinstance(space, spaces.Dict):
            return states
        return {"image": np.stack([np.roll(picture, t, 0) for t in range(STEPS + 1)]), "state": states}

    buffers = [
        EpisodeBuffer(
            id=number,
            seed=number,
            observations=observations(),
            actions=rng.uniform(-1, 1, (STEPS, ACTION)).astype(np.float32),
            rewards=[0.0] * (STEPS - 1) + [1.0],
            terminations=[False] * (STEPS - 1) + [True],
            truncations=[False] * STEPS,
            infos={"success": [False] * STEPS + [True]},
        )
        for number in range(episodes)
    ]
    minari.create_dataset_from_buffers(
        name,
        buffers,
        observation_space=space,
        action_space=spaces.Box(-1, 1, (ACTION,), np.float32),
        data_format=form,
        jpeg_encoding=jpeg,
    )
    return Path(os.environ["MINARI_DATASETS_PATH"], name)


def row(name: str, folder: Path, rounds: int) -> Row:
    """Both sides on one data set."""

    def ours() -> list[Any]:
        return [len(each) for each in read_trajectories(folder, instruction="go")]

    def theirs() -> list[Any]:
        return [len(each) for each in minari.MinariDataset(folder / "data").iterate_episodes()]

    first = read_trajectories(folder, instruction="go")[3]
    peer = next(iter(minari.MinariDataset(folder / "data").iterate_episodes([3])))
    seen = peer.observations if isinstance(peer.observations, dict) else {"state": peer.observations}
    for part, values in seen.items():
        assert np.array_equal(first.observations[part], values), part
    assert np.array_equal(first.actions, peer.actions)
    both: tuple[Callable[[], object], Callable[[], object]] = (ours, theirs)
    return Row.of_times(name, *time_both(*both, rounds=rounds))


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5)
    arguments = options.parse_args()
    warnings.simplefilter("ignore")
    state = spaces.Box(-np.inf, np.inf, (STATE,), np.float64)
    both = spaces.Dict({"image": spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8), "state": state})
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MINARI_DATASETS_PATH"] = folder
        rows = [
            row(f"states, {form}", written(f"states-{form}-v0", form, 200, state, True), arguments.rounds)
            for form in FORMATS
        ]
        for form in FORMATS:
            for kind, jpeg in (("jpeg", True), ("raw", False)):
                made = written(f"pictures-{form}-{kind}-v0", form, 20, both, jpeg)
                rows.append(row(f"pictures ({kind}), {form}", made, arguments.rounds))
    report(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
