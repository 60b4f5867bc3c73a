"""Intervals against scipy, closed forms, and simulations in which nothing differs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from biddable.errors import InputError
from biddable.runs.statistics import (
    interval_kind,
    interval_of,
    mean_interval,
    rank_correlation,
    share_interval,
    sign_flip_p,
)
from tests.runs import simulations

RNG = np.random.default_rng(0)


def t_interval(values: Any) -> Any:
    return pytest.approx(
        stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values)), abs=1e-12
    )


def test_one_seed_is_t_over_cases_and_one_score_each_is_t_over_seeds() -> None:
    values = RNG.normal(size=12)
    assert mean_interval(values) == mean_interval([values]) == t_interval(values)
    assert mean_interval(values[:, None]) == t_interval(values)
    assert interval_kind(values) == "t over 12 cases"
    assert interval_kind(values[:, None]) == "t over 12 seeds"


def test_cases_that_are_alike_leave_t_over_the_seeds_means() -> None:
    scores = RNG.normal(size=(5, 1)) * np.ones((5, 40))
    assert mean_interval(scores) == t_interval(scores.mean(1))
    assert interval_kind(scores) == "t over 5 seeds and 40 cases"


def test_seeds_that_are_copies_say_no_more_than_one() -> None:
    cases = RNG.normal(size=40)
    assert mean_interval(np.tile(cases, (4, 1))) == t_interval(cases)
    assert interval_kind(np.tile(cases, (4, 1))) == "t over 40 cases"


def test_seeds_that_agree_by_chance_are_seeds_still() -> None:
    assert interval_kind([[1.0], [1.0]]) == "t over 2 seeds"


def test_a_cluster_is_one_case_whatever_its_order() -> None:
    scores = RNG.normal(size=(3, 30))
    clusters = [i % 10 for i in range(30)]
    of_clusters = scores.reshape(3, 3, 10).mean(1)
    assert mean_interval(scores, clusters=clusters) == pytest.approx(mean_interval(of_clusters))
    assert interval_kind(scores, clusters=clusters) == "t over 3 seeds and 10 clusters of 30 cases"
    assert mean_interval(scores, clusters=range(30)) == pytest.approx(mean_interval(scores))


def test_clusters_of_many_sizes_as_a_linear_model_with_robust_errors() -> None:
    """The sandwich estimator of a model with nothing but a constant, with its G / (G - 1)."""
    values, clusters = RNG.normal(size=9), ["a", "a", "b", "c", "c", "c", "c", "d", "d"]
    rest = values - values.mean()
    totals = [rest[[c == name for c in clusters]].sum() for name in "abcd"]
    error = np.sqrt(4 / 3 * np.square(totals).sum()) / 9
    half = stats.t.ppf(0.975, 3) * error
    expected = pytest.approx((values.mean() - half, values.mean() + half))
    assert mean_interval(values, clusters=clusters) == expected


@pytest.mark.parametrize("what", simulations.WHAT_VARIES)
@pytest.mark.parametrize(("seeds", "cases"), [(3, 30), (5, 30)])
def test_false_positives_are_at_most_about_one_in_twenty(what: str, seeds: int, cases: int) -> None:
    share = simulations.false_positives(simulations.WHAT_VARIES[what], seeds, cases, trials=400)
    assert 0.002 <= share <= 0.085  # 5 % in 400 trials: 2.9 to 7.5 % in nineteen of twenty


def test_clustered_cases_give_false_positives_unless_they_are_named() -> None:
    rng, clusters = np.random.default_rng(0), [i // 10 for i in range(100)]
    naive = aware = 0
    for _ in range(300):
        scores = np.repeat(rng.normal(size=10), 10) + rng.normal(size=100)
        low, high = mean_interval(scores)
        naive += low > 0 or high < 0
        low, high = mean_interval(scores, clusters=clusters)
        aware += low > 0 or high < 0
    assert naive > 90
    assert 4 <= aware <= 27


@settings(max_examples=50)
@given(scores=st.lists(st.floats(-5, 5), min_size=6, max_size=6), shift=st.floats(-3, 3))
def test_intervals_move_and_turn_with_the_scores(scores: list[float], shift: float) -> None:
    values = np.reshape(scores, (2, 3))
    low, high = mean_interval(values)
    assert low <= values.mean() + 1e-12
    assert high >= values.mean() - 1e-12
    assert mean_interval(values + shift) == pytest.approx((low + shift, high + shift), abs=1e-6)
    assert mean_interval(-values) == pytest.approx((-high, -low), abs=1e-9)


def test_sign_flips_are_exact() -> None:
    assert sign_flip_p([[1.0]] * 5) is None
    assert sign_flip_p([[d] for d in (1, 2, 3, 4, 5, 6.0)]) == 2 / 64
    assert sign_flip_p([[d] for d in (1, 2, 3, 4, 5, -6.0)]) == pytest.approx(2 * 14 / 64)
    assert sign_flip_p([[0.0]] * 8) == 1.0
    assert sign_flip_p(np.ones((8, 3))) is None  # copies of one seed


def test_any_statistic() -> None:
    values = RNG.exponential(size=60)
    expected = stats.bootstrap(
        (values,), np.median, n_resamples=4000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    assert interval_of(np.median, values, resamples=4000) == pytest.approx(tuple(expected), abs=0.05)
    pairs = values + RNG.normal(size=60)
    low, high = interval_of(lambda x, y: np.corrcoef(x, y)[0, 1], values, pairs)
    assert low < np.corrcoef(values, pairs)[0, 1] < high
    assert interval_of(np.median, values) == interval_of(np.median, values)


def test_clusters_are_drawn_whole() -> None:
    values, clusters = np.repeat(RNG.normal(size=12), 10), np.repeat(range(12), 10).tolist()
    alone, together = interval_of(np.mean, values), interval_of(np.mean, values, clusters=clusters)
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_a_statistic_that_never_changes_has_an_interval_of_no_width() -> None:
    assert interval_of(np.mean, [1.0, 1.0, 1.0]) == (1.0, 1.0)


def test_shares() -> None:
    assert share_interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)  # z² / (n + z²)
    assert share_interval(7, 20) == pytest.approx((0.1812, 0.5671), abs=1e-4)
    for count, of in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(InputError, match="count is"):
            share_interval(count, of)


def test_rank_correlation_covers_the_truth() -> None:
    rng, covered = np.random.default_rng(0), 0
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # of a normal pair with correlation 0.6
    for _ in range(300):
        x = rng.normal(size=40)
        rho, (low, high) = rank_correlation(x, 0.6 * x + 0.8 * rng.normal(size=40))
        assert low < rho < high
        covered += low < truth < high
    assert 0.91 <= covered / 300 <= 0.985
    assert rank_correlation([1, 2, 3, 4], [2, 4, 9, 10]) == (pytest.approx(1.0), (1.0, 1.0))


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: mean_interval([1.0]), "at least two scores"),
        (lambda: mean_interval([1.0, np.nan]), "finite scores"),
        (lambda: mean_interval([1.0, 2.0], clusters="a"), "clusters is '1 names', expected 2, one for each"),
        (lambda: mean_interval([1.0, 2.0], clusters="aa"), "at least two clusters"),
        (lambda: interval_of(np.mean, [1.0]), r"samples is \[1\]"),
        (lambda: interval_of(np.dot, [1.0, 2.0], [1.0]), r"samples is \[2, 1\]"),
        (lambda: interval_of(lambda x: np.nan, [1.0, 2.0]), "statistic is nan"),
        (lambda: rank_correlation([1, 2, 3], [1, 2, 3]), "at least 4 cases"),
        (lambda: rank_correlation([1, 2, 3, 4], [1, 1, 1, 1]), "y is '4 values'"),
    ],
)
def test_what_has_no_interval(call: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        call()
