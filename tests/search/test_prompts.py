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
    instruction_request,
    ranked,
    read_instruction,
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
