"""Group relative policy optimisation, from end to end on a model of two layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from biddable.errors import InputError
from biddable.models.base import Sampling
from biddable.train.config import LoraConfig
from biddable.train.grpo import GrpoConfig, train_grpo
from biddable.train.learner import StepReport
from biddable.train.losses import group_advantages, grpo_loss
from biddable.types import Response, Task, Verdict, user

from .tiny import CONTEXT, local

TASKS = [Task(str(n), user(f"w{n} w{n + 1}")) for n in range(6)]
CONFIG = GrpoConfig(
    lr=2e-3,
    epochs=4,
    batch_size=3,
    group_size=4,
    sampling=Sampling(max_tokens=6),
    precision="fp32",
    warmup=0.0,
)


def share_of_w7(
    tasks: Sequence[Task], responses: Sequence[Response], *, seeds: Sequence[int] | None = None
) -> list[Verdict]:
    """The share of words that are w7."""
    shares = [r.text.split().count("w7") / max(1, len(r.text.split())) for r in responses]
    return [Verdict(share, share > 0.5) for share in shares]


def arbitrary(tasks: Any, responses: Sequence[Response], *, seeds: Any = None) -> list[Verdict]:
    """Rewards that differ within nearly every group; some responses have none."""
    sums = [sum(response.token_ids) for response in responses]
    return [Verdict(None if n % 5 == 0 else n % 7 / 7, None) for n in sums]


def test_what_is_rewarded_becomes_likelier() -> None:
    model = local()
    report = train_grpo(model, TASKS, share_of_w7, replace(CONFIG, epochs=20, lr=5e-3))
    rewards = [step.metrics["reward"] for step in report.history]
    assert len(rewards) == 40
    assert sum(rewards[-5:]) > 2 * sum(rewards[:5])


def test_the_reports_say_what_was_sampled() -> None:
    (step, *_) = train_grpo(local(), TASKS, arbitrary, replace(CONFIG, beta=0.1)).history
    names = {"reward", "passed", "unscored", "length", "cut_off", "alike", "clipped", "kl"}
    assert step.metrics.keys() == names
    assert 1 <= step.metrics["length"] <= 6
    assert 0 < step.metrics["unscored"] < 0.6
    assert 0 < step.metrics["reward"] < 1
    assert step.metrics["kl"] == pytest.approx(0, abs=1e-6)  # nothing has been learned yet
    assert step.metrics["passed"] == 0


def test_rewards_alike_in_each_group_teach_nothing() -> None:
    def all_the_same(tasks: Any, responses: Any, *, seeds: Any = None) -> list[Verdict]:
        return [Verdict(0.5, True) for _ in responses]

    model = local()
    report = train_grpo(model, TASKS, all_the_same, replace(CONFIG, epochs=1))
    assert all(step.metrics["alike"] == 1 for step in report.history)
    assert all(step.grad_norm == pytest.approx(0, abs=1e-6) for step in report.history)


def test_passed_may_be_the_reward() -> None:
    (step, *_) = train_grpo(local(), TASKS, share_of_w7, replace(CONFIG, reward="passed")).history
    assert step.metrics["reward"] == step.metrics["passed"]


class Killed(Exception):
    pass


def kill(report: StepReport) -> None:
    if report.step == 5:
        raise Killed


@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize(("updates", "beta"), [(1, 0.0), (2, 0.05)])
def test_a_killed_training_ends_with_the_same_bits(
    tmp_path: Path, rank: int, updates: int, beta: float
) -> None:
    config = replace(
        CONFIG,
        epochs=4 // updates,
        updates=updates,
        beta=beta,
        lora=LoraConfig(rank=rank),
        checkpoint_every=2,
    )
    undisturbed, killed, resumed = local(), local(), local()
    history = train_grpo(undisturbed, TASKS, arbitrary, config).history
    with pytest.raises(Killed):
        train_grpo(killed, TASKS, arbitrary, config, checkpoint_dir=tmp_path, on_step=kill)
    rest = train_grpo(resumed, TASKS, arbitrary, config, checkpoint_dir=tmp_path).history
    assert [(one.step, one.loss, one.metrics) for one in rest] == [
        (one.step, one.loss, one.metrics) for one in history[4:]
    ]
    expected = undisturbed.module.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.module.state_dict().items())


@pytest.mark.parametrize("rank", [0, 4])
def test_the_reference_is_the_model_as_it_was(rank: int) -> None:
    config = replace(CONFIG, beta=0.05, lora=LoraConfig(rank=rank), lr=1e-2)
    model = local()
    report = train_grpo(model, TASKS, arbitrary, config)
    assert report.history[0].metrics["kl"] == pytest.approx(0, abs=1e-6)
    assert report.history[-1].metrics["kl"] > 1e-4


def test_the_same_sample_is_learned_from_again_with_clipped_ratios() -> None:
    config = replace(CONFIG, updates=3, lr=2e-2, epochs=1)
    first, second, third, *_ = train_grpo(local(), TASKS, arbitrary, config).history
    for name in ("reward", "length"):
        assert first.metrics[name] == second.metrics[name] == third.metrics[name]
    assert first.metrics["clipped"] == 0
    assert third.metrics["clipped"] > 0


@pytest.mark.parametrize("normalize", ["sequence", "token", "length"])
def test_how_it_is_cut_changes_nothing_beyond_rounding(normalize: Any) -> None:
    """Also where the responses to one prompt do not fit in one piece."""
    config = replace(CONFIG, normalize=normalize, epochs=1)
    whole, cut = (
        train_grpo(local(), TASKS, arbitrary, each).history[0]
        for each in (config, replace(config, max_tokens_per_step=12))
    )
    assert cut.loss == pytest.approx(whole.loss, rel=1e-4, abs=1e-6)
    assert cut.grad_norm == pytest.approx(whole.grad_norm, rel=1e-4)
    assert cut.metrics == pytest.approx(whole.metrics, abs=1e-6)


LONG = Task("long", user(" ".join(["w1"] * (CONTEXT - 10))))


@pytest.mark.parametrize(
    ("tasks", "problem"),
    [
        ([], r"tasks is '0 tasks', expected one whose prompt has at most 58 tokens"),
        ([TASKS[0], LONG], r"tasks\[1\]\.prompt is '5\d tokens', expected at most 58, to leave 6 to answer"),
        ([Task("1", ())], r"tasks\[0\]: prompt is \(\), expected at least one turn"),
    ],
)
def test_prompts_that_cannot_be_answered_are_named_before_the_first_step(tasks: Any, problem: str) -> None:
    model = local()
    with pytest.raises(InputError, match=f"^{problem}"):
        train_grpo(model, tasks, share_of_w7, CONFIG)


def test_prompts_that_are_too_long_can_be_dropped() -> None:
    report = train_grpo(local(), [*TASKS, LONG], share_of_w7, replace(CONFIG, epochs=1, too_long="drop"))
    assert (report.dropped, report.steps) == (1, 2)


# The objective by hand

REWARDS = torch.tensor([[1.0, 0.0], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("none", [[0.5, -0.5], [0.0, 0.0]]),
        ("group", [[0.5 / (math.sqrt(0.5) + 1e-4), -0.5 / (math.sqrt(0.5) + 1e-4)], [0.0, 0.0]]),
        ("batch", [[0.5 / (math.sqrt(1 / 6) + 1e-4), -0.5 / (math.sqrt(1 / 6) + 1e-4)], [0.0, 0.0]]),
    ],
)
def test_advantages_by_hand(scale: Any, expected: list[list[float]]) -> None:
    torch.testing.assert_close(group_advantages(REWARDS, scale), torch.tensor(expected))


@pytest.mark.parametrize("scale", ["none", "group", "batch"])
def test_what_has_no_reward_is_compared_with_nothing(scale: Any) -> None:
    """Rewards below 0, as a reward model gives them: taken as 0, the one without would be the best."""
    rewards = torch.tensor([[-3.0, math.nan, -1.0], [math.nan, -2.0, math.nan], [-4.0, -5.0, -6.0]])
    advantages = group_advantages(rewards, scale)
    torch.testing.assert_close(advantages[rewards.isnan()], torch.zeros(3))
    assert advantages[1].tolist() == [0, 0, 0], "one alone is beside no other"
    deviations = {"none": [1, 1], "group": [math.sqrt(2) + 1e-4, 1 + 1e-4]}
    of_first, of_last = deviations.get(scale, [rewards[~rewards.isnan()].std() + 1e-4] * 2)
    torch.testing.assert_close(advantages[0], torch.tensor([-1.0, 0.0, 1.0]) / of_first)
    torch.testing.assert_close(advantages[2], torch.tensor([1.0, 0.0, -1.0]) / of_last)


@pytest.mark.parametrize("reward", ["score", "passed"])
def test_from_verdicts_without_a_reward_nothing_is_learned(reward: Any) -> None:
    def undecided(tasks: Any, responses: Any, *, seeds: Any = None) -> list[Verdict]:
        return [Verdict(None if reward == "score" else 0.5, None) for _ in responses]

    report = train_grpo(local(), TASKS, undecided, replace(CONFIG, epochs=1, reward=reward))
    assert all(step.metrics["unscored"] == step.metrics["alike"] == 1 for step in report.history)
    assert all(step.grad_norm == 0 for step in report.history)


def test_clipping_by_hand() -> None:
    """Ratios 1.5 and 0.5, of a good and of a bad response: only the half that goes too far is cut off."""
    policy = torch.tensor([[1.5, 0.5], [1.5, 0.5]]).log().requires_grad_()
    old, mask = torch.zeros(2, 2), torch.ones(2, 2, dtype=torch.bool)
    losses, metrics = grpo_loss(policy, old, torch.tensor([1.0, -1.0]), mask, epsilon=0.2, epsilon_high=0.3)
    torch.testing.assert_close(losses, torch.tensor([[-1.3, -0.5], [1.5, 0.8]]))
    assert metrics["clipped"].tolist() == [[1, 0], [0, 1]]
    losses.sum().backward()
    torch.testing.assert_close(policy.grad, torch.tensor([[0.0, -0.5], [1.5, 0.0]]))


def test_the_divergence_by_hand() -> None:
    policy, reference = torch.tensor([[0.5]]).log(), torch.tensor([[0.25]]).log()
    losses, metrics = grpo_loss(
        policy, policy, torch.zeros(1), torch.ones(1, 1, dtype=torch.bool), beta=0.1, reference=reference
    )
    expected = 0.5 - math.log(0.5) - 1
    assert metrics["kl"].item() == pytest.approx(expected)
    assert losses.item() == pytest.approx(0.1 * expected)


def test_the_ratio_of_a_sequence_is_the_geometric_mean_of_its_tokens() -> None:
    policy = torch.tensor([[1.2, 0.9, 7.0]]).log()
    mask = torch.tensor([[True, True, False]])
    losses, _ = grpo_loss(policy, torch.zeros(1, 3), torch.ones(1), mask, ratio="sequence")
    mean = math.sqrt(1.2 * 0.9)
    torch.testing.assert_close(losses, torch.tensor([[-mean, -mean, 0.0]]))
