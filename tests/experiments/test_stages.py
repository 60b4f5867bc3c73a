from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import biddable
from biddable.experiments import stages
from biddable.experiments.stages import with_seed
from biddable.policies.config import ImitationConfig
from biddable.runs.run import Run
from biddable.train.config import SftConfig


def test_lessons_that_were_too_long_are_said_in_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(folder: Path) -> None:
        (folder / "weights").write_text("w")

    def train(*_: Any, **__: Any) -> Any:
        return SimpleNamespace(dropped=2)

    monkeypatch.setattr(stages, "load_trainable", lambda *_, **__: SimpleNamespace(save=save))
    for _ in range(2):
        with Run.open(tmp_path / "r", "m", {}, 0) as run:
            stages.trained(run, "lessons", "base", SftConfig(), train)
            results = run.finish([])
        assert list(results.notes) == ["lessons: 2 examples were too long to be learned and were left out."]


def test_a_repetition_adds_its_seed_to_that_of_the_settings() -> None:
    for config in (SftConfig(seed=3), ImitationConfig(seed=3)):
        assert with_seed(config, 4).seed == 7
        assert with_seed(replace(config, seed=0), 4) == replace(config, seed=4)


def test_nothing_else_replaces_the_seed_that_a_user_gave() -> None:
    """A setting such as ``--fit.seed`` that a repetition replaced would have no effect."""
    room = Path(biddable.__file__).parent
    places = []
    for file in [*room.glob("methods/**/*.py"), *room.glob("experiments/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id == "replace" and any(keyword.arg == "seed" for keyword in node.keywords):
                places.append(file.name)
    assert places == ["stages.py"]
