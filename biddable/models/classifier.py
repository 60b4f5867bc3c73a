"""Sequence classifiers of one label (reward models) on packed batches: a proof, and scores of many texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from biddable.errors import ModelError, said
from biddable.models.agreement import agree, proof_prompts
from biddable.models.packed import PackedClassifier, passes
from biddable.models.packing import pack
from biddable.models.plain import evaluating


def packed_classifier(module: Any, bf16: bool = False) -> PackedClassifier:
    """``module`` as a function of packed batches.

    Args:
        module: a ``transformers`` sequence classifier of one label, with or without a PEFT adapter.
        bf16: compute the body in bfloat16.

    Raises:
        ModelError: on packed batches it gives other scores than by itself.
    """
    network = PackedClassifier(module, bf16=bf16)
    if problem := _disagreement(network):
        raise ModelError(f"{type(module).__name__} cannot be computed on packed batches: {problem}")
    return network


def sequence_scores(
    network: PackedClassifier,
    sequences: Sequence[Sequence[int]],
    max_tokens: int,
    on_done: Callable[[int], None] = lambda count: None,
) -> list[float]:
    """The score of each sequence of at least two token ids; what sequences open with is computed once a pass.

    Args:
        network: the classifier.
        sequences: token ids.
        max_tokens: how many tokens to compute at once; shared ones count once.
        on_done: told how many more sequences are done.
    """
    device = next(network.parameters()).device
    rows = [tuple(row) for row in sequences]
    scores = [0.0] * len(rows)
    with torch.inference_mode(), evaluating(network.module):
        for indices in passes(rows, max_tokens):
            batch = pack([(rows[index][:-1], rows[index][-1:]) for index in indices]).to(device)
            of_batch = network(batch)["scores"].tolist()
            for index, score in zip(indices, of_batch, strict=True):
                scores[index] = score
            on_done(len(indices))
    return scores


def _disagreement(network: PackedClassifier) -> str | None:
    """What differs on a short batch of unequal sequences, which begin alike in pairs; None: nothing."""
    module, pad = network.module, network.module.config.pad_token_id
    # ``transformers`` reads the score at the last token that is not padding.
    other = 1 if pad == 0 else (pad or 0) - 1
    rows = [[other if token == pad else token for token in row] for row in proof_prompts(module)]
    rows = [row for row in rows if len(row) > 1]
    first = next(network.parameters())

    def by_itself() -> torch.Tensor:
        ids = (torch.tensor([row], device=first.device) for row in rows)
        return torch.cat([module(input_ids=row, use_cache=False).logits[:, 0].float().cpu() for row in ids])

    try:
        with torch.inference_mode(), evaluating(module):
            exact = by_itself()
            with torch.autocast(first.device.type, torch.bfloat16, enabled=network.bf16):
                rounded = by_itself() if network.bf16 else None
        ours = torch.tensor(sequence_scores(network, rows, 10**6))
    except ModelError as error:
        return str(error)
    except Exception as error:  # whatever an architecture trips over that packing does not know
        return said(error)
    scale = 1 / exact.abs().max().clamp(min=1e-12)  # a new head's scores are all near 0
    return agree(ours * scale, exact * scale, None if rounded is None else rounded * scale)
