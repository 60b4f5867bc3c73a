"""A scripted model in place of weights: what a method makes of its answers is tested, nothing is trained.

A model's "weights" are a folder with the name of its training.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from biddable.experiments import stages
from biddable.judges.lm_judge import END, JUDGEMENT, START
from biddable.methods.improve.humpback import BACKTRANSLATE
from biddable.models import load
from biddable.models.base import TokenScores
from biddable.runs.run import Run
from biddable.types import Prompt, Response, as_chat, last_turn
from tests.doubles import Double

COMPOSED = {
    "compose.types": ("change_case:english_lowercase", "punctuation:no_comma"),
    "compose.held_out_types": (),
    "test.tasks": 10,
    "test.held_out": 0,
}
WORDS = "the boats leave this small harbour one by one while gulls circle above old men mend nets".split()  # noqa: SIM905


class Improvable(Double):
    """Answers, judges and repairs by its seed alone: about half of what it says is right."""

    def say(self, prompt: Prompt, seed: int | None, sample: int) -> Response:
        chat = as_chat(prompt)
        asked = chat[-1].content
        number = (len(asked) if seed is None else seed) * 31 + 7 * sample
        if len(chat) == 3:
            return Response(f"It missed something.\n{START}\n{text(number)}\n{END}")
        if JUDGEMENT in asked:
            return Response(f"I looked at it.\n{JUDGEMENT}: {'Yes' if number % 23 % 3 else 'No'}")
        if asked.startswith(BACKTRANSLATE[:20]):
            return Response(f"Write {len(asked)} letters about boats.")
        return Response(text(number))

    def score(self, prompts: Sequence[Prompt], continuations: Sequence[str]) -> list[TokenScores]:
        return [TokenScores((1, 2), (-0.1 * len(text), -0.5)) for text in continuations]

    def encode_prompt(self, prompt: Prompt) -> list[str]:
        return last_turn(prompt).split()

    def encode_response(self, text: str) -> list[str]:
        return text.split()


def text(seed: int) -> str:
    """An answer of its own: in lower case and without commas, or neither."""
    turned = WORDS[seed % 7 :] + WORDS[: seed % 7]
    return " ".join(turned) + "." if seed % 2 else " ".join(turned).title() + ", again."


def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Let ``Improvable`` stand for every model; gives what each training was given, by its stage."""
    given: dict[str, list[Any]] = {}

    def note(run: Run, name: str, start: object, config: object, train: Any) -> Path:
        given[name] = train.args[1] if isinstance(train, partial) else []  # rewards have no data

        def fill(folder: Path) -> None:
            (folder / "weights").write_text(name)

        return run.stage_folder(name, fill)

    monkeypatch.setattr(load, "load_model", lambda weights, **options: Improvable())
    monkeypatch.setattr(stages, "trained", note)
    return given
