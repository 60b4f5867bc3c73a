"""Layers as they are computed while decoding, against ``transformers``' own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from biddable.models.decode_layers import DecodeLayers
from biddable.models.kernels import pointwise

needs_bf16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor cannot multiply bfloat16"
)
needs_a_compiler = pytest.mark.skipif(pointwise(torch.float32) is None, reason="there is no C compiler")


def parts(tiny):
    layer = tiny.model.layers[0]
    return layer.input_layernorm, layer.mlp, layer.self_attn.q_proj


@torch.inference_mode()
def both(tiny, layer, x, *, bf16: bool):
    """What the layer gives as it is, and while decoding."""
    plain = layer(x)
    with DecodeLayers(tiny, bf16=bf16):
        assert "forward" in vars(layer)
        return plain, layer(x)


def test_in_fp32_they_are_the_same_and_restored(tiny) -> None:
    x = torch.randn(1, 5, 32)
    for layer in parts(tiny) if pointwise(torch.float32) else parts(tiny)[2:]:
        plain, fast = both(tiny, layer, x, bf16=False)
        assert fast.dtype == torch.float32
        torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)
        assert "forward" not in vars(layer)


@needs_bf16
@needs_a_compiler
def test_in_bf16_a_norm_gives_it_at_once_and_all_are_near(tiny) -> None:
    x = torch.randn(1, 5, 32)
    for layer, dtype in zip(parts(tiny), (torch.bfloat16, torch.float32, torch.float32), strict=True):
        plain, fast = both(tiny, layer, x, bf16=True)
        assert fast.dtype == dtype
        assert (fast.float() - plain).norm() < 0.02 * plain.norm()


@needs_bf16
@needs_a_compiler
def test_a_norm_keeps_its_type_beside_layers_that_are_not_known(tiny) -> None:
    tiny.model.layers[0].mlp.router = nn.Linear(32, 4)
    tiny.model.layers[0].mlp.router.__class__ = type("Router", (nn.Linear,), {})
    norm = tiny.model.layers[1].input_layernorm
    _, fast = both(tiny, norm, torch.randn(1, 5, 32), bf16=True)
    assert fast.dtype == torch.float32


@pytest.mark.parametrize("bf16", [False, pytest.param(True, marks=needs_bf16)])
def test_a_row_of_a_product_does_not_depend_on_how_many_there_are(bf16) -> None:
    torch.manual_seed(0)
    for width in (576, 1536):
        model, x = nn.Sequential(nn.Linear(width, 576)), torch.randn(1, 300, width)
        with torch.inference_mode(), DecodeLayers(model, bf16=bf16):
            whole = model(x)
            for count in (1, 2, 3, 4, 5, 8, 17, 39, 64, 133):
                parts = [model(x[:, start : start + count]) for start in range(0, 40, count)]
                assert torch.equal(torch.cat(parts, 1), whole[:, : sum(part.shape[1] for part in parts)])


@pytest.mark.parametrize("shape", [(0, 16), (1, 0, 16), (16,), (2, 1, 16)])
def test_a_product_has_the_shape_of_its_rows_even_of_none(shape) -> None:
    layer, x = nn.Linear(16, 8), torch.randn(shape)
    with torch.inference_mode(), DecodeLayers(nn.Sequential(layer)):
        assert layer(x).shape == (*shape[:-1], 8)


def test_few_rows_are_padded_unless_experts_would_be_read_for_it(tiny) -> None:
    assert [DecodeLayers(tiny).padded(rows) for rows in (1, 3, 4, 5)] == [4, 4, 4, 8]
    tiny.model.layers[0].mlp.experts = nn.Module()
    tiny.model.layers[0].mlp.experts.down = nn.Parameter(torch.zeros(8, 32, 32))
    assert [DecodeLayers(tiny).padded(rows) for rows in (1, 3, 4, 5)] == [1, 3, 4, 8]


@needs_bf16
def test_an_adapter_is_computed_too(tiny) -> None:
    from peft import LoraConfig, get_peft_model

    ids = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        base = tiny(ids).logits
    adapted = get_peft_model(tiny, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    with torch.inference_mode():
        plain = adapted(ids).logits
        with DecodeLayers(adapted, bf16=True):
            fast = adapted(ids).logits
    assert 0 < (fast.float() - plain).norm() < 0.1 * (base - plain).norm()
