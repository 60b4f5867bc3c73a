from __future__ import annotations

import logging

import pytest

from biddable.judges.rating import yes_probabilities
from biddable.types import user
from tests.judges.test_labels import Scorer, Writer

CHANCES = {"Yes": 0.3, "yes": 0.2, "YES": 0.1, "No": 0.1, "no": 0.05, "NO": 0.05}


def test_yes_probabilities():
    assert yes_probabilities(Scorer(**CHANCES), [user("Is it?"), "Is it? Answer:"]) == pytest.approx(
        [0.75] * 2
    )


def test_yes_probabilities_of_written_answers(caplog):
    prompts = [user(text) for text in ("Yes.", "no, never", "I know not", "Not yes")]
    with caplog.at_level(logging.WARNING):
        assert yes_probabilities(Writer(), prompts) == [1, 0, 0.5, 1]
    assert "1 of 4 questions to double count as 0.5; the first: the answer says none of them" in caplog.text


def test_no_questions():
    assert yes_probabilities(Writer(), []) == []
