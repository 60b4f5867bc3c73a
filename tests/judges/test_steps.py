"""Edit distance of lists of steps: Levenshtein's by hand-computed cases, and its area."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biddable.errors import InputError
from biddable.judges.steps import auc_edit_distance, edit_curve, edit_distances, levenshtein


def plain(first: list[int], second: list[int]) -> int:
    """By the recurrence."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def test_a_swap_costs_two() -> None:
    assert levenshtein("ab", "ba") == 2  # Damerau's would be 1
    assert levenshtein([("put", "cup")], [("put", "cup")]) == 0
    assert levenshtein([], "abc") == 3


@given(st.lists(st.integers(0, 3), max_size=8), st.lists(st.integers(0, 3), max_size=8))
def test_it_is_levenshtein_s(first: list[int], second: list[int]) -> None:
    assert levenshtein(first, second) == plain(first, second)
    pairs = [[("a", str(each)) for each in steps] for steps in (first, second)]
    assert levenshtein(*pairs) == plain(first, second)


def test_pairs_of_equal_sums_do_not_match() -> None:
    assert levenshtein([(1, 2)], [(2, 1)]) == 1  # Ego4D's ed_action adds the two numbers


def test_the_least_of_the_candidates_counts() -> None:
    found = edit_distances([["abcd", "abdc"], ["xxxx", "ebcd"]], ["abdc", "abcd"])
    assert found.tolist() == [0.0, 0.25]
    assert edit_distances([["abcd"]], ["abdc"], at=3).tolist() == [1 / 3]
    assert edit_distances([["", ""]], ["abcd"]).tolist() == [1.0]  # nothing was foreseen


def test_the_curve_and_its_area() -> None:
    curve = edit_curve([["xbcd"], ["abcd"]], ["abcd", "abcd"])
    assert np.allclose(curve, [1 / 2, 1 / 4, 1 / 6, 1 / 8])
    assert auc_edit_distance(curve) == pytest.approx((1 / 4 + 1 / 4 + 1 / 6 + 1 / 16) / 3)
    assert auc_edit_distance([0.3]) == 1.0


@pytest.mark.parametrize(
    ("candidates", "actual", "told"),
    [
        ([], [], "of 0, at least 1"),
        ([["ab"]], ["ab", "cd"], "those of 1 cases.*of 2"),
        ([[]], ["ab"], r"candidates\[0\] is 'none'"),
        ([["ab", "abc"]], ["ab"], r"candidates\[0\]\[1\] is '3 steps', expected 2"),
        ([["ab"], ["ab"]], ["ab", "a"], r"actual\[1\]"),
        ([[""]], [""], r"actual\[0\]"),
    ],
)
def test_lists_that_do_not_fit(candidates: Any, actual: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        edit_distances(candidates, actual)


def test_numbers_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="at is 3"):
        edit_distances([["ab"]], ["ab"], at=3)
    for curve in ([], [1.2], [float("nan")]):
        with pytest.raises(InputError, match="curve"):
            auc_edit_distance(curve)
