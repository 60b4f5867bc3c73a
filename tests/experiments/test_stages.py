from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from biddable.experiments import stages
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
