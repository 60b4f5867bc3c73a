"""Reading proposals, counting evaluations, and the bandit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from biddable.errors import InputError
from biddable.search.prompts import (
    UCB,
    Budget,
    bandit_search,
    distinct,
    diverse,
    instruction_request,
    nearest,
    random_sets,
    ranked,
    read_instruction,
    search_mutation,
    search_random,
    tried_before,
    variation_request,
)
from biddable.tasks.templates import Exemplar


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("Write the opposite.", "Write the opposite."),
        ('  Instruction: "Write the opposite."\n\nThis works because', "Write the opposite."),
        ("The instruction was: write\nthe opposite", "write the opposite"),
        ("1. Write it.", "Write it."),
        ("**Write it.**", "Write it."),
        ('Say "yes" or "no"', 'Say "yes" or "no"'),
        ("\n\n", ""),
        ("...", ""),
    ],
)
def test_the_instruction_in_what_a_model_wrote(text: str, instruction: str) -> None:
    assert read_instruction(text) == instruction


def test_requests_hold_every_pair_and_end_where_the_instruction_begins() -> None:
    pairs = (Exemplar("hot", "cold"), Exemplar("{input}", "x"))
    raw = instruction_request(pairs, chat=False)
    assert isinstance(raw, str)
    assert "Input: hot\nOutput: cold\n\nInput: {input}\nOutput: x" in raw
    assert raw.endswith("was:")
    assert instruction_request(pairs, chat=True)[-1].role == "user"  # type: ignore[union-attr]
    assert "Say it" in str(variation_request("Say it", chat=False))
    with pytest.raises(InputError, match="pairs"):
        instruction_request((), chat=True)


def test_equal_texts_are_one() -> None:
    assert distinct(["Do it", " do  IT ", "", "Else"]) == ["Do it", "Else"]


def test_ranked_has_a_rule_for_ties() -> None:
    assert ranked([0.5, 0.9, 0.5, 0.5], ["long text", "x", "ab", "cd"]) == [1, 2, 3, 0]


def test_a_budget_is_kept() -> None:
    budget = Budget(10)
    budget.spend(7)
    assert (budget.left, budget.spent) == (3, 7)
    with pytest.raises(InputError, match="4 evaluations more than the 7 made"):
        budget.spend(4)
    assert budget.spent == 7
    assert Budget().left is None
    with pytest.raises(InputError, match="budget is 0"):
        Budget(0)


def test_bounds_by_hand() -> None:
    bandit = UCB(3, c=1.0)
    bandit.update([0, 1], [[1.0, 0.5], [0.0, 0.0, 0.5]])
    assert bandit.means.tolist() == [0.75, pytest.approx(1 / 6), 0.0]
    rng = np.random.default_rng(0)
    assert bandit.choose(1, rng) == [2]  # never scored
    bandit.update([2], [[0.6, 0.6]])
    bounds = [m + math.sqrt(math.log(7) / n) for m, n in ((0.75, 2), (1 / 6, 3), (0.6, 2))]
    assert bandit.choose(2, rng) == sorted(np.argsort(bounds)[-2:].tolist())


def test_without_exploring_the_best_are_scored_again() -> None:
    bandit = UCB(4, c=0.0)
    bandit.update(range(4), [[0.1], [0.9], [0.3], [0.8]])
    assert bandit.choose(2, np.random.default_rng(0)) == [1, 3]


@pytest.mark.parametrize("made", [lambda: UCB(0), lambda: UCB(3, c=-1.0), lambda: UCB(3, c=math.nan)])
def test_bandits_that_cannot_be(made: Any) -> None:
    with pytest.raises(InputError):
        made()


def test_scores_and_choices_that_cannot_be() -> None:
    bandit = UCB(2)
    with pytest.raises(InputError, match="scores"):
        bandit.update([0], [[-3.0]])
    with pytest.raises(InputError, match="k is 3"):
        bandit.choose(3, np.random.default_rng(0))


def test_the_bandit_spends_most_on_the_best() -> None:
    right = np.linspace(0.1, 0.9, 12)
    rng = np.random.default_rng(1)

    def evaluate(which: Any, number: int) -> Any:
        return [rng.random(5) < right[i] for i in which]

    bandit = bandit_search(12, evaluate, rounds=30, per_round=4, c=0.3, rng=np.random.default_rng(0))
    assert bandit.counts.sum() == 30 * 4 * 5
    assert int(bandit.means.argmax()) >= 10
    assert bandit.counts[-3:].mean() > 2 * bandit.counts[:6].mean()


def test_sets_are_ordered_and_differ() -> None:
    sets = random_sets(5, 2, 15, np.random.default_rng(0))
    assert len({*sets}) == 15
    assert all(len({*each}) == 2 for each in sets)
    assert len(random_sets(3, 3, 99, np.random.default_rng(0))) == 6  # all that there are
    with pytest.raises(InputError, match="k is 4, expected an integer from 1 to 3"):
        random_sets(3, 4, 1, np.random.default_rng(0))


@pytest.mark.parametrize("search", [search_random, search_mutation])
def test_searches_spend_their_budget_and_find_good_sets(search: Any) -> None:
    asked = []

    def evaluate(sets: Any) -> list[float]:
        asked.extend(sets)
        return [(sum(each) + each[0] / 10) / 30 for each in sets]

    budget = Budget(24)
    scores = search(10, 3, evaluate, budget, np.random.default_rng(0))
    assert (len(asked), budget.spent, len(scores)) == (24, 24, 24)
    assert {*asked} == {*scores}
    best = max(scores, key=lambda each: scores[each])
    assert scores[best] > np.mean(list(scores.values())) + 0.1


def test_mutation_climbs_where_chance_does_not() -> None:
    def evaluate(sets: Any) -> list[float]:
        return [float(sum(each)) for each in sets]

    def best(search: Any, seed: int) -> float:
        return max(search(40, 3, evaluate, Budget(40), np.random.default_rng(seed)).values())

    climbed = [best(search_mutation, seed) for seed in range(10)]
    drawn = [best(search_random, seed) for seed in range(10)]
    assert np.mean(climbed) > np.mean(drawn) + 3


def test_a_small_pool_ends_the_search_before_the_budget() -> None:
    scores = search_mutation(2, 2, lambda sets: [0.0] * len(sets), Budget(50), np.random.default_rng(0))
    assert {*scores} == {(0, 1), (1, 0)}


def test_the_nearest_comes_last() -> None:
    pool = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    assert nearest(pool, np.array([0.0, 1.0]), 2) == (2, 1)


def test_the_diverse_are_of_different_clusters() -> None:
    rng = np.random.default_rng(0)
    pool = np.concatenate([rng.normal(centre, 0.1, (5, 2)) for centre in (0.0, 5.0, 10.0)])
    chosen = diverse(pool, 3, seed=1)
    assert sorted(i // 5 for i in chosen) == [0, 1, 2]
    assert len({*diverse(pool[:2], 2, seed=0)}) == 2


def test_what_was_tried_comes_best_last() -> None:
    assert tried_before({"b": 0.5, "a": 0.75, "": 0.25}) == "0.25: (none)\n0.50: b\n0.75: a"
    assert "0.50: b" in str(instruction_request((Exemplar("x", "y"),), chat=True, tried="0.50: b"))
