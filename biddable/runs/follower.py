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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from biddable.errors import BiddableError, RunError
from biddable.runs.batches import read_batches
from biddable.runs.folder import check_same, is_held, is_run

SECONDS_TO_START = 300.0
"""How much later than this process the owner may open the run."""

SECONDS_BETWEEN_LOOKS = 0.1


class Follower:
    """What a process takes from the run folder that another process holds.

    Args:
        owned: the run folder.
        identity: method, seed and configuration, which must be the owner's.

    Attributes:
        scratch: the folder for whatever this process writes.

    Raises:
        RunError: the folder is another run's, or the owner does not open it or has ended.
    """

    def __init__(self, owned: Path, identity: dict[str, Any]):
        self._owned = owned
        self._latest_start = time.monotonic() + SECONDS_TO_START
        self._owner_seen = False
        self._wait(lambda: is_run(owned), "the run was made")
        check_same(owned, identity)
        self._temporary = TemporaryDirectory(prefix="biddable-")
        self.scratch = Path(self._temporary.name).resolve()

    def wait(self, there: Callable[[], bool], stage: str) -> None:
        """Wait until what a stage leaves is ``there``. Raises RunError: the owner ended before."""
        self._wait(there, f"stage {stage} was finished")

    def batches(
        self, path: Path, header: dict[str, Any], type: Any, count: int, stage: str
    ) -> dict[int, list[Any]]:
        """The owner's results of a mapped stage of ``count`` batches, by their number."""
        self.wait(_has_lines(path, 1 + count), stage)
        return read_batches(path, header, type)

    def share(self, path: Path, fn: Callable[[Path], None], stage: str) -> Path:
        """The owner's stage folder. ``fn`` does this process's share of it; what it writes is thrown away."""
        if not path.exists():
            with TemporaryDirectory(dir=self.scratch) as work, self._together(f"stage {stage} was finished"):
                fn(Path(work))
        self.wait(path.exists, stage)
        return path

    def close(self) -> None:
        """Throw the scratch folder away."""
        self._temporary.cleanup()

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
