"""Learning to Navigate the Web as a run: networks, arms, the browser, and what a kill does not change."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import biddable
from biddable.envs.base import make_env
from biddable.envs.miniwob import BROWSERS
from biddable.errors import InputError
from biddable.experiments.navigation import (
    ArmSettings,
    Job,
    Outcome,
    Trial,
    evaluate_in_browser,
    film_in_browser,
)
from biddable.methods.act.web_navigation import (
    OTHERS,
    PRACTISED,
    WebNavigation,
    WebNavigationConfig,
    train_student,
)
from biddable.policies.base import rollouts, successes
from biddable.policies.web.navigator import SIZES, Navigator, RandomNavigator

TINY = {
    "form": "login", "seeds": 2, "frames": 16, "num_envs": 4, "cases": 2, "inet_updates": 30,
    "browser_tasks": (), "workers": 1,
}  # fmt: skip
DQN = {"gamma": 0.9, "lr": 2e-3, "batch_size": 32, "train_frequency": 4}


def job(arm: ArmSettings, **changes) -> Job:
    settings = {"seed": 0, "rng_seed": 0, "frames": 64, "num_envs": 4, "cases": 5, "threshold": 0.9}
    settings |= {"warm_start": (0.9, 0.6), "inet_updates": 30, "dqn": DQN}
    return Job(arm, **{**settings, **changes})


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Outcome, Path]:
    """What came of practising one small page, and the folder of its weights."""
    folder = tmp_path_factory.mktemp("weights")
    return train_student(job(ArmSettings("x", ("widget:text",)), frames=2000, num_envs=8), folder), folder


def test_a_network_learns_a_small_page_and_its_weights_are_the_policy(trained) -> None:
    outcome, folder = trained
    assert outcome.reached
    assert [frames for frames, _ in outcome.curve][:3] == [0, 104, 208], (
        "a point every 100 frames, of 8 lanes"
    )
    assert np.mean(outcome.train_success) == 1
    again = Navigator.load(folder / outcome.weights)
    envs = [make_env("widget:text") for _ in range(4)]
    assert successes(rollouts(envs, again, range(100, 120))).mean() > 0.8
    assert successes(rollouts(envs, RandomNavigator(0), range(100, 120))).mean() < 0.5


@pytest.mark.skipif(
    not any(map(shutil.which, BROWSERS)) or not shutil.which("chromedriver"),
    reason="no Chromium with its driver here",
)
def test_what_was_practised_without_a_browser_is_done_in_one(trained) -> None:
    outcome, folder = trained
    cases = 6
    trials = [Trial("enter-text", weights, 0, cases) for weights in (outcome.weights, "")]
    knows, at_random = evaluate_in_browser(folder, trials)
    assert len(knows) == len(at_random) == cases
    assert sum(knows) > sum(at_random)
    assert sum(knows) >= 4
    [played] = film_in_browser(folder, outcome.weights, ["enter-text"])
    assert played.success


@pytest.mark.parametrize("curriculum", ["none", "warm start", "goal simulation", "meta-trainer"])
def test_the_same_job_has_the_same_outcome(curriculum, tmp_path) -> None:
    same_job = job(ArmSettings("x", ("form:login",), curriculum, dense=True), frames=700)
    first, second = train_student(same_job, tmp_path), train_student(same_job, tmp_path)
    assert first == second
    assert len(first.inet) == (3 if curriculum == "meta-trainer" else 0)


def test_a_page_with_too_much_on_it_is_seen_in_part() -> None:
    env = make_env("form:long", seed=0)
    obs, _ = env.reset(seed=0)
    crowded = {**obs, "dom": obs["dom"] * 3}
    [action] = Navigator(network()).act([crowded])
    assert action.ref in [element.ref for element in obs["dom"][: SIZES.elements]]


def network():
    from biddable.policies.web.qweb import QWeb

    return QWeb()


def test_the_arms_are_those_of_the_issue() -> None:
    arms = {arm.name: arm for arm in WebNavigation(WebNavigationConfig())._arms()}
    assert {name: (arm.curriculum, arm.dense) for name, arm in arms.items()} == {
        "easy form": ("none", False),
        "sparse": ("none", False),
        "dense": ("none", True),
        "deep only": ("none", True),
        "warm start": ("warm start", False),
        "goal simulation": ("goal simulation", False),
        "metaqweb": ("meta-trainer", True),
        "all pages": ("none", True),
    }
    assert [name for name, arm in arms.items() if not arm.shallow] == ["deep only"]
    assert len(PRACTISED) >= 8
    assert not set(PRACTISED) & set(OTHERS)


@pytest.mark.skipif(
    not any(map(shutil.which, BROWSERS)) or not shutil.which("chromedriver"),
    reason="no Chromium with its driver here",
)
def test_a_task_whose_instruction_has_no_fields_is_refused_before_training(tmp_path) -> None:
    tasks = {"browser_tasks": ("enter-text", "click-test")}
    with pytest.raises(InputError) as caught:
        biddable.run("web-navigation", out=tmp_path / "run", **{**TINY, **tasks})
    assert str(caught.value) == (
        "browser_tasks is 'click-test', expected tasks with at least one field in the instruction, unlike "
        "'Click the button.'"
    )
    assert not (tmp_path / "run").exists(), "nothing was written"


def test_the_same_run_ends_the_same_after_a_kill(tmp_path, killed_run) -> None:
    whole = biddable.run("web-navigation", out=tmp_path / "whole", **TINY)
    assert len(whole.metrics["arms"]) == 8
    killed = killed_run("web-navigation", TINY, "students", 2)
    again = biddable.run("web-navigation", out=killed, **TINY)
    assert again.metrics == whole.metrics
    assert again.comparisons == whole.comparisons
    assert again.timing["opened"] == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"form": "tax"}, "env is 'form:tax', expected form: and one of login, short, long"),
        (
            {"browser_tasks": ("click-nothing",)},
            "env is 'miniwob:click-nothing', expected miniwob: and a task",
        ),
        ({"warm_start_probability": 1.5}, "warm_start_probability is 1.5"),
        ({"final_epsilon": -0.1}, "final_epsilon is -0.1"),
        ({"seeds": 1}, "seeds is 1"),
        ({"frames": 0}, "frames is 0"),
    ],
)
def test_settings_that_there_are_not(setting, message, tmp_path) -> None:
    with pytest.raises(InputError) as caught:
        biddable.run("web-navigation", out=tmp_path / "run", **{**TINY, **setting})
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists(), "nothing was written"
