"""What a model must show on first use, on tiny modules of several architectures."""

from __future__ import annotations

import logging

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from biddable.errors import InputError, ModelError
from biddable.models import agreement, proof
from biddable.models.base import Sampling
from biddable.models.load import load_model, model_identity
from biddable.models.local import LocalModel
from biddable.models.plain import plain_logits
from biddable.types import Message, user

from ..train.tiny import CONTEXT, VOCABULARY, llama, local, word_tokenizer

CHATS = [user("w1 w2 w3"), user("w9"), user("w1 w2 w7 w8 w9 w10 w11 w12"), user("w1 w2 w3")]
GREEDY = Sampling(max_tokens=8, temperature=0)


def made(model_type: str, **changes):
    """A tiny random module, far from uniform."""
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": None,
        "eos_token_id": 3,
        "pad_token_id": 0,
    }
    torch.manual_seed(0)
    module = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **sizes | changes))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(3)
    return module.eval()


LFM2 = {"num_key_value_heads": 2, "layer_types": ["conv", "full_attention"], "block_dim": 32}
MAMBA = {"state_size": 8, "conv_kernel": 4, "expand": 2, "time_step_rank": 4}


@pytest.mark.parametrize(("model_type", "changes"), [("lfm2", LFM2), ("mamba", MAMBA), ("gpt_neo", {})])
def test_what_our_decoder_does_not_compute_is_computed_by_transformers(model_type, changes, caplog) -> None:
    if model_type == "gpt_neo":
        changes = {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]}
    module = made(model_type, **changes)
    model = LocalModel(module, word_tokenizer(), name="other")
    with caplog.at_level(logging.WARNING):
        rows = [row[0] for row in model.generate(CHATS, sampling=GREEDY)]
        model.generate(CHATS[:1], sampling=GREEDY)
    ours = [record for record in caplog.records if record.name.startswith("biddable")]
    assert [record.message.partition(":")[0] for record in ours] == [
        "other is computed by transformers, one prompt at a time, which is slower"
    ]
    for chat, response in zip(CHATS, rows, strict=True):
        prompt = model.encode_prompt(chat)
        with torch.no_grad():
            logprobs = plain_logits(module, [*prompt, *response.token_ids]).log_softmax(-1)
        places = range(len(prompt) - 1, len(prompt) - 1 + len(response.token_ids))
        assert list(response.token_ids) == [int(logprobs[place].argmax()) for place in places]
        expected = [float(logprobs[place].max()) for place in places]
        assert response.logprobs == pytest.approx(expected, abs=1e-3)
    [score] = model.score([CHATS[0]], ["w5 w6"])
    ids = [*model.encode_prompt(CHATS[0]), *score.token_ids]
    with torch.no_grad():
        after = plain_logits(module, ids).log_softmax(-1)
    start = len(ids) - len(score.token_ids)
    assert score.logprobs == pytest.approx([float(after[i - 1, ids[i]]) for i in range(start, len(ids))])


def test_both_paths_draw_alike_and_end_alike() -> None:
    model = local()
    module = model.module
    sampling = Sampling(max_tokens=12, temperature=1.0, stop=("w7",))
    fast = model.generate(CHATS, n=3, sampling=sampling, seeds=[5, 6, 7, 8])
    model._proved = (module, proof.Proof("plain", False))
    plain = model.generate(CHATS, n=3, sampling=sampling, seeds=[5, 6, 7, 8])
    for ours, theirs in zip(fast, plain, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert (one.text, one.token_ids, one.finish_reason) == (
                other.text,
                other.token_ids,
                other.finish_reason,
            )
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    assert {response.finish_reason for row in fast for response in row} == {"stop", "length"}


def test_an_encoder_is_no_decoder() -> None:
    module = made("bert", is_decoder=False)
    with pytest.raises(ModelError, match=r"^BertLMHeadModel is no decoder: what comes later changes"):
        proof.prove(module)


def test_weights_that_are_not_numbers_are_named() -> None:
    module = llama()
    module.model.layers[1].mlp.up_proj.weight.data[3, 3] = float("nan")
    with pytest.raises(ModelError, match=r"1 of its tensors hold NaN .*layers\.1\.mlp\.up_proj\.weight"):
        local(module).generate(CHATS, sampling=GREEDY)


def test_what_depends_on_the_longest_row_is_computed_row_by_row() -> None:
    factors = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [3.0] * 4}
    rope = {**factors, "original_max_position_embeddings": 16, "rope_theta": 10000.0}
    module = made("phi3", num_key_value_heads=2, rope_parameters=rope, original_max_position_embeddings=16)
    assert agreement.proved_length(module.config) == 16
    model = LocalModel(module, word_tokenizer(), name="long")
    alone = model.generate([user("w9")], sampling=GREEDY)[0][0]
    beside = model.generate([user("w9"), user(" ".join(f"w{i}" for i in range(40)))], sampling=GREEDY)[0][0]
    assert alone.token_ids == beside.token_ids


def test_a_configuration_of_other_sizes_does_not_reach_a_kernel() -> None:
    module = made("gpt_bigcode", n_embd=32, n_layer=2, n_head=4, n_inner=48, n_positions=CONTEXT)
    module.config.num_key_value_heads = 2  # it computes one
    found = proof.prove(module)
    assert (found.path, found.reason) == ("plain", "attention computes (heads, size) (1, 8), not (2, 8)")


def test_the_outcome_is_kept_for_the_same_weights(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BIDDABLE_CACHE", str(tmp_path / "cache"))
    local().save(tmp_path / "model")
    load_model(tmp_path / "model").generate(CHATS, sampling=GREEDY)
    monkeypatch.setattr(proof, "prove", lambda *_, **__: pytest.fail("proved again"))
    load_model(tmp_path / "model").generate(CHATS, sampling=GREEDY)


def test_weights_replaced_in_place_are_told_apart(tmp_path) -> None:
    folder = local().save(tmp_path / "model")
    before = model_identity(folder)
    assert model_identity(folder) == before
    local(llama(seed=1)).save(folder)
    assert model_identity(folder) != before
    assert model_identity("smollm2") == "smollm2"


def test_one_prompt_that_cannot_be_answered_does_not_stop_the_others(caplog) -> None:
    model = local()
    long = user(" ".join(["w1"] * (CONTEXT + 1)))
    with caplog.at_level(logging.WARNING):
        rows = model.generate([CHATS[0], long, (), CHATS[1]], n=2, sampling=GREEDY)
    assert [[bool(response.error) for response in row] for row in rows] == [
        [False] * 2,
        [True] * 2,
        [True] * 2,
        [False] * 2,
    ]
    assert (rows[1][0].finish_reason, rows[1][0].text) == ("error", "")
    assert "expected 1 to 56, to leave 8 to answer" in rows[1][0].error
    assert "at least one turn" in rows[2][0].error
    assert rows[0] == model.generate([CHATS[0]], n=2, sampling=GREEDY)[0]
    assert "2 of 4 prompts cannot be answered" in caplog.text
    with pytest.raises(InputError, match="expected 1 to 56, to leave 8 to answer"):
        model.generate([long], sampling=GREEDY)


def test_only_known_precisions_are_taken() -> None:
    with pytest.raises(InputError, match="precision is 'fp16', expected one of auto, fp32, bf16"):
        load_model("smollm2", precision="fp16")


def test_a_real_chat_is_served_by_the_decoder(smollm2) -> None:
    smollm2.generate([(Message("user", "Hi"),)], sampling=Sampling(max_tokens=1, temperature=0))
    assert smollm2._proved[1].path == "fast"
