"""What a training made of a model, on rows that it did not learn from: its weights beside those before."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from biddable.experiments.stages import BATCH, answered
from biddable.judges.base import Judge
from biddable.judges.reward import RewardJudge
from biddable.models.base import TokenScores
from biddable.models.lazy import LazyModel
from biddable.runs.compare import compare
from biddable.runs.run import Run
from biddable.types import Chat, Comparison, Conversation, Message, Preference, Prompt, Response, Task

Measured = tuple[list[Comparison], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Training:
    """One training in its run folder."""

    run: Run
    model: str
    config: Any
    judge: Judge | None = None


def opening(row: Conversation) -> tuple[Message, ...]:
    """A conversation up to the first thing that the assistant says."""
    end = next((i for i, turn in enumerate(row.chat) if turn.role == "assistant"), len(row.chat))
    return row.chat[:end] or row.chat


def measure_conversations(training: Training, held: list[Conversation], weights: Path) -> Measured:
    """The negative log-likelihood per learned token, of each conversation."""
    from biddable.train.sft import learned_answers

    answers = [list(learned_answers("conversation", row, "last")) for row in held]
    spans = [(prompt, text) for row in answers for prompt, (text,) in row]

    def losses_of(name: str, model: str | Path) -> list[float]:
        scores = iter(_scores(training.run, name, model, spans))
        rows = [[next(scores) for _ in row] for row in answers]
        return [-sum(s.total for s in row) / sum(len(s.token_ids) for s in row) for row in rows]

    before, after = losses_of("before", training.model), losses_of("after", weights)
    sources = [opening(row) for row in held]
    return _compared("held-out loss", before, after, "lower", sources), _means(loss=(before, after))


def measure_preferences(training: Training, held: list[Preference], weights: Path) -> Measured:
    """DPO's loss, and how often the chosen answer is the likelier one."""
    spans = [(pair.prompt, text) for pair in held for text in (pair.chosen, pair.rejected)]

    def leads(name: str, model: str | Path) -> np.ndarray:
        totals = np.array([each.total for each in _scores(training.run, name, model, spans)])
        return totals[::2] - totals[1::2]

    before, after = leads("before", training.model), leads("after", weights)
    margins = training.config.beta * (after - before)
    loss = np.logaddexp(0, -margins)
    likelier = (before > 0).astype(float), (after > 0).astype(float)
    prompts = [pair.prompt for pair in held]
    return _compared("held-out: chosen likelier than rejected", *likelier, "higher", prompts), {
        **_means(likelier=likelier, loss=(np.log(2) + 0 * loss, loss)),
        "accuracy": float((margins > 0).mean()),
    }


def measure_rewards(training: Training, held: list[Preference], weights: Path) -> Measured:
    """How often the chosen answer has the higher reward, beside chance."""
    items = [(pair.prompt, text) for pair in held for text in (pair.chosen, pair.rejected)]
    score = partial(_rewards, weights)
    scores = np.array(training.run.map("after", items, score, float, BATCH))
    margins = scores[::2] - scores[1::2]
    right = (margins > 0).astype(float)
    chance, prompts = np.full(len(right), 0.5), [pair.prompt for pair in held]
    comparisons = _compared("held-out accuracy", chance, right, "higher", prompts, "chance")
    loss = float(np.logaddexp(0, -margins).mean())
    return comparisons, {"accuracy": float(right.mean()), "loss": loss, "margin": float(margins.mean())}


def measure_tasks(training: Training, held: list[Task], weights: Path) -> Measured:
    """The mean reward of one answer to each task, over the tasks on which both answers have one."""
    from biddable.train.grpo import rewards_of

    assert training.judge
    judge, config = training.judge, training.config

    def rewards(name: str, model: str | Path) -> np.ndarray:
        answers = answered(training.run, name, model, held, 1, config.sampling, judge)
        return np.array(rewards_of([verdict for _, _, verdict in answers.flat()], config.reward))

    before, after = rewards("before", training.model), rewards("after", weights)
    both = np.isfinite(before) & np.isfinite(after)
    before, after, numbers = before[both], after[both], {"unscored": float(np.mean(~both))}
    if both.any():
        numbers |= _means(reward=(before, after))
    prompts = [task.prompt for task, scored in zip(held, both, strict=True) if scored]
    return _compared("held-out reward", before, after, "higher", prompts), numbers


def _scores(run: Run, name: str, model: str | Path, spans: Sequence[tuple[Prompt, str]]) -> list[TokenScores]:
    score = partial(_score, LazyModel(model))
    return run.map(name, list(spans), score, TokenScores, BATCH)


# Functions by name, which can be sent to other processes.


def _score(model: LazyModel, batch: list[tuple[Prompt, str]]) -> list[TokenScores]:
    return model().score([prompt for prompt, _ in batch], [text for _, text in batch])


def _rewards(weights: Path, batch: list[tuple[Chat, str]]) -> list[float]:
    tasks = [Task(str(index), prompt) for index, (prompt, _) in enumerate(batch)]
    verdicts = RewardJudge(weights)(tasks, [Response(text) for _, text in batch])
    return [0.0 if verdict.score is None else verdict.score for verdict in verdicts]


def _compared(
    metric: str,
    before: Any,
    after: Any,
    predicted: Any,
    sources: Sequence[Hashable],
    baseline: str = "before",
) -> list[Comparison]:
    """The weights beside the model before; rows of one source alone have no interval."""
    different = len({*sources})
    if different < 2:
        return []
    clusters = sources if different < len(sources) else None
    compared = partial(compare, seeds=(0,), baseline_name=baseline, method_name="trained")
    return [compared(metric, before, after, predicted=predicted, clusters=clusters)]


def _means(**pairs: tuple[Any, Any]) -> dict[str, float]:
    return {
        f"{name}_{when}": float(np.mean(values))
        for name, pair in pairs.items()
        for when, values in zip(("before", "after"), pair, strict=True)
    }
