"""Composed instructions: sound, different, of wordings that are in one part only."""

from __future__ import annotations

import numpy as np
import pytest

from biddable.errors import InputError
from biddable.tasks import compose_frames as compose
from biddable.tasks.compose_frames import PATTERNS, compose_frames, wordings
from biddable.tasks.frames import ROLES, SKILLS, example_of, frame_row


def test_every_skill_is_asked_for_in_every_part_and_no_wording_in_two() -> None:
    parts = {part: wordings(part) for part in ("train", "dev", "test")}  # type: ignore[arg-type]
    assert {*PATTERNS} == {*SKILLS}
    for of in parts.values():
        assert {skill for skill, _, _ in of} == {*SKILLS}
    every = [wording for of in parts.values() for wording in of]
    assert len(every) == len({*every})


def test_instructions_are_sound_rows_that_differ() -> None:
    made = compose_frames("train", 200, np.random.default_rng(0))
    examples = [example for example, _ in made]
    assert len({each.text for each in examples}) == 200
    assert all(example_of(frame_row(each), SKILLS, ROLES) == each for each in examples)
    numbers = [len(each.tasks) for each in examples]
    assert min(numbers) == 1
    assert max(numbers) >= 4
    roles = {each.role for row in examples for task in row.tasks for each in task.arguments}
    assert roles <= {*ROLES}
    assert len(roles) > 12


def test_tasks_share_arguments() -> None:
    made = compose_frames("train", 300, np.random.default_rng(0))
    again = [row for row, _ in made if "it" in row.words and len(row.tasks) > 1]
    assert again
    for row in again:
        spans = [{each.span for each in task.arguments} for task in row.tasks]
        assert sum(map(len, spans)) > len(set().union(*spans))


def test_the_same_seed_gives_the_same() -> None:
    first, second = (compose_frames("dev", 20, np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_more_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "wordings", lambda part: [("motion", "go", "V [manner forward]")])
    monkeypatch.setattr(compose, "NUMBERS", (1.0,))
    with pytest.raises(InputError, match="number is 3, expected at most 1 instructions"):
        compose_frames("dev", 3, np.random.default_rng(3))
