"""An environment that breaks while a method runs: the run says what happened and loses nothing finished."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import biddable
from biddable.envs.minigrid import GridEnv
from biddable.envs.reach2d import Reach2DEnv
from biddable.errors import BiddableError
from biddable.experiments import beacon_students as student
from biddable.experiments import compatible_policies as experiment
from biddable.experiments.beacon_jobs import TEST_SEED
from biddable.runs.results import Results

STUDENTS = {
    "level": "MiniGrid-MultiRoom-N2-S4-v0", "seeds": 2, "frames": 64, "cases": 3, "teacher_model": "",
    "num_envs": 4, "num_steps": 16, "workers": 1,
}  # fmt: skip
DEMOS = {
    "tasks": ("Reach2DPillar",), "seeds": 2, "base_demos": 4, "new_demos": 4, "reverse_demos": 2,
    "cases": 4, "members": 2,
    "hidden": 8, "epochs": 2,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {"words-as-beacons": STUDENTS, "compatible-demos": DEMOS}


class Fault:
    """Breaks ``kind.step`` in test episodes: from the ``first`` step on, ``times`` times."""

    def __init__(self, monkeypatch: Any, kind: type, test_seed: int, first: int, times: int):
        self.left, self.steps = times, 0
        reset, step = kind.reset, kind.step

        def noted_reset(env: Any, *, seed: int | None = None, options: Any = None) -> Any:
            env.tested = seed is not None and test_seed <= seed < test_seed + 100
            return reset(env, seed=seed, options=options)

        def faulty_step(env: Any, action: Any) -> Any:
            if env.tested:
                self.steps += 1
                if self.steps > first and self.left:
                    self.left -= 1
                    raise OSError("the simulator is gone")
            return step(env, action)

        monkeypatch.setattr(kind, "reset", noted_reset)
        monkeypatch.setattr(kind, "step", faulty_step)


def counted(monkeypatch: Any, owner: Any, name: str) -> list[int]:
    """One entry for every call of a function that works a whole item."""
    calls: list[int] = []
    original: Callable[..., Any] = getattr(owner, name)

    def noted(*args: Any) -> Any:
        calls.append(1)
        return original(*args)

    monkeypatch.setattr(owner, name, noted)
    return calls


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Callable[[str], Results]:
    """What a method gives where nothing breaks."""

    @cache
    def run(method: str) -> Results:
        return biddable.run(method, out=tmp_path_factory.mktemp("whole") / method, **SETTINGS[method])

    return run


def finished(folder: Path, stage: str) -> int:
    """Items in a stage's journal, which begins with a header."""
    return len((folder / "stages" / f"{stage}.jsonl").read_text().splitlines()) - 1


def test_a_simulator_that_breaks_for_a_moment_changes_no_result(whole, tmp_path, monkeypatch, caplog) -> None:
    expected = whole("compatible-demos")
    Fault(monkeypatch, Reach2DEnv, experiment.TEST_SEED, first=900, times=1)
    broken = biddable.run("compatible-demos", out=tmp_path / "broken", **DEMOS)
    assert broken.metrics == expected.metrics
    assert broken.comparisons == expected.comparisons
    [said] = [line for line in caplog.messages if "broke" in line]
    assert said.startswith("episode of seed 1000")
    assert said.endswith("the environment broke, the episode is begun again: OSError: the simulator is gone")


@pytest.mark.parametrize(
    ("method", "stage", "items", "kind", "seed", "first", "item"),
    [
        ("compatible-demos", "reach2dpillar-seeds", 2, Reach2DEnv, experiment.TEST_SEED, 2500,
         (experiment.Experiment, "run")),
        ("words-as-beacons", "students", 10, GridEnv, TEST_SEED, 1000, (student, "train_student")),
    ],
)  # fmt: skip
def test_one_that_stays_broken_ends_the_run_which_then_goes_on(
    method, stage, items, kind, seed, first, item, whole, tmp_path, monkeypatch
) -> None:
    expected = whole(method)
    with monkeypatch.context() as patch:
        Fault(patch, kind, seed, first, times=-1)
        with pytest.raises(BiddableError) as caught:
            biddable.run(method, out=tmp_path / "run", **SETTINGS[method])
    assert "the environment broke 3 times, at last with OSError: the simulator is gone" in str(caught.value)
    assert "\n" not in str(caught.value)
    before = finished(tmp_path / "run", stage)
    assert 0 < before < items
    calls = counted(monkeypatch, *item)
    again = biddable.run(method, out=tmp_path / "run", **SETTINGS[method])
    assert len(calls) == items - before
    assert again.metrics == expected.metrics
    assert again.comparisons == expected.comparisons
    assert again.timing["opened"] == 2
