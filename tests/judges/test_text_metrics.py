from __future__ import annotations

import random

import pytest

from biddable.judges.text_metrics import (
    prefix_match,
    rouge_l,
    squad_exact_match,
    strict_prefix_match,
    superni_exact_match,
    token_f1,
)


@pytest.mark.parametrize(
    ("text", "reference", "score"),
    [
        ("The cats were running", "cat runs", 2 * 2 / 6),
        ("a b c d", "b d", 2 * 2 / 6),
        ("b a", "a b", 0.5),
        ("", "word", 0.0),
        ("word", "", 0.0),
        ("", "", 0.0),
        ("Yes!", "yes", 1.0),
        ("это кошка", "это кошка", 0.0),
    ],
)
def test_rouge_l_by_hand(text, reference, score):
    assert rouge_l(text, reference) == pytest.approx(score)


def test_rouge_l_is_that_of_rouge_score():
    official = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"], use_stemmer=True)
    words = ["the", "a", "cats", "running", "quickly", "generalization", "x1", "don't", "3.5", "été", "-"]
    rng = random.Random(0)
    for _ in range(300):
        text, reference = (" ".join(rng.choices(words, k=rng.randint(0, 40))) for _ in range(2))
        expected = official.score(reference, text)["rougeL"].fmeasure
        assert rouge_l(text, reference) == pytest.approx(expected, abs=1e-12)


def test_articles_count_in_superni_and_not_in_squad():
    assert superni_exact_match("  New York. ", "new  york") == 1
    assert superni_exact_match("the cat", "cat") == 0
    assert squad_exact_match("The cat!", "a cat") == 1
    assert squad_exact_match("theory", "ory") == 0


@pytest.mark.parametrize(
    ("text", "reference", "score"),
    [
        ("the red cat", "red cat", 1.0),
        ("red red cat", "red cat sat", 2 * 2 / 6),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("the", "an", 1.0),
    ],
)
def test_token_f1_by_hand(text, reference, score):
    assert token_f1(text, reference) == pytest.approx(score)


@pytest.mark.parametrize(
    ("text", "reference", "official", "strict"),
    [
        (" A. Paris", "A", 1, 1),
        ("Animals", "A", 1, 0),
        ("12", "1", 1, 0),
        ("1.5", "1", 1, 0),
        ("1.", "1", 1, 1),
        ("(A) Paris", "(A)", 1, 1),
        ("(A)nimals", "(A)", 1, 1),
        ("a", "A", 0, 0),
        ("anything", "", 0, 0),
    ],
)
def test_prefixes(text, reference, official, strict):
    assert prefix_match(text, reference) == official
    assert strict_prefix_match(text, reference) == strict
