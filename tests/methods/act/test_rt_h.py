"""RT-H: the whole path on the table and on a user's data, corrections, a kill on the way, bad input."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco", reason='mujoco is not installed: pip install "biddable[envs]"')
pytest.importorskip("minari", reason='minari is not installed: pip install "biddable[envs]"')

from gymnasium import spaces

import biddable
from biddable.errors import InputError
from biddable.experiments import motion_data, motion_fits
from biddable.experiments.table_play import Table
from biddable.methods.act.rt_h import RtH, RtHConfig
from biddable.methods.base import prepare
from biddable.policies.datasets import read_trajectories
from biddable.policies.datasets.write_minari import write_minari
from biddable.policies.motions import STILL, MotionVocabulary
from biddable.policies.saved import load_policy
from biddable.runs.next_steps import NEW_SEED
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
    assert any("read off x=state.0, y=state.1" in note for note in results.notes)
    assert f"--seed {NEW_SEED}" in results.next_steps[0], "no episode of the demonstrations"
    states = [{"state": np.zeros(2, np.float32), "instruction": "go right"}]
    assert load_policy(tmp_path / "run").act(states)[0].shape == (2,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.0}, "threshold is 0"),
        ({"parts": ()}, "parts is"),
        ({"tasks": ()}, "tasks is"),
        ({"network.head": "binned", "network.bins": 1}, "bins is 1"),
        ({"axes": ("x",)}, "axes is .*an effect only with --data"),
        ({"held_out": 0.5}, "held_out is .*an effect only with --data"),
        ({"corrections": "c.jsonl"}, "corrections is .*an effect only with --data"),
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
        ({"axes": ("x", "y"), "held_out": 0.01, "seeds": 1}, "seeds is 1, expected at least 2"),
        (
            {"axes": ("x", "y"), "words": ("y=left/right", "x=go left/go right")},
            "words is 'left', expected not",
        ),
        ({"axes": ("x", "y"), "corrections": typed(tmp_path, "fly", 2)}, "line 1: .* phrase is 'fly'"),
        ({"axes": ("x", "y"), "corrections": typed(tmp_path, "move left", 3)}, "3 numbers', expected 2"),
        (
            {"axes": ("x", "y"), "corrections": typed(tmp_path, "move left", 2), "parts": ("state",) * 2},
            "parts is .*, expected one, for corrections have one state",
        ),
    ):
        with pytest.raises(InputError, match=message):
            biddable.run("rt-h", out=tmp_path / "run", preset="smoke", data=folder, **options)
    assert not (tmp_path / "run").exists()


def typed(folder, phrase: str, size: int) -> str:
    path = folder / f"{phrase}-{size}.jsonl"
    path.write_text(json.dumps({"instruction": "go left", "phrase": phrase, "state": [0.0] * size}) + "\n")
    return str(path)


def test_what_failed_is_no_demonstration(tmp_path) -> None:
    walked = [*read_trajectories(walks(tmp_path, 12))]
    mixed = [replace(each, success=i % 3 > 0) for i, each in enumerate(walked)]
    made = prepare(RtH, options={"data": write_minari(mixed, tmp_path / "mixed-v0"), "axes": ("x", "y")})
    made.check()
    assert sum(map(len, made.split)) == 8
    assert made.funnel.counts()["checking"]["reasons"] == {"it did not do what it says": 4}
    failed = write_minari([replace(each, success=False) for each in walked], tmp_path / "failed-v0")
    none = prepare(RtH, options={"data": failed, "axes": ("x", "y")})
    with pytest.raises(InputError, match="of the first it is said: it did not do what it says"):
        none.check()


def test_bins_are_of_what_was_done_and_not_of_wide_limits(tmp_path) -> None:
    """A data set whose limits are a hundred times as wide does not leave one bin for all that was done."""
    space = Named(spaces.Box(-1, 1, (2,), np.float32), spaces.Box(np.float32([-50, 0]), np.float32([50, 0])))
    episodes = list(read_trajectories(walks(tmp_path, 12)))
    still = [replace(each, actions=each.actions * np.float32([1, 0])) for each in episodes]
    folder = write_minari(still, tmp_path / "wide-v0", env=space)
    options = {
        "network.fit.steps": 20,
        "network.hidden": (8,),
        "network.vectors": "words",
        "axes": ("x", "y"),
    }
    biddable.run("rt-h", out=tmp_path / "run", preset="smoke", data=str(folder), **options)
    head = load_policy(tmp_path / "run").head.settings()
    assert (head["low"], head["high"]) == ([-0.5, -0.5], [0.5, 0.5])


class Named:
    """Spaces of an environment that a data set names."""

    spec = None

    def __init__(self, state, action):
        self.observation_space, self.action_space = spaces.Dict({"state": state}), action


def test_an_expert_that_never_succeeds_is_one_line() -> None:
    with pytest.raises(InputError, match=r"noise is 50\.0, expected less: in none of 1 episodes"):
        Table(("stack",), 1).demonstrations(0, 1, 50.0)


def test_the_last_step_of_a_lerobot_episode_is_no_motion(tmp_path) -> None:
    """Its next observation was not recorded: the copy that stands there would be called 'stay still'."""
    whole = read_trajectories(walks(tmp_path, 1))[0]
    copied = {"state": np.vstack([whole.observations["state"][:-1], whole.observations["state"][-2:-1]])}
    lerobot = replace(whole, observations=copied, meta={"last_observation": "repeated"})
    axes = motion_data.axes_of(("x", "y"), "state")
    words = MotionVocabulary.of(("x", "y"), [motion_data.positions_of(whole, axes)])
    kept = motion_data._read([lerobot], 0)
    assert words.label(motion_data.positions_of(lerobot, axes))[-1] == STILL
    assert words.label(motion_data.positions_of(kept, axes)) == ["move left"] * 7


def test_the_default_is_the_papers_comparison() -> None:
    config = RtHConfig()
    assert (config.seeds, config.demonstrations, len(config.tasks)) == (5, 100, 6)
