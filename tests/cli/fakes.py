"""A model for tests of commands, and what a failed command must look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from click.testing import Result

from biddable.models.base import GREEDY, Sampling
from biddable.types import Chat, Response


class Parrot:
    """Repeats the last message, and says with which seed; keeps what it was asked.

    Attributes:
        chats: every chat it was asked, in order.
        loads: how often it was loaded.
        interrupt_after: the call of ``generate`` at which the user presses Ctrl-C.
    """

    name = "parrot"

    def __init__(self) -> None:
        self.chats: list[Chat] = []
        self.samplings: list[Sampling] = []
        self.loads = 0
        self.calls = 0
        self.interrupt_after = -1

    def load(self, spec: object, **options: object) -> Parrot:
        self.loads += 1
        return self

    def generate(
        self,
        chats: Sequence[Chat],
        *,
        n: int = 1,
        sampling: Sampling = GREEDY,
        seeds: Sequence[int] | None = None,
    ) -> list[list[Response]]:
        if self.calls == self.interrupt_after:
            raise KeyboardInterrupt
        self.calls += 1
        self.chats += chats
        self.samplings.append(sampling)
        marks = [""] * len(chats) if seeds is None else [f" [{seed}]" for seed in seeds]
        return [
            [Response(f"{chat[-1].content}{mark}" + f" #{i}" * (i > 0)) for i in range(n)]
            for chat, mark in zip(chats, marks, strict=True)
        ]


class Fickle(Parrot):
    """Has no answer where the prompt says "refuse", runs into the limit at "cut", thinks at "think"."""

    refuses = True

    def generate(self, chats: Sequence[Chat], **options: Any) -> list[list[Response]]:
        rows = super().generate(chats, **options)
        return [
            [self._response(chat[-1].content, found) for found in row]
            for chat, row in zip(chats, rows, strict=True)
        ]

    def _response(self, asked: str, found: Response) -> Response:
        if "refuse" in asked and self.refuses:
            return Response("", finish_reason="error", error="400 Bad Request: content filter")
        if "think" in asked:
            return Response(f"<think>Well, hm, so.</think>\n\n{found.text}")
        return Response(found.text, finish_reason="length" if "cut" in asked else "stop")


def assert_one_line(result: Result, *parts: str, exit_code: int = 2) -> None:
    """A command that failed said why in one line on stderr, naming ``parts``, and nothing else."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n")
    for part in parts:
        assert part in result.stderr
