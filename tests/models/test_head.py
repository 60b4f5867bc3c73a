"""Log-probabilities without the logits, against log_softmax and gather on all of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from biddable.models import head
from biddable.models.head import token_logprobs

ROWS, WIDTH, VOCABULARY = 11, 8, 50
CHUNKS = {"one chunk": 2**25, "three chunks": 4 * VOCABULARY, "a chunk for each row": 1}


@pytest.fixture(params=CHUNKS.values(), ids=CHUNKS)
def chunks(request, monkeypatch) -> None:
    monkeypatch.setattr(head, "_CHUNK", request.param)
    monkeypatch.setattr(head, "_CPU_PART", 3 * VOCABULARY)
    monkeypatch.setattr(head, "_COLUMNS", 16)


def tensors(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states, weight, targets (some of them twice), and the gradient that comes in."""
    torch.manual_seed(0)
    hidden = torch.randn(ROWS, WIDTH).to(dtype).requires_grad_()
    weight = torch.randn(VOCABULARY, WIDTH, requires_grad=True)
    return hidden, weight, torch.randint(VOCABULARY // 5, (ROWS,)), torch.randn(ROWS)


def plain(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return (hidden @ weight.t()).log_softmax(-1).gather(1, targets[:, None])[:, 0]


@pytest.mark.usefixtures("chunks")
def test_values_and_gradients() -> None:
    hidden, weight, targets, incoming = tensors()
    ours, expected = token_logprobs(hidden, weight, targets), plain(hidden, weight, targets)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
    theirs = torch.autograd.grad(expected, (hidden, weight), incoming)
    for got, want in zip(torch.autograd.grad(ours, (hidden, weight), incoming), theirs, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("chunks")
def test_a_weight_that_is_not_trained_gets_no_gradient() -> None:
    hidden, weight, targets, incoming = tensors()
    expected = torch.autograd.grad(plain(hidden, weight, targets), hidden, incoming)[0]
    frozen = weight.detach()
    token_logprobs(hidden, frozen, targets).backward(incoming)
    torch.testing.assert_close(hidden.grad, expected, rtol=1e-4, atol=1e-5)
    assert frozen.grad is None


@pytest.mark.usefixtures("chunks")
def test_bfloat16_states_are_near_and_the_weight_keeps_its_precision() -> None:
    hidden, weight, targets, incoming = tensors(torch.bfloat16)
    ours = token_logprobs(hidden, weight, targets)
    assert ours.dtype == torch.float32
    wide = hidden.detach().float().requires_grad_()
    expected = plain(wide, weight, targets)
    torch.testing.assert_close(ours, expected, rtol=0.02, atol=0.05)  # bfloat16 keeps 8 bits
    ours.backward(incoming)
    assert hidden.grad.dtype == torch.bfloat16
    assert weight.grad.dtype == torch.float32
    theirs = torch.autograd.grad(expected, (wide, weight), incoming)
    for got, want in zip((hidden.grad, weight.grad), theirs, strict=True):
        assert (got.float() - want).norm() < 0.02 * want.norm()


def test_probabilities_add_up_to_1_also_of_bfloat16_states() -> None:
    hidden, weight, _, _ = tensors(torch.bfloat16)
    logprobs = token_logprobs(hidden[:1].expand(VOCABULARY, -1), weight, torch.arange(VOCABULARY))
    assert logprobs.exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_extreme_logits_do_not_overflow() -> None:
    hidden = torch.tensor([[1.0]], requires_grad=True)
    weight = torch.tensor([[1e4], [-1e4], [1e4]])
    assert token_logprobs(hidden, weight, torch.tensor([0])).item() == pytest.approx(-0.693147)
    logprob = token_logprobs(hidden, weight, torch.tensor([1]))
    assert logprob.item() == pytest.approx(-2e4 - 0.693147)
    logprob.backward()
    assert hidden.grad.item() == pytest.approx(-2e4)  # -1e4 less the mean of the weights under softmax


def test_the_logits_of_only_one_chunk_are_kept(monkeypatch) -> None:
    monkeypatch.setattr(head, "_CHUNK", 4 * VOCABULARY)
    kept = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t)
    hidden, weight, targets, _ = tensors()
    with hooks:
        token_logprobs(hidden, weight, targets)
    assert [shape for shape in kept if shape[-1:] == (VOCABULARY,)] == [(3, VOCABULARY)]  # 11 = 4 + 4 + 3
