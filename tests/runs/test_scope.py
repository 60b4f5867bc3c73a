"""Names of their own for parts of a run, and the run's own executor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from biddable.errors import InputError, RunError
from biddable.runs import executors
from biddable.runs.run import Run


def test_a_scope_is_the_run_with_longer_names(tmp_path: Path) -> None:
    with Run.open(tmp_path, "m", {}, 0) as run:
        scope = run.scope("seed0").scope("a")
        assert scope.stage("x", lambda: 1, int) == 1
        assert (tmp_path / "stages" / "seed0-a-x.json").exists()
        assert scope.seed("draw", 3) == run.seed("seed0-a-draw", 3) != run.seed("draw", 3)
        assert scope.checkpoints("t") == run.checkpoints("seed0-a-t")
        scope.log("t", 1, loss=2.0)
        assert run.logged("seed0-a-t", "loss") == scope.logged("t", "loss") == [(1, 2.0)]
        with pytest.raises(RunError, match="used twice"):
            run.stage("seed0-a-x", lambda: 1, int)
        assert scope.artifact("data") == run.artifact("data")
        with pytest.raises(InputError):
            run.scope("No")


def test_a_map_goes_where_the_run_computes(tmp_path: Path) -> None:
    used = []

    def noting(fn: Any, batches: Any) -> Any:
        used.append(fn)
        return executors.in_process(fn, batches)

    with Run.open(tmp_path, "m", {}, 0, executor=noting) as run:
        assert run.scope("s").map("sorted", [3, 1], sorted, int, 2) == [1, 3]
        assert run.map("here", [3, 1], sorted, int, 2, executor=executors.in_process) == [1, 3]
    assert used == [sorted]


def test_what_cannot_be_sent_is_one_line(tmp_path: Path) -> None:
    with (
        Run.open(tmp_path, "m", {}, 0, executor=executors.processes(1)) as run,
        pytest.raises(RunError, match=r"lambda.* cannot be sent to other processes"),
    ):
        run.map("closure", [1], lambda batch: batch, int, 1)
