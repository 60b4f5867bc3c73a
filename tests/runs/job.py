"""A small deterministic job and ways of killing it. ``test_kill.py`` runs this file as a script.

The killing modes import everything once and fork a child for each attempt, which takes milliseconds.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import biddable.runs.run as run_module
from biddable.errors import StorageError
from biddable.runs.compare import compare
from biddable.runs.executors import named_executor
from biddable.runs.files import read_json, write_json
from biddable.runs.run import Run
from biddable.types import Response, Task, user

ITEMS, BATCH, STEPS = 8, 2, 4
DISK_FULL, NO_SUCH_CALL = 3, 4


def job(folder: Path, executor: str = "in-process", seconds: float = 0.001) -> None:
    """Two stages, a map, training with checkpoints, a map over its outcome, and results."""
    with Run.open(folder, "toy", {"items": ITEMS}, seed=7) as run:
        drawn = run.stage("drawn", lambda: run.rng("drawn").random(ITEMS), list[float])
        tasks = run.stage(
            "tasks", lambda: [Task(f"t{i}", user(str(x))) for i, x in enumerate(drawn)], list[Task]
        )
        write = partial(answer, folder.with_suffix(".computed"), seconds)
        answers = run.map("answers", tasks, write, Response, BATCH, executor=named_executor(executor))
        weights = run.stage_folder("weights", partial(train, run))
        run.publish(weights, "model")
        trained = read_json(weights / "weights.json")
        scores = run.map("scores", answers, lambda batch: [len(a.text) * trained for a in batch], float, 5)
        comparison = compare("score", drawn, scores, seeds=(run.seed("scores"),))
        run.finish([comparison], metrics={"trained": trained, "scores": scores})


def compose(drawn: list[float]) -> list[Task]:
    return [Task(f"t{i}", user(str(number))) for i, number in enumerate(drawn)]


def answer(computed: Path, seconds: float, tasks: list[Task]) -> list[Response]:
    """Answer, and leave a trace of what was computed that no kill undoes."""
    with open(computed, "a") as file:
        print(*(task.id for task in tasks), file=file)
    time.sleep(seconds)
    return [Response(task.prompt[0].content[: 3 + i], (i,), (-0.1,)) for i, task in enumerate(tasks)]


def train(run: Run, folder: Path) -> None:
    """Train with a checkpoint after every other step."""
    checkpoint = run.checkpoints("weights") / "state.json"
    state = read_json(checkpoint) if checkpoint.exists() else {"step": 0, "weight": 0.0}
    for step in range(state["step"], STEPS):
        state = {"step": step + 1, "weight": state["weight"] + run.rng("train", step).random()}
        run.log("weights", step, loss=1 / state["weight"])
        if step % 2:
            write_json(checkpoint, state)
    write_json(folder / "weights.json", state["weight"])


def in_child(work: Callable[[], None]) -> int:
    """Start ``work`` in a forked process; returns its id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except StorageError:
            os._exit(DISK_FULL)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return child


def ended(child: int) -> int:
    """Wait for the child; it may have been killed or have found the disk full, but not have failed."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (-signal.SIGKILL, DISK_FULL, NO_SUCH_CALL, 0):
        raise SystemExit("the job failed")
    return status


def finished_items(folder: Path) -> set[str]:
    """The items whose batch was journaled whole."""
    path = folder / "stages" / "answers.jsonl"
    lines = path.read_bytes().split(b"\n")[1:-1] if path.exists() else []
    batches = [json.loads(line)["value"][0] for line in lines]
    return {f"t{BATCH * batch + i}" for batch in batches for i in range(BATCH)}


def kill_at_random(folder: Path, kills: int) -> list[dict[str, Any]]:
    """Kill and resume jobs until ``kills`` kills are done; says what was computed again in vain."""
    rng = random.Random(0)
    began = time.monotonic()
    job(folder / "undisturbed")
    longest = time.monotonic() - began
    outcomes: list[dict[str, Any]] = []
    while sum(outcome["kills"] for outcome in outcomes) < kills:
        outcomes.append({"folder": f"killed-{len(outcomes)}", "kills": 0, "again": []})
        run = folder / outcomes[-1]["folder"]
        computed = run.with_suffix(".computed")
        while True:
            done, known = finished_items(run), len(computed.read_text()) if computed.exists() else 0
            child = in_child(lambda run=run: job(run))
            time.sleep(rng.uniform(0, longest))
            os.kill(child, signal.SIGKILL)
            killed = ended(child) != 0
            new = set(computed.read_text()[known:].split()) if computed.exists() else set()
            outcomes[-1]["again"] += sorted(new & done)
            outcomes[-1]["kills"] += killed
            if not killed:
                break
    return outcomes


def fail_at_every_call(folder: Path, fault: Callable[[], None]) -> list[dict[str, Any]]:
    """Have a job meet ``fault`` at its 1st, 2nd … call to the file system, and run it again after each."""
    job(folder / "undisturbed")
    outcomes: list[dict[str, Any]] = []
    while True:
        run = folder / f"call-{len(outcomes)}"
        computed = run.with_suffix(".computed")
        status = ended(in_child(lambda run=run: with_fault(len(outcomes), fault, lambda: job(run))))
        if status == NO_SUCH_CALL:
            return outcomes
        done, known = finished_items(run), len(computed.read_text()) if computed.exists() else 0
        ended(in_child(lambda run=run: job(run)))
        new = set(computed.read_text()[known:].split())
        outcomes.append({"folder": run.name, "kills": int(status != 0), "again": sorted(new & done)})


def with_fault(number: int, fault: Callable[[], None], work: Callable[[], None]) -> None:
    """Do ``work`` but meet ``fault`` at the given call; a write meets it half-way."""
    calls = itertools.count()
    write = os.write

    def faulty(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        if next(calls) == number:
            if call is write:
                write(arguments[0], arguments[1][: len(arguments[1]) // 2])
            fault()
        return call(*arguments, **keywords)

    for name in ("write", "fsync", "replace", "mkdir"):
        setattr(os, name, partial(faulty, getattr(os, name)))
    work()
    if next(calls) <= number:
        os._exit(NO_SUCH_CALL)


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def find_the_disk_full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


if __name__ == "__main__":
    # The environment asks git, which takes longer than the job.
    run_module.environment = lambda: {"python": "any"}
    mode, target, *rest = sys.argv[1:]
    if mode == "random":
        print(json.dumps(kill_at_random(Path(target), int(rest[0]))))
    elif mode == "kill":
        print(json.dumps(fail_at_every_call(Path(target), be_killed)))
    elif mode == "full":
        print(json.dumps(fail_at_every_call(Path(target), find_the_disk_full)))
    else:
        job(Path(target), executor=mode, seconds=float(rest[0]))
