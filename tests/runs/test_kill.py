"""Whatever is killed, wherever, ends as if it had not been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

JOB = Path(__file__).with_name("job.py")
ROOT = Path(__file__).parents[2]


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, str(JOB), *arguments], env=environment, text=True, **options)


def outcomes(*arguments: str) -> list[dict[str, Any]]:
    process = start(*arguments, stdout=subprocess.PIPE)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return json.loads(output)


def final_state(folder: Path) -> dict[str, Any]:
    """Everything a run leaves that does not depend on the clock."""
    results = json.loads((folder / "results.json").read_text())
    del results["timing"]
    files = ("config.json", "environment.json", "metrics.jsonl", "stages/drawn.json", "stages/tasks.json",
             "stages/answers.jsonl", "stages/scores.jsonl", "artifacts/model/weights.json")  # fmt: skip
    return {"results": results, **{name: (folder / name).read_text() for name in files}}


def leftovers(folder: Path) -> list[str]:
    expected = {".lock", "config.json", "environment.json", "journal.jsonl", "metrics.jsonl", "results.json",
                "stages", "checkpoints", "artifacts"}  # fmt: skip
    stray = [path.name for path in folder.rglob("*.biddable-tmp")]
    return sorted({path.name for path in folder.iterdir()} - expected) + stray


def check(folder: Path, children: list[dict[str, Any]], undisturbed: dict[str, Any]) -> None:
    for outcome in children:
        assert final_state(folder / outcome["folder"]) == undisturbed, outcome
        assert outcome["again"] == []
        assert leftovers(folder / outcome["folder"]) == []
        computed = (folder / outcome["folder"]).with_suffix(".computed").read_text().split()
        assert set(computed) == {f"t{i}" for i in range(8)}


def test_killed_at_random_moments(tmp_path: Path) -> None:
    children = outcomes("random", str(tmp_path), "30")
    assert sum(outcome["kills"] for outcome in children) >= 30
    check(tmp_path, children, final_state(tmp_path / "undisturbed"))


@pytest.mark.parametrize("fault", ["kill", "full"])
def test_killed_or_out_of_space_at_every_call_to_the_file_system(tmp_path: Path, fault: str) -> None:
    children = outcomes(fault, str(tmp_path))
    assert len(children) > 50, "the job should make more calls than this"
    # That a folder cannot be made is no matter where it is there already.
    assert sum(outcome["kills"] for outcome in children) > 0.8 * len(children)
    check(tmp_path, children, final_state(tmp_path / "undisturbed"))


def test_killed_with_worker_processes(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start("processes:2", str(folder), "0.2")
    journal = folder / "stages" / "answers.jsonl"
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 2):
        assert time.monotonic() < deadline
        assert process.poll() is None, "the job ended before it could be killed"
        time.sleep(0.005)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "worker processes outlive the run"
        time.sleep(0.01)

    assert start("processes:2", str(folder), "0").wait(timeout=60) == 0
    assert start("in-process", str(tmp_path / "undisturbed"), "0").wait(timeout=60) == 0
    state, expected = final_state(folder), final_state(tmp_path / "undisturbed")
    # Batches are journaled in the order they finish.
    for each in (state, expected):
        each["stages/answers.jsonl"] = sorted(each["stages/answers.jsonl"].splitlines())
    assert state == expected


def children(pid: int) -> list[int]:
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    if not listing.exists():
        pytest.skip("this system does not list child processes")
    return [int(child) for child in listing.read_text().split()]
