"""Which weights are trained."""

from __future__ import annotations

import pytest
import torch
from peft import PeftModel

from biddable.errors import InputError
from biddable.train.adapter import choose_weights
from biddable.train.config import LoraConfig

from .tiny import llama


def trained(module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


def test_rank_0_trains_everything() -> None:
    module = llama().requires_grad_(False)
    assert choose_weights(module, LoraConfig(rank=0), seed=0) is module
    assert trained(module) == {name for name, _ in module.named_parameters()}


def test_an_adapter_is_on_every_linear_layer_but_the_head() -> None:
    module = choose_weights(llama(), LoraConfig(rank=4), seed=0)
    assert isinstance(module, PeftModel)
    names = trained(module)
    assert len(names) == 2 * 7 * 2  # layers, of 4 + 3 linear ones, two factors each
    assert all(".lora_A." in name or ".lora_B." in name for name in names)
    assert not any("lm_head" in name for name in names)
    assert {min(p.shape) for name, p in module.named_parameters() if name in names} == {4}


def test_a_new_adapter_changes_nothing_yet() -> None:
    batch = torch.tensor([[7, 8, 9]])
    with torch.no_grad():
        before = llama()(batch).logits
        assert torch.equal(choose_weights(llama(), LoraConfig(rank=4), seed=0)(batch).logits, before)


def test_the_seed_alone_decides_its_first_weights() -> None:
    one, again, other = (choose_weights(llama(), LoraConfig(rank=2), seed=seed) for seed in (0, 0, 1))
    weights = one.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in again.state_dict().items())
    assert any(not torch.equal(weights[name], value) for name, value in other.state_dict().items())


def test_the_callers_random_numbers_are_left_alone() -> None:
    module = llama()
    before = torch.random.get_rng_state()
    choose_weights(module, LoraConfig(rank=2), seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_adapter_that_is_there_is_trained_on() -> None:
    module = choose_weights(llama(), LoraConfig(rank=2), seed=0).requires_grad_(False)
    assert choose_weights(module, LoraConfig(rank=2), seed=1) is module
    assert len(trained(module)) == 28
    assert choose_weights(module.requires_grad_(False), LoraConfig(), seed=1) is module  # of any rank
    assert len(trained(module)) == 28


@pytest.mark.parametrize("rank", [1, 4])
def test_another_rank_than_it_has_is_refused(rank: int) -> None:
    module = choose_weights(llama(), LoraConfig(rank=2), seed=0)
    with pytest.raises(InputError, match=f"^lora.rank is {rank}, expected 2, the rank of the adapter"):
        choose_weights(module, LoraConfig(rank=rank), seed=0)


def test_layers_by_the_ends_of_their_names() -> None:
    module = choose_weights(llama(), LoraConfig(rank=2, targets=("q_proj", "v_proj")), seed=0)
    assert len(trained(module)) == 2 * 2 * 2
    assert module.peft_config["default"].lora_alpha == 4


def test_layers_that_it_lacks_are_named() -> None:
    with pytest.raises(InputError, match=r"^lora\.targets is \('query',\), expected names of layers"):
        choose_weights(llama(), LoraConfig(rank=2, targets=("query",)), seed=0)
