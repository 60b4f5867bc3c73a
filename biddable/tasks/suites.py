"""The suites of ``biddable eval``: each gives tasks that rules can judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from biddable.errors import InputError
from biddable.types import Task

Suite = Callable[[str | Path | None, int | None], list[Task]]
"""Called with a file, or None where none is named, and a limit, or None for all: gives the first tasks.

Every task has checks that rules know. No two tasks differ in earlier turns alone: a response is found by the
last turn of its prompt.
"""

COMPOSED_TASKS = 200

IFEVAL_FILE = (
    "the benchmark's input_data.jsonl (folder instruction_following_eval/data of the GitHub repository "
    "google-research/google-research), or the suite composed, which needs no file"
)


def ifeval(path: str | Path | None, limit: int | None) -> list[Task]:
    """The published benchmark (see ``load_ifeval``). Raises InputError: no file was named."""
    from biddable.tasks.ifeval import load_ifeval

    if path is None:
        raise InputError("tasks", path, IFEVAL_FILE)
    return load_ifeval(path)[:limit]


def composed(path: str | Path | None, limit: int | None) -> list[Task]:
    """Held-out tasks of our own, as many as are wanted. Raises InputError: a file was named."""
    from biddable.tasks.compose import Composer

    if path is not None:
        raise InputError("tasks", str(path), "nothing: the suite composed makes its own tasks")
    return Composer("test").sample(limit or COMPOSED_TASKS)
