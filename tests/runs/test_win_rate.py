from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit

from biddable.errors import InputError
from biddable.runs.significance import mcnemar
from biddable.runs.win_rate import LEAST_FOR_LENGTHS, win_rate


def liking_length(n, odds=-0.5, effect=2.0, seed=0):
    """Wins of a judge that likes long responses, and the lengths of both."""
    rng = np.random.default_rng(seed)
    ours, theirs = rng.lognormal(6.5, 0.5, n), rng.lognormal(6.0, 0.5, n)
    longer = np.tanh((ours - theirs) / (ours - theirs).std(ddof=1))
    return (rng.random(n) < expit(odds + effect * longer)).astype(float).tolist(), (ours, theirs)


def test_ties_are_half_and_undecided_are_left_out():
    rate = win_rate([1, 1, 0.5, 0, None, 1])
    assert (rate.wins, rate.ties, rate.losses, rate.n, rate.undecided) == (3, 1, 1, 5, 1)
    assert rate.rate == pytest.approx(0.7)
    assert rate.p == mcnemar(3, 1)
    assert rate.test == "sign test"
    assert rate.interval[0] < 0.7 < rate.interval[1] <= 1
    assert (rate.controlled, rate.problem) == (None, "lengths are not known")


def test_all_wins_have_an_interval_with_a_width():
    rate = win_rate([1] * 100)
    assert rate.rate == 1
    assert 0.9 < rate.interval[0] < 1 == rate.interval[1]


def test_only_ties_are_even():
    rate = win_rate([0.5] * 10)
    assert (rate.rate, rate.p) == (0.5, 1)
    assert rate.interval[0] == pytest.approx(1 - rate.interval[1])


def test_grades_have_a_t_interval():
    rate = win_rate([0.9, 0.8, 0.6, 0.2])
    assert (rate.test, rate.interval_kind) == ("t", "t over 4 cases")
    assert (rate.wins, rate.losses) == (3, 1)


def test_pairs_of_one_prompt_are_counted_by_prompt():
    wins = [1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0] * 3
    apart = win_rate(wins)
    together = win_rate(wins, clusters=[place // 3 for place in range(len(wins))])
    assert together.rate == apart.rate
    assert together.interval_kind == "t over 12 clusters of 36 cases"
    assert np.ptp(together.interval) > 1.3 * np.ptp(apart.interval)
    assert win_rate(wins, clusters=range(len(wins))) == apart  # each by itself


@pytest.mark.parametrize("wins", [[1, 0], [1, 0, 0.5], [0.9, 0.2, 0.3], [1, 1, 0]])
def test_clusters_that_are_all_alike_have_no_interval(wins):
    places = range(30 * len(wins))
    lengths = ([4, 3, 1][: len(wins)] * 30, [2] * len(places))
    rate = win_rate(wins * 30, lengths=lengths, clusters=[place // len(wins) for place in places])
    assert rate.rate == pytest.approx(np.mean(wins))
    assert (rate.interval, rate.p, rate.interval_kind, rate.test) == (None, None, "", "")
    assert rate.controlled is None or rate.controlled.interval is None


@pytest.mark.parametrize("win", [0, 0.5, 1])
def test_clusters_of_one_outcome_are_counted_once_each(win):
    rate, once = win_rate([win] * 80, clusters=[place // 4 for place in range(80)]), win_rate([win] * 20)
    assert (rate.rate, rate.interval, rate.p, rate.test) == (win, once.interval, once.p, once.test)
    assert rate.interval_kind == "Bonett–Price over 20 clusters of 80 cases"


def test_one_pair_has_no_interval():
    rate = win_rate([1])
    assert (rate.rate, rate.interval, rate.p) == (1, None, None)


def test_the_length_controlled_rate_is_that_at_equal_lengths():
    wins, lengths = liking_length(20_000)
    rate = win_rate(wins, lengths=lengths)
    assert rate.rate > 0.55  # longer, and therefore liked
    assert rate.controlled.rate == pytest.approx(expit(-0.5), abs=0.015)
    assert rate.controlled.effect == pytest.approx(2.0, abs=0.1)
    low, high = rate.controlled.interval
    assert low < expit(-0.5) < high < 0.42
    assert (rate.length, rate.baseline_length) == pytest.approx([each.mean() for each in lengths])


def test_it_does_not_depend_on_which_of_the_two_is_the_baseline():
    wins, (ours, theirs) = liking_length(200)
    one = win_rate(wins, lengths=(ours, theirs))
    other = win_rate([1 - win for win in wins], lengths=(theirs, ours))
    assert other.controlled.rate == pytest.approx(1 - one.controlled.rate)
    assert other.controlled.effect == pytest.approx(one.controlled.effect)
    assert other.controlled.interval == pytest.approx([1 - end for end in one.controlled.interval[::-1]])


def test_copies_of_pairs_say_no_more_than_the_pairs():
    wins, (ours, theirs) = liking_length(100)
    once = win_rate(wins, lengths=(ours, theirs)).controlled
    thrice = win_rate(
        wins * 3, lengths=(np.tile(ours, 3), np.tile(theirs, 3)), clusters=[*range(100)] * 3
    ).controlled
    assert thrice.rate == pytest.approx(once.rate, abs=1e-3)
    assert np.ptp(thrice.interval) == pytest.approx(np.ptp(once.interval), rel=0.02)


@pytest.mark.parametrize(
    ("wins", "lengths", "problem"),
    [
        ([1, 0] * 20, ([5] * 40, [3] * 40), "the difference of lengths is the same for every pair"),
        ([1] * 40, (range(40), [3] * 40), "every pair came out alike"),
        ([0.5] * 40, (range(40), [3] * 40), "every pair came out alike"),
        ([1] * 20 + [0] * 20, ([*range(100, 120), *range(20)], [50] * 40), "told apart by length alone"),
    ],
)
def test_where_lengths_cannot_be_controlled_it_says_why(wins, lengths, problem):
    rate = win_rate(wins, lengths=lengths)
    assert rate.controlled is None
    assert problem in rate.problem


def test_few_prompts_have_a_rate_without_an_interval():
    n = LEAST_FOR_LENGTHS - 1
    controlled = win_rate([1, 0, 0.5] * 6 + [1], lengths=(range(n), [9, 4, 7, 1] * 4 + [3, 6, 2])).controlled
    assert 0 < controlled.rate < 1
    assert controlled.interval is None


def test_a_comparison():
    wins, lengths = liking_length(300)
    rate = win_rate(wins, lengths=lengths)
    raw = rate.comparison(method_name="longer")
    assert (raw.metric, raw.baseline, raw.method, raw.n, raw.verdict) == (
        "win rate",
        0.5,
        rate.rate,
        300,
        "held",
    )
    assert raw.interval == (rate.interval[0] - 0.5, rate.interval[1] - 0.5)
    controlled = rate.comparison(controlled=True)
    assert (controlled.method, controlled.verdict) == (rate.controlled.rate, "contradicted")
    assert raw.interval_kind == "Bonett–Price over 300 cases"
    assert controlled.interval_kind == "sandwich and t over 300 cases"
    assert rate.comparison(role="control").verdict is None
    with pytest.raises(InputError, match="lengths are not known"):
        win_rate(wins).comparison(controlled=True)
    with pytest.raises(InputError, match="margin"):
        rate.comparison(predicted="equal")


@pytest.mark.parametrize(
    ("wins", "options", "message"),
    [
        ([1, 1.5], {}, r"wins\[1\] is 1.5, expected a number from 0 to 1"),
        ([1, math.nan], {}, r"wins\[1\] is nan"),
        ([], {}, "at least one pair that was decided"),
        ([None, None], {}, "wins is '2 pairs', expected at least one"),
        ([1, 0], {"lengths": ([1], [1, 2])}, "lengths is '1 numbers', expected one for each of the 2 pairs"),
        ([1, 0], {"lengths": ([1, 2], [1])}, "baseline's lengths is '1 numbers'"),
        ([1, 0], {"clusters": ["a"]}, "clusters is '1 names'"),
    ],
)
def test_what_cannot_be_used(wins, options, message):
    with pytest.raises(InputError, match=message):
        win_rate(wins, **options)
