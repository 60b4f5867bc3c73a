"""Training on rewards: group relative policy optimisation (GRPO), with any judge as the reward."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from peft import PeftModel
from pydantic import Field
from torch import Tensor

from biddable.config import Count, settings
from biddable.errors import InputError
from biddable.judges.base import Judge
from biddable.models.base import Sampling, TrainableModel
from biddable.models.packed import span_logprobs
from biddable.train.batches import batch_order
from biddable.train.config import NonNegative, Positive, TrainConfig
from biddable.train.examples import Encoder, Example
from biddable.train.learner import Batch, Learner, Objective, Scores
from biddable.train.loop import OnStep, TrainReport, example_steps, fit
from biddable.train.losses import Losses, group_advantages, grpo_loss
from biddable.train.scorer import language_model
from biddable.types import Response, Task


@settings
class GrpoConfig(TrainConfig):
    """GRPO (Shao et al. 2024, arXiv 2402.03300), with the options that later papers added."""

    lr: Positive = 1e-6
    """Highest learning rate; with LoRA, some 10 times more is usual."""
    schedule: Literal["linear", "constant"] = "constant"
    """What the learning rate does after warm-up: fall to zero in a line, or stay."""
    group_size: Annotated[int, Field(ge=2)] = 8
    """Responses sampled to each prompt; a response's advantage is its reward beside those of its group."""
    sampling: Sampling = Sampling(max_tokens=256, temperature=1.0)
    """How responses are drawn."""
    updates: Count = 1
    """Optimizer steps on each sample of responses; from the second on, ratios are clipped."""
    epsilon: Positive = 0.2
    """How far the probability of a token may fall before its gradient is cut off."""
    epsilon_high: Positive = 0.2
    """How far it may rise (DAPO: 0.28)."""
    beta: NonNegative = 0.0
    """Weight of the divergence from the model as it was (DeepSeekMath: 0.04); 0 needs no reference."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """What advantages are divided by: the deviation of the group, of the batch, or nothing (Dr. GRPO)."""
    normalize: Literal["sequence", "token", "length"] = "token"
    """The loss is a mean over sequences of their means (GRPO), over all tokens (DAPO), or over sequences of
    their sums divided by the longest possible length (Dr. GRPO)."""
    ratio: Literal["token", "sequence"] = "token"
    """What probabilities are compared: each token's, or the whole response's (GSPO)."""
    reward: Literal["score", "passed"] = "score"
    """Of a verdict: its score, or 1 where it passed."""


def train_grpo(
    model: TrainableModel,
    tasks: Sequence[Task],
    judge: Judge,
    config: GrpoConfig | None = None,
    *,
    checkpoint_dir: Path | None = None,
    on_step: OnStep | None = None,
) -> TrainReport:
    """Reinforce the responses of ``model`` that ``judge`` likes better than others to the same prompt.

    The weights that train generate: there is no copy. ``model.module`` is trained in place; with
    ``lora.rank`` it gets an adapter.

    Args:
        model: what to train. To resume, pass it as it was at first.
        tasks: prompts, and what the judge needs to know of them.
        judge: gives the reward. A response without a score has the reward 0.
        config: see ``GrpoConfig``; ``batch_size`` counts prompts.
        checkpoint_dir: see ``train.loop.fit``.
        on_step: see ``train.loop.fit``.

    Returns:
        the report; metrics of each step are ``reward`` and ``passed`` (means over the responses), ``length``
        (mean tokens), ``cut_off`` (share that reached the limit), ``alike`` (share of prompts whose responses
        have one reward, and teach nothing), ``clipped``, and with ``beta`` ``kl``, by token.

    Raises:
        InputError: no tasks, or none whose prompt leaves room for a response.
    """
    config = config or GrpoConfig()
    if not tasks:
        raise InputError("tasks", [], "at least one task")
    encoder = Encoder.of(model)
    order = batch_order(len(tasks), config.batch_size, config.epochs, config.seed)
    steps = example_steps(config.batch_size, config.epochs, len(tasks)) * config.updates
    adapted = isinstance(model.module, PeftModel)  # with an adapter that the reference has too
    with Learner(model, config, steps=steps) as learner:
        reference = _reference(learner, adapted=adapted) if config.beta else None
        sample: tuple[Batch, dict[str, float]] = (Batch([]), {})

        def batch_at(step: int) -> Batch:
            nonlocal sample
            if step % config.updates == 0:
                chosen = [tasks[index] for index in order[step // config.updates]]
                sample = _sample(learner, encoder, chosen, judge, config, step, reference)
            return sample[0]

        def reported(report: Any) -> None:
            if on_step:
                on_step(replace(report, metrics={**report.metrics, **sample[1]}))

        return fit(
            learner,
            batch_at,
            grpo_objective(config),
            identity={"data": _digest(tasks)},
            checkpoint_dir=checkpoint_dir,
            on_step=reported,
            together=config.updates,
        )


def grpo_objective(config: GrpoConfig) -> Objective:
    """The loss of sampled responses, from ``advantages`` [S] and, where they differ, ``old`` [S, L]."""

    def objective(scores: Scores) -> Losses:
        policy, mask = scores.logprobs, scores.mask
        losses, metrics = grpo_loss(
            policy,
            scores.get("old", policy.detach()),
            scores["advantages"],
            mask,
            epsilon=config.epsilon,
            epsilon_high=config.epsilon_high,
            beta=config.beta,
            reference=scores.get("reference"),
            ratio=config.ratio,
        )
        if config.normalize == "sequence":
            per_sequence = 1 / scores.lengths[:, None].clamp(min=1)
            return losses * per_sequence, {name: value * per_sequence for name, value in metrics.items()}
        return losses, metrics

    return objective


def _sample(
    learner: Learner,
    encoder: Encoder,
    tasks: Sequence[Task],
    judge: Judge,
    config: GrpoConfig,
    step: int,
    reference: Callable[[list[Example]], list[list[Tensor]]] | None,
) -> tuple[Batch, dict[str, float]]:
    """Responses of the weights as they are, judged: a batch, and what is to be said of it."""
    group = config.group_size

    # 1. Responses, [prompts, group]. Each prompt draws with a seed of its own.
    def answer(indices: list[int]) -> list[list[Response]]:
        seeds = [_seed(config.seed, step, index) for index in indices]
        prompts = [tasks[index].prompt for index in indices]
        return learner.model.generate(prompts, n=group, sampling=config.sampling, seeds=seeds)

    answered = learner.share_out(answer, range(len(tasks)))
    kept = [(task, row) for task, row in zip(tasks, answered, strict=True) if all(r.token_ids for r in row)]
    if not kept:
        raise InputError("tasks", f"{len(tasks)} prompts", "prompts that leave room for a response")
    responses = [response for _, row in kept for response in row]

    # 2. Rewards and advantages, [prompts, group].
    seeds = [_seed(config.seed, step, len(tasks) + index) for index in range(len(responses))]
    verdicts = judge([task for task, row in kept for _ in row], responses, seeds=seeds)
    passed = [float(bool(verdict.passed)) for verdict in verdicts]
    scores = [verdict.score or 0.0 for verdict in verdicts] if config.reward == "score" else passed
    rewards = torch.tensor(scores, dtype=torch.float32).view(-1, group)
    advantages = group_advantages(rewards, config.scale_rewards).flatten()

    # 3. The batch: the responses' own tokens, those of one prompt in examples that fit a micro-batch.
    most = config.tokens_at_once(learner.device)
    examples = [
        Example(prompt, tuple(chunk))
        for task, row in kept
        for prompt in [encoder.prompt(task.prompt)]
        for chunk in _chunks([response.token_ids for response in row], max(1, most - len(prompt)))
    ]
    lengths = [len(response.token_ids) for response in responses]
    columns: dict[str, Any] = {"advantages": advantages}
    if config.updates > 1:
        columns["old"] = [row for rows in learner.logprobs(examples) for row in rows]
    if reference is not None:
        columns["reference"] = [row for rows in reference(examples) for row in rows]
    units = {
        "sequence": len(responses),
        "token": sum(lengths),
        "length": len(responses) * config.sampling.max_tokens,
    }[config.normalize]
    metrics = {
        "reward": float(rewards.mean()),
        "passed": float(np.mean(passed)),
        "length": float(np.mean(lengths)),
        "cut_off": float(np.mean([response.finish_reason == "length" for response in responses])),
        "alike": float((rewards == rewards[:, :1]).all(1).float().mean()),
    }
    return Batch(examples, units, columns), metrics


def _chunks(answers: Sequence[tuple[int, ...]], most: int) -> Iterator[list[tuple[int, ...]]]:
    """``answers`` in order, in lists of at most ``most`` tokens; an answer that is longer has its own."""
    chunk: list[tuple[int, ...]] = []
    for answer in answers:
        if chunk and sum(map(len, chunk)) + len(answer) > most:
            yield chunk
            chunk = []
        chunk.append(answer)
    yield chunk


def _reference(learner: Learner, *, adapted: bool) -> Callable[[list[Example]], list[list[Tensor]]]:
    """Log-probabilities under the weights as they are now, whenever it is called."""
    module = learner.model.module
    if isinstance(module, PeftModel) and not adapted:

        def without_adapter(examples: list[Example]) -> list[list[Tensor]]:
            with module.disable_adapter():
                return learner.logprobs(examples)

        return without_adapter
    network = language_model(deepcopy(module).requires_grad_(False), learner.config.bf16_on(learner.device))

    def frozen(examples: list[Example]) -> list[list[Tensor]]:
        spans = [(example.prompt, answer) for example in examples for answer in example.completions]
        rows = iter(span_logprobs(network, spans, learner.config.tokens_at_once(learner.device)))
        return [[next(rows) for _ in example.completions] for example in examples]

    return frozen


def _seed(*keys: int) -> int:
    return int(np.random.SeedSequence(keys).generate_state(1)[0])


def _digest(tasks: Sequence[Task]) -> str:
    return hashlib.sha256(repr(list(tasks)).encode()).hexdigest()[:16]
