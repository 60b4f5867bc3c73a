from __future__ import annotations

import pytest

from biddable.judges.induction import (
    induction_contains,
    induction_exact_match,
    induction_exact_set,
    induction_f1,
    induction_normalized,
)
from biddable.judges.reference import ReferenceJudge
from biddable.types import Response, Task


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("  The Cat.\nand more", "the cat"),
        ("well-known and  liked!", "well known liked"),
        ("Sentence 1: It rained. Sentence 2: I stayed.", "it rained"),
        ("3.14", "3"),
        ("...", ""),
    ],
)
def test_what_is_compared_is_the_first_sentence(text: str, normalized: str) -> None:
    assert induction_normalized(text) == normalized


def test_metrics_by_hand() -> None:
    assert induction_exact_match("Dogs.", "dogs") == 1
    assert induction_exact_match("Dogs bark", "dogs") == 0
    assert induction_exact_set("cat, dog", "dog cat") == 1
    assert induction_exact_set("cat, dog", "dog cat cow") == 0
    assert induction_contains("it is very glad", "glad") == 1
    assert induction_contains("gladly", "glad") == 0
    assert induction_contains("a+b", "a+b") == 1
    assert induction_contains("anything", "...") == 0
    assert induction_f1("both are in the sea", "are in water") == pytest.approx(4 / 8)
    assert induction_f1("no", "yes") == 0


def test_the_nearest_reference_counts() -> None:
    task = Task("t", "x", references=("large", "big"))
    [verdict] = ReferenceJudge("induction_contains")([task], [Response("Big, of course")])
    assert verdict.passed
