"""Preference training from end to end on a model of two layers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from biddable.errors import InputError, RunError
from biddable.models.load import load_model
from biddable.train.adapter import choose_weights
from biddable.train.config import LoraConfig
from biddable.train.dpo import DpoConfig, train_dpo
from biddable.train.learner import StepReport
from biddable.types import Preference, user

from .tiny import CONTEXT, llama, local

PAIRS = [Preference(user(f"w{n}"), f"w{n + 10} w{n + 20} w5", f"w{n + 10} w{n + 30}") for n in range(8)]
LONG = Preference(user("w1"), " ".join(["w2"] * CONTEXT), "w3")
CONFIG = DpoConfig(lr=3e-3, epochs=10, batch_size=4, precision="fp32")


def margins(model: Any, start: Any) -> torch.Tensor:
    """[pairs] how much more than at first the chosen response is likelier than the rejected one."""

    def leads(scored: Any) -> torch.Tensor:
        prompts = [pair.prompt for pair in PAIRS]
        chosen = scored.score(prompts, [pair.chosen for pair in PAIRS])
        rejected = scored.score(prompts, [pair.rejected for pair in PAIRS])
        return torch.tensor([one.total - other.total for one, other in zip(chosen, rejected, strict=True)])

    return leads(model) - leads(start)


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_the_margin_grows_as_reported(lora_rank: int) -> None:
    model = local()
    report = train_dpo(
        model, PAIRS, replace(CONFIG, lora=LoraConfig(rank=lora_rank), lr=1e-2 if lora_rank else 3e-3)
    )
    first, last = report.history[0], report.history[-1]
    assert first.loss == pytest.approx(math.log(2))  # the reference is the model as it comes in
    assert first.metrics["margin"] == pytest.approx(0, abs=1e-5)
    assert last.loss < 0.6 * first.loss
    assert last.metrics["accuracy"] == 1
    assert (margins(model, local()) > 1).all()


def test_margins_are_those_the_engine_scores() -> None:
    """What the second step reports is measured on the model that the first one leaves."""
    config = replace(CONFIG, epochs=2, batch_size=8, schedule="constant", warmup=0.0, beta=0.5)
    second = train_dpo(local(), PAIRS, config).history[1]
    model = local()
    train_dpo(model, PAIRS, replace(config, epochs=1))
    expected = 0.5 * margins(model, local())
    assert second.metrics["margin"] == pytest.approx(expected.mean().item(), rel=1e-3)
    assert second.metrics["accuracy"] == (expected > 0).float().mean()


def test_the_likelihood_term_holds_up_the_chosen_responses() -> None:
    start = local()
    scores = start.score([pair.prompt for pair in PAIRS], [pair.chosen for pair in PAIRS])
    nll = sum(-score.total / len(score.token_ids) for score in scores) / len(PAIRS)
    with_it, without = local(), local()
    config = replace(CONFIG, batch_size=8)
    first = train_dpo(with_it, PAIRS, replace(config, rpo_alpha=0.5)).history[0]
    train_dpo(without, PAIRS, config)
    assert first.metrics["nll"] == pytest.approx(nll, rel=1e-4)
    assert first.loss == pytest.approx(math.log(2) + 0.5 * nll, rel=1e-4)
    assert likelihood(with_it) > likelihood(without)


def likelihood(model: Any) -> float:
    scores = model.score([pair.prompt for pair in PAIRS], [pair.chosen for pair in PAIRS])
    return sum(score.total for score in scores)


def test_lora_trains_the_adapter_and_nothing_else() -> None:
    model = local()
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    train_dpo(model, PAIRS, replace(CONFIG, epochs=2, lora=LoraConfig(rank=4)))
    adapted = model.module
    assert all(parameter.any() for name, parameter in adapted.named_parameters() if ".lora_B." in name)
    merged = adapted.unload().state_dict()  # the base model without its adapter
    assert all(torch.equal(merged[name], tensor) for name, tensor in before.items())


def test_an_adapter_that_is_there_is_its_own_reference() -> None:
    model = local(choose_weights(llama(), LoraConfig(rank=4), seed=0))
    train_dpo(model, PAIRS, replace(CONFIG, lora=LoraConfig(rank=4), epochs=3, lr=1e-2))
    (step,) = train_dpo(
        model, PAIRS, replace(CONFIG, lora=LoraConfig(rank=4), epochs=1, batch_size=8)
    ).history
    assert step.loss == pytest.approx(math.log(2))


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_what_is_saved_is_what_was_trained(tmp_path: Path, lora_rank: int) -> None:
    model = load_model(local().save(tmp_path / "start"))
    train_dpo(model, PAIRS, replace(CONFIG, lora=LoraConfig(rank=lora_rank), epochs=3))
    model.save(tmp_path / "trained")
    names = {path.name for path in (tmp_path / "trained").iterdir()}
    weights = "adapter_model.safetensors" if lora_rank else "model.safetensors"
    assert weights in names
    assert {Path(name).suffix for name in names} <= {".json", ".safetensors", ".jinja", ".md"}
    again = load_model(tmp_path / "trained")
    assert likelihood(again) == pytest.approx(likelihood(model), rel=1e-5)
    assert likelihood(again) != pytest.approx(likelihood(load_model(tmp_path / "start")), rel=1e-3)


class Killed(Exception):
    pass


def kill(report: StepReport) -> None:
    if report.step == 5:
        raise Killed


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_a_killed_training_ends_with_the_same_bits(tmp_path: Path, lora_rank: int) -> None:
    config = replace(CONFIG, epochs=4, lora=LoraConfig(rank=lora_rank), rpo_alpha=0.1, checkpoint_every=2)
    undisturbed, killed, resumed = local(), local(), local()
    history = train_dpo(undisturbed, PAIRS, config).history
    with pytest.raises(Killed):
        train_dpo(killed, PAIRS, config, checkpoint_dir=tmp_path, on_step=kill)
    rest = train_dpo(resumed, PAIRS, config, checkpoint_dir=tmp_path).history
    assert [(one.step, one.loss, one.metrics) for one in rest] == [
        (one.step, one.loss, one.metrics) for one in history[4:]
    ]
    expected = undisturbed.module.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.module.state_dict().items())


def test_another_objective_does_not_go_on_with_it(tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=1, checkpoint_every=1)
    train_dpo(local(), PAIRS, config, checkpoint_dir=tmp_path)
    with pytest.raises(RunError, match=r"is of another training: beta is 0\.1, now 0\.2$"):
        train_dpo(local(), PAIRS, replace(config, beta=0.2), checkpoint_dir=tmp_path)


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        ([], r"preferences is \[\], expected at least one example"),
        (
            [*PAIRS, Preference(user("w1"), "w2", "w2")],
            r"preferences\[8\]\.rejected is 'w2', expected a text other than the chosen one",
        ),
        (
            [PAIRS[0], LONG],
            r"preferences\[1\]: length is 71, expected at most 64 tokens, the model's context",
        ),
        (
            [PAIRS[0], Preference((), "w1", "w2")],
            r"preferences\[1\]\.prompt is \(\), expected at least one turn",
        ),
        ([("w1", "w2", "w3")], r"preferences\[0\] is \('w1'.*, expected a Preference\(prompt, .*\)"),
        (
            [Preference(user(None), "w1", "w2")],  # type: ignore[arg-type]
            r"preferences\[0\]\.prompt\[0\]\.content is None, expected a text",
        ),
        (
            [PAIRS[0], Preference(user("w1"), " ", "w2")],
            r"preferences\[1\]\.chosen is ' ', expected an answer that says something",
        ),
        (
            [Preference(user("w1"), "w2", "w\ud83d")],
            r"preferences\[0\]\.rejected is .*, expected a text of whole characters \(character 2 .*\)",
        ),
    ],
)
def test_bad_pairs_are_named_before_anything_is_trained(pairs, problem: str) -> None:
    model = local()
    module = model.module
    with pytest.raises(InputError, match=f"^{problem}$"):
        train_dpo(model, pairs, replace(CONFIG, lora=LoraConfig(rank=2)))
    assert model.module is module


def test_pairs_that_are_too_long_can_be_dropped() -> None:
    config = replace(CONFIG, epochs=1, too_long="drop")
    some, all_fit = local(), local()
    assert train_dpo(some, [LONG, *PAIRS, LONG], config).dropped == 2
    assert train_dpo(all_fit, PAIRS, config).dropped == 0
    assert likelihood(some) == likelihood(all_fit)
    with pytest.raises(
        InputError, match=r"^preferences is '1 examples', expected one that fits in 64 tokens$"
    ):
        train_dpo(local(), [LONG], config)
