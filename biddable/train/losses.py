"""Training objectives, each a pure function of log-probabilities, in the papers' symbols.

No loss divides by the size of the batch: the learner does, so that the same function serves a whole batch
and any piece of one. Log-probabilities are in nats. Beside the losses come metrics, detached, of which the
batch's mean is taken likewise.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from biddable.errors import InputError

Losses = tuple[Tensor, dict[str, Tensor]]


def sft_loss(policy: Tensor) -> Losses:
    """Negative log-likelihood of completion tokens, any shape.

    Divide the batch's sum by its number of completion tokens for the usual mean per token.
    """
    return -policy, {"nll": -policy.detach()}


def dpo_loss(
    policy_w: Tensor,
    policy_l: Tensor,
    ref_w: Tensor,
    ref_l: Tensor,
    beta: float,
    nll_w: Tensor | None = None,
    rpo_alpha: float = 0.0,
) -> Losses:
    """Direct preference optimisation, with the likelihood term of RPO.

    -log sigmoid(beta * ((policy_w - ref_w) - (policy_l - ref_l))) + rpo_alpha * nll_w: Rafailov et al.
    2023, eq. 7; the second term as in SPaR (arXiv 2412.11605, appendix), where beta = rpo_alpha = 0.1.

    Args:
        policy_w, policy_l: [pairs] log-probability of the chosen and the rejected response.
        ref_w, ref_l: [pairs] the same under the reference, which is not trained.
        beta: how strongly to hold to the reference (smaller: less).
        nll_w: [pairs] negative log-likelihood of the chosen response, a mean per token of each
            response, so that a long one does not outweigh a short one.
        rpo_alpha: weight of ``nll_w``.

    Raises:
        InputError: ``rpo_alpha`` is not 0 and there is no ``nll_w``.
    """
    if rpo_alpha and nll_w is None:
        raise InputError("nll_w", None, "a tensor, as rpo_alpha is above 0")
    margin = beta * ((policy_w - ref_w) - (policy_l - ref_l))
    loss = -F.logsigmoid(margin)
    metrics = {"margin": margin.detach(), "accuracy": (margin > 0).float()}
    if nll_w is not None:
        loss = loss + rpo_alpha * nll_w
        metrics["nll"] = nll_w.detach()
    return loss, metrics


def reward_loss(chosen: Tensor, rejected: Tensor, center: float = 0.0) -> Losses:
    """Bradley-Terry loss of a reward model: -log sigmoid(chosen - rejected), rewards of shape [pairs].

    ``center`` weighs a term (chosen + rejected)² that keeps the mean reward near 0 (Eisenstein et al. 2023).
    """
    margin = chosen - rejected
    loss = -F.logsigmoid(margin) + center * (chosen + rejected) ** 2
    return loss, {"margin": margin.detach(), "accuracy": (margin > 0).float()}


def group_advantages(rewards: Tensor, scale: Literal["group", "batch", "none"] = "group") -> Tensor:
    """Advantages of GRPO: each reward beside those of its group, the samples of one prompt.

    Args:
        rewards: [prompts, group]; NaN where there is none: what is unknown is beside nothing.
        scale: what differences are divided by: the standard deviation of the group (DeepSeekMath), of all
            rewards (REINFORCE++), or nothing (Dr. GRPO).

    Returns:
        [prompts, group]; 0 where there is no reward.
    """
    known = ~rewards.isnan()
    if not known.all():
        return _known_advantages(rewards, known, scale)
    centred = rewards - rewards.mean(1, keepdim=True)
    if scale == "none":
        return centred
    deviation = rewards.std(1, keepdim=True) if scale == "group" else rewards.std()
    return centred / (deviation + 1e-4)


def _known_advantages(rewards: Tensor, known: Tensor, scale: Literal["group", "batch", "none"]) -> Tensor:
    """The same over those rewards of each group that are ``known``; 0 where one stands alone."""
    centred = (rewards - rewards.nanmean(1, keepdim=True)).where(known, 0.0)
    if scale == "none":
        return centred
    if scale == "group":
        deviation = (
            centred.square().sum(1, keepdim=True) / (known.sum(1, keepdim=True) - 1).clamp(min=1)
        ).sqrt()
    else:
        deviation = rewards[known].std() if known.sum() > 1 else torch.zeros(())
    return centred / (deviation + 1e-4)


def grpo_loss(
    policy: Tensor,
    old: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    epsilon: float = 0.2,
    epsilon_high: float = 0.2,
    beta: float = 0.0,
    reference: Tensor | None = None,
    ratio: Literal["token", "sequence"] = "token",
    correct_kl: bool = False,
) -> Losses:
    """Group relative policy optimisation, for each token (Shao et al. 2024, eq. 3).

    -min(r A, clip(r, 1 - epsilon, 1 + epsilon_high) A) + beta * KL, where r = policy / old and
    KL = reference / policy - log(reference / policy) - 1, an estimate that is never negative.

    Args:
        policy, old, reference: [S, L] log-probabilities under the weights that train, those that sampled,
            and those that training started from (with ``beta`` only).
        advantages: [S].
        mask: [S, L] which tokens count.
        epsilon, epsilon_high: how far the ratio may fall and rise (DAPO: 0.28 above).
        beta: weight of the KL term.
        ratio: of each token, or of the whole sequence, per token of it (GSPO).
        correct_kl: multiply the KL term by r, which makes its gradient unbiased (DeepSeek-V3.2).

    Returns:
        losses [S, L], 0 where the mask is false; metrics ``kl`` and ``clipped``, likewise.
    """
    log_ratio = policy - old
    if ratio == "sequence":
        mean = (log_ratio * mask).sum(1) / mask.sum(1).clamp(min=1)  # [S]
        log_ratio = mean[:, None].expand_as(policy)
    r, a = log_ratio.exp(), advantages[:, None]
    low, high = 1 - epsilon, 1 + epsilon_high
    losses = -torch.minimum(r * a, r.clamp(low, high) * a)
    clipped = ((r < low) & (a < 0)) | ((r > high) & (a > 0))
    metrics = {"clipped": (clipped & mask).float()}
    if reference is not None:
        behind = reference - policy
        kl = (behind.exp() - behind - 1) * (r if correct_kl else 1)
        losses = losses + beta * kl
        metrics["kl"] = (kl.detach() * mask).float()
    return losses * mask, metrics


def entropy(logits: Tensor) -> Tensor:
    """Entropy [n] in nats of next-token distributions, from their logits [n, V]."""
    logprobs = logits.log_softmax(-1)
    return -(logprobs.exp() * logprobs).sum(-1)
