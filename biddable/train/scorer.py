"""A language model made ready to be trained: what it is computed in, and a check that packing knows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch

from biddable.errors import ModelError, said
from biddable.models.packed import PackedLM
from biddable.models.packing import pack
from biddable.models.proof import disagreement, proof_prompts


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
    return PackedLM(module, bf16=bf16, own_head=_needs_own_head(module, bf16))


_OWN_HEAD: WeakKeyDictionary[Any, dict[bool, bool]] = WeakKeyDictionary()
"""What ``_needs_own_head`` has found out, for each module and precision."""


def _needs_own_head(module: Any, bf16: bool) -> bool:
    """Whether the module's own logits are needed; found out once, as by ``models.proof`` before generation.

    Whatever an architecture does that packing does not know of (a capped or scaled head, a state that
    runs along the tokens, a bias that depends on the distance) shows up as a difference from the module's
    own forward over each sequence alone.

    Raises:
        ModelError: they differ either way, so training would optimise the wrong thing.
    """
    known = _OWN_HEAD.setdefault(module, {})
    if bf16 not in known:
        problem = _disagreement(PackedLM(module, bf16=bf16))
        known[bf16] = problem is not None
        if problem and (again := _disagreement(PackedLM(module, bf16=bf16, own_head=True))):
            del known[bf16]
            name = type(module.get_decoder()).__name__
            raise ModelError(f"{name} cannot be trained on packed batches: {again}")
    return known[bf16]


@torch.inference_mode()
def _disagreement(model: PackedLM) -> str | None:
    """What differs on a short batch of unequal sequences, two of which begin alike; None: nothing."""
    _, second, third, fourth = proof_prompts(model.module)
    sequences = [(second, 2), (third, len(third) // 2), (fourth, len(third) // 2)]
    spans = [(ids[:start], ids[start:]) for ids, start in sequences if len(ids) > start]
    batch = pack(spans).to(next(model.parameters()).device)
    try:
        ours = model(batch)["logprobs"][batch.mask]
    except ModelError as error:
        return str(error)
    except Exception as error:  # whatever an architecture trips over that packing does not know
        return said(error)
    rows, starts = [[*a, *b] for a, b in spans], [len(a) for a, _ in spans]
    return disagreement(model.module, ours, rows, starts, bf16=model.bf16)
