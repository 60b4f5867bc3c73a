"""Who says whether a task can be done now, and whether it was done: the environment, or a model.

``FeasibilityChecker`` and ``SuccessDetector`` are protocols: what fits them serves. A model is asked in two
steps, as in SOAR (arXiv 2407.20635): it turns a task into a question about what is seen and the answer that
is expected (two lines, kept), and answers the question about what is seen now. Whatever cannot be read counts
as no, and is counted. Models here read texts, so that they are told in words what is seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from biddable.errors import InputError
from biddable.models.base import LanguageModel, Sampling
from biddable.types import Trajectory, user

NAMES = ("unseen", "empty", "wall", "floor", "door", "key", "ball", "box", "goal", "lava", "agent")
COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")
FACING = ("east", "south", "west", "north")
DOORS = ("open", "closed", "locked")
_NOTHING = (0, 1, 2, 3)  # unseen, empty, wall, floor
_THING = re.compile(rf"(?:the|an?) ((?:{'|'.join(COLOURS)}) )?({'|'.join(NAMES[4:8])})\b")
_ANSWER = re.compile(r"\W*(true|yes|false|no)\b", re.IGNORECASE)

CAN = (
    "A robot is asked to do this task: {task}\nWrite one yes-or-no question about what can be seen before it "
    "begins, whose answer tells whether it can be done. On the second line write only true if yes means "
    "that it can be done, or false if no does. Write these two lines and nothing else."
)
DONE = (
    "A robot was asked to do this task: {task}\nWrite one yes-or-no question about what can be seen at the "
    "end, whose answer tells whether the task was done. On the second line write only true if yes means that "
    "it was done, or false if no does. Write these two lines and nothing else."
)
LOOK = "This is what can be seen:\n{seen}\n\n{question}\nAnswer with one word, true or false."
_QUESTION = Sampling(max_tokens=80, temperature=0.0)
_WORD = Sampling(max_tokens=12, temperature=0.0)


class FeasibilityChecker(Protocol):
    """Says which tasks can be done."""

    def viable(self, observation: Mapping[str, Any], tasks: Sequence[str]) -> list[bool]:
        """For each task, whether it can be done from what is seen."""


class SuccessDetector(Protocol):
    """Says which episodes did what was asked."""

    def judge(self, episodes: Sequence[Trajectory]) -> list[bool]:
        """For each episode, whether its instruction was followed."""


class NoChecker:
    """Takes every task for one that can be done."""

    def viable(self, observation: Mapping[str, Any], tasks: Sequence[str]) -> list[bool]:
        """See ``FeasibilityChecker``."""
        return [True] * len(tasks)


class GridChecker:
    """Looks whether what a task names is in a grid [W, H, 3] of MiniGrid's, ``part`` of the observation."""

    def __init__(self, part: str = "grid"):
        self._part = part

    def viable(self, observation: Mapping[str, Any], tasks: Sequence[str]) -> list[bool]:
        """See ``FeasibilityChecker``; a task that names nothing can be done."""
        cells = np.asarray(observation[self._part]).reshape(-1, 3)
        there = {(NAMES[kind], COLOURS[color]) for kind, color, _ in cells.tolist() if 3 < kind < 8}
        kinds = {kind for kind, _ in there}
        named = [[(kind, color.strip()) for color, kind in _THING.findall(task)] for task in tasks]
        return [all((thing in there) if thing[1] else (thing[0] in kinds) for thing in of) for of in named]


class OracleDetector:
    """The environment's own word, wrong with a probability.

    Args:
        error: how often it says the opposite.
        rng: of the errors.

    Raises:
        InputError: ``error`` is no share.
    """

    def __init__(self, error: float, rng: np.random.Generator):
        if not 0 <= error <= 1:
            raise InputError("error", error, "a number from 0 to 1")
        self._error, self._rng = error, rng

    def judge(self, episodes: Sequence[Trajectory]) -> list[bool]:
        """See ``SuccessDetector``. Raises InputError: the environment does not say."""
        if any(each.success is None for each in episodes):
            expected = "True or False: the environment does not say; name a model as detector"
            raise InputError("success", None, expected)
        wrong = self._rng.random(len(episodes)) < self._error
        return [bool(each.success) != bool(flip) for each, flip in zip(episodes, wrong, strict=True)]


@dataclass
class ModelDetector:
    """A language model says what can be done and what was done.

    Args:
        model: is asked; one that is served can be named ``openai:NAME@URL``.
        questions: (purpose, task) -> the question and the answer that is expected, or None where the model's
            two lines could not be read; filled as tasks come.
        unreadable: answers that were neither true nor false, and questions that were none.
        asked: answers that were wanted.
    """

    model: LanguageModel

    def __post_init__(self) -> None:
        self.questions: dict[tuple[str, str], tuple[str, bool] | None] = {}
        self.unreadable = self.asked = 0

    def viable(self, observation: Mapping[str, Any], tasks: Sequence[str]) -> list[bool]:
        """See ``FeasibilityChecker``."""
        return self._answers(CAN, [described(observation)] * len(tasks), tasks)

    def judge(self, episodes: Sequence[Trajectory]) -> list[bool]:
        """See ``SuccessDetector``; it is told what is seen at the end."""
        ends = [{name: values[-1] for name, values in each.observations.items()} for each in episodes]
        return self._answers(DONE, [described(end) for end in ends], [each.instruction for each in episodes])

    def _answers(self, purpose: str, seen: Sequence[str], tasks: Sequence[str]) -> list[bool]:
        """For each what is seen and its task, whether the model's answer is the expected one."""
        new = [task for task in dict.fromkeys(tasks) if (purpose, task) not in self.questions]
        prompts = [user(purpose.format(task=task)) for task in new]
        written = self.model.generate(prompts, sampling=_QUESTION) if new else []
        for task, [response] in zip(new, written, strict=True):
            self.questions[purpose, task] = two_lines(response.text)
        asked = [self.questions[purpose, task] for task in tasks]
        rows = [i for i, each in enumerate(asked) if each is not None]
        chats = [user(LOOK.format(seen=seen[i], question=asked[i][0])) for i in rows]  # type: ignore[index]
        answers = self.model.generate(chats, sampling=_WORD) if chats else []
        verdicts = [False] * len(tasks)
        self.asked += len(tasks)
        self.unreadable += len(tasks) - len(rows)
        for i, [response] in zip(rows, answers, strict=True):
            answer = true_or_false(response.text)
            self.unreadable += answer is None
            verdicts[i] = answer is not None and answer == asked[i][1]  # type: ignore[index]
        return verdicts


def two_lines(text: str) -> tuple[str, bool] | None:
    """The question and the expected answer of a model's two lines; None where they are no such thing."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if len(lines) != 2 or not lines[0].endswith("?"):
        return None
    expected = lines[1].lower().strip(" .\"'")
    return (lines[0], expected == "true") if expected in ("true", "false") else None


def true_or_false(text: str) -> bool | None:
    """What an answer begins with: true or yes, false or no; None for anything else."""
    match = _ANSWER.match(text)
    return None if match is None else match[1].lower() in ("true", "yes")


def described(observation: Mapping[str, Any]) -> str:
    """What is seen, in words: a grid's things with their places, texts, and small vectors.

    Raises:
        InputError: there is nothing in it that can be said, a picture alone, say.
    """
    lines: list[str] = []
    for name, value in observation.items():
        array = np.asarray(value)
        if name == "instruction":
            continue
        if isinstance(value, str):
            lines.append(f"{name}: {value}")
        elif _is_grid(array):
            lines += _things(array)
        elif name == "carrying" and array.shape == (2,):
            kind, color = array.tolist()
            carried = "nothing" if kind == 1 else f"a {COLOURS[color]} {NAMES[kind]}"
            lines.append(f"The robot carries {carried}.")
        elif array.ndim <= 1 and array.size <= 64 and array.dtype.kind in "fiub":
            lines.append(f"{name}: {' '.join(f'{number:.3g}' for number in array.reshape(-1).tolist())}")
    if not lines:
        expected = "parts that can be said in words: a grid, texts or vectors of up to 64 numbers"
        raise InputError("observation", sorted(observation), expected)
    return "\n".join(lines)


def _is_grid(array: NDArray[Any]) -> bool:
    is_named = array.ndim == 3 and array.shape[2] == 3 and array.dtype.kind in "iu"
    return is_named and 0 <= int(array.min()) <= int(array.max()) < len(NAMES)


def _things(grid: NDArray[Any]) -> list[str]:
    """Each thing of a grid and where it is; columns from the west, rows from the north."""
    lines = []
    for (x, y), kind in np.ndenumerate(grid[..., 0]):
        if kind in _NOTHING:
            continue
        _, color, state = grid[x, y].tolist()
        place = f"in column {x}, row {y}"
        if NAMES[kind] == "agent":
            lines.append(f"The robot is {place} and faces {FACING[state % 4]}.")
        else:
            how = f"{DOORS[state % 3]} " if NAMES[kind] == "door" else ""
            lines.append(f"There is a {how}{COLOURS[color]} {NAMES[kind]} {place}.")
    return lines
