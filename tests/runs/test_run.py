from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import biddable.runs.run as run_module
from biddable.errors import FileError, InputError, RunError, StorageError
from biddable.runs import executors
from biddable.runs.compare import compare
from biddable.runs.files import read_json, read_jsonl
from biddable.runs.folder import artifact_of, is_run
from biddable.runs.results import read_results
from biddable.runs.run import Run
from biddable.types import Check, Message, Task, user

ROOT = Path(__file__).parents[2]
CONFIG = {"branch": 3, "gate": 0.5, "sampling": {"stop": ("a", "b")}}


def open_run(folder: Path, **changes: Any) -> Run:
    return Run.open(folder, **{"method": "spar", "config": CONFIG, "seed": 0, **changes})


@pytest.fixture(autouse=True, scope="module")
def same_environment() -> Iterator[None]:
    """Somebody may commit while the tests run, and asking git takes its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "environment", lambda: {"python": "any"})
        yield


class Calls:
    """Counts how often something is computed."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []

    def __call__(self, batch: list[Any] | None = None) -> list[Any]:
        self.batches.append(list(batch or []))
        return [str(item) for item in self.batches[-1]]


# The folder


def test_a_new_run_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_run(Path("runs/first")) as run:
        assert run.folder == tmp_path / "runs" / "first"
    assert is_run("runs/first")
    config = {"branch": 3, "gate": 0.5, "sampling": {"stop": ["a", "b"]}}
    assert read_json("runs/first/config.json") == {"method": "spar", "seed": 0, "config": config}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "sage"}, "method was 'spar', is now 'sage'"),
        ({"seed": 1}, "seed was 0, is now 1"),
        ({"config": {**CONFIG, "branch": 4}}, "config.branch was 3, is now 4"),
        (
            {"config": {**CONFIG, "sampling": {"stop": ["a", "c"]}}},
            r"config.sampling.stop[1] was 'b', is now 'c'",
        ),
        ({"config": {**CONFIG, "sampling": {"stop": []}}}, "config.sampling.stop was ['a', 'b'], is now []"),
        ({"config": {**CONFIG, "keep": 2}}, "config.keep was absent, is now 2"),
        ({"config": {"branch": 3, "sampling": CONFIG["sampling"]}}, "config.gate was 0.5, is now absent"),
    ],
)
def test_another_run_is_refused_and_nothing_changes(tmp_path: Path, changes: Any, message: str) -> None:
    open_run(tmp_path).close()
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(RunError) as caught:
        open_run(tmp_path, **changes)
    assert str(caught.value) == f"{tmp_path}: {message}; use another folder"
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    open_run(tmp_path).close()


def test_a_folder_that_is_no_run_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RunError, match="holds files but no run"):
        open_run(tmp_path)
    assert os.listdir(tmp_path) == ["config.json"]
    with pytest.raises(RunError, match="is a file, expected a folder"):
        open_run(tmp_path / "config.json")
    with pytest.raises(StorageError, match="part of the path is a file"):
        open_run(tmp_path / "config.json" / "run")


def test_a_run_killed_while_it_was_made_is_new(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("1")
    (tmp_path / ".config.json.00000000.biddable-tmp").write_text("{")
    open_run(tmp_path).close()
    assert not list(tmp_path.glob("*tmp"))


def test_a_damaged_config_is_named(tmp_path: Path) -> None:
    open_run(tmp_path).close()
    (tmp_path / "config.json").write_text('{"method": ')
    with pytest.raises(FileError, match=r"config.json:1: not JSON"):
        open_run(tmp_path)


def test_a_negative_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seed is -1, expected an integer of at least 0"):
        open_run(tmp_path / "run", seed=-1)
    assert not (tmp_path / "run").exists()


def test_a_run_is_held_by_one_process_until_it_ends(tmp_path: Path) -> None:
    script = (
        "import sys; from biddable.runs.run import Run;"
        f"run = Run.open(sys.argv[1], 'spar', {CONFIG!r}, 0); print('open', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    with pytest.raises(RunError, match=f"in use by process {holder.pid}$"):
        open_run(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with open_run(tmp_path), pytest.raises(RunError, match=f"in use by process {os.getpid()}$"):
        open_run(tmp_path)
    open_run(tmp_path).close()


# Stages


def test_a_stage_is_computed_once_and_always_handed_out_as_read_back(tmp_path: Path) -> None:
    def compose() -> list[Task]:
        calls()
        return [Task("a", user("x"), meta={"span": (1, 2)})]

    calls = Calls()
    with open_run(tmp_path) as run:
        first = run.stage("tasks", compose, list[Task])
    with open_run(tmp_path) as run:
        second = run.stage("tasks", compose, list[Task])
    assert first == second == [Task("a", (Message("user", "x"),), meta={"span": [1, 2]})]
    assert len(calls.batches) == 1


def test_a_stage_that_fails_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        with pytest.raises(ZeroDivisionError):
            run.stage("ratio", lambda: 1 / 0, float)
        with pytest.raises(TypeError, match="not a value of"):
            run.stage("word", lambda: "x", int)
    assert os.listdir(tmp_path / "stages") == []
    with open_run(tmp_path) as run:
        assert run.stage("ratio", lambda: 0.5, float) == 0.5


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-2], lambda text: text.replace(b"12345", b"12346"), lambda _: b""]
)
def test_a_damaged_stage_is_named_not_used(tmp_path: Path, damage: Any) -> None:
    with open_run(tmp_path) as run:
        run.stage("number", lambda: 12345, int)
    path = tmp_path / "stages" / "number.json"
    path.write_bytes(damage(path.read_bytes()))
    with open_run(tmp_path) as run, pytest.raises(FileError, match=r"number.json: damaged; delete the file"):
        run.stage("number", lambda: 12345, int)


def test_a_stage_read_as_another_type_is_named(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        run.stage("numbers", lambda: [1, 2], list[int])
    with open_run(tmp_path) as run, pytest.raises(FileError, match=r"numbers.json: \[0\].id|\[0\]: "):
        run.stage("numbers", lambda: [1, 2], list[Task])


def test_what_another_version_kept_says_what_to_do(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        run.stage("numbers", lambda: [1, 2], list[int])
        run.map("words", range(2), Calls(), str, 1)
    told = r"(numbers.json|words.jsonl:2): .*; it may be of another version: use another run folder"
    with open_run(tmp_path) as run, pytest.raises(FileError, match=told):
        run.stage("numbers", lambda: [1, 2], list[Task])
    with open_run(tmp_path) as run, pytest.raises(FileError, match=told):
        run.map("words", range(2), Calls(), Task, 1)


def test_one_name_for_two_stages_is_refused(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        run.stage("x", lambda: 1, int)
        with pytest.raises(RunError, match="stage x: the name is used twice"):
            run.map("x", [1], lambda batch: batch, int, 1)


@pytest.mark.parametrize("name", ["", "a/b", "../x", "A", ".x", "x.json", "x" * 101, "a b"])
def test_names_that_are_no_file_names_are_refused(tmp_path: Path, name: str) -> None:
    with open_run(tmp_path) as run, pytest.raises(InputError, match="stage name"):
        run.stage(name, lambda: 1, int)


def test_a_stage_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    def half(folder: Path) -> None:
        (folder / "part").write_text("x")
        (run.checkpoints("weights") / "state").write_text("3")
        raise KeyboardInterrupt

    with open_run(tmp_path) as run, pytest.raises(KeyboardInterrupt):
        run.stage_folder("weights", half)
    assert os.listdir(tmp_path / "stages") == []
    assert (tmp_path / "checkpoints" / "weights" / "state").read_text() == "3"

    for _ in range(2):
        with open_run(tmp_path) as run:
            folder = run.stage_folder("weights", lambda path: (path / "part").write_text("whole"))
        assert folder == tmp_path / "stages" / "weights"
        assert (folder / "part").read_text() == "whole"
    assert not (tmp_path / "checkpoints" / "weights").exists()


# Maps


def test_map_resumes_at_the_next_batch_with_the_same_batches(tmp_path: Path) -> None:
    def fail_at_third(batch: list[int]) -> list[str]:
        if 4 in batch:
            raise KeyboardInterrupt
        return calls(batch)

    calls = Calls()
    with open_run(tmp_path) as run, pytest.raises(KeyboardInterrupt):
        run.map("words", range(7), fail_at_third, str, 2)
    assert calls.batches == [[0, 1], [2, 3]]
    for _ in range(2):
        with open_run(tmp_path) as run:
            assert run.map("words", range(7), calls, str, 2) == list("0123456")
    assert calls.batches == [[0, 1], [2, 3], [4, 5], [6]]


def test_map_hands_out_results_as_read_back(tmp_path: Path) -> None:
    for _ in range(2):
        with open_run(tmp_path) as run:
            checks = run.map(
                "checks", [1, 2], lambda batch: [Check(str(i), {"n": (i,)}) for i in batch], Check, 2
            )
        assert checks == [Check("1", {"n": [1]}), Check("2", {"n": [2]})]


@settings(max_examples=50)
@given(
    finished=st.integers(0, 5), bytes_lost=st.integers(1, 60), items=st.integers(0, 9), size=st.integers(1, 4)
)
def test_a_map_cut_anywhere_in_its_last_line_loses_that_batch_only(
    tmp_path_factory: pytest.TempPathFactory, finished: int, bytes_lost: int, items: int, size: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    with open_run(folder) as run:
        expected = run.map("words", range(items), Calls(), str, size)
    journal = folder / "stages" / "words.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)[: 1 + finished]
    journal.write_bytes(b"".join(lines)[: -min(bytes_lost, len(lines[-1]))])
    calls = Calls()
    with open_run(folder) as run:
        assert run.map("words", range(items), calls, str, size) == expected == [str(i) for i in range(items)]
    batches = [list(range(start, min(start + size, items))) for start in range(0, items, size)]
    assert calls.batches == batches[max(0, len(lines) - 2) :]


def test_results_of_other_items_are_never_mixed_in(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        run.map("words", ["a", "b"], Calls(), str, 1)
    before = (tmp_path / "stages" / "words.jsonl").read_bytes()
    with (
        open_run(tmp_path) as run,
        pytest.raises(RunError, match=r"words.jsonl: the digest of the items"),
    ):
        run.map("words", ["a", "c"], Calls(), str, 1)
    with open_run(tmp_path) as run, pytest.raises(RunError, match="the batch size was 1, is now 2"):
        run.map("words", ["a", "b"], Calls(), str, 2)
    assert (tmp_path / "stages" / "words.jsonl").read_bytes() == before


def test_key_stands_for_items_that_cannot_be_written(tmp_path: Path) -> None:
    items = [object(), object()]
    with open_run(tmp_path) as run, pytest.raises(Exception, match="object"):
        run.map("objects", items, lambda batch: [1] * len(batch), int, 2)
    for objects in (items, [object(), object()]):
        with open_run(tmp_path) as run:
            kwargs = {"key": objects.index}
            assert run.map("objects", objects, lambda batch: [1] * len(batch), int, 2, **kwargs) == [1, 1]


def test_too_many_or_too_few_results_are_refused(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        with pytest.raises(RunError, match="stage few: the function gave 1 results for 2 items"):
            run.map("few", [1, 2], lambda batch: batch[:1], int, 2)
        with pytest.raises(InputError, match="batch_size is 0"):
            run.map("none", [1, 2], lambda batch: batch, int, 0)
    with open_run(tmp_path) as run:
        assert run.map("few", [1, 2], lambda batch: batch, int, 2) == [1, 2]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        run.map("words", range(4), Calls(), str, 1)
    path = tmp_path / "stages" / "words.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"1"', b'"7"'))
    with open_run(tmp_path) as run, pytest.raises(FileError, match=r"words.jsonl:3: damaged"):
        run.map("words", range(4), Calls(), str, 1)


def test_executors_give_the_same_results_in_order(tmp_path: Path) -> None:
    items = [3, 1, 2, 9, 8, 7, 4]
    here = [1, 2, 3, 7, 8, 9, 4]
    with open_run(tmp_path) as run:
        assert run.map("here", items, sorted, int, 3) == here
        assert run.map("workers", items, sorted, int, 3, executor=executors.processes(2)) == here


def test_a_worker_that_dies_is_said(tmp_path: Path) -> None:
    class Deadly:
        """Whoever unpickles it dies."""

        def __reduce__(self) -> Any:
            return os._exit, (1,)

    workers = executors.processes(1)
    with open_run(tmp_path) as run, pytest.raises(RunError, match="a worker process died"):
        run.map("dead", [Deadly()], sorted, int, 1, key=str, executor=workers)


def test_executors_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert executors.named_executor("in-process") is executors.in_process
    assert callable(executors.named_executor("processes:2"))
    for name in ("processes", "processes:0", "processes:x", "threads"):
        with pytest.raises(InputError):
            executors.named_executor(name)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        Exception, match=r'Ray is not installed; install it with: pip install "biddable\[ray\]"'
    ):
        executors.named_executor("ray")


# Seeds


def test_seeds_depend_on_the_root_seed_and_the_keys_alone(tmp_path: Path) -> None:
    with (
        open_run(tmp_path / "a") as first,
        open_run(tmp_path / "b", config={}) as other,
        open_run(tmp_path / "c", seed=1) as third,
    ):
        first.rng("elsewhere").random(5)
        assert first.seed("stage", 3) == other.seed("stage", 3)
        assert first.rng("stage", 3).random() == other.rng("stage", 3).random()
        seeds = [first.seed("stage", i) for i in range(1000)] + [third.seed("stage", i) for i in range(1000)]
        assert len(set(seeds)) == 2000
        assert max(seeds) < 2**32
        assert (
            len({first.seed("1"), first.seed(1), first.seed("1", ""), first.seed(), first.seed("", "1")}) == 5
        )
        assert first.seed(np.int64(3)) == first.seed(3)
        draws = np.array([first.rng("normal", i).normal() for i in range(1000)])
        assert abs(draws.mean()) < 0.15


def test_no_repetition_is_one_of_a_run_with_another_seed(tmp_path: Path) -> None:
    with open_run(tmp_path / "a") as first, open_run(tmp_path / "b", seed=1) as second:
        assert [*first.repetitions(5)] == [0, 1, 2, 3, 4]
        assert not {*first.repetitions(100)} & {*second.repetitions(100)}
        assert second.repetitions(3)[0] == second.first_seed


def test_seeds_stay_what_they_were(tmp_path: Path) -> None:
    """Committed results depend on them."""
    with open_run(tmp_path) as run:
        assert run.seed("stage", 3) == 2918494954
        assert run.rng("stage").integers(1000, size=3).tolist() == [677, 146, 435]


# Metrics, environment, artifacts, results


def test_metrics_hold_each_step_once_after_a_restart(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        run.log("other", 5, loss=9.0)
        for step in range(5):
            run.log("actor", step, loss=float(step))
        run.log("other", 6, loss=float("nan"))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "actor", "st')
    with open_run(tmp_path) as run:
        run.log("actor", 3, loss=np.float32(30.0), rate=0.5)
        run.log("actor", 4, loss=40)
        assert run.logged("actor", "loss") == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0)]
        assert run.logged("actor", "rate") == [(3, 0.5)]
        assert run.logged("other", "loss") == [(5, 9.0)], "what was not finite is no point of a curve"
    assert [entry for _, entry in read_jsonl(tmp_path / "metrics.jsonl")] == [
        {"stage": "other", "step": 5, "loss": 9.0},
        {"stage": "actor", "step": 0, "loss": 0.0},
        {"stage": "actor", "step": 1, "loss": 1.0},
        {"stage": "actor", "step": 2, "loss": 2.0},
        {"stage": "other", "step": 6, "loss": None},
        {"stage": "actor", "step": 3, "loss": 30.0, "rate": 0.5},
        {"stage": "actor", "step": 4, "loss": 40.0},
    ]


def test_a_change_of_environment_is_noted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for torch in ("2.6.0", "2.7.1", "2.7.1", "2.6.0"):
        monkeypatch.setattr(run_module, "environment", lambda torch=torch: {"torch": torch})
        with open_run(tmp_path) as run:
            run.describe(device="cpu")
    expected = {"torch": "2.6.0", "device": "cpu", "resumed_under": ["torch 2.7.1 (was 2.6.0)"]}
    assert read_json(tmp_path / "environment.json") == expected


def test_artifacts_are_found_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_run(Path("first")) as run:
        run.artifact("data", "pairs.txt").write_text("pairs")
        weights = run.stage_folder("weights", lambda path: (path / "w").write_text("1"))
        for _ in range(2):
            assert run.publish(weights, "model") == run.folder / "artifacts" / "model"
    (tmp_path / "first").rename(tmp_path / "moved")
    assert (artifact_of("moved", "model") / "w").read_text() == "1"
    assert artifact_of("moved", "data", "pairs.txt").read_text() == "pairs"
    assert artifact_of("some/model", "model") == Path("some/model")
    with pytest.raises(FileError, match="moved: this run left no judge under artifacts/"):
        artifact_of("moved", "judge")


def test_finish_writes_results_that_differ_in_timing_alone(tmp_path: Path) -> None:
    read_back = []
    for folder in ("a", "b", "b"):
        with open_run(tmp_path / folder) as run:
            run.stage("x", lambda: 1, int)
            comparison = compare("accuracy", [0, 0, 1, 0], [1, 1, 1, 0], seeds=(0,))
            written = run.finish(
                [comparison], metrics={"kept": 3}, timing={"tokens_per_second": 5.0}, notes=["n"]
            )
        read_back.append(read_results(tmp_path / folder))
        assert read_back[-1] == written
    assert read_back[0].config == {"branch": 3, "gate": 0.5, "sampling": {"stop": ["a", "b"]}, "seed": 0}
    assert read_back[0].timing["tokens_per_second"] == 5.0
    assert set(read_back[0].timing["stages"]) == {"x"}
    assert [results.timing["opened"] for results in read_back] == [1, 1, 2]
    plain = [results.model_dump(exclude={"timing"}) for results in read_back]
    assert plain[0] == plain[1] == plain[2]
    assert str(tmp_path) not in json.dumps(plain)


def test_unsound_results_are_not_written(tmp_path: Path) -> None:
    with (
        open_run(tmp_path) as run,
        pytest.raises(InputError, match=r"metrics: rates\[1\] is not a finite number"),
    ):
        run.finish([], metrics={"rates": [1.0, float("nan")]})
    assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize("content", ["[1]", "null", "{", "[" * 5000, "\x00"])
@pytest.mark.parametrize("name", ["config.json", "environment.json"])
def test_a_damaged_file_of_a_run_is_named(tmp_path, name, content) -> None:
    Run.open(tmp_path / "run", "m", {"a": 1}, 0).close()
    (tmp_path / "run" / name).write_text(content)
    with pytest.raises(FileError, match=name):
        Run.open(tmp_path / "run", "m", {"a": 1}, 0)


def test_a_damaged_journal_does_not_end_a_run(tmp_path) -> None:
    Run.open(tmp_path / "run", "m", {}, 0).close()
    path = tmp_path / "run" / "journal.jsonl"
    path.write_text('{"event": "finished", "stage": "x", "clock": 3, "at": "then"}\n[1]\n{"event": 1}\n')
    with Run.open(tmp_path / "run", "m", {}, 0) as run:
        assert run.finish([]).timing["seconds"] >= 3


def test_remarks_of_a_stage_stand_in_the_results_though_it_is_computed_once(tmp_path: Path) -> None:
    def compute() -> int:
        opened.remark("three rows were too long")
        return 1

    for _ in range(2):
        with Run.open(tmp_path / "r", "m", {}, 0) as opened:
            opened.scope("part").stage("once", compute, int)
            results = opened.finish([], notes=["a note"])
        assert list(results.notes) == ["a note", "three rows were too long"]
