"""Paired tests, against published and independently computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from biddable.errors import InputError
from biddable.runs.significance import (
    detectable,
    holm,
    items_needed,
    mcnemar,
    paired_share_interval,
    power,
    standard_error,
    t_p,
)
from biddable.runs.statistics import mean_interval


def test_holm_multiplies_the_smallest_most_and_never_falls() -> None:
    # As R's p.adjust(c(.01, .04, .03, .005), "holm") gives them.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []
    with pytest.raises(InputError, match=r"p_values is 1.5"):
        holm([1.5])


@pytest.mark.parametrize(
    ("gained", "lost", "p"), [(12, 2, 0.01293), (5, 0, 0.0625), (3, 3, 1.0), (0, 0, 1.0)]
)
def test_mcnemar_is_the_test_of_a_coin(gained: int, lost: int, p: float) -> None:
    assert mcnemar(gained, lost) == pytest.approx(p, abs=1e-5)
    assert mcnemar(lost, gained) == mcnemar(gained, lost)


def test_the_interval_of_paired_shares_is_the_published_one() -> None:
    # By hand: (13 - 4) / 102 ± 1.96 · sqrt((13 / 102 + 4 / 102 - (9 / 102)²) / 102).
    assert paired_share_interval(12, 3, 100) == pytest.approx((0.0107, 0.1658), abs=1e-3)
    low, high = paired_share_interval(0, 0, 10)
    assert low == -high
    assert high == pytest.approx(0.231, abs=1e-3)
    assert paired_share_interval(10, 0, 10)[0] > 0
    with pytest.raises(InputError, match="counts"):
        paired_share_interval(7, 5, 10)


def test_the_p_value_belongs_to_the_interval() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.2, 0.5):
        differences = rng.normal(shift, 1, 40)
        assert t_p(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
        assert standard_error(differences) == pytest.approx(stats.sem(differences))
        low, high = mean_interval(differences)
        assert (t_p(differences) < 0.05) == (low > 0 or high < 0)


def test_items_of_one_source_count_once() -> None:
    rng = np.random.default_rng(1)
    by_source = rng.normal(0.3, 1, 12)
    differences, clusters = np.repeat(by_source, 5), np.repeat(np.arange(12), 5).tolist()
    assert t_p(differences, clusters=clusters) == pytest.approx(stats.ttest_1samp(by_source, 0).pvalue)
    assert t_p(differences) < t_p(differences, clusters=clusters)


def test_equal_differences_have_a_p_value() -> None:
    assert t_p([0.0, 0.0, 0.0]) == 1.0
    assert t_p([1.0, 1.0, 1.0]) == 0.0


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_items_needed_are_those_of_the_tables(effect: float, n: int) -> None:
    """J. Cohen's tables, as G*Power has them for two-sided paired t tests."""
    assert items_needed(effect, 1.0) == n
    assert items_needed(-2 * effect, 2.0) == n
    assert power(effect, 1.0, n) >= 0.8 > power(effect, 1.0, n - 1)


def test_what_can_be_seen_needs_the_items_there_are() -> None:
    for n in (10, 541):
        seen = detectable(0.6, n)
        assert seen is not None
        assert items_needed(seen * 1.0001, 0.6) == n
    assert power(0.0, 1.0, 50) == pytest.approx(0.05)


def test_where_nothing_varies_no_number_is_given() -> None:
    assert items_needed(0.1, 0.0) is None
    assert items_needed(1e-9, 1.0) is None
    assert detectable(0.0, 100) is None
    assert detectable(1.0, 1) is None
    for difference in (0.0, math.nan):
        with pytest.raises(InputError, match="difference"):
            items_needed(difference, 1.0)
