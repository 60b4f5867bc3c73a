"""Whether a model's log-probabilities are a product with its output embedding, or need its own head."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch

from biddable.errors import ModelError, said
from biddable.models.agreement import disagreement, proof_prompts
from biddable.models.packed import PackedLM
from biddable.models.packing import pack

_FOUND: WeakKeyDictionary[Any, dict[bool, bool]] = WeakKeyDictionary()
"""What ``needs_own_head`` has found out, for each module and precision."""


def needs_own_head(module: Any, bf16: bool) -> bool:
    """Whether packed batches need the module's own logits; found out once for each module and precision.

    Whatever an architecture does that packing does not know of (a capped or scaled head, a state that
    runs along the tokens, a bias that depends on the distance) shows up as a difference from the module's
    own forward over each sequence alone.

    Raises:
        ModelError: they differ either way, so scores would be wrong, and training would optimise them.
    """
    known = _FOUND.setdefault(module, {})
    if bf16 not in known:
        problem = _disagreement(PackedLM(module, bf16=bf16))
        if problem and (again := _disagreement(PackedLM(module, bf16=bf16, own_head=True))):
            name = type(module.get_decoder()).__name__
            raise ModelError(f"{name} cannot be computed on packed batches: {again}")
        known[bf16] = problem is not None
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
