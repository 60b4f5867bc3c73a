"""The scorer over packed batches: what all prompts open with is computed once, and changes no number."""

from __future__ import annotations

import random

import pytest
import torch

from biddable.models import packed, tree_attention
from biddable.models.packed import PackedLM, passes, shared_header, span_logprobs

from ..train.tiny import MODULES

DRAW = random.Random(0)
HEADER = [DRAW.randrange(4, 30) for _ in range(20)]


def drawn(count: int) -> list[int]:
    return [DRAW.randrange(4, 30) for _ in range(count)]


SPANS = [(HEADER + drawn(i % 4 + 1), drawn(i % 3 + 1)) for i in range(12)]


@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "torch"])
@pytest.mark.parametrize("name", MODULES)
def test_a_header_kept_for_all_passes_changes_no_number(name, kernel, monkeypatch) -> None:
    if not kernel:
        monkeypatch.setattr(tree_attention, "kernel_for", lambda value: None)
    model = PackedLM(MODULES[name]())
    monkeypatch.setattr(packed, "HEADER_TOKENS", 10**6)
    expected = span_logprobs(model, SPANS, 30)
    monkeypatch.setattr(packed, "HEADER_TOKENS", 8)
    computed: list[int] = []
    header = model.header
    monkeypatch.setattr(model, "header", lambda tokens: computed.append(len(tokens)) or header(tokens))
    found = span_logprobs(model, SPANS, 10)
    assert computed == [len(HEADER)]
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_a_header_leaves_each_prompt_a_token_of_its_own() -> None:
    assert shared_header([[1, 2, 3], [1, 2, 3, 4], [1, 2, 3]]) == 2
    assert shared_header([[1, 2], [1, 3]]) == 1
    assert shared_header([[1, 2], [3]]) == 0
    assert shared_header([[5, 6, 7]] * 2) == 2
    assert shared_header([]) == 0


def test_shared_tokens_count_once_in_a_pass() -> None:
    rows = [(1, 2, 3, i) for i in range(6)]
    assert [len(indices) for indices in passes(rows, 6)] == [3, 3]
    assert [len(indices) for indices in passes([row[3:] for row in rows], 6)] == [6]
