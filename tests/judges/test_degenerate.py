"""Texts that follow every rule and answer nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biddable.judges.answer import NOT_DEGENERATE, AnswerJudge
from biddable.judges.degenerate import degeneracy, own_words, repetition
from biddable.types import Check, Response, Task, Verdict, user

REQUEST = "Write a review of a museum of buttons. Two sentences at the most. No commas, please."
ANSWER = "I came for ten minutes and stayed for three hours. Every drawer holds another small wonder."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ANSWER, ""),
        ("Go there on a rainy day!", ""),
        ("", "says nothing"),
        ("*this*", "says nothing"),
        ("Lovely place, go.", "says nothing"),
        ('"Write a review of a museum of buttons."', "copies the request"),
        (f"{REQUEST} It was fine and I liked the shop.", "copies the request"),
        ("A museum. " * 8, "repeats itself"),
        ("I went there and I liked it a lot. " + "*** " * 20, "repeats itself"),
        ("S-O-N-M-E-A-" * 6, "repeats itself"),
        ("[name] at [city] " * 6, "repeats itself"),
    ],
)
def test_what_is_no_answer(text: str, says: str) -> None:
    found = degeneracy(REQUEST, text)
    assert says in found if says else not found


def test_a_short_quotation_of_the_request_is_fine() -> None:
    text = "I have never seen a review of a museum of buttons that does justice to the smell of the old wood."
    own, words = own_words(REQUEST, text)
    assert (own, words) == (14, 21)
    assert not degeneracy(REQUEST, text)


def test_where_the_request_wants_its_own_words() -> None:
    assert degeneracy(REQUEST, REQUEST)
    assert not degeneracy(REQUEST, REQUEST, may_copy=True)
    assert degeneracy(REQUEST, "Yes. " * 20, may_copy=True)


@given(st.text(), st.text())
def test_shares_are_shares(request_text: str, text: str) -> None:
    assert 0 <= repetition(text) < 1
    own, words = own_words(request_text, text)
    assert 0 <= own <= words
    assert degeneracy(request_text, text) == degeneracy(request_text, text)


def test_a_judge_that_asks_for_an_answer_too() -> None:
    task = Task("t", user(REQUEST), (Check("punctuation:no_comma"),))
    good, empty, comma, both = AnswerJudge()(
        [task] * 4, [Response(ANSWER), Response("*this*"), Response(f"Well, {ANSWER}"), Response("a, b")]
    )
    assert (good.passed, empty.passed, comma.passed, both.passed) == (True, False, False, False)
    assert (good.score, empty.score, comma.score, both.score) == (1.0, 0.5, 0.5, 0.0)
    assert empty.checks[-1].id == NOT_DEGENERATE
    assert not empty.checks[-1].passed
    assert "says nothing" in empty.critique


@pytest.mark.parametrize(
    ("given", "text", "expected"),
    [
        (Verdict(0.6, True), ANSWER, (0.8, True)),
        (Verdict(0.6, True), "*this*", (0.3, False)),
        (Verdict(None, None), ANSWER, (None, None)),
    ],
)
def test_a_judge_without_checks_keeps_its_score(given: Verdict, text: str, expected: tuple) -> None:
    judge = AnswerJudge(lambda tasks, responses, *, seeds=None: [given] * len(tasks))
    [found] = judge([Task("t", user(REQUEST))], [Response(text)])
    assert (found.score, found.passed) == expected


def test_seeds_reach_the_other_judge() -> None:
    def judge(tasks, responses, *, seeds=None):
        return [Verdict(None, None, str(seed)) for seed in seeds]

    task = Task("t", user(REQUEST))
    verdicts = AnswerJudge(judge)([task, task], [Response(ANSWER), Response(ANSWER)], seeds=[7, 8])
    assert [verdict.critique for verdict in verdicts] == ["7", "8"]


def test_rules_that_ask_for_the_requests_words_are_left_alone() -> None:
    again = Task(
        "t", user("Say hello."), (Check("combination:repeat_prompt", {"prompt_to_repeat": "Say hello."}),)
    )
    assert AnswerJudge()([again], [Response("Say hello. Hello!")])[0].passed
