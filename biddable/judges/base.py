"""What a judge is: anything that says of many responses at once how good they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from biddable.errors import InputError
from biddable.types import Response, Task, Verdict


class Judge(Protocol):
    """Rules, language models, classifiers and reward models alike: called with a whole batch."""

    def __call__(
        self, tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
    ) -> list[Verdict]:
        """Judge each response to its task.

        Args:
            tasks: what was asked.
            responses: one for each task.
            seeds: one for each response, for judges that sample; others ignore them.

        Returns:
            One verdict for each response, in order.
        """


def require_equal_lengths(
    tasks: Sequence[Task], responses: Sequence[Response], seeds: Sequence[int] | None = None
) -> None:
    """Refuse a batch in which something is missing.

    Raises:
        InputError: not one response, or not one seed, for each task.
    """
    for name, values in (("responses", responses), ("seeds", seeds)):
        if values is not None and len(values) != len(tasks):
            raise InputError(name, len(values), f"as many as there are tasks ({len(tasks)})")
