"""A language model made ready to be trained: what it is computed in, and a check that packing knows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from biddable.models.own_head import needs_own_head
from biddable.models.packed import PackedLM


@contextmanager
def training_precision(module: Any, bf16: bool) -> Iterator[None]:
    """Within it, trained weights are fp32 and nothing is dropped out (a policy is compared with itself).

    Args:
        module: what is trained.
        bf16: whether it computes in bfloat16; frozen weights then stay as they are stored.
    """
    was_training = module.training
    stored = {parameter: parameter.dtype for parameter in module.parameters()}
    for parameter in stored:
        if parameter.requires_grad or not bf16:
            parameter.data = parameter.data.float()
    module.eval()  # some architectures drop out by functions, not by layers that could be switched off
    try:
        yield
    finally:
        module.train(was_training)
        for parameter, dtype in stored.items():
            parameter.data = parameter.data.to(dtype)


def language_model(module: Any, bf16: bool) -> PackedLM:
    """``module`` as a function of packed batches.

    Raises:
        ModelError: on packed batches it computes something else than by itself.
    """
    return PackedLM(module, bf16=bf16, own_head=needs_own_head(module, bf16))
