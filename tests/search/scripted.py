"""A refiner and a judge that play from a script, and keep what they were asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from biddable.search.refiners import Refinement
from biddable.types import Response, Task, Verdict, user


def tasks(count: int) -> list[Task]:
    return [Task(f"t{i}", user(f"Do thing {i}.")) for i in range(count)]


class Script:
    """The k-th rewriting of ``r`` is ``rk``, of that ``rkj``, and so on; ``values`` says how good each is.

    A response with the value None is one the judge has no score for; one not listed is worth 0.
    """

    def __init__(self, values: dict[str, float | None] | None = None):
        self.values = values or {}
        self.refined: list[list[str]] = []
        self.judged: list[list[str]] = []
        self.seeds: list[int] = []
        self._made: Counter[tuple[str, str]] = Counter()

    def refine(
        self,
        tasks: Sequence[Task],
        responses: Sequence[str],
        critiques: Sequence[str],
        *,
        seeds: Sequence[int],
    ) -> list[Refinement | None]:
        self.refined.append([*responses])
        self.seeds += seeds
        return [Refinement(self._next(*row)) for row in zip(tasks, responses, strict=True)]

    def judge(
        self, tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int]
    ) -> list[Verdict]:
        self.judged.append([response.text for response in responses])
        self.seeds += seeds
        return [self._verdict(response.text) for response in responses]

    def _next(self, task: Task, response: str) -> str:
        number = self._made[task.id, response]
        self._made[task.id, response] += 1
        return f"{response}{number}"

    def _verdict(self, response: str) -> Verdict:
        return Verdict(self.values.get(response, 0.0), None, f"on {response}")


def refiner(answer):
    """A refiner that takes its texts, or None, from ``answer(responses)``."""

    def refine(tasks, responses, critiques, *, seeds=None):
        return [None if text is None else Refinement(text) for text in answer(responses)]

    return refine
