from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from biddable.errors import InputError
from biddable.experiments.claims import Claim
from biddable.experiments.scores import ArmScores
from biddable.report.verdicts import summary, verdict_rows
from biddable.runs.compare import compare
from biddable.runs.figures import Point
from biddable.runs.statistics import mean_interval

RNG = np.random.default_rng(0)
BASE, PLAIN, TUNED = RNG.random(8), RNG.random((3, 8)), RNG.random((3, 8)) + 0.5


def scores() -> ArmScores:
    """The untrained model, the same for all seeds, and two arms whose seeds come in any order."""
    made = ArmScores()
    made.add("base", BASE)
    for row, seed in ((2, 9), (0, 3), (1, 7)):
        made.add("plain", PLAIN[row], seed=seed)
        made.add("tuned", TUNED[row], seed=seed)
    return made


def test_claims_become_comparisons_of_seeds_paired_by_number() -> None:
    [first, second] = scores().compare([Claim("plain", "tuned"), Claim("base", "tuned", "lower")])
    names = {"baseline_name": "plain", "method_name": "tuned"}
    assert first == compare("score", PLAIN, TUNED, seeds=(3, 7, 9), **names)
    names["baseline_name"] = "base"
    assert second == compare("score", BASE, TUNED, seeds=(3, 7, 9), predicted="lower", **names)
    assert (first.n, first.seeds) == (8, (3, 7, 9))


def test_an_arm_without_seeds_may_be_the_method_or_both() -> None:
    made = scores()
    made.add("rules", BASE + 1)
    [against_seeds, alone] = made.compare([Claim("tuned", "rules"), Claim("base", "rules", "higher")])
    assert against_seeds.seeds == (3, 7, 9)
    assert against_seeds.interval_kind == "t over 3 seeds and 8 cases"
    assert (alone.seeds, alone.interval_kind) == ((0,), "t over 8 cases")


def test_one_number_of_each_seed_and_a_chance_level() -> None:
    made = ArmScores()
    made.add("chance", 0.5, metric="AUC")
    for seed, auc in enumerate((0.8, 0.9, 0.7)):
        made.add("score", auc, metric="AUC", seed=seed)
    [found] = made.compare([Claim("chance", "score", metric="AUC", role="control")])
    assert (found.n, found.seeds, found.interval_kind) == (1, (0, 1, 2), "t over 3 seeds")
    assert (found.role, found.verdict) == ("control", None)


def test_clusters_belong_to_a_metric() -> None:
    made, clusters = scores(), [0, 0, 1, 1, 2, 2, 3, 3]
    made.cluster("score", clusters)
    [found] = made.compare([Claim("plain", "tuned")])
    assert found.interval == mean_interval(TUNED - PLAIN, clusters=clusters)
    assert found.interval_kind == "t over 3 seeds and 4 clusters of 8 cases"


def test_bars_either_way_round_tables_and_curves() -> None:
    made = scores()
    made.add("base", 7.0, metric="words")
    by_arm = made.bars("t", ("score", "words"))
    assert by_arm.categories == ("base", "plain", "tuned")
    assert by_arm.series["score"] == pytest.approx((BASE.mean(), PLAIN.mean(), TUNED.mean()))
    assert by_arm.series["words"] == (7.0, None, None)
    assert by_arm.intervals is not None
    assert by_arm.intervals["score"][1] == mean_interval(PLAIN)
    assert by_arm.intervals["words"] == (None, None, None)
    turned = made.bars("t", arms=("base", "tuned"), group_by="metric")
    assert (turned.categories, list(turned.series)) == (("score",), ["base", "tuned"])

    table = made.table("t", ("score", "words"))
    assert table.columns == ("arm", "score", "words")
    low, high = mean_interval(PLAIN)
    assert table.rows[1] == ("plain", f"{PLAIN.mean():.3f} [{low:.3f}, {high:.3f}]", "–")
    assert table.rows[0][2] == "7.00"

    curves = made.curves("t", {0: "base", 1: "tuned", 2: "never"})
    assert curves.series["score"][1] == Point(1, TUNED.mean(), *mean_interval(TUNED))
    assert len(curves.series["score"]) == 2


def test_numbers_to_keep_are_enough_to_count_again() -> None:
    kept = scores().metrics()["score"]
    assert kept["base"] == {
        "mean": BASE.mean(),
        "per_seed": [BASE.mean()],
        "interval": list(mean_interval(BASE)),
    }
    assert kept["tuned"]["per_seed"] == pytest.approx(TUNED.mean(1).tolist())
    assert kept["tuned"]["seeds"] == [3, 7, 9]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda s: s.add("new", [1.0] * 7, seed=3), "new, score is '7 cases', expected the 8 cases of base"),
        (lambda s: s.add("plain", BASE, seed=3), "seed is 3, expected plain, score: each seed once"),
        (lambda s: s.add("plain", BASE), "each seed once, or no seed at all"),
        (lambda s: s.add("base", BASE, seed=3), "each seed once, or no seed at all"),
        (lambda s: s.add("new", PLAIN, seed=3), "one score for each case"),
        (lambda s: s.add("new", [np.nan] * 8, seed=3), "finite scores"),
        (
            lambda s: s.compare([Claim("base", "tunde")]),
            "arm is 'tunde', expected one with scores of 'score'",
        ),
        (lambda s: s.compare([Claim("base", "tuned", metric="words")]), "arm is 'base'"),
        (lambda s: (s.add("new", BASE, seed=3), s.compare([Claim("plain", "new")])), r"is \[3\], expected"),
    ],
)
def test_scores_that_do_not_fit(call: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        call(scores())


def test_a_refused_row_leaves_no_trace() -> None:
    made = ArmScores()
    with pytest.raises(InputError):
        made.add("a", [np.nan])
    assert made.metrics() == {}


def test_the_interval_of_a_share_stays_between_0_and_1() -> None:
    scores = ArmScores()
    scores.add("none", [0, 0, 0, 0, 0])
    scores.add("some", [1, 0, 0, 0, 0])
    assert scores.metrics()["score"]["none"]["interval"] == pytest.approx([0, 0.4345], abs=1e-3)
    low, high = scores.metrics()["score"]["some"]["interval"]
    assert 0 < low < 0.2 < high < 1


def test_a_question_is_answered_and_claims_nothing() -> None:
    scores = ArmScores()
    for arm, value in (("a", 0.2), ("b", 0.8)):
        scores.add(arm, [value + 0.01 * (i % 3) for i in range(30)] if arm == "a" else [value] * 30)
    [made] = scores.compare([Claim("a", "b", role="question")])
    [row] = verdict_rows([made])
    assert (made.verdict, row.outcome) == (None, "better")
    assert verdict_rows(scores.compare([Claim("b", "a", role="question")]))[0].outcome == "worse"
    claim = scores.compare([Claim("a", "b")])[0]
    assert summary([claim, made, made]) == "The claim held; 2 questions"
    assert summary([made]) == "No claim was tested; 1 question"
