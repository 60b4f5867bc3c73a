"""Packed batches: the same log-probabilities as one sequence at a time, and nothing computed twice."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biddable.train.config import TrainConfig
from biddable.train.examples import Example
from tests.train.tiny import MODULES, packed, plain_logprobs
from tests.train.tiny import pack_examples as pack

CONFIG = TrainConfig(lr=1.0, precision="fp32")

# Few different tokens, so that sequences often share a prefix, are equal, or one begins another.
tokens = st.lists(st.integers(0, 2), min_size=1, max_size=6).map(tuple)
examples = st.lists(
    st.builds(Example, tokens, st.lists(tokens, min_size=1, max_size=3).map(tuple)), min_size=1, max_size=5
)

BY_HAND = [
    Example((1, 2), ((3, 4, 5), (3, 4, 6))),  # two sides that open alike
    Example((1, 2), ((3, 4, 5), (3,))),  # a completion again, and one that begins another; one token
    Example((1, 2, 3), ((4, 5), (9,))),  # what was a completion token is now a prompt's
]


@cache
def module(name: str) -> Any:
    return MODULES[name]()


@pytest.mark.parametrize("name", MODULES)
@settings(max_examples=25)
@given(batch=examples)
def test_log_probabilities_are_those_of_each_sequence_alone(name: str, batch: list[Example]) -> None:
    with torch.no_grad(), packed(module(name), CONFIG) as lm:
        sums = lm(pack(batch))["logprobs"].sum(1)
    alone = torch.stack(
        [
            plain_logprobs(module(name), one.prompt, completion).sum().detach()
            for one in batch
            for completion in one.completions
        ]
    )
    torch.testing.assert_close(sums, alone, rtol=1e-4, atol=1e-4)


@given(examples)
def test_every_distinct_prefix_is_computed_and_scored_once(batch: list[Example]) -> None:
    layout = pack(batch)
    rows = [(len(one.prompt), one.prompt + answer) for one in batch for answer in one.completions]
    assert layout.mask.sum(1).tolist() == [len(row) - start for start, row in rows]
    computed = {row[: i + 1] for _, row in rows for i in range(len(row))}
    scored = {row[: i + 1] for start, row in rows for i in range(start, len(row))}
    assert len(layout.tree.tokens) == len(computed)
    assert len(layout.targets) == len(scored)
    assert torch.equal(layout.per_token(torch.ones(len(scored))), layout.mask.float())
    for (start, row), places in zip(rows, layout.rows, strict=True):
        completion = places[places >= 0]
        assert layout.targets[completion].tolist() == list(row[start:])
        assert layout.tree.tokens[layout.predictors[completion]].tolist() == list(row[start - 1 : -1])


def test_token_counts_by_hand() -> None:
    layout = pack(BY_HAND)
    assert len(layout.tree.tokens) == 7  # 1 2 3 4 5, 6 after 4, 9 after 3
    assert sorted(layout.targets.tolist()) == [3, 4, 5, 6, 9]
    assert layout.mask.sum(1).tolist() == [3, 3, 3, 1, 2, 1]


@pytest.mark.parametrize("name", MODULES)
def test_gradients_are_those_of_each_sequence_alone(name: str) -> None:
    """Each sequence with a weight of its own, as in a loss over pairs."""
    lm = MODULES[name]()
    factors = torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0, 2.5])
    alone = [plain_logprobs(lm, one.prompt, answer).sum() for one in BY_HAND for answer in one.completions]
    (torch.stack(alone) * factors).sum().backward()
    expected = [parameter.grad.clone() for parameter in lm.parameters()]
    lm.zero_grad()
    with packed(lm, CONFIG) as policy:
        policy(pack(BY_HAND))["logprobs"].sum(1).mul(factors).sum().backward()
    for parameter, gradient in zip(lm.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-4)
