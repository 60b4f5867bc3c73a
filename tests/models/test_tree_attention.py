"""Attention along a prefix tree in C: the same as torch's on padded sequences, and so are its gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from biddable.models.attention import TreePlan
from biddable.models.prefix_tree import prefix_tree
from biddable.models.tree_attention import kernel_for

pytestmark = pytest.mark.skipif(kernel_for(torch.zeros(1, 1, 32)) is None, reason="there is no C compiler")

lengths = st.integers(1, 80)
sequences = st.lists(
    st.tuples(lengths, st.integers(0, 2), lengths).map(
        lambda parts: [7] * parts[0] + [parts[1]] * parts[2]  # shared opening, then one of three ways
    ),
    min_size=1,
    max_size=5,
)
heads = st.sampled_from([(1, 1, 32), (3, 3, 64), (2, 4, 64), (1, 1, 256)])


def attended(
    plan: TreePlan, states: list[Tensor], towards: Tensor, window: int, *, by_torch: bool
) -> list[Tensor]:
    """The result and the gradients of query, key and value."""
    leaves = [x.clone().requires_grad_() for x in states]
    attend = plan._by_torch if by_torch else lambda *args: plan.attend(0, *args)
    out = attend(*leaves, 0.3, window)
    return [out, *torch.autograd.grad((out.float() * towards).sum(), leaves)]


def states_of(
    tokens: int, kv_heads: int, group: int, dim: int, dtype: torch.dtype
) -> tuple[list[Tensor], Tensor]:
    random = torch.Generator().manual_seed(tokens)
    counts = (kv_heads * group, kv_heads, kv_heads, kv_heads * group)
    *states, towards = (torch.randn(tokens, count, dim, generator=random) for count in counts)
    return [x.to(dtype) for x in states], towards


@settings(max_examples=40, deadline=None)
@given(sequences, heads, st.sampled_from([0, 1, 5, 33, 1000]))
def test_the_same_as_torch(rows, shape, window) -> None:
    tree = prefix_tree(rows)
    plan = TreePlan(tree)
    states, towards = states_of(len(tree.tokens), *shape, torch.float32)
    found = attended(plan, states, towards, window, by_torch=False)
    expected = attended(plan, states, towards, window, by_torch=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=2e-4)


def test_bf16_is_as_near_to_exact_as_its_rounding() -> None:
    tree = prefix_tree([[7] * 50 + [1] * 70, [7] * 50 + [2] * 90])
    plan = TreePlan(tree)
    states, towards = states_of(len(tree.tokens), 3, 3, 64, torch.bfloat16)
    found = attended(plan, states, towards, 0, by_torch=False)
    exact = attended(plan, [x.double() for x in states], towards, 0, by_torch=True)
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == torch.bfloat16
        error = (one.double() - other).norm() / other.norm()
        assert error < 0.005


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_gives_the_same_every_time(threads) -> None:
    tree = prefix_tree([[7] * 50 + [1] * 70, [7] * 50 + [2] * 90, [3]])
    states, towards = states_of(len(tree.tokens), 3, 3, 64, torch.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        first, again = (attended(TreePlan(tree), states, towards, 0, by_torch=False) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    expected = attended(TreePlan(tree), states, towards, 0, by_torch=True)
    for one, other in zip(first, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=2e-4)


def test_what_is_no_number_is_not_lost_on_the_way_to_bf16() -> None:
    tree = prefix_tree([[1, 2]])
    value = torch.full((2, 1, 32), torch.nan, dtype=torch.bfloat16)
    out = TreePlan(tree).attend(0, torch.zeros_like(value), torch.zeros_like(value), value, 1.0, 0)
    assert out.isnan().all()
