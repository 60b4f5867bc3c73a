"""Training on rewards: group relative policy optimisation (GRPO), with any judge as the reward."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor

from biddable.errors import InputError, ModelError
from biddable.judges.base import Judge
from biddable.models.base import TrainableModel
from biddable.models.packed import span_logprobs
from biddable.train.batches import batch_order
from biddable.train.config import GrpoConfig
from biddable.train.examples import Encoder, Example
from biddable.train.learner import Batch, Learner, Objective, Scores
from biddable.train.loop import OnStep, TrainReport, example_steps, fit
from biddable.train.losses import Losses, group_advantages, grpo_loss
from biddable.train.scorer import language_model
from biddable.types import Response, Task, Verdict


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
        judge: gives the reward. A response without a finite score has none: nothing is learned from it, and
            the others of its group are compared without it.
        config: see ``GrpoConfig``; ``batch_size`` counts prompts.
        checkpoint_dir: see ``train.loop.fit``.
        on_step: see ``train.loop.fit``.

    Returns:
        the report; metrics of each step are ``reward`` (mean over the responses that have one), ``passed``
        and ``unscored`` (shares that passed, and that have no reward), ``length`` (mean tokens), ``cut_off``
        (share that reached the limit), ``alike`` (share of prompts whose responses have one reward, and
        teach nothing), and, averaged as the loss is, ``clipped`` and with ``beta`` ``kl``.

    Raises:
        InputError: no tasks, or a prompt (named) that the model does not take or that leaves no room for a
            response.
        ModelError: the model's numbers are not finite.
    """
    config = config or GrpoConfig()
    asked = _encoded(Encoder.of(model), tasks, config)
    order = batch_order(len(asked), config.batch_size, config.epochs, config.seed)
    steps = example_steps(config.batch_size, config.epochs, len(asked)) * config.updates
    adapted = isinstance(model.module, PeftModel)  # with an adapter that the reference has too
    with Learner(model, config, steps=steps) as learner:
        reference = _reference(learner, adapted=adapted) if config.beta else None
        sample = Batch([])

        def batch_at(step: int) -> Batch:
            nonlocal sample
            if step % config.updates == 0:
                chosen = [asked[index] for index in order[step // config.updates]]
                sample = sampled_batch(learner, chosen, judge, config, step, reference)
            return sample

        report = fit(
            learner,
            batch_at,
            grpo_objective(config),
            identity={"data": _digest(tasks)},
            checkpoint_dir=checkpoint_dir,
            on_step=on_step,
            together=config.updates,
        )
    return replace(report, dropped=len(tasks) - len(asked))


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
            correct_kl=config.correct_kl,
        )
        if config.normalize == "sequence":
            per_sequence = 1 / scores.lengths[:, None].clamp(min=1)
            return losses * per_sequence, {name: value * per_sequence for name, value in metrics.items()}
        return losses, metrics

    return objective


def rewards_of(verdicts: Sequence[Verdict], reward: Literal["score", "passed"]) -> list[float]:
    """The reward of each verdict; NaN where the judge came to none."""
    given = [verdict.passed if reward == "passed" else verdict.score for verdict in verdicts]
    return [math.nan if value is None or not math.isfinite(value) else float(value) for value in given]


Asked = tuple[Task, tuple[int, ...]]
"""A task, and the token ids of its prompt."""


def _encoded(encoder: Encoder, tasks: Sequence[Task], config: GrpoConfig) -> list[Asked]:
    """The tasks whose prompts leave room for a response; ``too_long`` says what is done with others."""
    room = encoder.context - config.sampling.max_tokens
    asked: list[Asked] = []
    for index, task in enumerate(tasks):
        try:
            prompt = encoder.prompt(task.prompt)
        except InputError as error:
            raise error.at(f"tasks[{index}]") from None
        if len(prompt) <= room:
            asked.append((task, prompt))
        elif config.too_long == "error":
            expected = f"at most {room}, to leave {config.sampling.max_tokens} to answer"
            raise InputError(f"tasks[{index}].prompt", f"{len(prompt)} tokens", expected)
    if not asked:
        raise InputError("tasks", f"{len(tasks)} tasks", f"one whose prompt has at most {room} tokens")
    return asked


def sampled_batch(
    learner: Learner,
    asked: Sequence[Asked],
    judge: Judge,
    config: GrpoConfig,
    step: int,
    reference: Callable[[list[Example]], list[list[Tensor]]] | None,
) -> Batch:
    """Responses of the weights as they are, judged."""
    group = config.group_size

    # 1. Responses, [prompts, group]. Each prompt draws with a seed of its own.
    def answer(indices: list[int]) -> list[list[Response]]:
        seeds = [_seed(config.seed, step, index) for index in indices]
        prompts = [asked[index][0].prompt for index in indices]
        return learner.model.generate(prompts, n=group, sampling=config.sampling, seeds=seeds)

    rows = learner.share_out(answer, range(len(asked)))
    responses = [response for row in rows for response in row]
    if error := next((response.error for response in responses if not response.token_ids), None):
        raise ModelError(f"no response to train on: {error}")

    # 2. Rewards and advantages, [prompts, group]. Each response is judged once, in one process.
    def assess(indices: list[int]) -> list[Verdict]:
        seeds = [_seed(config.seed, step, len(asked) + index) for index in indices]
        tasks = [asked[index // group][0] for index in indices]
        return judge(tasks, [responses[index] for index in indices], seeds=seeds)

    verdicts = learner.share_out(assess, range(len(responses)))
    rewards = torch.tensor(rewards_of(verdicts, config.reward)).view(-1, group)
    advantages = group_advantages(rewards, config.scale_rewards).flatten()

    # 3. The batch: the responses' own tokens, those of one prompt in examples that fit a micro-batch.
    most = config.tokens_at_once(learner.device)
    examples = [
        Example(prompt, tuple(chunk))
        for (_, prompt), row in zip(asked, rows, strict=True)
        for chunk in _chunks([response.token_ids for response in row], max(1, most - len(prompt)))
    ]
    lengths = [len(response.token_ids) for response in responses]
    columns: dict[str, Any] = {"advantages": advantages}
    if config.updates > 1:
        columns["old"] = [row for each in learner.logprobs(examples) for row in each]
    if reference is not None:
        columns["reference"] = [row for each in reference(examples) for row in each]
    units = {
        "sequence": len(responses),
        "token": sum(lengths),
        "length": len(responses) * config.sampling.max_tokens,
    }[config.normalize]
    metrics = {
        "reward": float(rewards.nanmean()),
        "passed": float(np.mean([bool(verdict.passed) for verdict in verdicts])),
        "unscored": float(rewards.isnan().float().mean()),
        "length": float(np.mean(lengths)),
        "cut_off": float(np.mean([response.finish_reason == "length" for response in responses])),
        "alike": float(
            (rewards.nan_to_num(-math.inf).amax(1) <= rewards.nan_to_num(math.inf).amin(1)).float().mean()
        ),
    }
    return Batch(examples, units, columns, metrics)


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
