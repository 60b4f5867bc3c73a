"""DROP's exact match and F1, by hand and beside lm-evaluation-harness's."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from biddable.errors import InputError
from biddable.judges.drop import CHECK, DropJudge, drop_normalized, drop_scores
from biddable.tasks.drop import read_drop
from biddable.types import Response, Task

WORDS = "the a 4 4.0 1,000 1000 $5 red-haired Red yards, inf 3rd Zürich … -7 '' 10% 9."
PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "rc_fixtures" / "drop.json"


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("The  Red-House!", "red house"),
        ("1,000", "1000.0"),
        ("$3.50", "350.0"),  # not a number before its sign is gone, and its point goes with it
        ("3.50", "3.5"),
        ("a 4", "4.0"),
        ("10-15", "10.0 15.0"),
        ("", ""),
    ],
)
def test_words_are_normalised(text: str, normalized: str) -> None:
    assert drop_normalized(text) == normalized


@pytest.mark.parametrize(
    ("predicted", "answer", "exact", "f1"),
    [
        (["the red house"], ["Red house."], 1, 1),
        (["red barn"], ["red house"], 0, 0.5),
        (["red red house"], ["red house"], 0, 1),  # bags are sets
        (["4"], ["4.0"], 1, 1),
        (["4 yards"], ["5 yards"], 0, 0),  # no number of the answer
        (["4 yards"], ["yards"], 0, 0.67),  # an answer without numbers
        (["4 or 5 yards"], ["5 yards"], 0, 0.67),  # one number is met: 2 of 4 words, 2 of 2
        (["x", "y"], ["y", "x"], 1, 1),
        (["x"], ["x", "y"], 0, 0.5),
        (["x y"], ["x", "y"], 0, 0.33),  # one pair of 2/3, over two spans
        (["x y", "x"], ["x", "x y"], 1, 1),  # paired off best
        (["x", "x z"], ["x z w", "x"], 0, 0.9),  # 1 and 4/5
        (["x", "y", "z"], ["x"], 0, 0.33),
        (["x", "x"], ["x", "y"], 0, 0.5),
        ([""], ["x"], 0, 0),
        (["the"], ["a"], 1, 1),  # nothing is left of either
    ],
)
def test_spans_are_paired_off(predicted: list[str], answer: list[str], exact: float, f1: float) -> None:
    assert drop_scores(predicted, answer) == (exact, f1)


def test_the_nearest_of_several_answers_counts() -> None:
    task = Task("a", "q", references=("4", "four, or five"), meta={"spans": [["4"], ["four", "or five"]]})
    verdicts = DropJudge()([task] * 4, [Response(text) for text in ("4", "five", "", "3")])
    assert [(verdict.score, verdict.passed) for verdict in verdicts] == [
        (1.0, True),
        (0.33, False),
        (0.0, False),
        (0.0, False),
    ]
    assert [check.id for verdict in verdicts for check in verdict.checks] == [CHECK] * 4


def test_what_could_not_be_judged_is_told_from_what_is_wrong() -> None:
    task = Task("a", "q", references=("4",), meta={"spans": [["4"]]})
    [failed] = DropJudge()([task], [Response("", finish_reason="error", error="timeout")])
    assert (failed.score, failed.passed, failed.critique) == (None, False, "timeout")
    [undecided] = DropJudge()([Task("b", "q")], [Response("4")])
    assert (undecided.score, undecided.passed) == (None, None)
    with pytest.raises(InputError, match="responses is 0"):
        DropJudge()([task], [])


def test_numbers_are_those_of_lm_eval() -> None:
    utils = pytest.importorskip("lm_eval.tasks.drop.utils", reason="lm-evaluation-harness is not installed")
    words = ["\n5", *WORDS.split()]
    draw = random.Random(0)

    def spans() -> list[str]:
        return [" ".join(draw.choices(words, k=draw.randrange(5))) for _ in range(draw.randrange(1, 5))]

    for _ in range(2_000):
        predicted, answer = spans(), spans()
        assert drop_scores(predicted, answer) == utils.get_metrics(predicted, answer), (predicted, answer)


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published excerpt of DROP is not there")
def test_published_questions_are_scored_as_lm_eval_scores_them() -> None:
    utils = pytest.importorskip("lm_eval.tasks.drop.utils", reason="lm-evaluation-harness is not installed")
    tasks, _ = read_drop(PUBLISHED)
    texts = [text for task in tasks for text in task.references] + ["", "It was 3 yards."]
    seen = set()
    for task in tasks:
        verdicts = DropJudge()([task] * len(texts), [Response(text) for text in texts])
        for text, verdict in zip(texts, verdicts, strict=True):
            theirs = utils.process_results({"answers": [tuple(each) for each in task.meta["spans"]]}, [text])
            assert (verdict.score, float(bool(verdict.passed))) == (theirs["f1"], theirs["em"])
            seen.add(verdict.score)
    assert {0.0, 1.0} < seen
