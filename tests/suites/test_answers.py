"""The same answers in process, in worker processes and on a Ray cluster of two workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from biddable.errors import ModelError
from biddable.models.base import Sampling
from biddable.models.lazy import LazyModel
from biddable.runs.executors import processes, ray_tasks
from biddable.runs.run import Run
from biddable.suites import answers as module
from biddable.suites.answers import Ask, answers
from biddable.types import user

from ..train.tiny import local

PROMPTS = [user(f"w{i} w{i + 1}") for i in range(4)]
HOW = Sampling(max_tokens=4)


def texts(folder: Path, weights: Path, **options: Any) -> list[list[str]]:
    with Run.open(folder, "m", {}, 0, **options) as run:
        rows = answers(run, "said", Ask(LazyModel(weights), HOW, n=2), PROMPTS)
    return [[one.text for one in row] for row in rows]


@pytest.mark.parametrize("where", ["processes", "ray"])
def test_where_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    weights = local().save(tmp_path / "weights")
    here = texts(tmp_path / "here", weights)
    if where == "processes":
        assert texts(tmp_path / "there", weights, executor=processes(2)) == here
        return
    ray = pytest.importorskip("ray", reason="Ray is an extra")
    ray.init(num_cpus=2, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    try:
        assert texts(tmp_path / "there", weights, executor=ray_tasks()) == here
        with pytest.raises(ModelError):
            texts(tmp_path / "none", tmp_path, executor=ray_tasks())
    finally:
        ray.shutdown()
