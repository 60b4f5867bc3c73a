from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from biddable.errors import InputError
from biddable.judges.load import load_judge
from biddable.judges.reference import METRICS, ReferenceJudge, option_letter
from biddable.types import Response, Task

SOLUTIONS = Path(__file__).parents[2] / "../shared/data/gsm8k/example_model_solutions.jsonl"
ABCD = ("A", "B", "C", "D")


def task(*references: str, choices: tuple[str, ...] = ()) -> Task:
    return Task("t", "?", references=references, choices=choices)


def score(judge: ReferenceJudge, text: str, *references: str) -> float | None:
    [verdict] = judge([task(*references)], [Response(text)])
    return verdict.score


def test_the_nearest_reference_counts():
    judge = ReferenceJudge("rouge_l")
    [verdict] = judge([task("one two", "three four five")], [Response("four five")])
    assert verdict.score == pytest.approx(0.8)
    assert verdict.passed is False
    assert verdict.critique == "'four five' against 'three four five': 0.8."
    assert ReferenceJudge("rouge_l", threshold=0.75)([task("four five six")], [Response("four five")])[
        0
    ].passed


def test_a_batch_is_judged_in_order():
    verdicts = ReferenceJudge()([task("a"), task("b")], [Response(" a "), Response("a")])
    assert [verdict.score for verdict in verdicts] == [1.0, 0.0]
    with pytest.raises(InputError, match="responses is 1, expected as many as there are tasks"):
        ReferenceJudge()([task("a"), task("b")], [Response("a")])


def test_several_metrics_are_checks_of_one_verdict():
    [verdict] = ReferenceJudge(("token_f1", "squad_exact_match"))([task("red cat")], [Response("a red cat.")])
    assert verdict.score == 1
    assert [(check.id, check.passed) for check in verdict.checks] == [
        ("reference:token_f1", True),
        ("reference:squad_exact_match", True),
    ]


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        ("2 + 2 = 4\n#### 4", 1, 1),
        ("#### 4 and then #### 5", 1, 0),
        ("#### 1,234.", 0, 0),
        ("It costs $4.", None, 1),
        ("4 of 10", None, 0),
        ("-4", None, 0),
        ("I do not know", None, None),
        ("", None, None),
        ("#### four", None, None),
    ],
)
def test_numbers_of_gsm8k(text, strict, flexible):
    assert score(ReferenceJudge("gsm8k_strict"), text, "4") == strict
    assert score(ReferenceJudge("gsm8k_flexible"), text, "4") == flexible


def test_a_whole_solution_may_be_the_reference():
    assert score(ReferenceJudge("gsm8k_flexible"), "so 1,234.", "1000 + 234\n#### 1234") == 1


def test_numbers_are_read_as_lm_eval_reads_them():
    """The same booleans as its two filters with its exact match, on texts that try both."""
    extraction = pytest.importorskip("lm_eval.filters.extraction")
    metrics = pytest.importorskip("lm_eval.api.metrics")
    strict = extraction.RegexFilter(r"#### (\-?[0-9\.\,]+)", 0)
    flexible = extraction.RegexFilter(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", -1)
    texts = [
        *(
            "#### 18",
            "#### $18",
            "$18.00",
            "18 ...",
            "a, b",
            "#### -3.",
            "3,000",
            "#### 3,000",
            "x 18.",
            "1 8",
        ),
        *("####18", "#### 18\n\nQuestion: 4", "-18", "18-", "- 18", "1.8", "٣", "18,", ",", ""),
    ]
    for reference in ("18", "-3", "3000", "4"):
        for name, regex in (("gsm8k_strict", strict), ("gsm8k_flexible", flexible)):
            [found] = regex.apply([texts], [{}])
            expected = [
                metrics.exact_match_fn(
                    predictions=[each],
                    references=[f"because\n#### {reference}"],
                    regexes_to_ignore=[",", "\\$", "(?s).*#### ", "\\.$"],
                    ignore_case=True,
                )["exact_match"]
                for each in found
            ]
            assert [score(ReferenceJudge(name), text, reference) or 0 for text in texts] == expected


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        (" (B)", "B"),
        ("b", "B"),
        ("B. Paris", "B"),
        ("B) Paris", "B"),
        ("B Paris", "B"),
        ("**B**", "B"),
        ("The answer is (B).", "B"),
        ("Answer: B", "B"),
        ("The correct answer is: **B) Paris**", "B"),
        ("So the answer is $\\boxed{B}$.", "B"),
        ("The answer is A. No: the answer is B.", "B"),
        ("Paris is the capital, so (B) it is", "B"),
        ("A dog", None),
        ("Apple", None),
        ("The answer is Apple", None),
        ("Neither (A) nor (B)", None),
        ("E", None),
        ("(E)", None),
        ("", None),
        ("the first one", None),
    ],
)
def test_letters_of_options(text, letter):
    assert option_letter(text, task("B", choices=ABCD)) == letter


def test_letters_of_choices_that_are_texts_or_bracketed():
    judge = ReferenceJudge("option_letter")
    paris = task("Paris", choices=("Rome", "Paris"))
    assert [v.score for v in judge([paris] * 3, [Response(t) for t in ("B", "A", "C")])] == [1, 0, None]
    bracketed = task("(B)", choices=("(A)", "(B)"))
    assert judge([bracketed], [Response("The answer is (B).")])[0].passed
    assert ReferenceJudge("option_letter", ignore_case=True)([bracketed], [Response("(b)")])[0].passed


def test_what_could_not_be_judged_is_told_from_what_is_wrong():
    judge = ReferenceJudge("gsm8k_strict")
    unread, failed, without = judge(
        [task("4"), task("4"), task()],
        [Response("four"), Response("", error="the server is busy"), Response("#### 4")],
    )
    assert (unread.score, unread.passed) == (None, False)
    assert unread.critique == "No answer was found in 'four'."
    assert (failed.score, failed.passed, failed.critique) == (None, False, "the server is busy")
    assert (without.score, without.passed, without.critique) == (None, None, "The task has no reference.")


def test_rouge_l_says_where_it_has_nothing_to_compare():
    [verdict] = ReferenceJudge("rouge_l")([task("это кошка")], [Response("это кошка")])
    assert (verdict.score, verdict.passed) == (None, False)
    assert verdict.critique == "ROUGE-L compares Latin letters and digits, and the references have none."


def test_what_is_ignored_and_extracted():
    assert score(ReferenceJudge(ignore_case=True, ignore_punctuation=True), "Yes!", "yes") == 1
    assert score(ReferenceJudge(ignore=(r"\.$", ",")), "1,000.", "1000") == 1
    judge = ReferenceJudge(extract=r"answer is (\w+)|=> (\w+)")
    assert score(judge, "the answer is no, the answer is yes", "no") == 1
    assert score(judge, "=> no", "no") == 1
    assert score(judge, "no", "no") is None
    last = ReferenceJudge(extract=r"answer is (\w+)", last=True)
    assert score(last, "the answer is no, the answer is yes", "yes") == 1


@pytest.mark.parametrize("case", [False, True])
@pytest.mark.parametrize("punctuation", [False, True])
@pytest.mark.parametrize("ignore", [(), (",", r"\.$", "\n", '"')])
def test_options_are_those_of_lm_eval(case, punctuation, ignore):
    metrics = pytest.importorskip("lm_eval.api.metrics")
    judge = ReferenceJudge(ignore=ignore, ignore_case=case, ignore_punctuation=punctuation)
    texts = [
        "Yes",
        "yes",
        "yes.",
        '"Yes"',
        "(B)",
        "B",
        "b)",
        "1,000",
        "1000",
        "ÉTÉ!",
        "été",
        "a\nb",
        "ab",
        "",
        ".",
    ]
    for reference in texts:
        for text in texts:
            official = metrics.exact_match_fn(
                predictions=[text],
                references=[reference],
                regexes_to_ignore=list(ignore),
                ignore_case=case,
                ignore_punctuation=punctuation,
            )
            assert score(judge, text, reference) == official["exact_match"], (text, reference)


def test_a_long_run_of_blanks_is_read_in_no_time():
    start = time.perf_counter()
    assert option_letter("answer" + " " * 50_000 + "?", task("B", choices=ABCD)) is None
    assert time.perf_counter() - start < 1


def test_by_name():
    assert load_judge("reference:rouge_l") == ReferenceJudge(("rouge_l",))
    judge = load_judge("reference:exact_match,token_f1?ignore_case=true&ignore=[.]$&threshold=0.5")
    assert judge == ReferenceJudge(
        ("exact_match", "token_f1"), ignore=("[.]$",), ignore_case=True, threshold=0.5
    )


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("reference:rouge", "judge reference: metric is 'rouge', expected one of exact_match, superni_"),
        ("reference:", "argument is '', expected METRIC after the colon"),
        ("reference", "argument is None, expected METRIC after the colon"),
        ("reference:rouge_l?extract=(", "extract is '(', expected a regular expression (missing )"),
        ("reference:rouge_l?ignore=*", "ignore is '*', expected a regular expression"),
        ("reference:rouge_l?threshold=0", "threshold is 0.0, expected a number above 0 and at most 1"),
        ("reference:rouge_l?threshold=nan", "threshold is nan, expected a number above 0 and at most 1"),
        ("reference:rouge_l?last=true", "last is True, expected false, or extract"),
        ("reference:rouge_l?fast=true", "option is 'fast', expected extract or last or"),
    ],
)
def test_options_that_cannot_be_used(spec, problem):
    with pytest.raises(InputError) as error:
        load_judge(spec)
    assert problem in str(error.value)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("text", ["", "\x00", "é" * 5000, "(" * 5000, "####", "$.,", "\\boxed{"])
def test_no_text_ends_the_judging(name, text):
    [verdict] = ReferenceJudge(name)([task("A", "", "1")], [Response(text)])
    assert verdict.score is None or 0 <= verdict.score <= 1


@pytest.mark.skipif(not SOLUTIONS.is_file(), reason="needs the published file")
def test_solutions_of_gsm8k_are_judged_as_their_authors_judged_them():
    judge = ReferenceJudge("gsm8k_flexible", extract=r"A: (.*)", last=True)
    for line in SOLUTIONS.read_text().splitlines():
        row = json.loads(line)
        solutions = [value for value in row.values() if isinstance(value, dict)]
        asked = task(row["ground_truth"].rpartition("A: ")[2])
        verdicts = judge([asked] * len(solutions), [Response(each["solution"]) for each in solutions])
        assert [verdict.passed for verdict in verdicts] == [each["is_correct"] for each in solutions]
