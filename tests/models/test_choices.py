"""Choosing among texts: by log-probabilities, by generated answers where there are none."""

from __future__ import annotations

import logging
import math

import pytest

from biddable.errors import InputError
from biddable.models.base import NoScoresError, TokenScores
from biddable.models.choices import choose, rank_choices
from biddable.types import Response, user

from ..train.tiny import local

CHATS = [user("w1 w2 w3"), user("w9")]


class Scored:
    """A model whose log-probability of a continuation is in a table, half of it for each of two tokens."""

    name = "scored"

    def __init__(self, table):
        self.table, self.calls = table, []

    def score(self, prompts, continuations, *, end=True):
        self.calls.append((len(prompts), end))
        totals = [self.table[prompt, text] for prompt, text in zip(prompts, continuations, strict=True)]
        return [TokenScores((1, 2), (total / 2, total / 2)) for total in totals]


class Answering:
    """A model that only answers."""

    name = "answering"

    def __init__(self, *answers, error=""):
        self.answers, self.error, self.asked = answers, error, []

    def score(self, prompts, continuations, *, end=True):
        raise NoScoresError("it gives none")

    def generate(self, prompts, *, n=1, sampling=None, seeds=None):
        self.asked.append((prompts, sampling))
        return [[Response(text, error=self.error)] for text in self.answers]


TABLE = {("q", "a"): -2.0, ("q", "bbbb"): -4.0, ("r", "a"): -3.0, ("r", "bbbb"): -2.0}
PRIOR = {("p", "a"): -0.5, ("p", "bbbb"): -3.0}


def test_all_prompts_and_choices_are_scored_in_one_call() -> None:
    model = Scored(TABLE)
    rankings = rank_choices(model, ["q", "r"], ["a", "bbbb"])
    assert model.calls == [(4, False)]
    assert [ranking.best for ranking in rankings] == [0, 1]
    assert rankings[0].scores == (-2.0, -4.0)
    assert rankings[0].probabilities == pytest.approx((1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))))
    assert rankings[0].how == "log-probability"


@pytest.mark.parametrize(
    ("normalize", "scores", "how"),
    [("tokens", (-1.0, -2.0), " per token"), ("bytes", (-2.0, -1.0), " per byte")],
)
def test_lengths_are_divided_by(normalize, scores, how) -> None:
    [ranking] = rank_choices(Scored(TABLE), ["q"], ["a", "bbbb"], normalize=normalize)
    assert (ranking.scores, ranking.how) == (scores, f"log-probability{how}")


def test_a_prior_is_subtracted_before_that_and_scored_in_the_same_call() -> None:
    model = Scored(TABLE | PRIOR)
    rankings = rank_choices(model, ["q", "r"], [["a", "bbbb"], ["bbbb"]], prior="p", normalize="bytes")
    assert model.calls == [(5, False)]
    assert [ranking.scores for ranking in rankings] == [(-1.5, -0.25), (0.25,)]
    assert rankings[0].best == 1
    assert rankings[0].how == "log-probability per byte, less that after the prior"


def test_of_equal_choices_the_first_wins() -> None:
    [ranking] = rank_choices(Scored({("q", "a"): -1.0, ("q", "b"): -1.0}), ["q"], ["b", "a", "b"])
    assert (ranking.best, ranking.probabilities) == (0, pytest.approx((1 / 3,) * 3))


def test_scores_are_the_models_own() -> None:
    model = local()
    for ranking, chat in zip(rank_choices(model, CHATS, ["w5 w6", "w7"]), CHATS, strict=True):
        expected = [row.total for row in model.score([chat] * 2, ["w5 w6", "w7"], end=False)]
        assert ranking.scores == pytest.approx(expected, abs=1e-4)
    assert rank_choices(model, [], ["a"]) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_end_their_prompt_alone(bad) -> None:
    table = {("q", "a"): bad, ("q", "b"): bad, ("r", "a"): -3.0, ("r", "b"): -2.0}
    failed, good = rank_choices(Scored(table), ["q", "r"], ["a", "b"])
    assert (failed.best, failed.scores, failed.probabilities) == (None, (), ())
    assert failed.how == "no answer: the model's log-probabilities of the choices are not finite"
    assert good.best == 1
    spaced = {(prompt, f" {text}"): value for (prompt, text), value in table.items()}
    first, second = choose(Scored(spaced), ["q", "r"], ["a", "b"])
    assert (first.text, first.finish_reason) == ("", "error")
    assert "not finite" in first.error
    assert (second.text, second.error) == ("b", "")


def test_a_choice_that_cannot_be_is_not_taken() -> None:
    [ranking] = rank_choices(Scored({("q", "a"): -math.inf, ("q", "b"): -1.0}), ["q"], ["a", "b"])
    assert (ranking.best, ranking.probabilities) == (1, (0.0, 1.0))


@pytest.mark.parametrize(
    ("answer", "choices", "best", "how"),
    [
        (" Paris\n", ["Rome", "Paris"], 1, "exact"),
        ("paris, I think", ["Rome", "Paris"], 1, "prefix"),
        ("10 of them", ["1", "10"], 1, "prefix"),
        ("10", ["1", "10 of"], None, "no match"),
        ("Apples", ["A", "B"], None, "no match"),
        ("A) apples", ["A", "B"], 0, "prefix"),
        ("a", ["A", "a"], 1, "exact"),
        ("", ["A", " "], 1, "exact"),
    ],
)
def test_without_log_probabilities_the_answer_is_matched(answer, choices, best, how, caplog) -> None:
    model = Answering(answer)
    with caplog.at_level(logging.WARNING):
        [ranking] = rank_choices(model, ["q"], choices)
    assert (ranking.best, ranking.scores, ranking.probabilities) == (best, (), ())
    assert ranking.how == f"generated text, {how}"
    assert [record.message for record in caplog.records] == [
        "answering chooses by the text that it generates: it gives none"
    ]
    assert model.asked[0][1].temperature == 0


def test_an_answer_that_could_not_be_had_chooses_nothing() -> None:
    [ranking] = rank_choices(Answering("a", error="too long"), ["q"], ["a"])
    assert (ranking.best, ranking.how) == (None, "no answer: too long")


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ("ab", "choices is 'ab', expected a list of texts"),
        ([], "choices is .*, expected at least one choice"),
        ([["a"]], "choices is '1 lists', expected one for each of the 2 prompts"),
        ([["a"], []], r"choices\[1\] is .*, expected at least one choice"),
        ([["a"], "b"], "choices is .*, expected a list of texts"),
        ([["a"], ["b", ""]], r"choices\[1\]\[1\] is '', expected a text that says something"),
        (["a", 3], "choices"),
    ],
)
def test_choices_that_cannot_be_ranked_are_named(choices, message) -> None:
    with pytest.raises(InputError, match=message):
        rank_choices(Scored({}), ["q", "r"], choices)


def test_other_arguments_that_cannot_be_used_are_named() -> None:
    with pytest.raises(InputError, match="normalize is 'length', expected none, tokens or bytes"):
        rank_choices(Scored({}), ["q"], ["a"], normalize="length")
    with pytest.raises(InputError, match=r"prompts\[1\] is '', expected a text that says something"):
        rank_choices(Scored({}), ["q", ""], ["a"])
