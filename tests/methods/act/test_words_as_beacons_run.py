"""Words as Beacons as a run: students, arms, what is left, and what a kill does not change."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import biddable
from biddable.envs.minigrid_subgoals import KINDS
from biddable.errors import InputError
from biddable.experiments.beacon_jobs import ArmSettings, Job
from biddable.experiments.beacon_students import train_student
from biddable.methods.act.words_as_beacons import (
    PUBLISHED,
    TAUGHT,
    WordsAsBeacons,
    WordsAsBeaconsConfig,
)
from biddable.methods.base import prepare
from biddable.models.embedding import text_vectors

LEVEL = "MiniGrid-MultiRoom-N2-S4-v0"
TINY = {
    "level": LEVEL, "seeds": 2, "frames": 128, "cases": 2, "teacher_model": "", "num_envs": 4,
    "num_steps": 16, "workers": 1,
}  # fmt: skip


def job(arm: ArmSettings, **changes) -> Job:
    settings = {"seed": 0, "level": LEVEL, "frames": 128, "threshold": 0.8, "cases": 3}
    return Job(arm, **{**settings, **changes}, ppo={"num_envs": 4, "num_steps": 16, "lr": 1e-3})


@pytest.mark.parametrize("encoding", ["relative", "representation"])
def test_a_student_is_measured(encoding) -> None:
    outcome, network = train_student(job(ArmSettings("x", encoding, (1.0,)), threshold=0.01))
    assert (outcome.frames, outcome.reached) == (128, False), "100 episodes have not ended yet"
    assert [frames for frames, _ in outcome.curve] == [64, 128]
    assert len(outcome.with_teacher) == len(outcome.alone) == 3
    assert network.layers.layers[3].inputs == 32 + {"relative": 2, "representation": 3}[encoding]


def test_the_same_job_has_the_same_outcome() -> None:
    noisy_job = job(ArmSettings("x", "representation", (0.5,)), frames=256)
    assert train_student(noisy_job)[0] == train_student(noisy_job)[0]


def test_a_student_learns_a_small_level_with_a_teacher() -> None:
    arm = ArmSettings("x", "representation", (1.0,))
    settings = {"num_envs": 16, "num_steps": 128, "lr": 1e-3}
    outcome, _ = train_student(Job(arm, 0, LEVEL, 60_000, 0.8, 20, settings))
    assert outcome.reached
    assert outcome.frames < 60_000
    assert np.mean(outcome.with_teacher) > 0.8


def test_the_arms_are_those_of_the_issue() -> None:
    method = WordsAsBeacons(WordsAsBeaconsConfig(noisy_teachers=True))
    arms = {arm.name: arm for arm in method._arms([0.9, 0.5, 0.5, 0.8])}
    assert list(arms) == [
        "ppo", "relative", "representation", "language", "reward only", "input only", "taught by llama",
        "taught by llama, relative", "taught by deepseek", "taught by qwen", "taught by smollm2",
    ]  # fmt: skip
    assert (arms["ppo"].accuracy, arms["reward only"].shown, arms["input only"].alpha) == ((), False, 0.0)
    assert arms["taught by qwen"].accuracy == (0.3521,)
    assert arms["taught by llama, relative"].accuracy == (PUBLISHED["MultiRoom-N4-S5"]["llama"].relative,)
    assert arms["taught by smollm2"].accuracy == (0.9, 0.5, 0.5, 0.8)
    other = WordsAsBeacons(WordsAsBeaconsConfig(noisy_teachers=True, teacher_model="Qwen/Qwen2.5-0.5B"))
    assert [arm.name for arm in other._arms([0.9])][-1] == "taught by the measured model"


def test_the_same_run_ends_the_same_after_a_kill(tmp_path, killed_run) -> None:
    whole = biddable.run("words-as-beacons", out=tmp_path / "whole", **TINY)
    assert set(whole.metrics["arms"]) == {"ppo", "relative", "representation", "reward only", "input only"}
    frames = [comparison for comparison in whole.comparisons if comparison.metric == "frames to success"]
    assert {(comparison.n, comparison.seeds, comparison.interval_kind) for comparison in frames} == {
        (1, (0, 1), "t over 2 seeds")
    }
    killed = killed_run("words-as-beacons", TINY, "students", 2)
    again = biddable.run("words-as-beacons", out=killed, **TINY)
    assert again.metrics == whole.metrics
    assert again.comparisons == whole.comparisons
    assert again.timing["opened"] == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"level": "MiniGrid-Nowhere-v0"}, "level is 'MiniGrid-Nowhere-v0', expected a level of MiniGrid"),
        ({"level": "MiniGrid-Empty-5x5-v0"}, "expected a level of MultiRoom, KeyCorridor"),
        ({"subgoal_bonus": -1.0}, "subgoal_bonus is -1.0"),
        ({"seeds": 1}, "seeds is 1"),
    ],
)
def test_settings_that_there_are_not(setting, message, tmp_path) -> None:
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        biddable.run("words-as-beacons", out=tmp_path / "run", **{**TINY, **setting})
    assert not (tmp_path / "run").exists(), "nothing was written"


def test_no_model_and_no_published_teacher_leave_a_preset_its_other_arms() -> None:
    alone = {"level": "MiniGrid-DoorKey-5x5-v0", "teacher_model": ""}
    made = prepare(WordsAsBeacons, "full", alone)
    made.check()
    assert [arm.name for arm in made._arms([])][-2:] == ["reward only", "input only"]
    with pytest.raises(
        InputError, match="noisy_teachers is True, expected nothing: it has an effect only with"
    ):
        prepare(WordsAsBeacons, "default", {**alone, "noisy_teachers": True})


def test_the_levels_with_published_teachers_are_those_of_their_names() -> None:
    named = {each for each in gymnasium.registry if any(f"-{name}-" in each for name in PUBLISHED)}
    assert named == {*TAUGHT}
    prepare(WordsAsBeacons, "default", {"level": TAUGHT[0], "teacher_model": "", "noisy_teachers": True})


def test_names_become_vectors_that_tell_them_apart(smollm2) -> None:
    phrases = [kind.replace("_", " ") for kind in KINDS]
    vectors = text_vectors(smollm2, phrases)
    assert vectors.shape == (len(KINDS), 576)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    alike = vectors @ vectors.T - 2 * np.eye(len(KINDS))
    assert alike.max() < 0.9999, "no two phrases have the same vector"
    red, blue, key = (phrases.index(text) for text in ("red door", "blue door", "key"))
    assert alike[red, blue] > alike[red, key]
