"""The rule judge: verdicts, reasons, loose reading, and what it refuses."""

import time

import pytest

from biddable.errors import InputError
from biddable.judges.ifeval import RuleJudge, check
from biddable.types import Check, Response, Task, user

SHORT = Check("length_constraints:number_words", {"num_words": 5, "relation": "less than"})
NO_COMMA = Check("punctuation:no_comma")
QUOTED = Check("startend:quotation")
TASK = Task("7", user("Say something short."), (SHORT, NO_COMMA))


def verdict(response, *, task=TASK, **options):
    (found,) = RuleJudge(**options)([task], [Response(response)])
    return found


def test_all_followed():
    found = verdict("Hello there.")
    assert found.passed
    assert found.score == 1.0
    assert found.critique == "Followed 2 of 2 instructions."


def test_what_failed_is_said_in_words():
    found = verdict("Hello there, my very dear friend.")
    assert not found.passed
    assert found.score == 0.0
    assert [check.id for check in found.checks] == [SHORT.id, NO_COMMA.id]
    assert [check.reason for check in found.checks] == [
        "The response has 6 words, where less than 5 were asked for.",
        "The response has 1 comma, where none is allowed.",
    ]
    assert found.critique.startswith("Followed 0 of 2 instructions. The response has 6 words")


def test_the_score_is_the_fraction_of_checks():
    assert verdict("Hello, there.").score == 0.5


@pytest.mark.parametrize("strict", [True, False])
def test_an_empty_response_fails_everything_and_says_so(strict):
    found = verdict("  \n ", strict=strict)
    assert found.score == 0.0
    assert {check.reason for check in found.checks} == {"The response is empty."}


def test_loose_reading_forgives_a_first_line():
    response = 'Sure, here it is:\n"Hello there."'
    task = Task("7", user("Quote."), (QUOTED,))
    assert not verdict(response, task=task).passed
    assert verdict(response, task=task, strict=False).passed


def test_loose_reading_takes_each_check_by_itself():
    response = 'Sure, here it is:\n"Hello there."\nBye.'
    task = Task(
        "7", user("Quote."), (QUOTED, NO_COMMA, Check("startend:end_checker", {"end_phrase": "Bye."}))
    )
    assert [check.passed for check in verdict(response, task=task, strict=False).checks] == [True, True, True]


def test_repaired_rules_on_request():
    task = Task("7", user("x"), (Check("keywords:existence", {"keywords": ["art"]}),))
    assert verdict("party", task=task).passed
    assert not verdict("party", task=task, fixed=True).passed


def test_order_is_kept():
    texts = ["a, b", "a b", "a, b, c d e f"]
    scores = [found.score for found in RuleJudge()([TASK] * 3, list(map(Response, texts)))]
    assert scores == [0.5, 1.0, 0.0]


def test_nothing_to_judge():
    assert RuleJudge()([], []) == []


def test_one_response_per_task():
    with pytest.raises(InputError, match="responses is 1, expected as many as there are tasks"):
        RuleJudge()([TASK, TASK], [Response("x")])


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ((), r"task 7: checks is \(\), expected at least one check"),
        ((NO_COMMA, Check(SHORT.id, {"num_words": 5})), r"task 7: kwargs\[1\]\.relation is missing"),
        ((Check("no:such"),), r"task 7: instruction_id_list\[0\] is 'no:such'"),
    ],
)
def test_ill_formed_checks_are_found_before_scoring(checks, message):
    with pytest.raises(InputError, match=message):
        verdict("x", task=Task("7", user("x"), checks))


def test_a_response_must_be_text():
    with pytest.raises(InputError, match="response to task 7 is None, expected a string"):
        verdict(None)


@pytest.mark.parametrize("sign", ["\n", "\r", "\u200b", " ", "*", "[", "<"])
def test_a_long_run_of_a_sign_takes_no_rule_ages(sign):
    text, started = f"a{sign * 20_000}b", time.monotonic()
    for id in ("detectable_format:json_format", "detectable_format:title", "combination:two_responses"):
        check(id, {}, text, fixed=True)
    assert time.monotonic() - started < 3
