"""What a suite is: tasks, how a model is asked, who judges its responses, and what is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from biddable.errors import InputError
from biddable.judges.base import Judge
from biddable.models.base import Sampling
from biddable.tasks.fewshot import Shots
from biddable.types import Prompt, Record, Task

Ask = Literal["generate", "choose", "perplexity"]
"""A response is written, the likeliest of a task's choices is taken, or a text's likelihood is measured."""

Scale = Literal["mean", "exp"]

ANSWER = Sampling(max_tokens=256, temperature=0.0)


@dataclass(frozen=True)
class Metric:
    """A number for each record, whose mean is the score.

    Attributes:
        name: as lm-evaluation-harness calls it, where it has it: acc, exact_match.
        measure: the number of a record; None: it has none, as where a judge could not decide.
        weight: of a record in the mean; None: all weigh the same.
        scale: "exp" makes a perplexity of a mean of nats.
        higher_is_better: whether a larger score is a better one.
        chance: what a model scores on a task that chooses at random; None where that is not known.
        unanswered: what a task that got no answer counts as; None: it is left out, as where no number is the
            worst.
    """

    name: str
    measure: Callable[[Record], float | None]
    weight: Callable[[Record], float] | None = None
    scale: Scale = "mean"
    higher_is_better: bool = True
    chance: Callable[[Task], float] | None = None
    unanswered: float | None = 0.0


def by_meta(record: Record, value: float) -> Iterable[tuple[str, float]]:
    """A record belongs to the group that its task names, if any."""
    group = record.task.meta.get("group")
    return [] if group is None else [(str(group), value)]


@dataclass(frozen=True)
class Suite:
    """Tasks and how they are measured.

    Attributes:
        name: what it is called, and how it was asked for: ``bbh``.
        tasks: what is asked, each with an id of its own.
        metrics: what is counted, the headline first.
        ask: how a model is asked.
        judge: of responses that are written; a suite that asks to choose needs none.
        shots: what stands before the tasks of each group (``meta["group"]``), or of all, under "".
        k: how many solved examples of them are shown.
        separator: between the description, the examples and the task.
        sampling: how responses are written, and where they end.
        samples: responses to each task, at least.
        prior: the prompt of a task without its content, after which its choices are scored as well.
        groups: the groups that a record counts in, each with a number, from the record and its headline.
        totals: numbers of all records together, such as one of groups that count as wholes.
        version: another one where scores are not comparable any more.
        source, license: where the tasks come from.
        notes: what a reader of the scores must know.
    """

    name: str
    tasks: tuple[Task, ...]
    metrics: tuple[Metric, ...]
    ask: Ask = "generate"
    judge: Judge | None = None
    shots: Mapping[str, Shots] = field(default_factory=dict)
    k: int = 0
    separator: str = "\n\n"
    sampling: Sampling = ANSWER
    samples: int = 1
    prior: Callable[[Task], Prompt] | None = None
    groups: Callable[[Record, float], Iterable[tuple[str, float]]] = by_meta
    totals: Callable[[Sequence[Record]], dict[str, float]] = lambda records: {}
    version: str = "1"
    source: str = ""
    license: str = ""
    notes: tuple[str, ...] = ()

    def shots_of(self, task: Task) -> Shots:
        """What stands before a task."""
        return self.shots.get(str(task.meta.get("group", "")), self.shots.get("", Shots()))


def check_suite(suite: Suite) -> None:
    """Refuse a suite that cannot be measured.

    Raises:
        InputError: no task or metric, two tasks with one id, a task to choose in without choices or with a
            right one that is none of them, responses that nobody judges.
    """
    name = f"suite {suite.name}"
    if not suite.tasks:
        raise InputError(name, "no tasks", "at least one")
    if not suite.metrics:
        raise InputError(name, "no metrics", "at least one")
    if suite.ask == "generate" and suite.judge is None:
        raise InputError(name, "no judge", "a judge of the responses that it asks for")
    [(id, times)] = Counter(task.id for task in suite.tasks).most_common(1)
    if times > 1:
        raise InputError(name, f"{times} tasks with the id {id!r}", "an id of its own for each task")
    if suite.k < 0:
        raise InputError("shots", suite.k, "an integer of at least 0")
    for task in suite.tasks if suite.ask == "choose" else ():
        _check_choices(f"{name}, task {task.id}", task)


def _check_choices(where: str, task: Task) -> None:
    # Published sets hold items with a choice twice (CommonsenseQA); its texts are then one choice.
    if len({*task.choices}) < 2:
        raise InputError(where, list(task.choices), "at least two choices that differ")
    if not task.references or not {*task.references} <= {*task.choices}:
        raise InputError(where, list(task.references), f"right answers among the choices {task.choices}")
