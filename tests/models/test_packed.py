"""Numbers of a packed batch beside log-probabilities: masks, functions of rows, layers, values, scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from biddable.errors import ModelError
from biddable.models import packed as packed_module
from biddable.models.classifier import packed_classifier, sequence_scores
from biddable.models.packed import PackedLM
from biddable.models.packing import pack
from biddable.train.losses import entropy
from biddable.train.reward import reward_module
from tests.train.tiny import gemma2, llama, word_tokenizer

SPANS = [((7, 8), (9, 10, 11)), ((7, 8), (9, 12)), ((13,), (9, 10, 11, 14))]


def alone(module: Any, value: Callable[[Tensor, Any], Tensor]) -> Tensor:
    """[S, L] of each sequence alone: ``value(positions, output)`` at its completion's predictors, else 0."""
    rows = []
    for prompt, completion in SPANS:
        ids = torch.tensor([[*prompt, *completion]])
        out = module(input_ids=ids, use_cache=False, output_hidden_states=True)
        at = torch.arange(len(prompt) - 1, ids.shape[1] - 1)
        rows.append(value(at, out))
    return nn.utils.rnn.pad_sequence(rows, batch_first=True)


def gradients(module: Any, values: Tensor) -> dict[str, Tensor]:
    module.zero_grad()
    factors = torch.linspace(-1, 2, values.numel()).view_as(values)
    (values * factors).sum().backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def assert_same(ours: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert ours.keys() == expected.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-5, msg=name)


def test_tokens_that_do_not_count_are_0_and_teach_nothing() -> None:
    module = llama()
    mask = [(True, False, True), None, (False, False, False, True)]
    found = PackedLM(module)(batch := pack(SPANS, mask))["logprobs"]
    whole = PackedLM(module)(pack(SPANS))["logprobs"]
    counts = torch.tensor([[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]], dtype=torch.bool)
    assert torch.equal(batch.mask, counts)
    torch.testing.assert_close(found, whole * counts)
    ours, expected = gradients(module, found), gradients(module, whole * counts)
    assert_same(ours, expected)


def test_a_sequence_of_which_nothing_counts() -> None:
    module = llama()
    nothing = [(False,) * len(completion) for _, completion in SPANS]
    found = PackedLM(module)(pack(SPANS, nothing), rows={"entropy": entropy})
    assert not found["logprobs"].any()
    assert not found["entropy"].any()


@pytest.mark.parametrize("own_head", [False, True])
@pytest.mark.parametrize("chunk", [2**25, 1])
def test_the_entropy_of_each_next_token(own_head: bool, chunk: int, monkeypatch) -> None:
    monkeypatch.setattr(packed_module, "ROW_LOGITS", chunk)
    module = llama()

    def plain(at: Tensor, out: Any) -> Tensor:
        return torch.distributions.Categorical(logits=out.logits[0, at]).entropy()

    found = PackedLM(module, own_head=own_head)(pack(SPANS), rows={"entropy": entropy})["entropy"]
    expected = alone(module, plain)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert_same(gradients(module, found), gradients(module, expected))


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_states_of_a_layer(layer: int) -> None:
    module = llama()
    found = PackedLM(module)(pack(SPANS), layers=[layer])[f"layer {layer}"]
    expected = alone(module, lambda at, out: out.hidden_states[layer][0, at])
    assert found.shape == (3, 4, module.config.hidden_size)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("own_head", [False, True])
def test_a_value_head_reads_the_last_states(own_head: bool) -> None:
    module, head = llama(), nn.Linear(32, 1)
    found = PackedLM(module, own_head=own_head, value_head=head)(pack(SPANS))["values"]
    expected = alone(module, lambda at, out: head(out.hidden_states[-1][0, at])[:, 0])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found.sum().backward()
    assert head.weight.grad.any()


# Classifiers

SEQUENCES = [[7, 8, 9, 10], [7, 8, 9], [11, 12], [7, 8, 9, 13, 14, 15, 16, 17]]


def classifier(*, lora: bool) -> Any:
    module = reward_module(llama(), word_tokenizer(), seed=0)
    if not lora:
        return module
    torch.manual_seed(1)
    adapted = get_peft_model(module, LoraConfig(r=4, target_modules="all-linear", task_type="SEQ_CLS"))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.1)
    return adapted.eval()


def by_itself(module: Any) -> Tensor:
    return torch.cat([module(input_ids=torch.tensor([row])).logits[:, 0].float() for row in SEQUENCES])


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("max_tokens", [1, 6, 1000])
def test_scores_are_those_of_each_sequence_alone(lora: bool, max_tokens: int) -> None:
    module = classifier(lora=lora)
    done: list[int] = []
    found = sequence_scores(packed_classifier(module), SEQUENCES, max_tokens, done.append)
    assert found == pytest.approx(by_itself(module).tolist(), abs=1e-5)
    assert sum(done) == len(SEQUENCES)


@pytest.mark.parametrize("lora", [False, True])
def test_scores_in_bf16_are_near(lora: bool) -> None:
    module = classifier(lora=lora)
    exact = by_itself(module)
    found = torch.tensor(sequence_scores(packed_classifier(module, bf16=True), SEQUENCES, 1000))
    assert not torch.equal(found, exact)
    assert (found - exact).norm() < 0.05 * exact.norm()


def test_the_gradients_of_scores() -> None:
    module = classifier(lora=False)
    network = packed_classifier(module)
    spans = [(tuple(row[:-1]), tuple(row[-1:])) for row in SEQUENCES]
    ours = gradients(module, network(pack(spans))["scores"])
    assert_same(ours, gradients(module, by_itself(module)))


def test_a_classifier_that_packing_does_not_know_is_refused() -> None:
    module = reward_module(gemma2(), word_tokenizer(), seed=0)
    with pytest.raises(ModelError, match="cannot be computed on packed batches"):
        packed_classifier(module)


def test_one_that_looks_ahead_is_refused() -> None:
    module = classifier(lora=False)
    forward = module.model.layers[0].mlp.forward

    def mixed(states: Tensor) -> Tensor:
        return forward(states) + states.mean(1, keepdim=True)

    module.model.layers[0].mlp.forward = mixed
    with pytest.raises(ModelError, match="cannot be computed on packed batches"):
        packed_classifier(module)
