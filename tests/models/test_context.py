"""What is longer than a model's context is refused in one line, also where positions are a table."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, OPTConfig, OPTForCausalLM

from biddable.errors import InputError
from biddable.models.choices import rank_choices
from biddable.models.local import LocalModel

from ..train.tiny import CONTEXT, VOCABULARY, local, word_tokenizer

IDS = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}


def gpt2() -> LocalModel:
    torch.manual_seed(0)
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": VOCABULARY, "n_positions": CONTEXT}
    return LocalModel(GPT2LMHeadModel(GPT2Config(**sizes, **IDS)).eval(), word_tokenizer(), name="gpt2")


def opt() -> LocalModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "word_embed_proj_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = OPTConfig(
        **sizes, ffn_dim=64, vocab_size=VOCABULARY, max_position_embeddings=CONTEXT, dropout=0.0, **IDS
    )
    return LocalModel(OPTForCausalLM(config).eval(), word_tokenizer(), name="opt")


def words(count: int) -> str:
    return " ".join(f"w{i % 30}" for i in range(count))


@pytest.mark.parametrize("model", [local(), gpt2(), opt()], ids=["llama", "gpt2", "opt"])
def test_a_sequence_beyond_the_context_is_named(model: LocalModel) -> None:
    fits = CONTEXT + 1  # the last token is only predicted
    ids = model.encode_text(words(fits))
    [score] = model.score_tokens([(ids[:3], ids[3:])])
    assert math.isfinite(score.total)
    spans = [(ids[:3], ids[3:9]), (ids[:3], [*ids[3:], 5])]
    with pytest.raises(InputError) as caught:
        model.score_tokens(spans)
    assert str(caught.value) == (
        f"prompt and continuation is '{fits + 1} tokens', expected at most {fits}: "
        f"the model was made for {CONTEXT}, before the last"
    )
    with pytest.raises(InputError, match=r"^prompt and continuation is"):
        rank_choices(model, [words(CONTEXT)], [["w1 w2 w3", "w4 w5 w6"]])
