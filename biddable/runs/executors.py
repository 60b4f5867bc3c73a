"""Where the batches of a mapped stage are computed: here, in worker processes, or on a Ray cluster.

An executor takes a function and numbered batches and yields numbered results in any order. What
crosses a process border must be picklable: a function found by its name, items and results of plain data.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any

from biddable.errors import BiddableError, InputError, MissingDependency, RunError, said

Batches = Iterable[tuple[int, list[Any]]]
DIED = "a worker process died (out of memory?)"

Executor = Callable[[Callable[[list[Any]], list[Any]], Batches], Iterator[tuple[int, list[Any]]]]


def in_process(fn: Callable[[list[Any]], list[Any]], batches: Batches) -> Iterator[tuple[int, list[Any]]]:
    """Compute one batch after another in this process."""
    for index, batch in batches:
        yield index, fn(batch)


def processes(workers: int) -> Executor:
    """Compute batches in ``workers`` new Python processes on this machine."""
    if workers < 1:
        raise InputError("workers", workers, "an integer of at least 1")

    def execute(fn: Callable[[list[Any]], list[Any]], batches: Batches) -> Iterator[tuple[int, list[Any]]]:
        _require_sendable(fn, pickle.dumps)
        # Forking a process that holds threads or a GPU breaks both; spawned workers start clean.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)
        try:
            yield from _bounded(batches, 2 * workers, lambda batch: pool.submit(fn, batch), _finished_futures)
        except BrokenProcessPool as error:
            raise RunError(f"{DIED}; what was finished is kept, the same run goes on from there") from error
        except BiddableError:
            raise
        except Exception as error:
            raise RunError(f"a worker process failed: {said(error)}") from error
        finally:
            pool.shutdown(cancel_futures=True)

    return execute


def on_cores(workers: int) -> Executor | None:
    """In ``workers`` processes; None, which is where the run computes, where it is one."""
    return processes(workers) if workers > 1 else None


def ray_tasks(**options: Any) -> Executor:
    """Compute batches as Ray tasks, on the connected cluster (or a local one), with Ray's ``options``.

    Raises:
        MissingDependency: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingDependency("Ray", 'pip install "biddable[ray]"') from error

    def execute(fn: Callable[[list[Any]], list[Any]], batches: Batches) -> Iterator[tuple[int, list[Any]]]:
        _require_sendable(fn, ray.cloudpickle.dumps)
        if not ray.is_initialized():
            ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
        # Ray refuses partial functions and built-in ones, unless they are wrapped.
        task = ray.remote(**{"num_cpus": 1, **options})(_applied)
        max_running = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        function = ray.put(fn)

        def finished(running: list[Any]) -> Iterator[tuple[Any, list[Any]]]:
            return ((reference, ray.get(reference)) for reference in ray.wait(running)[0])

        try:
            yield from _bounded(batches, max_running, lambda batch: task.remote(function, batch), finished)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, BiddableError):
                raise error.cause from None
            raise RunError(f"a Ray worker failed: {said(error.cause)}") from error
        except ray.exceptions.RayError as error:
            raise RunError(f"{DIED} ({said(error)}); what was finished is kept") from error

    return execute


def named_executor(name: str) -> Executor:
    """The executor a user asks for by name: ``in-process``, ``processes:4`` or ``ray``."""
    kind, _, workers = name.partition(":")
    if name == "in-process":
        return in_process
    if kind == "processes" and workers.isdecimal():
        return processes(int(workers))
    if name == "ray":
        return ray_tasks()
    raise InputError("executor", name, "in-process, processes:N or ray")


def _applied(fn: Callable[[list[Any]], list[Any]], batch: list[Any]) -> list[Any]:
    return fn(batch)


def _require_sendable(fn: Callable[[list[Any]], list[Any]], dumps: Callable[[Any], bytes]) -> None:
    """Raise RunError unless other processes can be given ``fn``."""
    try:
        dumps(fn)
    except Exception as error:
        name = getattr(fn, "__qualname__", type(fn).__name__)
        raise RunError(
            f"{name} cannot be sent to other processes ({said(error)}); compute in-process, or map a "
            "function that is found by its name"
        ) from error


def _bounded(
    batches: Batches,
    max_running: int,
    submit: Callable[[list[Any]], Any],
    finished: Callable[[list[Any]], Iterator[tuple[Any, list[Any]]]],
) -> Iterator[tuple[int, list[Any]]]:
    """Keep at most ``max_running`` batches running, so that not all items are sent off at once."""
    waiting = iter(batches)
    running: dict[Any, int] = {}
    while True:
        for index, batch in islice(waiting, max_running - len(running)):
            running[submit(batch)] = index
        if not running:
            return
        for handle, results in finished(list(running)):
            yield running.pop(handle), results


def _finished_futures(running: list[Future[list[Any]]]) -> Iterator[tuple[Any, list[Any]]]:
    return ((future, future.result()) for future in wait(running, return_when=FIRST_COMPLETED).done)


def _end_with_parent() -> None:
    """End a worker when its parent is killed; otherwise it would wait for work for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
