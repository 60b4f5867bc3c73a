"""The loop: what a step is, that cutting it up or stopping it changes nothing, and when it gives up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from biddable.errors import BiddableError, FileError, ModelError, RunError
from biddable.train.adapter import choose_weights
from biddable.train.config import LoraConfig, TrainConfig
from biddable.train.examples import Example
from biddable.train.learner import Learner, Objective, Scores, StepReport
from biddable.train.loop import TrainReport, example_steps, fit_examples
from biddable.train.losses import Losses, sft_loss

from .tiny import gemma2, llama, local, plain_logprobs, random_examples

EXAMPLES = random_examples(10)
CONFIG = TrainConfig(lr=3e-3, epochs=2, batch_size=4, precision="fp32", checkpoint_every=2, weight_decay=0.01)
STEPS = 6  # two epochs of 4 + 4 + 2


def nll(scores: Scores) -> Losses:
    return sft_loss(scores.logprobs)


def learner_of(module: Any, config: TrainConfig = CONFIG, n: int = len(EXAMPLES)) -> Learner:
    return Learner(local(module), config, steps=example_steps(config.batch_size, config.epochs, n))


def train(
    module: Any, data: list[Example], objective: Objective, config: TrainConfig, **how: Any
) -> TrainReport:
    """Train a module; the objective sees the number of each example in ``index``."""
    with learner_of(module, config, len(data)) as learner:
        columns = {"columns": lambda indices: {"index": torch.tensor(indices)}}
        return fit_examples(learner, data, objective, **(columns | how))


def trained(
    config: TrainConfig = CONFIG, *, objective: Objective = nll, **options: Any
) -> tuple[Any, TrainReport]:
    module = llama()
    return module, train(module, EXAMPLES, objective, config, **options)


def state(module: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_loss_falls() -> None:
    module, report = trained(replace(CONFIG, epochs=20, lr=1e-2))
    assert report.steps == len(report.history) == 60
    assert report.history[-1].loss < 0.2 * report.history[0].loss
    assert report.skipped == report.dropped == 0
    assert not module.training


def test_the_reports_say_what_was_done() -> None:
    seen: list[StepReport] = []
    _, report = trained(on_step=seen.append)
    assert tuple(seen) == report.history
    assert [(one.step, one.steps) for one in seen] == [(step, STEPS) for step in range(1, STEPS + 1)]
    assert [one.lr for one in seen] == [CONFIG.lr_at(step, STEPS) for step in range(STEPS)]
    assert all(one.grad_norm > 0 and one.seconds > 0 and not one.skipped for one in seen)


def test_it_says_how_far_it_is(monkeypatch, capfd) -> None:
    monkeypatch.setattr("biddable.runs.progress.SECONDS_BETWEEN_LINES", 0.0)
    _, report = trained()
    said = capfd.readouterr().err.splitlines()
    assert said[0] == f"training steps: 0/{report.steps}"
    assert said[report.steps] == f"training steps: {report.steps}/{report.steps}"


def tokens(examples: Any) -> float:
    return sum(len(one.completions[0]) for one in examples)


@pytest.mark.parametrize("units", [len, tokens])
def test_loss_and_metrics_are_means_over_the_units_of_a_batch(units) -> None:
    module = llama()
    sums = [-plain_logprobs(module, one.prompt, one.completions[0]).sum().item() for one in EXAMPLES]
    mean = sum(sums) / units(EXAMPLES)
    config = replace(CONFIG, epochs=1, batch_size=10, max_tokens_per_step=20)
    (step,) = train(module, EXAMPLES, nll, config, units=units).history
    assert step.loss == pytest.approx(mean, rel=1e-5)
    assert step.metrics == {"nll": pytest.approx(mean, rel=1e-5)}


def test_the_norm_of_the_gradient_is_that_before_clipping() -> None:
    module = llama()
    sums = [plain_logprobs(module, one.prompt, one.completions[0]).sum() for one in EXAMPLES]
    (-torch.stack(sums).mean()).backward()
    expected = math.sqrt(sum(p.grad.square().sum().item() for p in module.parameters()))
    config = replace(CONFIG, epochs=1, batch_size=10, max_grad_norm=1e-3)
    (step,) = train(llama(), EXAMPLES, nll, config).history
    assert step.grad_norm == pytest.approx(expected, rel=1e-4)
    assert expected > 1


def test_a_larger_gradient_is_scaled_down_to_the_limit(tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=1, batch_size=10, max_grad_norm=0.5, checkpoint_every=1)
    trained(config, checkpoint_dir=tmp_path)
    moments = load_file(tmp_path / "step-000001" / "optimizer.safetensors")
    first = [value for name, value in moments.items() if name.endswith("/exp_avg")]
    norm = math.sqrt(sum(value.square().sum().item() for value in first))
    assert norm == pytest.approx(0.1 * 0.5, rel=1e-4)  # 1 - beta1 of the first gradient


def test_how_a_batch_is_cut_changes_nothing_beyond_rounding() -> None:
    (whole, one), (cut, other) = trained(), trained(replace(CONFIG, max_tokens_per_step=1))
    for a, b in zip(one.history, other.history, strict=True):
        assert (a.loss, a.grad_norm) == pytest.approx((b.loss, b.grad_norm), rel=1e-4)
    for a, b in zip(whole.parameters(), cut.parameters(), strict=True):
        assert (a - b).norm() < 1e-3 * (a - a.mean()).norm() + 1e-5


def test_the_first_step_is_adamws_by_hand() -> None:
    """Its moments cancel but for the sign: the first step is the learning rate, after the decay."""
    module, before = llama(), llama()
    loss = -torch.stack([plain_logprobs(before, e.prompt, e.completions[0]).sum() for e in EXAMPLES]).mean()
    loss.backward()
    train(module, EXAMPLES, nll, replace(CONFIG, epochs=1, batch_size=10, weight_decay=0.5))
    for (name, new), old in zip(module.named_parameters(), before.parameters(), strict=True):
        decay = 1 - CONFIG.lr * 0.5 if old.ndim > 1 else 1.0  # matrices only
        clear = old.grad.abs() > 1e-3
        expected = old * decay - CONFIG.lr * old.grad.sign()
        torch.testing.assert_close(new[clear], expected[clear], rtol=1e-4, atol=1e-5, msg=name)


def test_the_seed_decides_the_order() -> None:
    (one, _), (again, _), (other, _) = trained(), trained(), trained(replace(CONFIG, seed=1))
    assert same(state(one), state(again))
    assert not same(state(one), state(other))


# What is not finite


def on_batches_with(bad: Callable[[Scores], torch.Tensor], examples: set[int]) -> Objective:
    def objective(scores: Scores) -> Losses:
        if examples & set(scores["index"].tolist()):
            return bad(scores), {}
        return nll(scores)[0], {}

    return objective


def not_a_number(scores: Scores) -> torch.Tensor:
    return scores.logprobs * math.nan


def infinite_slope(scores: Scores) -> torch.Tensor:
    return (scores.logprobs * 0).abs().sqrt()  # its value is 0


@pytest.mark.parametrize("bad", [not_a_number, infinite_slope])
def test_a_step_that_is_not_finite_is_left_out(bad) -> None:
    objective = on_batches_with(bad, {3})  # once in each epoch
    snapshots = []
    module = llama()
    with learner_of(module) as learner:
        snapshots.append(state(module))

        def compare(report: StepReport) -> None:
            assert report.skipped == same(state(module), snapshots[-1])
            snapshots.append(state(module))

        index = {"columns": lambda indices: {"index": torch.tensor(indices)}}
        fit_examples(learner, EXAMPLES, objective, on_step=compare, **index)
    assert learner.skipped == 2
    assert all(tensor.isfinite().all() for tensor in state(module).values())


def test_a_training_with_skipped_steps_ends_and_counts_them() -> None:
    _, report = trained(replace(CONFIG, max_skips=1), objective=on_batches_with(not_a_number, {3}))
    assert report.skipped == 2
    assert [one.skipped for one in report.history].count(True) == 2


@pytest.mark.parametrize("max_skips", [0, 2])
def test_too_many_in_a_row_end_the_training(max_skips: int) -> None:
    steps: list[StepReport] = []
    objective = on_batches_with(not_a_number, set(range(10)))
    with pytest.raises(BiddableError) as caught:
        trained(replace(CONFIG, max_skips=max_skips), objective=objective, on_step=steps.append)
    assert str(caught.value) == (
        f"training stopped at step {max_skips + 1} of 6: {max_skips + 1} steps in a row were not finite "
        "(loss nan, gradient norm nan); try a smaller lr"
    )
    assert len(steps) == max_skips


# Stopping and going on


class Killed(Exception):
    pass


def killed_at(step: int) -> Callable[[StepReport], None]:
    """Ends a training after that step is made and before it is saved."""

    def on_step(report: StepReport) -> None:
        if report.step == step:
            raise Killed

    return on_step


def starting(lora_rank: int) -> Any:
    return choose_weights(llama(), LoraConfig(rank=lora_rank), seed=0)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.mark.parametrize("lora_rank", [0, 2])
@pytest.mark.parametrize("kills", [(1,), (4,), (5,), (3, 5, 6)])
def test_a_killed_training_ends_with_the_same_bits(tmp_path: Path, lora_rank: int, kills) -> None:
    objective = on_batches_with(not_a_number, {3})
    undisturbed = starting(lora_rank)
    train(undisturbed, EXAMPLES, objective, CONFIG, checkpoint_dir=tmp_path / "a")
    for step in kills:
        with pytest.raises(Killed):
            train(
                starting(lora_rank),
                EXAMPLES,
                objective,
                CONFIG,
                checkpoint_dir=tmp_path / "b",
                on_step=killed_at(step),
            )
    resumed = starting(lora_rank)
    report = train(resumed, EXAMPLES, objective, CONFIG, checkpoint_dir=tmp_path / "b")
    saved = (kills[-1] - 1) // 2 * 2
    assert [one.step for one in report.history] == list(range(saved + 1, STEPS + 1))
    assert (report.steps, report.skipped) == (STEPS, 2)
    assert same(state(resumed), state(undisturbed))
    assert files(tmp_path / "b") == files(tmp_path / "a")  # the optimizer's moments too


def test_a_training_that_is_done_is_only_loaded(tmp_path: Path) -> None:
    module, _ = trained(checkpoint_dir=tmp_path)
    again, report = trained(checkpoint_dir=tmp_path)
    assert report.history == ()
    assert report.steps == STEPS
    assert same(state(again), state(module))


def test_steps_skipped_in_a_row_are_counted_on(tmp_path: Path) -> None:
    config = replace(CONFIG, max_skips=2, checkpoint_every=1)
    objective = on_batches_with(not_a_number, set(range(10)))
    with pytest.raises(Killed):
        trained(config, objective=objective, checkpoint_dir=tmp_path, on_step=killed_at(2))
    with pytest.raises(BiddableError, match="stopped at step 3 of 6: 3 steps in a row"):
        trained(config, objective=objective, checkpoint_dir=tmp_path)


def test_what_decides_no_result_may_change_meanwhile(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        trained(checkpoint_dir=tmp_path, on_step=killed_at(3))
    free = replace(CONFIG, max_tokens_per_step=50, checkpoint_every=5, max_skips=9)
    _, report = trained(free, checkpoint_dir=tmp_path)
    assert [one.step for one in report.history] == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"lr": 0.5}, "lr is 0.003, now 0.5"),
        ({"epochs": 3}, "epochs is 2, now 3"),
        ({"schedule": "constant"}, "schedule is 'linear', now 'constant'"),
    ],
)
def test_another_configuration_does_not_go_on(tmp_path: Path, change, problem: str) -> None:
    trained(checkpoint_dir=tmp_path)
    with pytest.raises(RunError, match=f"step-000006 is of another training: {problem}$"):
        trained(replace(CONFIG, **change), checkpoint_dir=tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        EXAMPLES[:9],
        EXAMPLES[::-1],
        [*EXAMPLES[:9], Example(EXAMPLES[9].prompt, ((9,),))],
    ],
)
def test_other_data_does_not_go_on(tmp_path: Path, data: list[Example]) -> None:
    trained(checkpoint_dir=tmp_path)
    with pytest.raises(RunError, match="step-000006 is of another training: data is '"):
        train(llama(), data, nll, CONFIG, checkpoint_dir=tmp_path)


def test_another_model_does_not_go_on(tmp_path: Path) -> None:
    trained(checkpoint_dir=tmp_path)
    other = llama()
    with torch.no_grad():
        other.model.norm.weight.mul_(1.001)
    for module in (other, llama(intermediate_size=40)):
        with pytest.raises(RunError, match="step-000006 is of another training: starting_weights is '"):
            train(module, EXAMPLES, nll, CONFIG, checkpoint_dir=tmp_path)


def test_another_frozen_base_does_not_go_on(tmp_path: Path) -> None:
    train(starting(2), EXAMPLES, nll, CONFIG, checkpoint_dir=tmp_path)
    other = starting(2)
    with torch.no_grad():
        next(p for p in other.parameters() if not p.requires_grad).mul_(1.001)
    with pytest.raises(RunError, match="starting_weights is '"):
        train(other, EXAMPLES, nll, CONFIG, checkpoint_dir=tmp_path)


def test_a_damaged_checkpoint_does_not_go_on(tmp_path: Path) -> None:
    trained(checkpoint_dir=tmp_path)
    file = tmp_path / "step-000006" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(FileError, match=r"model\.safetensors: cannot be read as safetensors"):
        trained(checkpoint_dir=tmp_path)


def test_a_model_that_cannot_be_packed_is_refused_before_the_first_step() -> None:
    module = gemma2()
    with pytest.raises(ModelError, match="cannot be computed on packed batches"):
        train(module, EXAMPLES, nll, CONFIG)
    assert same(state(module), state(gemma2()))
