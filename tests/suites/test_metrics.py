from __future__ import annotations

import math

import pytest

from biddable.suites.metrics import (
    ACC,
    ACC_NORM,
    BITS_PER_BYTE,
    MC2,
    WORD_PERPLEXITY,
    chance,
    chosen,
    met,
    passed,
    score,
)
from biddable.types import CheckResult, Record, Response, Task, Verdict

CHOICES = ("a", "a long one")


def record(*scores: float, right: str = "a", said: str = "") -> Record:
    return Record(Task("t", "p", references=(right,), choices=CHOICES), (Response(said),), scores=scores)


def test_the_likeliest_choice_counts_whole_or_by_character() -> None:
    both = record(-2.0, -5.0)
    assert (chosen(both), chosen(both, len)) == ("a", "a long one")
    assert (ACC.measure(both), ACC_NORM.measure(both)) == (1.0, 0.0)
    assert chosen(record(-2.0, -2.0)) == "a"  # the first of equal ones


def test_without_log_probabilities_what_was_said_counts() -> None:
    assert (chosen(record(said="a")), chosen(record(said="I think so."))) == ("a", None)
    assert [metric.measure(record(said="a")) for metric in (ACC, ACC_NORM, MC2)] == [1.0, 1.0, 1.0]
    assert [metric.measure(record(said="?")) for metric in (ACC, ACC_NORM, MC2)] == [0.0, 0.0, 0.0]


def test_mc2_is_the_mass_of_the_right_choices() -> None:
    assert MC2.measure(record(math.log(0.2), math.log(0.6))) == pytest.approx(0.25)
    assert MC2.measure(record(-2000.0, -2000.0)) == pytest.approx(0.5)


def test_chance_counts_choices_that_stand_twice() -> None:
    assert chance(Task("t", "p", (), ("x",), {}, ("x", "y", "x", "z"))) == 0.5


def test_written_responses_are_means_over_samples() -> None:
    checks = ((CheckResult("r", True), CheckResult("q", False)), (CheckResult("r", False),))
    verdicts = (Verdict(0.5, True, "", checks[0]), Verdict(None, None, "", checks[1]))
    both = Record(Task("t", "p"), (Response(""),) * 2, verdicts)
    assert (passed("p").measure(both), score("s").measure(both)) == (0.5, 0.25)
    assert (met("m", "r").measure(both), met("m", "q").measure(both)) == (0.5, 0.0)


def test_likelihoods_are_per_byte_and_per_word() -> None:
    text = Record(Task("t", "né deux"), (), scores=(-8 * math.log(2),))
    assert BITS_PER_BYTE.measure(text) == pytest.approx(1.0)  # 8 bytes
    assert WORD_PERPLEXITY.measure(text) == pytest.approx(4 * math.log(2))
    assert BITS_PER_BYTE.weight is not None
    assert WORD_PERPLEXITY.weight is not None
    assert (BITS_PER_BYTE.weight(text), WORD_PERPLEXITY.weight(text)) == (8, 2)
