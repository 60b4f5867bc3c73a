"""A run: a folder that keeps what was computed, so that a killed run resumes.

::

    with Run.open("runs/first", "spar", config={"branch": 3}, seed=0) as run:
        prompts = run.stage("prompts", lambda: compose(run.rng("prompts")), list[Task])
        answers = run.map("answers", prompts, answer, Response, batch_size=8)
        run.finish([compare("accuracy", before, after, seeds=(0,))])

Every piece of work has a name. Run again, a named piece that was finished is read back instead of
computed. Nothing that counts is drawn from anything but ``run.rng`` and ``run.seed``, so a run that was
killed and one that was not end with the same results.

Under ``torchrun`` every process opens the run and calls the same things; the first one computes and
writes, the others follow it (``biddable.runs.follower``). ``run.scope("seed0")`` is the run with names of
its own, so that a method does for each of many what it does for one.

The folder: ``config.json`` (method, config, seed), ``environment.json``, ``stages/`` (a JSON file, a
journal of batches or a folder for each stage), ``checkpoints/`` (of stages not finished yet),
``metrics.jsonl``, ``journal.jsonl``, ``artifacts/`` (what other runs take up) and ``results.json``.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from biddable.errors import FileError, InputError, RunError
from biddable.runs.batches import BatchJournal, read_stage, split_batches
from biddable.runs.codec import encode, jsonable, seal
from biddable.runs.environment import add_facts, environment, rank
from biddable.runs.executors import Executor, in_process
from biddable.runs.files import make_folder, read_json, replacing, write_atomic, write_json
from biddable.runs.folder import take_folder
from biddable.runs.follower import Follower
from biddable.runs.journal import Journal
from biddable.runs.metrics import Metrics
from biddable.runs.names import Names
from biddable.runs.progress import progress
from biddable.runs.results import Results, write_results
from biddable.types import Comparison

Item = TypeVar("Item")
Value = TypeVar("Value")

REMARKS = "remarks.json"
REPETITIONS = 1000
"""Seeds of repetitions that a run has to itself."""


class Run:
    """An open run folder; get one with ``Run.open``.

    Attributes:
        folder: where to write, as an absolute path: the run folder (a scratch folder in a follower).
        method, config, root_seed: what it was started with.
        executor: where mapped stages are computed unless they say otherwise.
        environment: where it is computed; ``describe`` adds to it.
    """

    def __init__(self, path: Path, method: str, config: dict[str, Any], seed: int, executor: Executor):
        self.method, self.config, self.root_seed, self.executor = method, config, seed, executor
        identity = {"method": method, "seed": seed, "config": config}
        self._follower = Follower(path, identity) if rank() > 0 else None
        self._owned = path
        self.folder = folder = self._follower.scratch if self._follower else path
        self._lock = take_folder(folder, identity)
        self._names = Names()
        try:
            self._begin(folder)
        except BaseException:
            self._lock.close()
            raise

    def _begin(self, folder: Path) -> None:
        make_folder(folder / "stages")
        self._journal = Journal(folder / "journal.jsonl")
        self._metrics = Metrics(folder / "metrics.jsonl")
        known = folder / "environment.json"
        self.environment: dict[str, Any] = read_json(known) if known.exists() else {}
        if not isinstance(self.environment, dict):
            raise FileError(known, "damaged: expected an object; delete the file to go on")
        self.describe(**environment())

    @classmethod
    def open(
        cls,
        folder: str | Path,
        method: str,
        config: dict[str, Any],
        seed: int,
        *,
        executor: Executor = in_process,
    ) -> Run:
        """Start a run in a new or empty folder, or go on with the one that is there.

        Args:
            folder: where it is kept; made if missing.
            method: the method's name.
            config: everything the results depend on, as JSON can hold it.
            seed: what every random draw is derived from, at least 0.
            executor: where mapped stages are computed (``biddable.runs.executors``); results do not depend
                on it, so a run may go on under another.

        Raises:
            RunError: the folder holds something else, or a run with another method, config or seed
                (the first difference is named), or a run that a living process holds.
            StorageError: the folder cannot be written.
        """
        if seed < 0:
            raise InputError("seed", seed, "an integer of at least 0")
        return cls(Path(folder).absolute(), method, jsonable(config), seed, executor)

    def scope(self, name: str) -> Run:
        """This run with ``name-`` before every name: of stages, checkpoints, logs and random generators.

        ``run.scope("seed0").stage("train", …)`` is ``run.stage("seed0-train", …)``; scopes nest. Artifacts,
        environment and results are the run's, and it is the run that is closed.

        Raises:
            InputError: no name of a stage starts so.
        """
        view = copy.copy(self)
        view._names = self._names.scope(name)
        return view

    def stage(self, name: str, fn: Callable[[], Value], type: Any) -> Value:
        """The value of ``fn()``, computed once; ``type`` says how to read it back (``list[Task]``).

        The value is handed out as read back from JSON, so a first and a resumed run see the same.

        Raises:
            RunError: the name was used before in this run.
            FileError: the stored value was damaged.
            TypeError: ``fn`` gave something else than ``type``.
        """
        path = self._claim(name, ".json")
        if self._follower:
            self._follower.wait(path.exists, name)
        if path.exists():
            return read_stage(path, type)
        with self._journal.timed(self._names.whole(name)):
            payload, value = encode(fn(), type)
            write_atomic(path, seal(payload) + b"\n")
        return value

    def stage_folder(self, name: str, fn: Callable[[Path], None]) -> Path:
        """The folder ``fn(folder)`` filled with files (weights, say), made once and whole.

        Training is shared work, so under ``torchrun`` every process calls ``fn``, and of what they write
        into ``folder`` the first one's is kept. So this is no part of another stage, which would not be
        shared.
        """
        path = self._claim(name, "")
        if self._follower:
            return self._follower.share(path, fn, name)
        if not path.exists():
            with self._journal.timed(self._names.whole(name)), replacing(path) as temporary:
                temporary.mkdir()
                fn(temporary)
        shutil.rmtree(self._checkpoints(name), ignore_errors=True)
        return path

    def checkpoints(self, name: str) -> Path:
        """Where stage ``name`` keeps its unfinished work (a follower only reads there).

        ``stage_folder`` removes it at the end.
        """
        path = self._checkpoints(name)
        if not self._follower:
            make_folder(path)
        return path

    def map(
        self,
        name: str,
        items: Sequence[Item],
        fn: Callable[[list[Item]], list[Value]],
        type: Any,
        batch_size: int,
        *,
        key: Callable[[Item], Any] = lambda item: item,
        executor: Executor | None = None,
    ) -> list[Value]:
        """The results of ``fn`` for all items, in order, each finished batch computed once.

        Args:
            name: the stage's name.
            items: what to work on. They are cut into the same batches whatever was finished before, so
                that results do not depend on an interruption even where a batch's make-up matters.
            fn: gives one result for each item of a batch.
            type: the type of one result.
            batch_size: items in a batch.
            key: what tells items apart, where an item itself cannot be written as JSON.
            executor: where batches are computed, if not where the run computes (``executor``).

        Raises:
            RunError: the name was used before, the stage was begun with other items or another batch
                size, or ``fn`` gave too many or too few results.
            FileError: the stored results were damaged.
            TypeError: ``fn`` gave something else than ``type``.
        """
        batches, header = split_batches(items, batch_size, key)
        path = self._claim(name, ".jsonl")
        if self._follower:
            finished = self._follower.batches(path, header, type, len(batches), name)
            return [result for index in range(len(batches)) for result in finished[index]]
        with BatchJournal(path, header, type) as journal:
            missing = [(index, batch) for index, batch in enumerate(batches) if index not in journal.finished]
            if missing:
                with self._journal.timed(self._names.whole(name)), progress(len(items), name) as advance:
                    advance(sum(map(len, journal.finished.values())))
                    for index, results in (executor or self.executor)(fn, missing):
                        if len(results) != len(batches[index]):
                            lengths = f"{len(results)} results for {len(batches[index])} items"
                            raise RunError(f"stage {name}: the function gave {lengths}")
                        journal.add(index, results)
                        self._journal.beat()
                        advance(len(results))
            return [result for index in range(len(batches)) for result in journal.finished[index]]

    def rng(self, *keys: str | int) -> np.random.Generator:
        """A random generator of its own for ``keys`` (a stage, an item's id), the same in every run."""
        return np.random.default_rng(self._names.seed_sequence(self.root_seed, keys))

    def seed(self, *keys: str | int) -> int:
        """A seed of its own for ``keys``: below 2**32, which every library takes."""
        return int(self._names.seed_sequence(self.root_seed, keys).generate_state(1)[0])

    @property
    def first_seed(self) -> int:
        """The seed of the first repetition: 0 in a run of seed 0, and none of another run's repetitions."""
        return REPETITIONS * self.root_seed

    def repetitions(self, count: int) -> range:
        """Seeds of repetitions: the first, and those that follow."""
        return range(self.first_seed, self.first_seed + count)

    def log(self, stage: str, step: int, **metrics: float) -> None:
        """Note numbers of a training step. Steps of a stage grow; one that comes again replaces the
        earlier line and all after it, so a stage that goes on from a checkpoint leaves no line twice.
        """
        self._metrics.add(self._names.whole(stage), step, metrics)
        self._journal.beat()

    def logged(self, stage: str, name: str) -> list[tuple[int, float]]:
        """What ``log`` wrote under a name in a stage: (step, number), without those not finite."""
        return self._metrics.curve(self._names.whole(stage), name)

    def seconds(self, stage: str) -> float:
        """How long a stage took so far, over every time the run was opened."""
        stages: dict[str, float] = self._journal.timing()["stages"]
        return stages.get(self._names.whole(stage), 0.0)

    def describe(self, **facts: Any) -> None:
        """Add to the environment what only the caller knows (``device="cpu"``, ``dtype="float32"``).

        Where a run goes on under another environment, the first one stands and the change is noted.
        """
        add_facts(self.environment, jsonable(facts))
        write_json(self.folder / "environment.json", self.environment)

    def artifact(self, kind: str, name: str = "") -> Path:
        """The path of an artifact, which other runs can take: ``artifact("data", "pairs.parquet")``."""
        path = self.folder / "artifacts" / kind / name
        make_folder(path.parent)
        return path

    def publish(self, source: Path, kind: str, name: str = "") -> Path:
        """Make what a stage folder holds an artifact, without a copy: ``publish(weights, "model")``."""
        path = self.artifact(kind, name)
        with replacing(path) as temporary:
            temporary.symlink_to(os.path.relpath(source, path.parent))
        return path

    def remark(self, note: str) -> None:
        """Keep what a reader of the results must know, from within a stage: that is computed once."""
        kept = self._remarks()
        if note not in kept and not self._follower:
            write_json(self.folder / REMARKS, [*kept, note])

    def finish(
        self,
        comparisons: Sequence[Comparison],
        *,
        metrics: dict[str, Any] | None = None,
        timing: dict[str, Any] | None = None,
        notes: Sequence[str] = (),
        next_steps: Sequence[str] = (),
    ) -> Results:
        """Write ``results.json``.

        Args:
            comparisons: the method beside its baselines.
            metrics: every other number, nested as the method likes, none of which depends on the clock.
            timing: speeds and times measured by the method; the time of each stage is added.
            notes: what a reader must know; what was kept by ``remark`` is added.
            next_steps: lines to type next, with ``{run}`` for the folder (``biddable.runs.next_steps``).

        Raises:
            InputError: the results are not sound (``biddable.runs.results``).
        """
        self._journal.write("results")
        timing = {**(timing or {}), **self._journal.timing(), "host_load": os.getloadavg()[0]}
        fields = {
            "method": self.method,
            "comparisons": comparisons,
            "config": {**self.config, "seed": self.root_seed},
            "environment": self.environment,
            "timing": timing,
            "metrics": metrics or {},
            "notes": [*notes, *self._remarks()],
            "next_steps": next_steps,
        }
        return write_results(self.folder / "results.json", fields)

    def close(self) -> None:
        """Close the run and unlock its folder."""
        self._journal.close()
        self._metrics.close()
        self._lock.close()
        if self._follower:
            self._follower.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _remarks(self) -> list[str]:
        path = self.folder / REMARKS
        return list(read_json(path)) if path.exists() else []

    def _claim(self, name: str, suffix: str) -> Path:
        """The path of a stage, after a check that no other stage of this run has its name."""
        return self._owned / "stages" / (self._names.take(name) + suffix)

    def _checkpoints(self, name: str) -> Path:
        return self._owned / "checkpoints" / self._names.whole(name)
