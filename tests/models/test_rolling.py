"""Log-probabilities of whole texts, against one plain forward for every window."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from biddable.errors import InputError
from biddable.models.local import LocalModel
from biddable.models.openai import OpenAIModel
from biddable.models.plain import plain_logprobs
from biddable.models.rolling import loglikelihood_rolling

from ..train.tiny import CONTEXT, VOCABULARY, local, word_tokenizer


def words(count: int) -> str:
    return " ".join(f"w{(7 * i) % 30}" for i in range(count))


def gpt2() -> LocalModel:
    """A model whose positions end with its context."""
    torch.manual_seed(0)
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": VOCABULARY, "n_positions": CONTEXT}
    module = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=1, eos_token_id=1)).eval()
    return LocalModel(module, word_tokenizer(), name="gpt2", precision="fp32")


@pytest.mark.parametrize("model", [local(), gpt2()], ids=["llama", "gpt2"])
def test_every_token_counts_once_after_as_much_as_the_model_reads(model) -> None:
    texts = [words(1), words(CONTEXT), words(CONTEXT + 1), words(2 * CONTEXT + 5)]
    for text, score in zip(texts, loglikelihood_rolling(model, texts), strict=True):
        ids = model.encode_text(text)
        expected = 0.0
        for start in range(0, len(ids), CONTEXT):
            part = ids[start : start + CONTEXT]
            before = (
                [model.begin_id, *ids][start + 1 - (CONTEXT + 1 - len(part)) : start + 1] if start else []
            )
            row = [*before, *part] if start else [model.begin_id, *part]
            with torch.no_grad():
                expected += float(plain_logprobs(model.module, row, len(row) - len(part)).sum())
        assert score.nats == pytest.approx(expected, abs=1e-3)
        assert (score.tokens, score.bytes) == (len(ids), len(text))
        assert score.perplexity == pytest.approx(math.exp(-expected / len(ids)), rel=1e-4)
        assert score.bits_per_byte == pytest.approx(-expected / len(text) / math.log(2), rel=1e-4)


def test_what_has_no_score_is_named() -> None:
    with pytest.raises(InputError, match=r"^texts\[1\] is '', expected a text of at least one token"):
        loglikelihood_rolling(local(), ["w1", ""])
    with pytest.raises(InputError, match=r"^model is 'm', expected a model whose weights are here"):
        loglikelihood_rolling(OpenAIModel("m", "http://127.0.0.1:1"), ["w1"])
