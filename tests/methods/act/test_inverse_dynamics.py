"""Inverse dynamics pre-training: its objectives by hand, the whole path, a kill, a user's data, bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("mujoco", reason='mujoco is not installed: pip install "biddable[envs]"')
pytest.importorskip("minari", reason='minari is not installed: pip install "biddable[envs]"')

import gymnasium as gym
from gymnasium import spaces

import biddable
from biddable.errors import FileError, InputError
from biddable.experiments.pixel_demos import Reader
from biddable.experiments.pixel_policies import successes_in
from biddable.methods.act import inverse_dynamics as method
from biddable.methods.base import prepare
from biddable.policies import pixels
from biddable.policies.batches import Demonstrations
from biddable.policies.config import OBJECTIVES, ImitationConfig
from biddable.policies.datasets import read_trajectories
from biddable.policies.datasets.base import ActionSpec
from biddable.policies.datasets.recorded import recorded
from biddable.policies.datasets.write_minari import write_minari
from biddable.policies.heads import Categorical, Gaussian
from biddable.policies.pixels import few_shot
from biddable.policies.representations import (
    Pretraining,
    action_loss,
    behaviour_cloning,
    inverse_dynamics,
    load_encoder,
    pretrain,
)
from biddable.policies.saved import load_policy
from biddable.runs.next_steps import NEW_SEED
from biddable.types import Trajectory

OWN = {
    **{"few": 2, "seeds": 2, "workers": 1, "fit.steps": 4},
    **{"fit.batch_size": 8, "fit.warmup": 1, "policy.steps": 6, "policy.batch_size": 8},
}
TINY = {**OWN, "demos": 6, "tests": 2, "cases": 1}
SIDE = 20


def moving(text: str, step: int, start: int, length: int = 4) -> Trajectory:
    """A bright column that moves by ``step`` pixels a step; the action is the step, from -1 to 1."""
    images = np.full((length + 1, SIDE, SIDE, 3), 20, np.uint8)
    for t in range(length + 1):
        images[t, :, (start + step * t) % SIDE] = 220
    actions = np.full((length, 1), step / 2, np.float32)
    return Trajectory(text, {"image": images}, actions, np.zeros(length), True, True)


def data(folder, name: str = "columns-v0", texts=("left", "right", "still")) -> str:
    steps = {"left": -1, "right": 1, "still": 0}
    episodes = [moving(texts[i % len(texts)], steps[texts[i % len(texts)]], 3 + i) for i in range(15)]
    return str(write_minari(episodes, folder / name))


def test_objectives_by_hand() -> None:
    class Sum(nn.Module):
        def forward(self, x):
            return x.sum(-1, keepdim=True).repeat(1, 2)

    head = Gaussian([-2.0], [2.0])
    z, z_next, a = torch.tensor([[0.1]]), torch.tensor([[0.2]]), torch.tensor([[1.0]])
    # The action is 0.5 in units of its half range; the mean that is predicted is the first output.
    assert inverse_dynamics(Sum(), head, z, z_next, a).item() == pytest.approx((0.3 - 0.5) ** 2, abs=1e-6)
    assert behaviour_cloning(Sum(), head, z, a).item() == pytest.approx((0.1 - 0.5) ** 2, abs=1e-6)
    logits = torch.tensor([[0.0, 1.0]])
    expected = np.log(1 + np.exp(-1))
    assert action_loss(Categorical(2), logits, torch.tensor([1])).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_moves_the_encoder(objective) -> None:
    torch.manual_seed(0)
    network = Pretraining(objective, (SIDE, SIDE, 3), Gaussian([-1.0], [1.0]), crop=1)
    o, o_next = torch.randint(0, 256, (2, 6, SIDE, SIDE, 3), dtype=torch.uint8)
    loss = network.loss(o, o_next, torch.rand(6, 1) * 2 - 1, torch.Generator().manual_seed(0))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(weight.grad is not None for weight in network.encoder.parameters())


def test_what_moved_is_found_from_two_pictures_and_not_from_one() -> None:
    rng = np.random.default_rng(0)
    steps = [int(step) for step in rng.choice([-1, 1], 30)]
    demos = Demonstrations.of([moving("move", s, int(rng.integers(SIDE))) for s in steps], ("image",))
    fit = ImitationConfig(steps=120, batch_size=32, lr=3e-3, warmup=10)
    losses = {
        objective: pretrain(objective, demos, "image", Gaussian([-1.0], [1.0]), fit, crop=0)[1].losses[-1]
        for objective in ("inverse-dynamics", "behaviour-cloning")
    }
    assert losses["inverse-dynamics"] < 0.05
    assert losses["behaviour-cloning"] > 0.15, "half of the columns move to either side: 0.25 at best"


def test_pairs_do_not_reach_beyond_an_end() -> None:
    demos = Demonstrations.of([moving("move", 1, 3)], ("image",))
    with pytest.raises(InputError, match="nstep is 5, expected at most 4"):
        pretrain(
            "inverse-dynamics", demos, "image", Gaussian([-1.0], [1.0]), ImitationConfig(steps=1), nstep=5
        )
    with pytest.raises(InputError, match="objective is 'dreaming'"):
        pretrain("dreaming", demos, "image", Gaussian([-1.0], [1.0]), ImitationConfig(steps=1))


def test_a_frozen_encoder_stays_as_it_is() -> None:
    demos = Demonstrations.of([moving("move", 1, 3)], ("image",))
    encoder, _ = pretrain(
        "inverse-dynamics", demos, "image", Gaussian([-1.0], [1.0]), ImitationConfig(steps=2)
    )
    before = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    policy = few_shot(encoder, demos, "image", Gaussian([-1.0], [1.0]), ImitationConfig(steps=5, warmup=1))
    assert all(torch.equal(before[name], weight) for name, weight in policy.encoder.state_dict().items())


def test_it_records_learns_and_resumes_after_a_kill(tmp_path, monkeypatch) -> None:
    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(method, "test_policies", killed)
        with pytest.raises(KeyboardInterrupt):
            biddable.run("inverse-dynamics", out=tmp_path / "run", preset="smoke", **TINY)
    results = biddable.run("inverse-dynamics", out=tmp_path / "run", preset="smoke", **TINY)
    whole = biddable.run("inverse-dynamics", out=tmp_path / "other", preset="smoke", **TINY)
    assert results.comparisons == whole.comparisons
    roles = {c.baseline_name: c.role for c in results.comparisons if c.metric == "success"}
    assert roles == {
        **dict.fromkeys([*OBJECTIVES[1:], "scratch"], "claim"),
        **dict.fromkeys(["untrained", "states"], "question"),
    }
    assert f"--seed {NEW_SEED}" in results.next_steps[0], "no episode of the demonstrations"
    policy, env = load_policy(tmp_path / "run"), biddable.make_env("mujoco:HiddenGoal?goal=3")
    obs, _ = env.reset(seed=0)
    assert np.shape(policy.act([obs])[0]) == (2,)
    pictures = torch.from_numpy(obs["image"][None])
    assert load_encoder(tmp_path / "run")(pictures).shape == (1, 64)


def test_your_data_need_no_environment(tmp_path) -> None:
    folder = data(tmp_path)
    options = {**OWN, "pixels": SIDE}
    results = biddable.run(
        "inverse-dynamics", out=tmp_path / "run", preset="smoke", data=folder, task="still", **options
    )
    assert {c.metric for c in results.comparisons} == {"action error"}
    assert results.metrics["tasks"][0]["name"] == "still"
    assert results.metrics["pre-training"]["episodes"] == 10, "those of the other tasks"
    seen = {"image": np.zeros((2 * SIDE, 2 * SIDE, 3), np.uint8)}
    assert load_policy(tmp_path / "run").act([seen])[0].shape == (1,), "larger pictures are scaled down"
    told = biddable.run(
        "inverse-dynamics",
        out=tmp_path / "same",
        preset="smoke",
        data=data(tmp_path, "one-v0", ("left",)),
        **options,
    )
    assert any("in-distribution" in note for note in told.notes)


class Columns(gym.Env):
    """Shows a dark picture; it ends after three steps and does not say how."""

    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, height: int = SIDE):
        self.observation_space = spaces.Dict({"image": spaces.Box(0, 255, (height, SIDE, 3), np.uint8)})

    def reset(self, *, seed=None, options=None):
        self.seeds = [*getattr(self, "seeds", []), seed]
        self._left = 3
        return self._seen(), {}

    def step(self, action):
        self._left -= 1
        return self._seen(), 0.0, not self._left, False, {}

    def _seen(self):
        return {"image": np.zeros(self.observation_space["image"].shape, np.uint8), "instruction": "go"}


gym.register("Columns-v0", lambda: Columns(30))
gym.register("Columns-v1", lambda: Columns())


def test_an_environment_that_does_not_say_leaves_errors_of_actions(tmp_path) -> None:
    options = {**OWN, "cases": 1, "pixels": SIDE, "env": "gym:Columns-v1", "objectives": OBJECTIVES[:2]}
    results = biddable.run(
        "inverse-dynamics", out=tmp_path / "run", preset="smoke", data=data(tmp_path), **options
    )
    assert {c.metric for c in results.comparisons} == {"action error"}
    assert any("does not say whether an episode succeeded" in note for note in results.notes)


def test_successes_are_of_starts_that_no_demonstration_has(monkeypatch) -> None:
    seeds = []
    monkeypatch.setattr(
        "biddable.policies.base.rollouts", lambda envs, policy, which: seeds.extend(which) or []
    )
    assert successes_in(object(), "gym:Columns-v1", 3) == []
    assert min(seeds) >= 2_000_000


def test_scratch_has_as_many_steps_as_encoder_and_policy(monkeypatch, tmp_path) -> None:
    """An encoder of a hundred steps beside one that had a thousand would show nothing."""
    steps = {}
    original = pixels.few_shot

    def noted(encoder, few, part, head, fit, **options):
        steps[encoder is None] = fit.steps
        return original(encoder, few, part, head, fit, **options)

    monkeypatch.setattr(pixels, "few_shot", noted)
    options = {**OWN, "pixels": SIDE, "objectives": OBJECTIVES[:1]}
    biddable.run("inverse-dynamics", out=tmp_path / "run", preset="smoke", data=data(tmp_path), **options)
    assert steps == {True: TINY["fit.steps"] + TINY["policy.steps"], False: TINY["policy.steps"]}


def test_what_the_last_action_did_is_not_made_up(tmp_path) -> None:
    """LeRobot's files end with the last action: its next picture would be a copy, and the pair a lie."""
    whole = moving("left", -1, 9)
    lerobot = replace(whole, meta={"last_observation": "repeated"})
    kept = recorded(lerobot)
    assert (len(kept), len(kept.observations["image"])) == (3, 4)
    assert recorded(whole) is whole
    reader = Reader("image", SIDE, 1)
    reader.actions = ActionSpec("box", (1,))
    assert [len(reader._checked(each)) for each in (whole, lerobot)] == [4, 3]
    assert recorded(kept) is kept


def test_what_failed_at_the_new_task_is_no_demonstration_of_it(tmp_path) -> None:
    episodes = [*read_trajectories(data(tmp_path))]
    mixed = [replace(each, success=i > 2) for i, each in enumerate(episodes)]  # the first of each task fails
    folder, target = (
        write_minari(of, tmp_path / name) for of, name in ((mixed, "a-v0"), (mixed[:6], "b-v0"))
    )
    options = {"data": folder, "few": 1, "pixels": SIDE}
    for more, learned, failed in (({"task": "still"}, 10, 1), ({"target": target}, 15, 3)):
        made = prepare(method.InverseDynamics, options={**options, **more})
        made.check()
        [task] = made.data.tasks
        assert len(made.data.pretrain) == learned, "of other tasks what failed, too"
        assert len(task.pool) + len(task.test) == (4 if "task" in more else 3)
        assert made.funnel.counts()["reading"]["reasons"] == {"it did not do what it says": failed}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objectives": ("behaviour-cloning",)}, "objectives is"),
        ({"fit.batch_size": 1}, "fit.batch_size is 1, expected at least 2"),
        ({"task": "left"}, "task is 'left', expected nothing: it has an effect only with"),
        ({"part": "camera"}, "part is 'camera', expected image"),
    ],
)
def test_settings_that_cannot_work_are_one_line(options, message, tmp_path) -> None:
    with pytest.raises(InputError, match=message):
        biddable.run("inverse-dynamics", out=tmp_path / "run", preset="smoke", **options)
    assert not (tmp_path / "run").exists()


def test_data_that_cannot_be_used_are_one_line(tmp_path) -> None:
    folder = data(tmp_path)
    for options, message in (
        ({"part": "camera"}, "part is 'camera', expected one of image"),
        ({"task": "fly"}, "task is 'fly', expected an instruction of the data"),
        ({"pixels": 8}, "pixels is 8, expected more"),
        ({"crop": 30}, "crop is 30, expected less than"),
        ({"few": 15}, "few is 15, expected fewer"),
        ({"nstep": 5}, "steps is 4, expected at least 5"),
        ({"env": "mujoco:Reach2D"}, "expected the environment's: 2 numbers"),
        ({"env": "gym:Columns-v0"}, r"shows what the data do: image is 'uint8 \[20, 13, 3\]', expected"),
        ({"target": folder}, "expected other demonstrations than the data's"),
    ):
        with pytest.raises((InputError, FileError), match=message):
            biddable.run("inverse-dynamics", out=tmp_path / "run", preset="smoke", data=folder, **options)
    assert not (tmp_path / "run").exists()
