"""Models for tests: they answer at once, by rule, and note how they were asked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

from biddable.models.base import GREEDY, Sampling, TokenScores
from biddable.types import Prompt, Response, last_turn


class Double:
    """Answers each prompt by ``say``.

    Attributes:
        asked: for each call of ``generate`` what it was given: prompts, n, sampling and seeds.
    """

    name = "double"

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        n: int = 1,
        sampling: Sampling = GREEDY,
        seeds: Sequence[int] | None = None,
    ) -> list[list[Response]]:
        self.asked.append({"prompts": list(prompts), "n": n, "sampling": sampling, "seeds": seeds})
        given = [None] * len(prompts) if seeds is None else seeds
        return [
            [self.say(prompt, seed, sample) for sample in range(n)]
            for prompt, seed in zip(prompts, given, strict=True)
        ]

    def say(self, prompt: Prompt, seed: int | None, sample: int) -> Response:
        """The response to one prompt; ``seed`` is None where none is given."""
        raise NotImplementedError

    def score(self, prompts: Sequence[Prompt], continuations: Sequence[str]) -> list[TokenScores]:
        raise NotImplementedError


class Scripted(Double):
    """Hands out ``texts`` one after another, from the start again when they run out."""

    name = "scripted"

    def __init__(self, *texts: str):
        super().__init__()
        self._texts = cycle(texts)

    def say(self, prompt: Prompt, seed: int | None, sample: int) -> Response:
        return Response(next(self._texts))


class Parrot(Double):
    """Repeats what it is asked, and says with which seed.

    Attributes:
        loads: how often it was loaded.
        interrupt_after: the call of ``generate`` at which the user presses Ctrl-C.
    """

    name = "parrot"

    def __init__(self) -> None:
        super().__init__()
        self.loads = 0
        self.interrupt_after = -1

    @property
    def calls(self) -> int:
        """How often it was asked."""
        return len(self.asked)

    @property
    def chats(self) -> list[Prompt]:
        """Every prompt it was asked, in order."""
        return [prompt for call in self.asked for prompt in call["prompts"]]

    @property
    def samplings(self) -> list[Sampling]:
        """How each call was to draw."""
        return [call["sampling"] for call in self.asked]

    def load(self, spec: object, **options: object) -> Parrot:
        self.loads += 1
        return self

    def generate(self, prompts: Sequence[Prompt], **options: Any) -> list[list[Response]]:
        if self.calls == self.interrupt_after:
            raise KeyboardInterrupt
        return super().generate(prompts, **options)

    def say(self, prompt: Prompt, seed: int | None, sample: int) -> Response:
        mark = "" if seed is None else f" [{seed}]"
        return Response(f"{last_turn(prompt)}{mark}" + f" #{sample}" * (sample > 0))


class Fickle(Parrot):
    """Has no answer where the prompt says "refuse", runs into the limit at "cut", thinks at "think"."""

    refuses = True

    def say(self, prompt: Prompt, seed: int | None, sample: int) -> Response:
        asked, text = last_turn(prompt), super().say(prompt, seed, sample).text
        if "refuse" in asked and self.refuses:
            return Response("", finish_reason="error", error="400 Bad Request: content filter")
        if "think" in asked:
            return Response(f"<think>Well, hm, so.</think>\n\n{text}")
        return Response(text, finish_reason="length" if "cut" in asked else "stop")
