"""Layers in one call: the same as in torch, forwards and backwards; Adam the same as torch's."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from biddable.errors import InputError
from biddable.policies import layers, optimizer
from biddable.policies.kernels import small_kernels
from biddable.policies.layers import ACTIVATIONS, Dense, Layers, SmallConv
from biddable.policies.networks import MLP, GridActorCritic
from biddable.policies.optimizer import Adam

needs_a_compiler = pytest.mark.skipif(small_kernels() is None, reason="there is no C compiler")


def outcome(network: nn.Module, inputs: list[torch.Tensor], *, of_inputs: bool) -> list[torch.Tensor]:
    """The result, and the gradients of all weights and, where asked for, of the inputs."""
    network = copy.deepcopy(network)
    inputs = [part.clone().requires_grad_(of_inputs) for part in inputs]
    actual = network(*inputs)
    weighted = actual * torch.linspace(-1, 1, actual.numel()).view_as(actual)
    learned = [*network.parameters(), *(inputs if of_inputs else [])]
    return [actual.detach(), *torch.autograd.grad(weighted.sum(), learned)]


def assert_both_ways_agree(
    network: nn.Module, inputs: list[torch.Tensor], *, of_inputs: bool = False
) -> None:
    compiled = outcome(network, inputs, of_inputs=of_inputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "small_kernels", lambda: None)
        plain = outcome(network, inputs, of_inputs=of_inputs)
    for ours, theirs in zip(compiled, plain, strict=True):
        assert ours.shape == theirs.shape
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max() + 1))


@needs_a_compiler
@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 30),
    widths=st.lists(st.integers(1, 70), min_size=2, max_size=4),
    activation=st.sampled_from(list(ACTIVATIONS)),
    seed=st.integers(0, 1000),
)
def test_dense_layers_of_any_size(rows, widths, activation, seed) -> None:
    torch.manual_seed(seed)
    network = Layers([Dense(a, b, activation) for a, b in itertools.pairwise(widths)])
    for _, bias in network.parts():
        nn.init.normal_(bias.data)
    assert_both_ways_agree(network, [torch.randn(rows, widths[0])], of_inputs=True)


@needs_a_compiler
@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 30),
    side=st.integers(1, 9),
    channels=st.lists(st.integers(1, 40), min_size=2, max_size=3),
    extra=st.integers(0, 5),
    activation=st.sampled_from(list(ACTIVATIONS)),
)
def test_convolutions_of_any_size(rows, side, channels, extra, activation) -> None:
    torch.manual_seed(side)
    convolutions, picture = [], torch.randn(rows, side * side * channels[0])
    for a, b in itertools.pairwise(channels):
        convolutions.append(SmallConv(a, b, side, activation))
        side = convolutions[-1].out_side
    head = Dense(side * side * channels[-1] + extra, 3)
    network = Layers([*convolutions, head], extra=extra)
    for _, bias in network.parts():
        nn.init.normal_(bias.data)
    assert_both_ways_agree(network, [picture, torch.randn(rows, extra)] if extra else [picture])


@pytest.mark.parametrize("compiled", [True, False])
def test_the_small_convolution_is_a_convolution(compiled, monkeypatch) -> None:
    if not compiled:
        monkeypatch.setattr(layers, "small_kernels", lambda: None)
    torch.manual_seed(0)
    for inputs, side in ((3, 7), (4, 4), (2, 2), (1, 5)):
        layer = SmallConv(inputs, 6, side)
        numbers = 6 * layer.out_side**2
        network = Layers([layer, Dense(numbers, numbers)])  # the second is to leave all as it is
        (weight, bias), (rest, _) = network.parts()
        nn.init.normal_(bias.data)
        nn.init.eye_(rest.data)
        picture = torch.randn(5, side, side, inputs)
        kernel = weight.view(3, 3, inputs, 6).permute(3, 2, 0, 1)
        plain = nn.functional.conv2d(picture.permute(0, 3, 1, 2), kernel, bias, stride=2, padding=1)
        plain = plain.permute(0, 2, 3, 1)
        actual = network(picture.flatten(1)).view(plain.shape)
        assert torch.allclose(actual, plain, atol=1e-5)
        ours, theirs = (torch.autograd.grad(x.square().sum(), network.weights)[0] for x in (actual, plain))
        learned = weight.numel() + bias.numel()
        assert torch.allclose(ours[:learned], theirs[:learned], atol=1e-3)


def test_what_stands_beside_a_picture_and_learns_gets_its_gradient() -> None:
    network = GridActorCritic(2, 3)
    extra = torch.randn(4, 2, requires_grad=True)
    network(torch.rand(4, 7, 7, 3), extra)[1].sum().backward()
    assert extra.grad is not None
    assert extra.grad.abs().sum() > 0


@pytest.mark.parametrize("compiled", [True, False])
def test_what_has_another_size_is_refused(compiled, monkeypatch) -> None:
    if not compiled:
        monkeypatch.setattr(layers, "small_kernels", lambda: None)
    network = GridActorCritic(2, 3)
    with pytest.raises(InputError, match=r"x is \(4, 108\), expected \[N, 147\]"):
        network(torch.rand(4, 6, 6, 3), torch.rand(4, 2))
    for extra in (torch.rand(4, 1), torch.rand(3, 2)):
        with pytest.raises(InputError, match=r"extra is .*expected .*4, 2.*a row for each of x"):
            network(torch.rand(4, 7, 7, 3), extra)
    with pytest.raises(InputError, match=r"x is \(4, 2\), expected \[N, 3\]"):
        MLP(3, 2)(torch.rand(4, 2))


def test_what_is_of_another_type_goes_through_torch() -> None:
    network = MLP(3, 2).double()
    actual = network.layers(torch.rand(4, 3, dtype=torch.float64))
    assert actual.dtype == torch.float64
    with pytest.raises(InputError, match=r"network is 'torch\.float64 on cpu'"):
        Adam(network, lr=1e-3, max_norm=1.0)


def test_two_passes_before_one_gradient() -> None:
    network, first, second = MLP(3, 2), torch.randn(5, 3), torch.randn(5, 3)
    first_outputs, other = network(first), network(second)
    first_outputs.sum().backward()
    actual = network.layers.weights.grad.clone()
    network.zero_grad()
    network(first).sum().backward()
    assert torch.equal(actual, network.layers.weights.grad)
    other.sum().backward()
    assert not torch.equal(actual, network.layers.weights.grad)


def test_a_result_that_is_no_number_shows() -> None:
    network = MLP(3, 2)
    network.layers.weights.data.fill_(float("nan"))
    assert network(torch.randn(5, 3)).isnan().all()
    network = MLP(3, 2)
    assert network(torch.full((5, 3), float("inf"))).isfinite().logical_not().any()


@pytest.mark.parametrize("compiled", [True, False])
def test_adam_is_torchs(compiled, monkeypatch) -> None:
    if not compiled:
        monkeypatch.setattr(optimizer, "small_kernels", lambda: None)
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(7, 9), nn.ReLU(), nn.Linear(9, 3))
    theirs = copy.deepcopy(ours)
    adam, torchs = Adam(ours, lr=1e-2, max_norm=0.5), torch.optim.Adam(theirs.parameters(), lr=1e-2)
    for size in np.geomspace(1e-3, 10, 25):
        x = torch.randn(8, 7) * float(size)
        for network in (ours, theirs):
            network(x).square().mean().backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        adam.step()
        torchs.step()
        torchs.zero_grad()
        assert all(not parameter.grad.any() for parameter in ours.parameters()), "gradients are not cleared"
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(parameter, other, atol=1e-5)
