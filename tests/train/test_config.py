"""The configuration all objectives share: what it refuses, and the learning rate it gives each step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from biddable.errors import InputError
from biddable.train.config import TrainConfig
from biddable.train.dpo import DpoConfig
from biddable.train.sft import SftConfig


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("lr", 0.0, "a number above 0"),
        ("lr", math.nan, "a finite number"),
        ("lr", math.inf, "a finite number"),
        ("max_grad_norm", -1.0, "a number above 0"),
        ("weight_decay", -0.1, "a number of at least 0"),
        ("weight_decay", math.nan, "a finite number"),
        ("warmup", 1.1, "a number of at most 1"),
        ("warmup", math.nan, "a finite number"),
        ("epochs", 0, "an integer of at least 1"),
        ("epochs", 1.5, "an integer"),
        ("batch_size", 0, "an integer of at least 1"),
        ("checkpoint_every", -1, "an integer of at least 0"),
        ("max_tokens_per_step", -1, "an integer of at least 0"),
        ("lora.rank", -1, "an integer of at least 0"),
        ("max_skips", -1, "an integer of at least 0"),
        ("seed", -1, "an integer of at least 0"),
        ("schedule", "cosine", "'linear' or 'constant'"),
        ("precision", "fp16", "'auto', 'fp32' or 'bf16'"),
        ("too_long", "truncate", "'error' or 'drop'"),
    ],
)
@pytest.mark.parametrize("kind", [TrainConfig, DpoConfig, SftConfig])
def test_what_is_out_of_range_is_named(kind: Any, field: str, value: Any, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        kind(**{"lr": 1e-3, field: value})
    assert str(caught.value) == f"{field} is {value!r}, expected {expected}"


@pytest.mark.parametrize(
    ("kind", "field", "value", "expected"),
    [
        (DpoConfig, "beta", 0.0, "a number above 0"),
        (DpoConfig, "rpo_alpha", -0.5, "a number of at least 0"),
        (SftConfig, "turns", "first", "'last' or 'all'"),
    ],
)
def test_so_is_what_only_one_objective_has(kind: Any, field: str, value: Any, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        kind(**{field: value})
    assert str(caught.value) == f"{field} is {value!r}, expected {expected}"


@pytest.mark.parametrize(
    ("schedule", "warmup", "rates"),
    [
        ("linear", 0.0, [1.0, 0.8, 0.6, 0.4, 0.2]),
        ("linear", 0.4, [0.5, 1.0, 1.0, 2 / 3, 1 / 3]),
        ("linear", 0.1, [1.0, 1.0, 0.75, 0.5, 0.25]),  # a tenth of five steps is one
        ("linear", 1.0, [0.2, 0.4, 0.6, 0.8, 1.0]),
        ("constant", 0.4, [0.5, 1.0, 1.0, 1.0, 1.0]),
        ("constant", 0.0, [1.0] * 5),
    ],
)
def test_learning_rates_by_hand(schedule: Any, warmup: float, rates: list[float]) -> None:
    config = TrainConfig(lr=2e-3, schedule=schedule, warmup=warmup)
    assert [config.lr_at(step, 5) for step in range(5)] == pytest.approx([2e-3 * rate for rate in rates])


def test_a_training_of_one_step_has_the_whole_rate() -> None:
    assert TrainConfig(lr=1e-3).lr_at(0, 1) == 1e-3


def test_tokens_at_once_depend_on_the_device_unless_given() -> None:
    assert TrainConfig(lr=1.0, precision="bf16").tokens_at_once(torch.device("cpu")) == 1024
    assert TrainConfig(lr=1.0, precision="fp32").tokens_at_once(torch.device("cpu")) == 768
    assert TrainConfig(lr=1.0).tokens_at_once(torch.device("cuda")) == 16_384
    assert TrainConfig(lr=1.0, max_tokens_per_step=7).tokens_at_once(torch.device("cuda")) == 7
    assert TrainConfig(lr=1.0).checkpoint_steps(torch.device("cpu")) == 25
    assert TrainConfig(lr=1.0).checkpoint_steps(torch.device("cuda")) == 500
    assert TrainConfig(lr=1.0, checkpoint_every=3).checkpoint_steps(torch.device("cuda")) == 3


@pytest.mark.parametrize(
    ("amx", "avx512", "expected"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_a_cpu_computes_in_bf16_where_it_is_built_for_it(monkeypatch, amx, avx512, expected) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    cpu = torch.device("cpu")
    assert TrainConfig(lr=1.0).bf16_on(cpu) is expected
    assert TrainConfig(lr=1.0, precision="bf16").bf16_on(cpu)
    assert not TrainConfig(lr=1.0, precision="fp32").bf16_on(cpu)
