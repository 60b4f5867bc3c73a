"""The functions with their own backward pass against autograd's on the plain formulas."""

import pytest
import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from biddable.models.fused import _RMSNorm, _SwiGLU, _SwiGLUDown, fused_layers


def test_the_norm_has_the_right_gradients():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, requires_grad=True)
    weight = torch.randn(8, requires_grad=True)
    plain = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 0.1) * weight
    ours = _RMSNorm.apply(x, weight, 0.1)
    assert torch.allclose(ours, plain, rtol=1e-5)
    seed = torch.randn_like(plain)
    expected = torch.autograd.grad(plain, (x, weight), seed)
    for got, want in zip(torch.autograd.grad(ours, (x, weight), seed), expected, strict=True):
        assert torch.allclose(got, want, rtol=1e-4, atol=1e-6)


def test_swiglu_has_the_right_gradients():
    torch.manual_seed(0)
    gate, up = (torch.randn(4, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.equal(_SwiGLU.apply(gate, up), F.silu(gate) * up)
    assert torch.autograd.gradcheck(_SwiGLU.apply, (gate, up))


def test_swiglu_and_the_product_after_it_have_the_right_gradients():
    torch.manual_seed(0)
    gate, up, weight = (torch.randn(4, 6, dtype=torch.float64, requires_grad=True) for _ in range(3))
    assert torch.equal(_SwiGLUDown.apply(gate, up, weight), (F.silu(gate) * up) @ weight.t())
    assert torch.autograd.gradcheck(_SwiGLUDown.apply, (gate, up, weight))


def test_a_gradient_that_others_want_too_is_left_as_it_is():
    gate, up = torch.ones(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    incoming = torch.full((2, 3), 5.0)
    _SwiGLU.apply(gate, up).backward(incoming)
    assert torch.equal(incoming, torch.full((2, 3), 5.0))


def test_under_autocast_the_norm_gives_what_the_next_layer_computes_in():
    x, weight = torch.randn(2, 8, requires_grad=True), torch.randn(8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = _RMSNorm.apply(x, weight, 0.1)
    assert out.dtype == torch.bfloat16
    out.sum().backward()
    assert x.grad.dtype == weight.grad.dtype == torch.float32


@pytest.fixture
def llama():
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 50}
    return LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2))


def test_a_whole_model_has_the_same_gradients(llama):
    ids = torch.randint(0, 50, (2, 9))
    llama(ids, labels=ids).loss.backward()
    plain = {name: parameter.grad.clone() for name, parameter in llama.named_parameters()}
    llama.zero_grad()
    with fused_layers(llama):
        assert "forward" in vars(llama.model.norm)
        assert "forward" in vars(llama.model.layers[0].mlp)
        llama(ids, labels=ids).loss.backward()
    for name, parameter in llama.named_parameters():
        assert torch.allclose(parameter.grad, plain[name], rtol=1e-4, atol=1e-6), name
    assert "forward" not in vars(llama.model.norm)
    assert "forward" not in vars(llama.model.layers[0].mlp)
