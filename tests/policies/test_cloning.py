"""Ensembles that learn from demonstrations, on functions with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from biddable.errors import BiddableError, FileError, InputError
from biddable.policies import cloning
from biddable.policies.cloning import CloningConfig, Ensemble, clone, clone_choices
from biddable.policies.networks import MLP

SMALL = CloningConfig(members=3, hidden=32, epochs=60)


def points(count: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (count, 3)).astype(np.float32)


def wanted(states: np.ndarray) -> np.ndarray:
    return np.stack([states[:, 0] * 0.8, np.sign(states[:, 1]) * 0.5], 1).astype(np.float32)


@pytest.fixture(scope="module")
def learned() -> Ensemble:
    torch.set_num_threads(1)
    states = points(600)
    return clone(states, wanted(states), SMALL, seed=0)


def test_it_does_what_was_shown(learned) -> None:
    states = points(200, seed=1)
    states = states[np.abs(states[:, 1]) > 0.2]
    predicted = learned.predictions(states)
    assert predicted.shape == (3, len(states), 2)
    assert np.abs(predicted.mean(0) - wanted(states)).mean() < 0.06


def test_members_differ_and_disagree_more_where_nothing_was_shown(learned) -> None:
    known, unknown = (learned.predictions(x).std(0, ddof=1).mean() for x in (points(200), points(200) * 6))
    assert unknown > 3 * known > 0


def test_the_same_seed_gives_the_same_weights_and_another_others() -> None:
    states = points(50)
    first, again, other = (clone(states, wanted(states), SMALL, seed) for seed in (0, 0, 1))
    assert all(torch.equal(first.weights[name], again.weights[name]) for name in first.weights)
    assert not torch.equal(first.weights["in.weight"], other.weights["in.weight"])


def test_each_member_is_what_it_would_be_by_itself(learned) -> None:
    """The batched product is the members' own layers, one after another."""
    states = torch.as_tensor(points(20, seed=2))
    w = learned.weights
    for member in range(3):
        x = (states - learned.mean) / learned.std
        for layer in ("in", "mid"):
            x = x @ w[f"{layer}.weight"][member] + w[f"{layer}.bias"][member]
            x = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
            x = (x * w[f"{layer}.gain"][member] + w[f"{layer}.shift"][member]).relu()
        expected = (x @ w["out.weight"][member] + w["out.bias"][member]).tanh()
        predicted = learned.predictions(states.numpy())[member]
        assert np.allclose(predicted, expected.numpy(), atol=1e-5)


def test_the_best_epoch_is_kept_not_the_last() -> None:
    """At a rate that throws it about, later epochs are worse; what is kept is not, on what was held back."""
    states = points(100)
    wild = CloningConfig(members=3, hidden=16, lr=0.3, validation=0.3)
    generator = torch.Generator().manual_seed(0)
    cloning._fresh(wild, 3, 2, generator)
    held_back = states[torch.randperm(100, generator=generator)[:30].numpy()]
    errors = []
    for epochs in range(1, 12):
        ensemble = clone(states, wanted(states), replace(wild, epochs=epochs), seed=0)
        errors.append(np.square(ensemble.predictions(held_back) - wanted(held_back)).mean((1, 2)))
    assert (np.diff(errors, axis=0) <= 1e-6).all()
    assert (np.diff(errors, axis=0) == 0).any(), "every epoch was better than the last: nothing was tested"


def test_a_state_that_never_changes_does_no_harm() -> None:
    states = points(100)
    states[:, 2] = 5.0
    ensemble = clone(states, wanted(states), SMALL, 0)
    assert np.isfinite(ensemble.predictions(states + 1)).all()


def test_saved_and_read_back_it_acts_the_same(learned, tmp_path) -> None:
    path = tmp_path / "policy.safetensors"
    learned.save(path)
    states = points(5)
    assert np.array_equal(Ensemble.load(path).predictions(states), learned.predictions(states))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileError, match="no ensemble"):
        Ensemble.load(path)


@pytest.mark.parametrize(
    ("states", "actions", "message"),
    [
        (points(5), wanted(points(4)), "4 actions"),
        (points(0), wanted(points(0)), "no states"),
        (points(1), wanted(points(1)), "at least 2 pairs"),
        (points(5), np.full((5, 2), np.nan), "actions is 'a number that is not finite'"),
        (np.full((5, 3), np.inf), wanted(points(5)), "states is 'a number that is not finite'"),
        (points(5), np.zeros(5, int), r"actions is 'an array of shape \[5\]', expected .*clone_choices"),
        (points(5)[:, 0], wanted(points(5)), r"states is 'an array of shape \[5\]', expected vectors"),
    ],
)
def test_data_that_cannot_be_learned_from(states, actions, message) -> None:
    with pytest.raises(InputError, match=message):
        clone(states, actions, SMALL, 0)


def test_what_was_never_learned_is_no_policy() -> None:
    wild = replace(SMALL, lr=1e30)
    with pytest.raises(BiddableError, match="errors on the validation share were never finite"):
        clone(points(20), wanted(points(20)), wild, 0)
    choices = np.zeros(20, int)
    with pytest.raises(BiddableError, match="errors on the validation share were never finite"):
        clone_choices(MLP(3, 2), [points(20) * 1e30], choices, wild, 0)
    for obs, actions, message in (
        (np.full((20, 3), np.nan), choices, "obs is 'a number that is not finite'"),
        (points(20), choices + 2, "actions is 2, expected from 0 to 1, as the network has them"),
        (points(20), choices - 1, "actions is -1, expected from 0 to 1"),
        (points(20), wanted(points(20)), r"actions is 'float32 of shape .*', expected integers, \[N\]"),
    ):
        with pytest.raises(InputError, match=message):
            clone_choices(MLP(3, 2), [obs], actions, SMALL, 0)


def test_states_of_another_size(learned) -> None:
    with pytest.raises(InputError, match=r"states is \(2, 4\), expected \[N, 3\]"):
        learned.predictions(np.zeros((2, 4), dtype=np.float32))


@pytest.mark.parametrize(
    ("field", "value"),
    [("members", 1), ("hidden", 0), ("epochs", 0), ("dropout", 1.0), ("lr", 0.0), ("validation", -0.1)],
)
def test_settings_out_of_range(field, value) -> None:
    with pytest.raises(InputError, match=f"{field} is"):
        CloningConfig(**{field: value})


def test_actions_beyond_one_are_learned_in_their_own_units() -> None:
    rng = np.random.default_rng(0)
    states = rng.uniform(-1, 1, (400, 2)).astype(np.float32)
    actions = np.stack([8 * states[:, 0], 100 + 20 * states[:, 1]], 1)
    config = CloningConfig(members=2, epochs=40, hidden=64)
    for bounds in (None, ([-10.0, 0.0], [10.0, 200.0])):
        predicted = clone(states, actions, config, 0, bounds=bounds).predictions(states).mean(0)
        error = np.abs(predicted - actions).mean(0) / (actions.max(0) - actions.min(0))
        assert (error < 0.06).all(), (bounds, error)
    with pytest.raises(InputError, match=r"actions\[\d+\] is .*, expected from \[-1.0, 0.0\] to"):
        clone(states, actions, config, 0, bounds=([-1.0, 0.0], [1.0, 200.0]))
    with pytest.raises(InputError, match="bounds is"):
        clone(states, actions, config, 0, bounds=([0.0], [1.0]))


def test_bounds_are_kept_with_the_weights(tmp_path) -> None:
    states = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    ensemble = clone(states, 30 * states, CloningConfig(members=2, epochs=2, hidden=8), 0)
    ensemble.save(tmp_path / "e.safetensors")
    assert np.array_equal(
        Ensemble.load(tmp_path / "e.safetensors").predictions(states), ensemble.predictions(states)
    )
