"""Drawing from logits is exact: held against the reference distribution computed in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from biddable.errors import InputError
from biddable.models import sampling
from biddable.models.base import Sampling
from biddable.models.sampling import draw, uniforms

DRAWS = 40_000


@pytest.fixture(params=["kernel", "torch"], autouse=True)
def path(request, monkeypatch) -> None:
    """Both ways to draw without filters."""
    if request.param == "torch":
        monkeypatch.setattr(sampling, "draw_kernel", lambda dtype: None)
    elif sampling.draw_kernel(torch.float32) is None:
        pytest.skip("no C compiler here (install gcc): the compiled loop cannot be built")


def reference(logits: np.ndarray, how: Sampling) -> np.ndarray:
    """The distribution that ``how`` asks for, by its definition: temperature, then top-k, then top-p."""
    scaled = logits.astype(np.float64) / how.temperature
    p = np.exp(scaled - scaled.max())
    order = np.argsort(-p, kind="stable")
    keep = np.zeros(len(p), bool)
    keep[order[: how.top_k or len(p)]] = True
    p = np.where(keep, p, 0) / p[keep].sum()
    before = np.concatenate([[0], np.cumsum(p[order])[:-1]])
    p[order[before >= how.top_p]] = 0
    return p / p.sum()


def counts(logits: np.ndarray, how: Sampling) -> np.ndarray:
    u = torch.from_numpy(uniforms(range(DRAWS), 1))[:, 0]
    tokens, _ = draw(torch.from_numpy(logits).float().repeat(DRAWS, 1), u, how)
    return np.bincount(tokens.numpy(), minlength=len(logits)) / DRAWS


@pytest.mark.parametrize(
    "how",
    [
        Sampling(),
        Sampling(temperature=0.7),
        Sampling(temperature=1.8),
        Sampling(top_k=5),
        Sampling(top_p=0.8),
        Sampling(top_p=0.99, temperature=2.0),
        Sampling(top_k=20, top_p=0.9, temperature=0.9),
        Sampling(top_k=1),
    ],
)
@pytest.mark.parametrize("vocabulary", [40, 700])
def test_frequencies_match_the_reference(how: Sampling, vocabulary: int) -> None:
    logits = np.random.default_rng(vocabulary).normal(0, 1.5, vocabulary)
    expected = reference(logits, how)
    found = counts(logits, how)
    assert found[expected == 0].sum() == 0
    # Total variation of an empirical distribution: about sqrt(cells / (2 pi draws)); three times that.
    allowed = 3 * np.sqrt((expected > 0).sum() / (2 * np.pi * DRAWS)) + 1e-9
    assert 0.5 * np.abs(found - expected).sum() < allowed


def test_inverse_transform_gives_each_token_its_exact_share() -> None:
    p = np.array([0.125, 0.5, 0.25, 0.125])
    logits = torch.from_numpy(np.log(p)).float()
    u = torch.tensor([0.0, 0.124, 0.126, 0.624, 0.626, 0.874, 0.876, 1 - 2**-53], dtype=torch.float64)
    tokens, logprobs = draw(logits.repeat(8, 1), u, Sampling())
    assert tokens.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    np.testing.assert_allclose(logprobs.numpy(), np.log(p[tokens.numpy()]), atol=1e-6)


def test_logprobs_are_of_the_model_itself_whatever_the_filter() -> None:
    logits = torch.randn(6, 500, generator=torch.Generator().manual_seed(0))
    expected = logits.double().log_softmax(-1)
    u = torch.from_numpy(uniforms(range(6), 1))[:, 0]
    for how in (Sampling(temperature=0), Sampling(temperature=0.5), Sampling(top_k=3), Sampling(top_p=0.5)):
        tokens, logprobs = draw(logits.clone(), u, how)
        np.testing.assert_allclose(logprobs.numpy(), expected.gather(1, tokens[:, None])[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    "how", [Sampling(), Sampling(temperature=0.3), Sampling(top_p=0.9), Sampling(top_k=9)]
)
def test_a_row_gives_the_same_bit_for_bit_alone(how) -> None:
    logits = 4 * torch.randn(6, 50_000, generator=torch.Generator().manual_seed(3))
    u = torch.from_numpy(uniforms(range(6), 1))[:, 0]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)  # by which torch shares out the sum of one row
        together = draw(logits.clone(), u, how)
        parts = [draw(logits[i : i + 1].clone(), u[i : i + 1], how) for i in range(6)]
    finally:
        torch.set_num_threads(threads)
    for whole, rows in zip(together, zip(*parts, strict=True), strict=True):
        assert torch.equal(torch.cat(rows), whole)


@pytest.mark.parametrize("how", [Sampling(), Sampling(temperature=0.3), Sampling(temperature=0)])
def test_bfloat16_logits_are_drawn_from_as_they_are(how) -> None:
    logits = (3 * torch.randn(500, 700, generator=torch.Generator().manual_seed(2))).bfloat16()
    u = torch.from_numpy(uniforms(range(500), 1))[:, 0]
    wide = draw(logits.float(), u, how)
    tokens, logprobs = draw(logits, u, how)
    assert (tokens == wide[0]).float().mean() > 0.99, "only where sums are rounded otherwise may they differ"
    expected = wide[1][tokens == wide[0]]
    torch.testing.assert_close(logprobs[tokens == wide[0]], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("how", [Sampling(), Sampling(top_p=0.9), Sampling(top_k=5)])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_no_numbers_still_give_a_token_of_the_vocabulary(bad, how) -> None:
    logits = torch.full((3, 300), bad)
    tokens, _ = draw(logits, torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64), how)
    assert ((tokens >= 0) & (tokens < 300)).all()


def test_greedy_takes_the_likeliest() -> None:
    logits = torch.randn(30, 100, generator=torch.Generator().manual_seed(1))
    best = logits.argmax(-1)
    tokens, _ = draw(logits.clone(), torch.zeros(30, dtype=torch.float64), Sampling(temperature=0))
    assert torch.equal(tokens, best)


@pytest.mark.parametrize("temperature", [1e-30, 1e-40, 1e-310])
@pytest.mark.parametrize("filtered", [{}, {"top_k": 3}, {"top_p": 0.9}])
def test_as_cold_as_numbers_go_it_takes_the_likeliest_too(temperature, filtered) -> None:
    logits = torch.randn(30, 100, generator=torch.Generator().manual_seed(1))
    best = logits.argmax(-1)
    how = Sampling(temperature=temperature, **filtered)
    tokens, _ = draw(logits, torch.full((30,), 0.7, dtype=torch.float64), how)
    assert torch.equal(tokens, best)


@given(st.lists(st.integers(0, 2**63), min_size=2, max_size=20, unique=True))
def test_uniforms_belong_to_their_seed_alone(seeds: list[int]) -> None:
    together = uniforms(seeds, 5)
    assert ((together >= 0) & (together < 1)).all()
    assert len(np.unique(together)) == together.size
    for seed, row in zip(seeds, together, strict=True):
        np.testing.assert_array_equal(uniforms([seed], 3)[0], row[:3])


def test_uniforms_are_uniform() -> None:
    u = np.sort(uniforms(range(1000), 20).ravel())
    assert np.abs(u - np.arange(len(u)) / len(u)).max() < 1.63 / np.sqrt(len(u))  # Kolmogorov-Smirnov, 1 %


@pytest.mark.parametrize(
    "bad",
    [
        {"max_tokens": 0},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"stop": "\n"},
        {"stop": ("",)},
    ],
)
def test_bad_settings_name_their_field(bad: dict) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        Sampling(**bad)
