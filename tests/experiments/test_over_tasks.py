"""Correlations over tasks: ties, permutations, comparisons; means, chance and points."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import permutation_test, spearmanr

from biddable.errors import InputError
from biddable.experiments.cross_task import split_composed
from biddable.experiments.over_tasks import (
    above_chance,
    as_comparison,
    by_task,
    commonest,
    compared,
    correlation,
    figures,
    permutation_p,
    spearman,
)
from biddable.tasks.compose.skills import skill_tasks

RNG = np.random.default_rng(0)
X = RNG.normal(size=24).round(1)
Y = (X + RNG.normal(size=24)).round(1)


def test_rho_and_its_p_value_are_scipys() -> None:
    assert spearman(X, Y) == pytest.approx(float(spearmanr(X, Y).statistic))
    tested = permutation_test(
        (X,),
        lambda x: spearmanr(x, Y).statistic,
        permutation_type="pairings",
        n_resamples=2000,
        rng=np.random.default_rng(1),
    )
    assert permutation_p(X, Y) == pytest.approx(float(tested.pvalue), abs=0.02)
    assert permutation_p(X, RNG.permutation(X)) > 0.05
    assert permutation_p(X, X) == pytest.approx(1 / 10_000)
    assert spearman(X, np.zeros(24)) == 0


def test_ties_at_zero_share_a_rank_and_are_told() -> None:
    x = [0.0, 0.0, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    y = [0.0, 0.0, 0.0, 0.5, 0.4, 0.3, 0.2, 0.1]
    found = correlation(x, y)
    assert found is not None
    assert (found.n, found.tied) == (8, 3)
    assert found.without == pytest.approx(-1)
    assert found.rho == pytest.approx(float(spearmanr(x, y).statistic))
    assert found.rho > 0, "the ties alone make it positive"
    few = correlation([0.0, 0.0, 0.1, 0.2, 0.3], [0.0, 0.0, 0.1, 0.2, 0.3])
    assert few is not None
    assert few.without is None


def test_what_has_no_correlation() -> None:
    assert correlation([0.0] * 6, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]) is None
    with pytest.raises(InputError, match="tasks is 4, expected at least 5, for a correlation over them"):
        correlation([0, 1, 2, 3], [0, 1, 2, 3])
    with pytest.raises(InputError, match="scores of the same tasks"):
        correlation([0, 1, 2, 3, 4], [0, 1, 2, 3])


def test_comparisons_say_what_came_of_it() -> None:
    found = correlation(X.tolist(), Y.tolist())
    assert found is not None
    claim = as_comparison(found, "rho", "a and b", [0])
    assert (claim.baseline, claim.method, claim.verdict) == (0.0, found.rho, "held")
    noise = RNG.normal(size=24).tolist()
    beside = compared("rho", Y.tolist(), ("a and noise", noise), ("a and b", X.tolist()), [0])
    assert beside.difference == pytest.approx(spearman(X, Y) - spearman(noise, Y))
    assert beside.interval[0] < beside.difference < beside.interval[1]
    same = compared("rho", Y.tolist(), ("a", X.tolist()), ("a", X.tolist()), [0])
    assert (same.difference, same.verdict) == (0.0, "not shown")


def test_tasks_have_means_chance_and_points() -> None:
    tasks = split_composed(skill_tasks(20))[:3]
    rows = [(each, row) for each in tasks for row in each.test[:2]]
    values = {"tuned": [[1, 0, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0]], "base": [[0, 0, 1, 1, 0, 1]]}
    scores = {arm: by_task(of, rows) for arm, of in values.items()}
    names = [each.name for each in tasks]
    assert scores["tuned"] == dict(zip(names, (0.75, 1.0, 0.0), strict=True))
    chance = dict(zip(names, (0.5, 1.0, 0.0), strict=True))
    assert above_chance(scores["tuned"], chance) == [0.5, 0.0, 0.0]
    assert above_chance({"a": 0.1}, {"a": 0.5}) == [0.0]
    assert len(commonest(rows)) == 6
    scatter, table = figures(scores, values, rows, "tuned", ("base", "other"), "rouge_l")
    assert [point.label for point in scatter.series["base"]] == names
    assert (scatter.series["base"][2].x, scatter.series["base"][2].y) == (0.5, 0.0)
    low, high = scatter.series["base"][2].x_interval
    assert (low, high) == (0.0, 1.0), "no score lies outside"
    assert table.rows[0] == (names[0], 0.75, 0.0, 2)


def test_the_commonest_answer_is_of_rows_to_learn_from() -> None:
    [each] = [each for each in split_composed(skill_tasks(60)) if each.name == "continent"]
    answers = [row.references[0] for row in each.train]
    assert commonest([(each, each.test[0])]) == [max(answers, key=answers.count)]
