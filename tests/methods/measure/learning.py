"""A scripted model in place of weights, for methods that train and measure: nothing is trained.

A model's "weights" are a folder with the name of its training.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from biddable.experiments import stages
from biddable.models import load
from biddable.runs.run import Run
from biddable.suites import cells
from biddable.types import Chat, Prompt, Response, last_turn
from tests.doubles import Double


class Learned(Double):
    """Says the first word of the input, and where it was trained with definitions, the last."""

    def __init__(self, weights: str, watch: Watch):
        super().__init__()
        self.weights, self.watch = weights, watch

    def say(self, prompt: Prompt, seed: int | None, sample: int) -> Response:
        self.watch.answers += 1
        if self.watch.answers == self.watch.interrupt_at:
            raise KeyboardInterrupt
        words = last_turn(prompt).rpartition("nput: ")[2].partition("\n")[0].strip(".").split(", ")
        return Response(words[-1] if any(part in self.weights for part in self.watch.better) else words[0])


class Watch:
    """What models were asked and taught; ``interrupt_at``: the answer at which the user presses Ctrl-C."""

    def __init__(self, *better: str):
        self.better, self.taught, self.answers, self.interrupt_at = better, {}, 0, -1
        self.trainings: list[str] = []
        self.configs: dict[str, Any] = {}

    taught: dict[str, list[Chat]]


def script(monkeypatch: pytest.MonkeyPatch, *better: str) -> Watch:
    """Let ``Learned`` stand for every model; whose weights' names hold one of ``better`` answers better."""
    watch = Watch(*better)

    def note(run: Run, name: str, start: object, config: object, train: Any) -> Path:
        whole = run._names.whole(name)
        assert isinstance(train, partial)
        watch.taught[whole], watch.configs[whole] = train.args[1], config

        def fill(folder: Path) -> None:
            watch.trainings.append(whole)
            (folder / "weights").write_text(f"{whole} of {start}")

        return run.stage_folder(name, fill)

    def loaded(weights: str | Path, **_: Any) -> Learned:
        path = Path(weights, "weights")
        return Learned(path.read_text().partition(" of ")[0] if path.exists() else str(weights), watch)

    monkeypatch.setattr(load, "load_model", loaded)
    monkeypatch.setattr(stages, "trained", note)
    monkeypatch.setattr(cells, "model_identity", lambda weights: str(Path(weights).name))
    return watch


def prompts(chats: Sequence[Chat]) -> list[str]:
    """What is asked in chats."""
    return [chat[0].content for chat in chats]


def answers(chats: Sequence[Chat]) -> list[str]:
    """What is learned to be said."""
    return [chat[-1].content for chat in chats]
