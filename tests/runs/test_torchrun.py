"""A run in several processes: the first owns the folder, the others follow it and train with it."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import biddable.runs.run as run_module
from biddable.errors import RunError
from biddable.runs import follower
from biddable.runs.environment import rank
from biddable.runs.files import read_jsonl
from biddable.runs.results import Results, read_results
from biddable.runs.run import Run

JOB = Path(__file__).with_name("torchrun_job.py")
ROOT = Path(__file__).parents[2]
NOT_CALLED: Any = None


@pytest.fixture(autouse=True)
def same_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "environment", lambda: {"python": "any"})


def own(folder: Path, **changes: Any) -> Run:
    return Run.open(folder, **{"method": "m", "config": {"a": 1}, "seed": 0, **changes})


def follow(folder: Path, **changes: Any) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANK", "1")
        patch.setenv("WORLD_SIZE", "2")
        run = own(folder, **changes)
    assert run._follower is not None
    return run


def content(folder: Path) -> dict[str, bytes | None]:
    files = folder.rglob("*")
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in files}


# One process after the other


def test_a_follower_reads_what_is_finished_and_writes_nothing(tmp_path: Path, capfd: Any) -> None:
    def fill(folder: Path) -> None:
        (folder / "w").write_text("1")

    def numbers() -> list[int]:
        return run.map("inner", [1, 2, 3], lambda batch: batch, int, 2)

    def walk(run: Run, *functions: Any) -> list[Any]:
        stage, mapped, filled = functions
        numbers = run.stage("numbers", stage, list[int])
        words = run.map("words", numbers, mapped, str, 2)
        weights = run.stage_folder("weights", filled)
        model = run.publish(weights, "model")
        run.artifact("data", "note.txt").write_text("x")
        run.log("weights", 1, loss=0.5)
        run.describe(device="cpu")
        results = run.finish([], metrics={"words": words})
        return [numbers, words, weights, (model / "w").read_text(), results.metrics, run.seed("x")]

    with own(tmp_path / "run") as run:
        expected = walk(run, numbers, lambda batch: [str(item) for item in batch], fill)
        before = content(tmp_path / "run")
        with follow(tmp_path / "run") as following:
            scratch = following.folder
            assert walk(following, NOT_CALLED, NOT_CALLED, NOT_CALLED) == expected
            assert not (following.checkpoints("more")).exists()
        assert content(tmp_path / "run") == before
        assert not scratch.exists()
    # A finished run is followed to its end though nobody holds it any more.
    with follow(tmp_path / "run") as following:
        assert walk(following, NOT_CALLED, NOT_CALLED, NOT_CALLED) == expected
    assert capfd.readouterr() == ("", "")


def test_a_follower_waits_for_the_whole_of_a_stage(tmp_path: Path) -> None:
    def follow_all() -> None:
        with following as run:
            values.append(run.stage("number", NOT_CALLED, int))
            values.append(run.map("words", range(5), NOT_CALLED, str, 2))
            values.append((run.stage_folder("weights", share) / "w").read_text())

    def share(folder: Path) -> None:
        shares.append(folder)
        (folder / "w").write_text("mine")

    def slow(value: Any) -> Any:
        time.sleep(0.25)
        return value

    values: list[Any] = []
    shares: list[Path] = []
    thread = threading.Thread(target=follow_all, daemon=True)
    with own(tmp_path) as run:
        following = follow(tmp_path)
        thread.start()
        run.stage("number", lambda: slow(3), int)
        run.map("words", range(5), lambda batch: slow([str(item) for item in batch]), str, 2)
        run.stage_folder("weights", lambda folder: slow((folder / "w").write_text("whole")))
        thread.join(timeout=10)
    assert values == [3, list("01234"), "whole"]
    assert [folder.exists() for folder in shares] == [False]


def test_a_follower_of_another_run_is_refused(tmp_path: Path) -> None:
    own(tmp_path).close()
    with pytest.raises(RunError, match=r"config.a was 1, is now 2; use another folder"):
        follow(tmp_path, config={"a": 2})


def test_a_run_that_nobody_opens_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(follower, "SECONDS_TO_START", 0.2)
    with pytest.raises(RunError, match="the first process did not open it in 0 s"):
        follow(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_owner_that_ends_too_early_is_said(tmp_path: Path) -> None:
    owner = own(tmp_path)
    with follow(tmp_path) as run:
        timer = threading.Timer(0.3, owner.close)
        timer.start()
        with pytest.raises(RunError, match="the first process ended before stage number was finished"):
            run.stage("number", NOT_CALLED, int)
        timer.join()


def test_a_share_that_fails_says_why_unless_the_owner_is_gone(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        raise RuntimeError("connection closed by peer")

    with own(tmp_path), follow(tmp_path) as run, pytest.raises(RuntimeError, match="closed by peer"):
        run.stage_folder("weights", fail)
    with (
        follow(tmp_path) as run,
        pytest.raises(RunError, match="the first process ended before stage weights was finished"),
    ):
        run.stage_folder("weights", fail)


def test_the_rank_counts_only_among_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    assert rank() == 0
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert rank() == 0
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert rank() == 3


# Processes side by side


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    """The job in one process: this one."""
    spec = importlib.util.spec_from_file_location("torchrun_job", JOB)
    job = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(job)
    return job.job(tmp_path_factory.mktemp("alone") / "run")


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    # On a machine without a GPU, Accelerate takes the processes together only when told so.
    alike = {
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    return {**os.environ, **alike, **more}


def start(folder: Path, number: int, port: int, **more: str) -> subprocess.Popen[str]:
    ranks = {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2"}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return subprocess.Popen(
        [sys.executable, str(JOB), str(folder)],
        env=environment(**ranks, **address, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def test_two_processes_killed_and_resumed_end_as_one(tmp_path: Path, alone: Results) -> None:
    folder = tmp_path / "run"
    port = free_port()
    # Without torchrun, which would end the second process itself.
    owner, other = start(folder, 0, port, DIE_AT_STEP="7"), start(folder, 1, port)
    out, err = other.communicate(timeout=120)
    assert owner.wait(timeout=10) == -signal.SIGKILL, owner.stderr.read()
    assert (other.returncode, out) == (1, "")
    ended = f"error: {folder}: the first process ended before stage weights was finished; see what it said"
    assert err.strip() == ended
    assert list((folder / "checkpoints" / "weights").iterdir())

    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", JOB, folder],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = read_results(folder)
    assert results.metrics["after"] == pytest.approx(alone.metrics["after"], abs=1e-3)
    assert results.comparisons[0].difference == pytest.approx(alone.comparisons[0].difference, abs=1e-3)
    assert alone.comparisons[0].difference > 0.5, "something is learned"
    assert set(folder.with_suffix(".computed").read_text().split()) == {"0"}
    steps = [entry["step"] for _, entry in read_jsonl(folder / "metrics.jsonl")]
    assert steps == list(range(1, 31))
    assert not list(folder.rglob("*.biddable-tmp"))


def test_a_follower_of_a_killed_owner_ends_by_itself(tmp_path: Path) -> None:
    script = (
        "import sys, time; from biddable.runs.run import Run;"
        "run = Run.open(sys.argv[1], 'm', {}, 0); print('open', flush=True);"
        "run.stage('long', lambda: time.sleep(60), None)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            env=environment(RANK=number, WORLD_SIZE="2"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in ("0", "1")
    ]
    owner, other = processes
    assert [process.stdout.readline() for process in processes] == ["open\n", "open\n"]
    time.sleep(0.3)
    owner.kill()
    _, err = other.communicate(timeout=20)
    owner.communicate()
    assert other.returncode == 1
    assert err.strip().splitlines()[-1] == (
        "biddable.errors.RunError: "
        f"{tmp_path}: the first process ended before stage long was finished; see what it said"
    )
