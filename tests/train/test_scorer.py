"""The model as it is trained: what it computes in, what it gives back, and which models it refuses."""

from __future__ import annotations

import pytest
import torch

from biddable.errors import ModelError
from biddable.train.config import TrainConfig
from biddable.train.packing import pack
from biddable.train.scorer import check_packing, packed, sequence_logprobs

from .tiny import MODULES, llama, plain_logprobs, random_examples

FP32 = TrainConfig(lr=1.0, precision="fp32")
BF16 = TrainConfig(lr=1.0, precision="bf16")


@pytest.mark.parametrize("max_tokens", [1, 30, 10_000])
def test_however_it_is_cut_every_completion_has_its_log_probability(max_tokens: int) -> None:
    module, examples = llama(), random_examples(7, completions=2)
    with packed(module, FP32) as model:
        sums = sequence_logprobs(model, examples, max_tokens)
    for example, row in zip(examples, sums, strict=True):
        expected = [plain_logprobs(module, example.prompt, one).sum() for one in example.completions]
        torch.testing.assert_close(row, torch.stack(expected), rtol=1e-4, atol=1e-4)


def test_trained_weights_are_fp32_meanwhile_and_as_stored_afterwards() -> None:
    module = llama().to(torch.bfloat16)
    frozen = module.model.embed_tokens.weight.requires_grad_(False)
    with packed(module, BF16):
        assert module.training
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
            batch = pack(examples)
            logprobs = batch.per_sequence(model(batch))
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
        batch = pack(random_examples(3))
        assert torch.equal(model(batch), model(batch))


@pytest.mark.parametrize("name", MODULES)
def test_known_architectures_pass_the_check(name: str) -> None:
    for config in (FP32, BF16):
        with packed(MODULES[name](), config) as model:
            check_packing(model)


def test_a_head_that_does_more_than_multiply_is_refused() -> None:
    module = llama()
    module.lm_head.bias = torch.nn.Parameter(torch.linspace(-1, 1, module.config.vocab_size))
    with packed(module, FP32) as model, pytest.raises(ModelError, match="LlamaModel cannot be trained"):
        check_packing(model)


def test_scores_do_not_hold_on_to_the_graph() -> None:
    with packed(llama(), FP32) as model:
        sums = sequence_logprobs(model, random_examples(2), 100)
    assert not any(row.requires_grad for row in sums)
