"""Heads: densities and draws by hand, bounds, and the spaces that they are for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from biddable.errors import InputError
from biddable.policies.heads import Binned, Categorical, Gaussian, head_for


def test_a_categorical_is_the_softmax() -> None:
    head, outputs = Categorical(3), torch.tensor([[0.2, 0.5, 0.3]]).log()
    assert head.log_prob(outputs, torch.tensor([1])).item() == pytest.approx(np.log(0.5), abs=1e-6)
    assert head.entropy(outputs).item() == pytest.approx(
        -sum(p * np.log(p) for p in (0.2, 0.5, 0.3)), abs=1e-6
    )
    drawn = head.sample(outputs.expand(20_000, -1), np.random.default_rng(0))
    assert np.bincount(drawn) / len(drawn) == pytest.approx([0.2, 0.5, 0.3], abs=0.015)
    assert head.mode(outputs).tolist() == [1]


def test_a_gaussian_is_a_normal_in_units_of_the_environment() -> None:
    head = Gaussian([-2.0, 0.0], [2.0, 1.0])  # middles 0 and 0.5, halves 2 and 0.5
    outputs = torch.tensor([[0.5, 0.0, 0.0, -1.0]])
    mean, std = torch.tensor([1.0, 0.5]), torch.tensor([2.0, float(0.5 * np.exp(-1.0))])
    normal = torch.distributions.Normal(mean, std)
    actions = torch.tensor([[0.3, 0.6]])
    assert torch.allclose(head.log_prob(outputs, actions), normal.log_prob(actions).sum(-1), atol=1e-5)
    assert torch.allclose(head.entropy(outputs), normal.entropy().sum()[None], atol=1e-5)
    drawn = head.sample(outputs.expand(20_000, -1), np.random.default_rng(0))
    assert drawn.mean(0) == pytest.approx(mean.numpy(), abs=0.05)
    assert drawn.std(0) == pytest.approx(std.numpy(), rel=0.05)
    assert head.to_env(np.array([[5.0, -1.0]])).tolist() == [[2.0, 0.0]]
    assert head.mode(outputs) == pytest.approx(np.array([[1.0, 0.5]]))


def test_an_action_without_bounds_is_taken_as_it_is() -> None:
    head = head_for(spaces.Box(-np.inf, np.inf, (1,)))
    assert head.log_prob(torch.zeros(1, 2), torch.zeros(1, 1)).item() == pytest.approx(
        -0.5 * np.log(2 * np.pi)
    )
    with pytest.raises(InputError, match="finite ones, to cut them into bins"):
        head_for(spaces.Box(-np.inf, np.inf, (1,)), "binned")


def test_bins_keep_two_ways_apart() -> None:
    head = Binned([-1.0], [1.0], bins=4)  # middles -0.75, -0.25, 0.25, 0.75
    outputs = torch.tensor([[0.6, 1e-9, 1e-9, 0.4]]).log()
    drawn = head.sample(outputs.expand(5000, -1), np.random.default_rng(0))
    assert set(np.unique(drawn)) == {-0.75, 0.75}
    assert head.mode(outputs).tolist() == [[-0.75]]
    for action, probability in ((-1.0, 0.6), (-0.6, 0.6), (0.9, 0.4), (1.0, 0.4)):
        logprob = head.log_prob(outputs, torch.tensor([[action]]))
        assert logprob.exp().item() == pytest.approx(probability, abs=1e-5)


def test_each_learns_what_was_done() -> None:
    rng = np.random.default_rng(0)
    for head, actions in (
        (Categorical(3), torch.tensor(rng.integers(3, size=64))),
        (Gaussian([-3.0] * 2, [3.0] * 2), torch.tensor(rng.uniform(-3, 3, (64, 2)), dtype=torch.float32)),
        (Binned([-3.0] * 2, [3.0] * 2), torch.tensor(rng.uniform(-3, 3, (64, 2)), dtype=torch.float32)),
    ):
        outputs = torch.zeros(64, head.outputs, requires_grad=True)
        optimizer = torch.optim.Adam([outputs], lr=0.1)
        for _ in range(150):
            optimizer.zero_grad()
            (-head.log_prob(outputs, actions).mean()).backward()
            optimizer.step()
        error = np.abs(head.mode(outputs) - actions.numpy()).max()
        assert error < 0.2, head


@pytest.mark.parametrize(
    ("space", "kind", "expected"),
    [
        (spaces.Discrete(3), "gaussian", "head is 'gaussian', expected categorical"),
        (spaces.Discrete(3, start=1), "auto", "with actions from 0"),
        (spaces.Box(-1, 1, (2,)), "categorical", "expected gaussian or binned"),
        (spaces.Box(-1, 1, (2, 2)), "auto", "expected Discrete, or a Box of one dimension"),
        (spaces.MultiDiscrete([2, 2]), "auto", "expected Discrete, or a Box of one dimension"),
    ],
)
def test_other_spaces_are_refused(space, kind, expected) -> None:
    with pytest.raises(InputError, match=expected):
        head_for(space, kind)
