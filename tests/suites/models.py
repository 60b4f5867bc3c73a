"""Models that choose, and suites to ask them, for the tests beside this file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from biddable.judges.reference import ReferenceJudge
from biddable.models.base import NoScoresError, Sampling, TokenScores
from biddable.suites.base import Suite
from biddable.suites.metrics import ACC, ACC_NORM, met
from biddable.types import Prompt, Task, last_turn
from tests.doubles import Parrot


class Chooser(Parrot):
    """Finds a choice as likely as ``likes`` says, in nats; ``template``: it has a chat template."""

    name = "chooser"

    def __init__(self, likes: Callable[[str, str], float], template: bool = False) -> None:
        super().__init__()
        self.likes = likes
        self.tokenizer = SimpleNamespace(chat_template="x" if template else None)
        self.scored: list[tuple[Prompt, str]] = []

    def score(self, prompts: Sequence[Prompt], continuations: Sequence[str], **_: Any) -> list[TokenScores]:
        pairs = list(zip(prompts, continuations, strict=True))
        self.scored += pairs
        return [TokenScores((1,), (self.likes(last_turn(prompt), text),)) for prompt, text in pairs]


class Served(Parrot):
    """Gives no log-probabilities, as chat endpoints do."""

    name = "served"

    def score(self, prompts: Sequence[Prompt], continuations: Sequence[str], **_: Any) -> list[TokenScores]:
        raise NoScoresError("no log-probabilities of given text")


def choosing(n: int = 4, **changes: Any) -> Suite:
    """Tasks of which the right choice is "yes" for even numbers."""
    tasks = tuple(
        Task(f"t{i}", f"Is {i} even?", references=("no" if i % 2 else "yes",), choices=("yes", "no"))
        for i in range(n)
    )
    return replace(Suite("even", tasks, (ACC, ACC_NORM), "choose"), **changes)


def writing(n: int = 4, **changes: Any) -> Suite:
    """Tasks whose right answer is themselves, with the seed that a ``Parrot`` adds."""
    tasks = tuple(Task(f"t{i}", f"say w{i}", references=(f"say w{i} [{i}]",)) for i in range(n))
    metrics = (met("exact_match", "reference:exact_match"),)
    sampling = Sampling(max_tokens=6, temperature=0.0)
    return replace(Suite("echo", tasks, metrics, judge=ReferenceJudge(), sampling=sampling), **changes)
