"""The objectives, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from biddable.errors import InputError
from biddable.train.losses import dpo_loss, reward_loss, sft_loss

# Two pairs: beta 0.1 times a difference of log-ratios of 1.5, and of 0.
POLICY_W, POLICY_L = torch.tensor([-1.0, -4.0]), torch.tensor([-3.0, -5.0])
REF_W, REF_L = torch.tensor([-2.0, -4.0]), torch.tensor([-2.5, -5.0])
LOSSES = torch.tensor([0.620957, math.log(2)])  # log(1 + exp(-0.15)), log(1 + 1)


def test_dpo_by_hand() -> None:
    loss, metrics = dpo_loss(POLICY_W, POLICY_L, REF_W, REF_L, beta=0.1)
    torch.testing.assert_close(loss, LOSSES)
    torch.testing.assert_close(metrics["margin"], torch.tensor([0.15, 0.0]))
    assert metrics["accuracy"].tolist() == [1, 0]  # a tie is not a pair won
    assert "nll" not in metrics


def test_dpo_gradients_by_hand() -> None:
    policy_w, policy_l = POLICY_W.clone().requires_grad_(), POLICY_L.clone().requires_grad_()
    dpo_loss(policy_w, policy_l, REF_W, REF_L, beta=0.1)[0].sum().backward()
    slope = torch.tensor([0.1 * 0.462570, 0.1 * 0.5])  # beta * sigmoid(-margin)
    torch.testing.assert_close(policy_w.grad, -slope)
    torch.testing.assert_close(policy_l.grad, slope)


def test_the_likelihood_term_is_added_with_its_weight() -> None:
    nll = torch.tensor([2.0, 0.5], requires_grad=True)
    loss, metrics = dpo_loss(POLICY_W, POLICY_L, REF_W, REF_L, beta=0.1, nll_w=nll, rpo_alpha=0.1)
    torch.testing.assert_close(loss, LOSSES + torch.tensor([0.2, 0.05]))
    assert metrics["nll"].tolist() == [2.0, 0.5]
    assert not metrics["nll"].requires_grad
    loss.sum().backward()
    torch.testing.assert_close(nll.grad, torch.tensor([0.1, 0.1]))


def test_alpha_0_reports_the_likelihood_and_leaves_it_out() -> None:
    loss, metrics = dpo_loss(POLICY_W, POLICY_L, REF_W, REF_L, beta=0.1, nll_w=torch.tensor([2.0, 0.5]))
    torch.testing.assert_close(loss, LOSSES)
    assert metrics["nll"].tolist() == [2.0, 0.5]


@pytest.mark.parametrize(("difference", "expected"), [(1e4, 0.0), (-1e4, 1e4)])
def test_huge_margins_stay_finite(difference: float, expected: float) -> None:
    policy = torch.tensor([difference], requires_grad=True)
    zero = torch.zeros(1)
    loss, _ = dpo_loss(policy, zero, zero, zero, beta=1.0)
    loss.backward()
    assert loss.item() == expected
    assert policy.grad.isfinite().all()


def test_alpha_needs_a_likelihood() -> None:
    with pytest.raises(InputError, match=r"^nll_w is None, expected a tensor, as rpo_alpha is above 0$"):
        dpo_loss(POLICY_W, POLICY_L, REF_W, REF_L, beta=0.1, rpo_alpha=0.1)


def test_sft_by_hand() -> None:
    loss, metrics = sft_loss(torch.tensor([-1.5, -0.25], requires_grad=True))
    assert loss.tolist() == metrics["nll"].tolist() == [1.5, 0.25]
    assert not metrics["nll"].requires_grad


def test_reward_by_hand() -> None:
    loss, metrics = reward_loss(torch.tensor([0.25, 1.0]), torch.tensor([0.1, 1.0]))
    torch.testing.assert_close(loss, LOSSES)
    torch.testing.assert_close(metrics["margin"], torch.tensor([0.15, 0.0]))
    assert metrics["accuracy"].tolist() == [1, 0]
