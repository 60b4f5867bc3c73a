"""A judge that is asked again about what it did not decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from biddable.errors import InputError
from biddable.judges.base import Judge, require_equal_lengths
from biddable.types import Response, Task, Verdict


@dataclass(frozen=True)
class DecidingJudge:
    """Another judge, asked again with new seeds where ``passed`` is None: on a tie of its votes, say.

    Args:
        judge: a judge that samples; others would give the same verdict again.
        tries: how often a response is judged at most.

    Raises:
        InputError: ``tries`` is below 1.
    """

    judge: Judge
    tries: int = 3

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise InputError("tries", self.tries, "an integer of at least 1")

    def __call__(
        self, tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
    ) -> list[Verdict]:
        """One verdict each: the first that decides, or one without a score where none of the tries did.

        The first try is made with ``seeds`` (default 0, 1, …), each later one with seeds derived from them.

        Raises:
            InputError: not one response, or not one seed, for each task.
        """
        require_equal_lengths(tasks, responses, seeds)
        seeds = range(len(tasks)) if seeds is None else seeds
        decided: dict[int, Verdict] = {}
        for attempt in range(self.tries):
            rows = [i for i in range(len(tasks)) if i not in decided]
            if not rows:
                break
            verdicts = self.judge(
                [tasks[i] for i in rows],
                [responses[i] for i in rows],
                seeds=[_derived(seeds[i], attempt) for i in rows],
            )
            decided |= {i: v for i, v in zip(rows, verdicts, strict=True) if v.passed is not None}
        undecided = Verdict(None, None, f"undecided after {self.tries} tries")
        return [decided.get(i, undecided) for i in range(len(tasks))]


def _derived(seed: int, attempt: int) -> int:
    """The seed itself for the first attempt; 63 bits, which torch and served models take, for later ones."""
    if attempt == 0:
        return seed
    return int(np.random.SeedSequence(seed, spawn_key=(attempt,)).generate_state(1, np.uint64)[0]) >> 1
