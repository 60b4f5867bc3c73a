"""Texts as vectors, from a language model whose weights stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def text_vectors(model: Any, texts: Sequence[str]) -> NDArray[np.float32]:
    """The mean of the last hidden states of each text, with length 1.

    Args:
        model: a local model (``module`` and ``tokenizer``).
        texts: none empty.

    Returns:
        [texts, width].
    """
    vectors = []
    decoder = model.module.get_decoder()
    with torch.inference_mode():
        for text in texts:
            ids = torch.tensor([model.tokenizer.encode(text)], device=model.module.device)
            vectors.append(decoder(input_ids=ids, use_cache=False).last_hidden_state[0].float().mean(0))
    stacked = torch.stack(vectors)
    return (stacked / stacked.norm(dim=1, keepdim=True)).cpu().numpy()
