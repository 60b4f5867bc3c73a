"""The rule: it is fitted right, says what it left out, and puts the better rows first."""

from __future__ import annotations

import numpy as np
import pytest

from biddable.errors import InputError
from biddable.experiments.mixes import search_size, tilted_mixes
from biddable.experiments.quality import QualityRule, Scale, best_first, fit_rule

V1 = QualityRule(1.0694, {"reward": -0.1498, "length": 8.257e-5, "knn": -0.9350})
V3 = QualityRule(
    0.0274, {"reward": -0.0078, "understandability": 0.4421, "naturalness": -0.3212, "coherence": -0.1520}
)
"""The published rules, as secondary sources quote them; for other scorers they mean nothing."""


def drawn(n: int = 20, noise: float = 0.01) -> tuple[dict[str, list[float]], list[float]]:
    rng = np.random.default_rng(0)
    good, idle = rng.normal(size=n), rng.normal(size=n)
    losses = np.exp(0.5 - 0.3 * good + noise * rng.normal(size=n))
    return {"good": good.tolist(), "idle": idle.tolist()}, losses.tolist()


def test_the_published_rules_on_hand_made_values() -> None:
    row = {"reward": [2.0], "length": [100.0], "knn": [0.5]}
    assert V1.predict_log_loss(row)[0] == pytest.approx(1.0694 - 0.2996 + 0.008257 - 0.4675)
    row = {"reward": [2.0], "understandability": [1.0], "naturalness": [1.0], "coherence": [1.0]}
    assert V3.predict_log_loss(row)[0] == pytest.approx(0.0274 - 0.0156 + 0.4421 - 0.3212 - 0.1520)


def test_the_row_with_the_lower_predicted_loss_comes_first() -> None:
    """Sorting the wrong way is the classic fault: a high reward has a negative coefficient, and is good."""
    rewards = {"reward": [0.0, 9.0, 4.0, 9.0], "length": [0.0] * 4, "knn": [0.0] * 4}
    assert best_first(V1.predict_log_loss(rewards)) == [1, 3, 2, 0]


def test_the_coefficient_is_found_and_what_explains_nothing_is_left_out() -> None:
    means, losses = drawn()
    rule, fit = fit_rule(means, losses)
    assert rule.coefficients["good"] == pytest.approx(-0.3, abs=0.02)
    assert rule.intercept == pytest.approx(0.5, abs=0.02)
    assert [*rule.coefficients] == ["good"]
    good, idle = fit.terms
    assert good.p is not None
    assert good.p < 1e-6
    assert good.vif == 1.0
    assert idle.left_out.startswith("p = ")
    assert fit.r2 > 0.99
    assert fit.left_out_r2 is not None
    assert 0.9 < fit.left_out_r2 <= fit.r2


def test_numbers_of_the_fit_are_those_of_scipy() -> None:
    from scipy.stats import linregress

    means, losses = drawn(12, noise=0.3)
    _, fit = fit_rule({"good": means["good"]}, losses)
    known = linregress(means["good"], np.log(losses))
    term = fit.terms[0]
    assert term.coefficient == pytest.approx(known.slope)
    assert term.error == pytest.approx(known.stderr)
    assert term.p == pytest.approx(known.pvalue)
    assert fit.r2 == pytest.approx(known.rvalue**2)
    assert fit.adjusted_r2 < fit.r2


def test_without_any_relation_predictions_for_what_was_left_out_are_no_good() -> None:
    means, _ = drawn()
    losses = np.exp(np.random.default_rng(5).normal(size=20)).tolist()
    rule, fit = fit_rule(means, losses)
    assert len(rule.coefficients) == 1  # something has to rank the rows
    assert fit.left_out_r2 is not None
    assert fit.left_out_r2 < 0.2 < 1


def test_constant_and_collinear_indicators_are_named() -> None:
    means, losses = drawn()
    means |= {"still": [1.0] * 20, "twice": [2 * a - b for a, b in zip(*means.values(), strict=True)]}
    rule, fit = fit_rule(means, losses)
    why = {term.name: term.left_out for term in fit.terms}
    assert why["still"] == "the same in all mixes"
    assert why["twice"] == "a sum of good, idle"
    assert [*rule.coefficients] == ["good"]


def test_variance_inflation_tells_of_indicators_that_go_together() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=30)
    b = a + 0.3 * rng.normal(size=30)
    _, fit = fit_rule({"a": a.tolist(), "b": b.tolist()}, np.exp(a - b).tolist())
    assert [term.vif is not None and term.vif > 5 for term in fit.terms] == [True, True]


@pytest.mark.parametrize("loss", [0.0, -1.0, float("nan"), float("inf")])
def test_a_loss_without_a_logarithm_is_refused(loss: float) -> None:
    means, losses = drawn()
    with pytest.raises(InputError, match=r"losses\[3\]"):
        fit_rule(means, [*losses[:3], loss, *losses[4:]])


def test_too_few_mixes_and_nothing_to_fit_are_refused() -> None:
    with pytest.raises(InputError, match="mixes is 3"):
        fit_rule({"a": [1.0, 2, 3], "b": [1.0, 0, 3]}, [1.0, 2, 3])
    with pytest.raises(InputError, match="differs between mixes"):
        fit_rule({"a": [1.0] * 5}, [1.0, 2, 3, 4, 5])


def test_an_indicator_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="knn among them"):
        V1.predict_log_loss({"reward": [1.0], "length": [3.0]})


def test_single_rows_do_not_run_away() -> None:
    values = [*np.linspace(0, 1, 99), 1e6]
    scale = Scale.of(values)
    rule = QualityRule(0.0, {"x": 1.0}, {"x": scale})
    predicted = rule.predict_log_loss({"x": [0.5, 1e6, -1e9]})
    assert predicted[1] == rule.predict_log_loss({"x": [scale.high]})[0]
    assert predicted[2] == rule.predict_log_loss({"x": [scale.low]})[0]
    # What is predicted of a mix is the mean of what is predicted of its rows.
    assert scale([0.2, 0.6]).mean() == pytest.approx((scale(0.2) + scale(0.6)) / 2)


def test_mixes_differ_in_every_direction() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 3))
    mixes = tilted_mixes(values, 13, 40, 1.5, rng)
    assert all(len({*mix}) == 40 for mix in mixes)
    means = np.array([values[mix].mean(0) for mix in mixes])
    plain = np.array([values[rng.permutation(200)[:40]].mean(0) for _ in range(13)])
    assert np.linalg.svd(means - means.mean(0))[1].min() > 2 * np.linalg.svd(plain - plain.mean(0))[1].min()
    with pytest.raises(InputError, match="mix_rows"):
        tilted_mixes(values, 3, 201, 1.0, rng)


def test_the_search_finds_the_size_that_loses_least_and_asks_for_none_twice() -> None:
    asked: list[int] = []

    def loss(size: int) -> float:
        asked.append(size)
        return abs(np.log(size / 60))

    size, tried = search_size(loss, 8, 500, 12)
    assert 50 <= size <= 72
    assert sorted(asked) == [*tried]
    with pytest.raises(InputError, match="range"):
        search_size(loss, 5, 5, 3)
