"""RT-H: the whole path on the table and on a user's data, corrections, a kill on the way, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("mujoco", reason='mujoco is not installed: pip install "biddable[envs]"')
pytest.importorskip("minari", reason='minari is not installed: pip install "biddable[envs]"')

import biddable
from biddable.errors import InputError
from biddable.experiments import motion_fits
from biddable.methods.act.rt_h import RtHConfig
from biddable.policies.datasets.write_minari import write_minari
from biddable.policies.saved import load_policy
from biddable.types import Trajectory

TINY = {
    **{"tasks": ("reach",), "demonstrations": 3, "held": 1, "trials": 1, "corrected": 1, "seeds": 2},
    **{"network.hidden": (16,), "network.vectors": "words", "network.fit.steps": 20, "network.tune.steps": 5},
}


def walks(folder, count: int = 10) -> str:
    """Straight walks to one of four sides: x and y are where the hand is, the action is where it goes."""
    sides = {"go left": (0, 1), "go right": (0, -1), "go ahead": (1, 0), "go back": (-1, 0)}
    episodes = []
    for i in range(count):
        text, side = list(sides.items())[i % 4]
        actions = np.tile(np.array(side, np.float32), (8, 1)) * 0.5
        states = np.vstack([np.zeros((1, 2)), np.cumsum(actions, 0)]).astype(np.float32)
        episodes.append(Trajectory(text, {"state": states}, actions, np.zeros(8), True, True))
    return str(write_minari(episodes, folder / "walks-v0"))


def test_it_runs_on_the_table_and_resumes_after_a_kill(tmp_path, monkeypatch) -> None:
    done = []

    def killed_once(*arguments, **options):
        if len(done) == 2:
            done.append(None)
            raise KeyboardInterrupt
        done.append(None)
        return fit(*arguments, **options)

    fit = motion_fits.fit_hierarchy
    monkeypatch.setattr(motion_fits, "fit_hierarchy", killed_once)
    with pytest.raises(KeyboardInterrupt):
        biddable.run("rt-h", out=tmp_path / "run", preset="smoke", **TINY)
    results = biddable.run("rt-h", out=tmp_path / "run", preset="smoke", **TINY)
    undisturbed = biddable.run("rt-h", out=tmp_path / "other", preset="smoke", **TINY)
    assert results.comparisons == undisturbed.comparisons
    roles = {(c.method_name, c.metric): c.role for c in results.comparisons}
    assert roles["words, corrected live", "success"] == "control"
    assert roles["words, true motion given", "action error"] == "control"
    rows = [json.loads(line) for line in (tmp_path / "run" / "artifacts" / "labels.jsonl").open()]
    assert rows
    obs, _ = biddable.make_env("mujoco:Tabletop").reset(seed=0)
    policy = load_policy(tmp_path / "run")
    free, told = policy.act([obs]), policy.act([obs], correction="move up")
    assert np.shape(free[0]) == np.shape(told[0]) == (4,)
    with pytest.raises(InputError, match="sideways"):
        policy.act([obs], correction="move sideways")


def test_your_data_get_phrases_a_policy_and_errors(tmp_path) -> None:
    folder = walks(tmp_path, 12)
    typed = tmp_path / "typed.jsonl"
    rows = [
        {"instruction": "go left", "phrase": "move forward", "state": [0.0, 0.0]},
        {"instruction": "go left", "phrase": "fly", "state": [0.0, 0.0]},
    ]
    typed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    results = biddable.run(
        "rt-h", out=tmp_path / "run", preset="smoke", data=folder, axes=("x", "y"), corrections=str(typed),
        **{"seeds": 2, "network.fit.steps": 150, "network.hidden": (32,), "network.vectors": "words"},
    )  # fmt: skip
    assert results.metrics["corrections"]
    labels = [json.loads(line) for line in (tmp_path / "run" / "artifacts" / "labels.jsonl").open()]
    assert {str(row) for row in labels if "move left" in str(row) and "go left" in str(row)}
    assert any("1 corrections were left out" in note for note in results.notes)
    states = [{"state": np.zeros(2, np.float32), "instruction": "go right"}]
    assert load_policy(tmp_path / "run").act(states)[0].shape == (2,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.0}, "threshold is 0"),
        ({"parts": ()}, "parts is"),
        ({"tasks": ()}, "tasks is"),
        ({"network.head": "binned", "network.bins": 1}, "bins is 1"),
        ({"axes": ("x",)}, "axes is .*the table has its own"),
        ({"corrections": "c.jsonl"}, "corrections is .*the table has its own"),
        ({"words": ("lid=up/down",)}, "words is 'lid', expected words for an axis that is read"),
    ],
)
def test_settings_that_cannot_work_are_one_line(options, message, tmp_path) -> None:
    with pytest.raises(InputError, match=message):
        biddable.run("rt-h", out=tmp_path / "run", preset="smoke", **options)
    assert not (tmp_path / "run").exists()


def test_data_that_cannot_be_used_are_one_line(tmp_path) -> None:
    folder = walks(tmp_path)
    for options, message in (
        ({"axes": ("x", "y", "z")}, "z"),
        ({"axes": ("x=nothing.0",)}, "nothing"),
        ({"axes": ("x", "y"), "horizon": 9}, "horizon"),
        ({"axes": ("x", "y"), "held_out": 1.0}, "held_out is 1"),
        ({"axes": ("wrist",)}, "wrist"),
    ):
        with pytest.raises(InputError, match=message):
            biddable.run("rt-h", out=tmp_path / "run", preset="smoke", data=folder, **options)


def test_the_default_is_the_papers_comparison() -> None:
    config = RtHConfig()
    assert (config.seeds, config.demonstrations, len(config.tasks)) == (5, 20, 6)
