"""GRIF in pictures of a table: from end to end, after a kill, and what cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import biddable
from biddable.envs.base import make_env
from biddable.envs.tabletop_blocks import TabletopBlocksEnv
from biddable.errors import BiddableError, InputError
from biddable.experiments import table_episodes
from biddable.experiments.goal_language import played, seen_of
from biddable.methods.act import grif
from biddable.methods.act.grif import Grif
from biddable.methods.base import configure, prepare
from biddable.policies.goal_language import GoalLanguageNetwork
from biddable.policies.heads import head_of
from biddable.policies.playing import play
from biddable.policies.saved import load_policy, policy_env
from biddable.runs.run import Run

TINY = {
    "scene": "table",
    "labels": 14,
    "free": 6,
    "cases": 2,
    "arms": ("LCBC",),
    "workers": 1,
    "fit.steps": 3,
    "fit.batch_size": 8,
    "channels": 8,
    "hidden": 16,
}


def test_from_end_to_end_and_after_a_kill(tmp_path, monkeypatch) -> None:
    """Killed while it records and between arms, it goes on and ends the same."""
    whole = biddable.run("grif", out=tmp_path / "whole", preset="smoke", **TINY)
    assert (whole.metrics["labelled"], whole.metrics["unlabelled"]) == (14, 6)
    assert whole.metrics["tests"] == {grif.UNSEEN: 2, grif.SEEN: 2}
    assert {f"success, {grif.UNSEEN}", f"success, {grif.SEEN}"} <= {c.metric for c in whole.comparisons}
    assert any(note.startswith("Never named in an instruction to learn from: P") for note in whole.notes)
    assert policy_env(tmp_path / "whole") == table_episodes.ENV
    policy = load_policy(tmp_path / "whole")
    obs, _ = make_env(table_episodes.ENV).reset(seed=0)
    action = np.asarray(policy.act([obs])[0])
    assert action.shape == (4,)
    first = {"image": obs["image"], "initial": obs["image"], "goal": obs["image"]}
    assert np.asarray(policy.act([first])[0]).shape == (4,)
    assert len(play(policy, table_episodes.ENV, [0, 1], parallel=2).episodes) == 2

    calls = {"episodes": 0, "arms": 0}
    record, train = table_episodes._episode, grif.train_arm

    def records(*args):
        calls["episodes"] += 1
        if calls["episodes"] == 30:
            raise KeyboardInterrupt
        return record(*args)

    def trains(*args):
        calls["arms"] += 1
        if calls["arms"] == 2:
            raise KeyboardInterrupt
        return train(*args)

    monkeypatch.setattr(table_episodes, "_episode", records)
    monkeypatch.setattr(grif, "train_arm", trains)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            biddable.run("grif", out=tmp_path / "killed", preset="smoke", **TINY)
    again = biddable.run("grif", out=tmp_path / "killed", preset="smoke", **TINY)
    wanted = sum(size + size // 10 + 5 for size in (14, 6, 2, 2))
    assert calls["episodes"] == wanted + 10, "the batch of twenty that was stopped in its tenth, again"
    assert calls["arms"] == 4 + 1
    assert again.metrics == whole.metrics
    assert again.comparisons == whole.comparisons


def test_policies_are_commanded_what_the_tests_demonstrate(tmp_path, monkeypatch) -> None:
    asked = []
    reset = TabletopBlocksEnv.reset

    def noted(self, *, seed=None, options=None):
        asked.append((seed, (options or {}).get("instruction")))
        return reset(self, seed=seed, options=options)

    with Run.open(tmp_path / "run", "grif", {}, 0) as run:
        data = table_episodes.table_data(run, 14, 6, 2, 1).data(grif.UNSEEN, grif.SEEN)
    monkeypatch.setattr(TabletopBlocksEnv, "reset", noted)
    head = head_of(data.head)
    network = GoalLanguageNetwork(seen_of(data), head.outputs, channels=8, hidden=16)
    vectors = np.random.default_rng(0).normal(size=(len(data.texts), 384)).astype(np.float32)
    played(network, head, replace(data, vectors=vectors), table_episodes.ENV, 2)
    tests = np.concatenate(list(data.tests.values()))
    assert asked == [(int(data.seeds[e]), data.demos.instructions[e]) for e in tests]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scene": "kitchen"}, "scene is 'kitchen'"),
        ({"scene": "table", "level": "BabyAI-GoToLocal-v0"}, "it has an effect only with --scene grid"),
        ({"scene": "table", "data": "somewhere"}, "it has an effect only without --data"),
        ({"scene": "table", "env": "mujoco:TabletopBlocks"}, "it has an effect only with --data"),
        ({"scene": "table", "labels": 1}, "labels is 1, expected more"),
    ],
)
def test_settings_that_do_not_go_together_are_one_line(options, message) -> None:
    with pytest.raises(InputError) as caught:
        prepare(Grif, options=options).check()
    assert message in str(caught.value)


def test_a_machine_that_cannot_draw_is_told_before_anything_is_written(tmp_path, monkeypatch) -> None:
    def fails(*_):
        raise BiddableError("MuJoCo cannot draw here")

    monkeypatch.setattr("biddable.envs.tabletop_blocks._picture", fails)
    with pytest.raises(BiddableError, match="cannot draw"):
        biddable.run("grif", out=tmp_path / "run", **TINY)
    assert not (tmp_path / "run").exists()


def test_pictures_are_what_the_gpu_preset_takes() -> None:
    scenes = {preset: configure(Grif, preset).scene for preset in ("default", *Grif.presets)}
    assert scenes == {"default": "grid", "smoke": "grid", "full": "grid", "gpu": "table"}
