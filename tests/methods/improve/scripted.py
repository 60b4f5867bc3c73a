"""A scripted model in place of weights: what a method makes of its answers is tested, nothing is trained.

A model's "weights" are a folder with the name of its training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from biddable.experiments import stages
from biddable.judges.lm_judge import END, JUDGEMENT, START
from biddable.methods.improve.humpback import BACKTRANSLATE
from biddable.models import load
from biddable.models.base import GREEDY, Sampling, TokenScores
from biddable.runs.run import Run
from biddable.types import Chat, Response

COMPOSED = {
    "compose.types": ("change_case:english_lowercase", "punctuation:no_comma"),
    "compose.held_out_types": (),
    "test.tasks": 10,
    "test.held_out": 0,
}
WORDS = "the boats leave this small harbour one by one while gulls circle above old men mend nets".split()  # noqa: SIM905


class Scripted:
    """Answers, judges and repairs by its seed alone: about half of what it says is right."""

    def generate(
        self,
        chats: Sequence[Chat],
        *,
        n: int = 1,
        sampling: Sampling = GREEDY,
        seeds: Sequence[int] | None = None,
    ) -> list[list[Response]]:
        given = seeds if seeds is not None else [len(chat[-1].content) for chat in chats]
        return [
            [Response(self.say(chat, seed * 31 + 7 * sample)) for sample in range(n)]
            for chat, seed in zip(chats, given, strict=True)
        ]

    def say(self, chat: Chat, seed: int) -> str:
        if len(chat) == 3:
            return f"It missed something.\n{START}\n{text(seed)}\n{END}"
        if JUDGEMENT in chat[-1].content:
            return f"I looked at it.\n{JUDGEMENT}: {'Yes' if seed % 23 % 3 else 'No'}"
        if chat[-1].content.startswith(BACKTRANSLATE[:20]):
            return f"Write {len(chat[-1].content)} letters about boats."
        return text(seed)

    def score(self, prompts: Sequence[Chat], texts: Sequence[str]) -> list[TokenScores]:
        return [TokenScores((1, 2), (-0.1 * len(text), -0.5)) for text in texts]


def text(seed: int) -> str:
    """An answer of its own: in lower case and without commas, or neither."""
    turned = WORDS[seed % 7 :] + WORDS[: seed % 7]
    return " ".join(turned) + "." if seed % 2 else " ".join(turned).title() + ", again."


def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Let ``Scripted`` stand for every model; gives what each training was given, by its stage."""
    given: dict[str, list[Any]] = {}

    def note(run: Run, name: str, start: object, config: object, train: Any) -> Path:
        given[name] = train.args[1]

        def fill(folder: Path) -> None:
            (folder / "weights").write_text(name)

        return run.stage_folder(name, fill)

    monkeypatch.setattr(load, "load_model", lambda weights, **options: Scripted())
    monkeypatch.setattr(stages, "trained", note)
    return given
