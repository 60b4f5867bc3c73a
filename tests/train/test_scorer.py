"""The model as it is trained: what it computes in, what it gives back, and which models it refuses."""

from __future__ import annotations

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from biddable.errors import ModelError
from biddable.models.packed import span_logprobs
from biddable.train.config import TrainConfig

from .tiny import MODULES, gemma2, llama, pack_examples, packed, plain_logprobs, random_examples

FP32 = TrainConfig(lr=1.0, precision="fp32")
BF16 = TrainConfig(lr=1.0, precision="bf16")


@pytest.mark.parametrize("max_tokens", [1, 30, 10_000])
def test_however_it_is_cut_every_completion_has_its_log_probability(max_tokens: int) -> None:
    module, examples = llama(), random_examples(7, completions=2)
    spans = [(example.prompt, one) for example in examples for one in example.completions]
    with packed(module, FP32) as model:
        rows = span_logprobs(model, spans, max_tokens)
    for (prompt, completion), row in zip(spans, rows, strict=True):
        torch.testing.assert_close(row, plain_logprobs(module, prompt, completion), rtol=1e-4, atol=1e-4)


def test_trained_weights_are_fp32_meanwhile_and_as_stored_afterwards() -> None:
    module = llama().to(torch.bfloat16)
    frozen = module.model.embed_tokens.weight.requires_grad_(False)
    with packed(module, BF16):
        assert not module.training  # nothing is dropped out, not by functions either
        assert frozen.dtype == torch.bfloat16
        assert {p.dtype for p in module.parameters() if p.requires_grad} == {torch.float32}
    assert not module.training
    assert {p.dtype for p in module.parameters()} == {torch.bfloat16}


def test_all_is_fp32_where_that_is_computed_in() -> None:
    module = llama().to(torch.bfloat16).requires_grad_(False)
    with packed(module, FP32):
        assert {p.dtype for p in module.parameters()} == {torch.float32}
    assert {p.dtype for p in module.parameters()} == {torch.bfloat16}


def test_bf16_is_near_fp32_with_fp32_gradients() -> None:
    examples, results = random_examples(5), []
    for config in (FP32, BF16):
        module = llama()
        with packed(module, config) as model:
            logprobs = model(pack_examples(examples))["logprobs"].sum(1)
            logprobs.mean().backward()
        results.append((logprobs.detach(), module.lm_head.weight.grad))
    (exact, gradient), (rough, rough_gradient) = results
    assert not torch.equal(exact, rough)
    torch.testing.assert_close(rough, exact, rtol=0.03, atol=0.05)
    assert rough_gradient.dtype == torch.float32
    assert (rough_gradient - gradient).norm() < 0.05 * gradient.norm()


def test_there_is_no_dropout() -> None:
    module = llama(attention_dropout=0.5)
    module.model.layers[0].mlp.act_fn = torch.nn.Sequential(torch.nn.SiLU(), torch.nn.Dropout(0.5))
    with torch.no_grad(), packed(module, FP32) as model:
        batch = pack_examples(random_examples(3))
        assert torch.equal(model(batch)["logprobs"], model(batch)["logprobs"])


@pytest.mark.parametrize("name", MODULES)
def test_known_architectures_pass_the_check_with_our_head(name: str) -> None:
    for config in (FP32, BF16):
        with packed(MODULES[name](), config) as model:
            assert not model.own_head


def small_shift(module):
    """An output bias whose effect on a sequence's log-probability is a few per cent."""
    torch.manual_seed(1)
    module.lm_head.bias = torch.nn.Parameter(0.3 * torch.randn(module.config.vocab_size))
    return module


@pytest.mark.parametrize("config", [FP32, BF16], ids=["fp32", "bf16"])
def test_a_head_that_does_more_than_multiply_is_trained_as_it_is(config) -> None:
    module, example = small_shift(llama()), random_examples(1, seed=3)[0]
    with packed(module, config) as model:
        assert model.own_head
        ours = model(pack_examples([example]))["logprobs"][0]
        ours.sum().backward()
    assert module.lm_head.bias.grad.abs().sum() > 0
    exact = plain_logprobs(module, example.prompt, example.completions[0])
    torch.testing.assert_close(ours, exact, atol=1e-4 if config is FP32 else 0.1, rtol=0)


def test_dropout_by_a_function_is_no_reason_to_refuse() -> None:
    torch.manual_seed(0)
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 64, "n_positions": 64}
    module = GPT2LMHeadModel(GPT2Config(**sizes, attn_pdrop=0.5, bos_token_id=1, eos_token_id=1))
    for _ in range(3):
        with packed(module, FP32) as model, torch.no_grad():
            batch = pack_examples(random_examples(3))
            assert torch.equal(model(batch)["logprobs"], model(batch)["logprobs"])


def test_attention_that_packing_does_not_know_is_refused() -> None:
    with pytest.raises(ModelError, match=r"Gemma2Model cannot be computed on packed batches: .*softcap"):
        packed(gemma2(), FP32).__enter__()


def test_scores_do_not_hold_on_to_the_graph() -> None:
    with packed(llama(), FP32) as model:
        spans = [(one.prompt, one.completions[0]) for one in random_examples(2)]
        rows = span_logprobs(model, spans, 100)
    assert not any(row.requires_grad for row in rows)
