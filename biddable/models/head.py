"""Log-probabilities of given tokens without ever holding the logits of a whole batch.

The logits of a few thousand tokens over a vocabulary of fifty thousand take more memory than the
model. Here one chunk of rows exists at a time. The backward pass computes the chunks again, except the
last, whose probabilities are still there: for a micro-batch of ordinary size that is the only one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_CHUNK = 2**25  # probabilities held at once: 128 MB in fp32
_COLUMNS = 2**13  # words whose gradients are computed at once
_CPU_PART = 2**21  # those worked on at once in fp32: 8 MB, which stay in a CPU's last cache


def token_logprobs(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Log-probability of each target under softmax(hidden @ weight.T), normalised in fp32.

    Args:
        hidden: [N, H] final states at the places that predict.
        weight: [V, H] the output embedding.
        targets: [N] token ids.

    Returns:
        [N] natural logs in fp32.
    """
    return _TokenLogprobs.apply(hidden, weight, targets)


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        ctx.weight_dtype, weight = weight.dtype, weight.to(hidden.dtype)
        logprobs = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        exps = total = None  # where there are no rows
        for rows in _chunks(hidden, weight, _CHUNK):
            exps, total, logprobs[rows] = _softmax(hidden[rows], weight, targets[rows])
        ctx.save_for_backward(hidden, weight, targets, exps, total)
        return logprobs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, targets, exps, total = ctx.saved_tensors
        grad = grads[0][:, None].to(hidden.dtype)
        grad_hidden = weight[targets].mul_(grad)
        grad_weight = None
        if ctx.needs_input_grad[1]:
            # In the weight's own precision, as many chunks are added up in it.
            grad_weight = torch.zeros_like(weight, dtype=ctx.weight_dtype)
            grad_weight.index_add_(0, targets, (hidden * grad).to(ctx.weight_dtype))
        for rows in reversed(_chunks(hidden, weight, _CHUNK)):
            if exps is None:
                exps, total, _ = _softmax(hidden[rows], weight, targets[rows])
            # exps / total are the probabilities; dividing the narrow side of each product is cheaper.
            share = grad[rows] / total[:, None].to(hidden.dtype)
            grad_hidden[rows] -= (exps @ weight).mul_(share)
            if grad_weight is not None:
                _subtract_product(grad_weight, exps.t(), hidden[rows] * share)
            exps = None
        return grad_hidden, grad_weight, None


def _softmax(hidden: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[n, V] exp(logit - the largest of its row), [n] their sums, [n] the log-probabilities of the targets.

    Not by torch.logsumexp or log_softmax, which are several times slower on a CPU.
    """
    exps = hidden @ weight.t()
    total, logprobs = torch.empty(2, len(hidden), dtype=torch.float32, device=hidden.device)
    part = _CPU_PART if hidden.device.type == "cpu" else _CHUNK
    for rows in _chunks(hidden, weight, part):
        logits = exps[rows].float()
        logits.sub_(logits.amax(1, keepdim=True))
        picked = logits.gather(1, targets[rows, None])[:, 0]
        total[rows] = logits.exp_().sum(1)
        logprobs[rows] = picked - total[rows].log()
        if exps.dtype != logits.dtype:  # else they are the same memory
            exps[rows] = logits
    return exps, total, logprobs


def _subtract_product(result: Tensor, left: Tensor, right: Tensor) -> None:
    if result.dtype == left.dtype:
        result.addmm_(left, right, alpha=-1)
        return
    # The product is there beside the result, so a part at a time.
    for start in range(0, len(result), _COLUMNS):
        rows = slice(start, start + _COLUMNS)
        result[rows].sub_(left[rows] @ right)


def _chunks(hidden: Tensor, weight: Tensor, numbers: int) -> list[slice]:
    size = max(1, numbers // len(weight))
    return [slice(start, min(start + size, len(hidden))) for start in range(0, len(hidden), size)]
