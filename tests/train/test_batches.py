"""Which examples go into which step, and how a step is cut: every example once, within the budget."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from biddable.models.prefix_tree import shared_prefix
from biddable.train.batches import batch_order, micro_batches

sizes = st.lists(st.integers(1, 40), min_size=1, max_size=30)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 3), st.integers(0, 5))
def test_each_epoch_sees_every_example_once(n: int, batch_size: int, epochs: int, seed: int) -> None:
    batches = batch_order(n, batch_size, epochs, seed)
    assert batches == batch_order(n, batch_size, epochs, seed)
    per_epoch = -(-n // batch_size)
    assert len(batches) == epochs * per_epoch
    for epoch in range(epochs):
        of_epoch = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert sorted(chain(*of_epoch)) == list(range(n))
        assert all(len(batch) == batch_size for batch in of_epoch[:-1])


def test_epochs_and_seeds_are_shuffled_differently() -> None:
    first, second = batch_order(20, 20, 2, 0)
    (other,) = batch_order(20, 20, 1, 1)
    assert first != sorted(first)
    assert first != second
    assert first != other


@given(sizes, st.integers(1, 60), st.integers(1, 4), st.randoms(use_true_random=False))
@example(sizes=[1] * 7 + [100], budget=50, multiple=1, random=None)
def test_pieces_hold_every_example_once_and_keep_to_the_budget(
    sizes: list[int], budget: int, multiple: int, random
) -> None:
    indices = list(range(len(sizes)))
    pieces = micro_batches(indices, sizes, budget, multiple)
    assert Counter(chain(*pieces)) == Counter(indices)
    for piece in pieces:
        assert len(piece) == 1 or sum(sizes[index] for index in piece) <= budget
    assert len(pieces) % multiple == 0 or len(pieces) == len(indices)
    in_order = [sizes[index] for index in chain(*pieces)]
    assert in_order == sorted(in_order)
    if random:
        random.shuffle(indices)
    assert micro_batches(indices, sizes, budget, multiple) == pieces


def test_a_batch_that_fits_is_one_piece() -> None:
    assert micro_batches([2, 0, 1], [5, 1, 3], budget=9) == [[1, 2, 0]]


def test_one_example_that_is_too_large_does_not_part_the_others() -> None:
    pieces = micro_batches(range(8), [1] * 7 + [100], budget=50)
    assert pieces == [[0, 1, 2, 3, 4, 5], [6], [7]]  # 107 tokens would be three full pieces


def test_pieces_are_of_nearly_equal_size() -> None:
    pieces = micro_batches(range(12), [10] * 12, budget=50)
    assert [len(piece) for piece in pieces] == [4, 4, 4]


def test_processes_that_share_the_pieces_each_get_as_many() -> None:
    assert len(micro_batches(range(12), [10] * 12, budget=50, multiple=4)) == 4
    assert micro_batches([3], [0, 0, 0, 9], budget=50, multiple=4) == [[3]]


@pytest.mark.parametrize(
    ("sequences", "length"),
    [
        ([(1, 2, 3), (1, 2, 4), (1, 2)], 2),
        ([(1, 2, 3), (1, 5, 3), (1, 2, 3)], 1),
        ([(4, 4)], 2),
        ([(1,), (2,)], 0),
        ([(), (2,)], 0),
    ],
)
def test_what_all_sequences_open_with(sequences, length):
    assert shared_prefix(sequences) == length
