"""Which task comes next: of those that can be done, where practice pays or few attempts were made.

    (1 - |rate - 0.3|) + w sqrt(ln(N + 1) / (n + 1))

``rate`` is the share of a task's attempts that succeeded, n their number, N the number of all attempts. The
first part is highest where a task succeeds now and then (the zone of proximal development), the second where
it was tried seldom (UCB). Source: SOAR (arXiv 2407.20635) and its official code: N counts all tasks, whether
or not they can be done now, and a task without an attempt has the rate 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from biddable.config import NonNegative, Share, settings
from biddable.errors import InputError


@settings
class ProposalConfig:
    """How tasks are chosen."""

    zone_center: Share = 0.3
    """The rate of success at which practice pays most."""
    ucb_weight: NonNegative = 100.0
    """w; 100 is in most of SOAR's settings, which makes it nearly the least tried."""
    p_random: Share = 0.2
    """How often any task that can be done is drawn."""


_DEFAULT = ProposalConfig()


@dataclass(slots=True)
class TaskStatistics:
    """How often each task was tried, and did succeed.

    Args:
        tasks: texts, each once.

    Raises:
        InputError: none, an empty one, or one twice.
    """

    tasks: tuple[str, ...]
    attempts: dict[str, int] = field(default_factory=dict)
    successes: dict[str, int] = field(default_factory=dict)
    _names: frozenset[str] = field(init=False, repr=False, compare=False, default=frozenset())

    def __post_init__(self) -> None:
        self.tasks = tuple(self.tasks)
        if not self.tasks:
            raise InputError("tasks", "none", "at least one")
        self._names, counts = frozenset(self.tasks), Counter(self.tasks)
        if wrong := [task for task in self.tasks if not task.strip() or counts[task] > 1]:
            raise InputError("tasks", wrong[0], "texts that say what to do, each once")

    def tried(self, task: str) -> None:
        """Count an attempt. Raises InputError: another task."""
        self._known(task)
        self.attempts[task] = self.attempts.get(task, 0) + 1

    def succeeded(self, task: str) -> None:
        """Count that an attempt succeeded. Raises InputError: another task, or more often than tried."""
        self._known(task)
        if self.successes.get(task, 0) >= self.attempts.get(task, 0):
            raise InputError("successes", task, "no more than attempts")
        self.successes[task] = self.successes.get(task, 0) + 1

    def rate(self, task: str) -> float:
        """The share of a task's attempts that succeeded; 0 without any. Raises InputError: another task."""
        self._known(task)
        return self.successes.get(task, 0) / self.attempts[task] if self.attempts.get(task) else 0.0

    @property
    def total(self) -> int:
        """N, attempts of all tasks."""
        return sum(self.attempts.values())

    def balance(self) -> float:
        """How evenly tasks were tried, from 0 (one alone) to 1: entropy of the attempts over its highest."""
        if len(self.tasks) < 2 or not self.total:
            return 1.0
        shares = [count / self.total for count in self.attempts.values() if count]
        return -sum(share * math.log(share) for share in shares) / math.log(len(self.tasks))

    def _known(self, task: str) -> None:
        if task not in self._names:
            raise InputError("task", task, f"one of the {len(self.tasks)} tasks that are counted")


def value_of(stats: TaskStatistics, task: str, config: ProposalConfig) -> float:
    """What a task is chosen by: see the module. Raises InputError: a task that is not counted."""
    zone = 1 - abs(stats.rate(task) - config.zone_center)
    return zone + config.ucb_weight * math.sqrt(math.log(stats.total + 1) / (stats.attempts.get(task, 0) + 1))


def propose_task(
    stats: TaskStatistics,
    viable: Sequence[str],
    rng: np.random.Generator,
    config: ProposalConfig = _DEFAULT,
) -> str:
    """The task to try next.

    Args:
        stats: what was tried.
        viable: tasks that can be done now; where there are none, any is drawn.
        rng: of the draws, also among tasks of the same value.
        config: how it is chosen.

    Raises:
        InputError: a task that is not counted.
    """
    values = {task: value_of(stats, task, config) for task in viable}
    if not values:
        return str(rng.choice(stats.tasks))
    if rng.random() < config.p_random:
        return str(rng.choice(list(values)))
    best = max(values.values())
    return str(rng.choice([task for task, value in values.items() if value == best]))
