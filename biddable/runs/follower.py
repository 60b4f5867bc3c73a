"""A run as the other processes of ``torchrun`` see it.

The first process owns the run folder: it alone computes stages and maps, and writes. The others go
through the same method beside it. They take each finished stage from the folder, as a resumed run does,
and do their share where work is shared, in ``stage_folder``. Whatever else the method writes here
(artifacts, metrics, results) goes to a scratch folder, which is thrown away.

Finished files carry the news, not messages between processes: a stage may take hours, which no
collective call would wait, and whether the owner still lives is told by the lock it holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from biddable.errors import BiddableError, RunError
from biddable.runs.batches import cut, read_batches
from biddable.runs.executors import Executor, in_process
from biddable.runs.folder import check_same, is_held, is_run, take_folder
from biddable.runs.run import Item, Run, Value, read_stage

SECONDS_TO_START = 300.0
"""How much later than this process the owner may open the run."""

SECONDS_BETWEEN_LOOKS = 0.1


class Follower(Run):
    """The run in ``owned``, which another process holds; everything is as in ``Run`` but where it says so.

    Raises:
        RunError: the folder is another run's, or the owner does not open it or has ended.
    """

    def __init__(self, owned: Path, method: str, config: dict[str, Any], seed: int):
        self._owned = owned
        self._latest_start = time.monotonic() + SECONDS_TO_START
        self._owner_seen = False
        identity = {"method": method, "seed": seed, "config": config}
        self._wait(lambda: is_run(owned), "the run was made")
        check_same(owned, identity)
        self._scratch = TemporaryDirectory(prefix="biddable-")
        folder = Path(self._scratch.name).resolve()
        super().__init__(folder, take_folder(folder, identity), method, config, seed)

    def stage(self, name: str, fn: Callable[[], Value], type: Any) -> Value:
        """What the owner computed. ``fn`` is not called."""
        path = self._claim(name, ".json")
        self._wait(path.exists, f"stage {name} was finished")
        return read_stage(path, type)

    def map(
        self,
        name: str,
        items: Sequence[Item],
        fn: Callable[[list[Item]], list[Value]],
        type: Any,
        batch_size: int,
        *,
        key: Callable[[Item], Any] = lambda item: item,
        executor: Executor = in_process,
    ) -> list[Value]:
        """What the owner computed. ``fn`` is not called."""
        batches, header = cut(items, batch_size, key)
        path = self._claim(name, ".jsonl")
        self._wait(_has_lines(path, 1 + len(batches)), f"stage {name} was finished")
        finished = read_batches(path, header, type)
        return [result for index in range(len(batches)) for result in finished[index]]

    def stage_folder(self, name: str, fn: Callable[[Path], None]) -> Path:
        """The owner's folder. ``fn`` is called to do this process's share; what it writes is thrown away."""
        path = self._claim(name, "")
        finished = f"stage {name} was finished"
        if not path.exists():
            with TemporaryDirectory(dir=self.folder) as work, self._together(finished):
                fn(Path(work))
        self._wait(path.exists, finished)
        return path

    def checkpoints(self, name: str) -> Path:
        """Where the owner keeps a stage's unfinished work: to read from."""
        return self._owned / "checkpoints" / name

    def close(self) -> None:
        """Throw the scratch folder away."""
        super().close()
        self._scratch.cleanup()

    def _claim(self, name: str, suffix: str) -> Path:
        return self._owned / super()._claim(name, suffix).relative_to(self.folder)

    @contextmanager
    def _together(self, event: str) -> Iterator[None]:
        """Say so where shared work failed because the owner died: its backend knows only of a connection."""
        try:
            yield
        except BiddableError:
            raise
        except Exception as error:
            time.sleep(SECONDS_BETWEEN_LOOKS)  # the system may close its connections before its lock
            if is_held(self._owned):
                raise
            raise self._alone(event) from error

    def _wait(self, there: Callable[[], bool], event: str) -> None:
        while not there():
            if is_held(self._owned):
                self._owner_seen = True
            elif self._owner_seen:
                if there():  # written, and the owner at its end, since the last look
                    return
                raise self._alone(event)
            elif time.monotonic() > self._latest_start:
                late = f"the first process did not open it in {SECONDS_TO_START:.0f} s"
                raise RunError(f"{self._owned}: {late}")
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _alone(self, event: str) -> RunError:
        return RunError(f"{self._owned}: the first process ended before {event}; see what it said")


def _has_lines(path: Path, count: int) -> Callable[[], bool]:
    """Whether a file that grows has ``count`` lines; it is read only when its size has changed."""
    known = -1

    def grown() -> bool:
        nonlocal known
        size = path.stat().st_size if path.exists() else 0
        if size == known:
            return False
        known = size
        return size > 0 and path.read_bytes().count(b"\n") >= count

    return grown
