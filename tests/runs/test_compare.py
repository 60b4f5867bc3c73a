from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from biddable.errors import InputError
from biddable.runs.compare import compare, verdict_on


def test_means_and_names() -> None:
    comparison = compare(
        "strict accuracy",
        [0, 0, 1, 0],
        [[1, 0, 1, 1], [1, 1, 1, 1]],
        seeds=(3, 4),
        baseline_name="base",
        method_name="spar",
    )
    assert (comparison.baseline, comparison.method, comparison.difference) == (0.25, 0.875, 0.625)
    assert (comparison.n, comparison.seeds, comparison.metric) == (4, (3, 4), "strict accuracy")
    assert (comparison.baseline_name, comparison.method_name, comparison.predicted) == (
        "base",
        "spar",
        "higher",
    )


def test_pairing_takes_out_what_the_cases_have_in_common() -> None:
    rng = np.random.default_rng(0)
    baseline = rng.normal(0, 10, size=200)
    method = baseline + rng.normal(0.5, 1, size=200)
    low, high = compare("score", baseline, method, seeds=(0,)).interval
    assert high - low == pytest.approx(2 * 1.96 * 1 / np.sqrt(200), rel=0.2)
    assert compare("score", baseline, method, seeds=(0,)).verdict == "held"


def test_one_score_of_each_seed_is_a_seed_and_no_case() -> None:
    frames = compare("frames", [5.0, 6, 7, 9], [1.0, 3, 3, 4], seeds=(3, 4, 5, 6), predicted="lower")
    assert (frames.n, frames.seeds, frames.interval_kind) == (1, (3, 4, 5, 6), "t over 4 seeds")
    expected = stats.t.interval(0.95, 3, -4.0, stats.sem([-4, -3, -4, -5]))
    assert frames.interval == pytest.approx(expected)
    assert (frames.verdict, frames.p_value) == ("held", None)
    chance = compare("AUC", 0.5, [0.9, 0.8, 0.7, 0.9, 0.8, 0.9], seeds=range(6))
    assert (chance.baseline, chance.n, chance.p_value) == (0.5, 1, 2 / 64)


def test_a_list_of_the_baseline_is_one_row_of_cases_where_the_method_has_rows() -> None:
    comparison = compare("m", [0, 1, 1], [[0, 1, 1], [1, 1, 1], [0, 1, 0]], seeds=(0, 1, 2))
    assert (comparison.baseline, comparison.n) == (pytest.approx(2 / 3), 3)
    assert comparison.interval_kind == "t over 3 seeds and 3 cases"


def test_where_nothing_depends_on_the_seed_it_is_not_counted() -> None:
    ours, theirs = np.tile([1.0, 0, 1, 1], (3, 1)), [0.0, 0, 1, 0]
    comparison = compare("m", theirs, ours, seeds=(0, 1, 2))
    assert comparison.interval_kind == "t over 4 cases"
    assert comparison.interval == compare("m", theirs, ours[:1], seeds=(0,)).interval


def test_clusters_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    method = np.repeat(rng.normal(0.5, 1, size=20), 10)
    clusters = [i // 10 for i in range(200)]
    alone = compare("m", np.zeros(200), method, seeds=(0,))
    together = compare("m", np.zeros(200), method, seeds=(0,), clusters=clusters)
    assert together.interval_kind == "t over 20 clusters of 200 cases"
    assert together.difference == alone.difference
    assert together.interval[0] < alone.interval[0] - 0.1


def test_a_control_has_numbers_and_no_verdict() -> None:
    comparison = compare("m", [0, 0, 0.1], [1, 1, 1], seeds=(0,), role="control")
    assert (comparison.role, comparison.verdict) == ("control", None)
    assert comparison.interval[0] > 0


@pytest.mark.parametrize(
    ("interval", "higher", "lower", "equal"),
    [
        ((0.1, 0.2), "held", "contradicted", "held"),
        ((-0.2, -0.1), "contradicted", "held", "held"),
        ((-0.1, 0.2), "not shown", "not shown", "held"),
        ((0.0, 0.2), "not shown", "not shown", "held"),
        ((0.1, 0.4), "held", "contradicted", "not shown"),
        ((0.3, 0.4), "held", "contradicted", "contradicted"),
        ((-0.4, -0.3), "contradicted", "held", "contradicted"),
        ((-0.4, 0.4), "not shown", "not shown", "not shown"),
    ],
)
def test_verdicts(interval: tuple[float, float], higher: str, lower: str, equal: str) -> None:
    assert verdict_on(interval, "higher") == higher
    assert verdict_on(interval, "lower") == lower
    assert verdict_on(interval, "equal", margin=0.25) == equal


def test_equal_needs_a_margin() -> None:
    same = [0.5, 0.4, 0.6]
    assert compare("m", same, same, seeds=(0,), predicted="equal", margin=0.1).verdict == "held"
    with pytest.raises(InputError, match=r"margin is 0\.0"):
        compare("m", same, same, seeds=(0,), predicted="equal")


@pytest.mark.parametrize(
    ("baseline", "method", "seeds", "problem"),
    [
        ([1, 2], [1, 2, 3], (0,), "baseline is '2 cases', expected the method's 3 cases"),
        ([[1, 2]] * 2, [[1, 2]] * 3, (0, 1, 2), "baseline is '2 rows', expected 1 row or the method's 3"),
        ([[1, 2]] * 2, [1, 2], (0,), "baseline is '2 rows'"),
        ([1, 2, 3], [1, 2, 3], (0, 1), "seeds is"),
        ([1, 2], [[1, 2]] * 3, (0, 1), "seeds is"),
        ([1, 2, 3], [1, 2], (0, 1), "baseline is '3 rows'"),
        ([1, 2], [1, float("nan")], (0,), "method is .*, expected finite scores"),
        ([], [], (0,), "method is 'an array of shape"),
        ([1], [2], (0,), "at least two scores"),
        ([[[1]]], [[[2]]], (0,), "method is 'an array of shape"),
    ],
)
def test_scores_that_cannot_be_compared(baseline: Any, method: Any, seeds: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        compare("m", baseline, method, seeds=seeds)
