"""States of words in a language model whose weights stay as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biddable.errors import InputError

Array = NDArray[np.float16]

BATCH_TOKENS = 4096
"""Tokens that go through the model at once, padding included."""


class _Enough(Exception):
    """The layer that was asked for has been computed."""


@torch.inference_mode()
def word_states(
    model: Any, sentences: Sequence[Sequence[str]], layer: int, *, echo: bool = False
) -> list[Array]:
    """What a model has at each word of each sentence: the state of its last token, and its embedding.

    A decoder sees what comes before a word. With ``echo`` the sentence stands twice, and the states of the
    second time, which have seen the whole of it, are taken (Springer et al. 2024, arXiv 2402.15449).

    Args:
        model: a local model (``module``, ``tokenizer`` and ``begin_id``).
        sentences: their words, none empty.
        layer: which hidden states, from 1 for those after the first layer.
        echo: see above.

    Returns:
        of each sentence [words, 2 * hidden size] in fp16: the state, then the mean embedding of the tokens.

    Raises:
        InputError: there is no such layer, or a sentence is longer than the model's context.
    """
    config = model.module.config.get_text_config()
    if not 1 <= layer <= config.num_hidden_layers:
        raise InputError("layer", layer, f"a layer from 1 to {config.num_hidden_layers}")
    decoder = model.module.get_decoder()
    device = next(decoder.parameters()).device
    tokens, ends = [], []  # token ids, and where each word's last token is
    for place, words in enumerate(sentences):
        pieces = [
            model.tokenizer.encode(f" {word}", add_special_tokens=False) or [model.begin_id] for word in words
        ]
        ids, last = [model.begin_id], []
        for piece in pieces * (2 if echo else 1):
            ids += piece
            last.append(len(ids) - 1)
        if len(ids) > config.max_position_embeddings:
            expected = f"at most the {config.max_position_embeddings} tokens that the model takes"
            raise InputError(f"sentences[{place}]", f"{len(ids)} tokens", expected)
        tokens.append(ids)
        ends.append((last[-len(words) :], [len(piece) for piece in pieces]))
    states: list[Any] = [None] * len(sentences)
    for batch in _batches([len(ids) for ids in tokens]):
        longest = max(len(tokens[i]) for i in batch)
        # Padding stands after a sentence, where a causal decoder does not see it.
        padded = [tokens[i] + [model.begin_id] * (longest - len(tokens[i])) for i in batch]
        deepest, embedded = _until(decoder, layer, torch.tensor(padded, device=device))
        for row, i in enumerate(batch):
            last, lengths = ends[i]
            deep = deepest[row, last].float()
            parts = embedded[row, last[0] - lengths[0] + 1 : last[-1] + 1].float().split(lengths)
            flat = torch.stack([part.mean(0) for part in parts])
            states[i] = torch.cat((deep, flat), 1).half().cpu().numpy()
    return states


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of sentences in batches with little padding, of at most ``BATCH_TOKENS`` with it."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[place] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _until(decoder: Any, layer: int, ids: Tensor) -> tuple[Tensor, Tensor]:
    """[batch, tokens, hidden size] after a layer, and the embeddings; later layers are not computed."""
    kept: list[Tensor] = []

    def stop(module: Any, inputs: Any, output: Any) -> None:
        kept.append(output[0] if isinstance(output, tuple) else output)
        raise _Enough

    handle = decoder.layers[layer - 1].register_forward_hook(stop)
    try:
        decoder(input_ids=ids, use_cache=False)
    except _Enough:
        pass
    finally:
        handle.remove()
    return kept[0], decoder.get_input_embeddings()(ids)
