"""The loop over a learner's steps: checkpoints, progress, reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biddable.models.packed import RowFunctions
from biddable.runs.progress import progress
from biddable.train.batches import batch_order
from biddable.train.examples import Example
from biddable.train.learner import Batch, Learner, Objective, StepReport, digest

OnStep = Callable[[StepReport], None]


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What came of a training.

    ``skipped`` counts the steps left out because they were not finite, ``dropped`` the examples left
    out because they were too long; ``history`` holds the steps since the training was last resumed.
    """

    steps: int
    skipped: int
    history: tuple[StepReport, ...]
    dropped: int = 0


def fit(
    learner: Learner,
    batch_at: Callable[[int], Batch],
    objective: Objective,
    *,
    identity: Mapping[str, Any] | None = None,
    checkpoint_dir: Path | None = None,
    on_step: OnStep | None = None,
    rows: RowFunctions | None = None,
    together: int = 1,
) -> TrainReport:
    """Make all steps of a learner that are not made yet.

    Args:
        learner: entered.
        batch_at: the batch of a step (from 0); it may sample with the weights as they are.
        objective: the loss.
        identity: see ``Learner.resume``.
        checkpoint_dir: where checkpoints go. A training found there goes on, and on a CPU ends with the
            same weights, bit for bit, as if it had never stopped.
        on_step: called after each step, in the first process.
        rows: see ``Learner.step``.
        together: steps that learn from one sample, between which no checkpoint is written.

    Raises:
        BiddableError: too many steps in a row had a loss or gradient that is not finite.
        RunError: ``checkpoint_dir`` holds a training with another configuration, other data or another model.
        FileError: a checkpoint in it cannot be read.
        StorageError: a checkpoint cannot be written.
    """
    if checkpoint_dir:
        learner.resume(checkpoint_dir, identity)
    history = []
    every = learner.config.checkpoint_steps(learner.device)
    every += -every % together
    main = learner.is_main_process
    with progress(learner.steps, "training steps") if main else nullcontext(lambda done: None) as advance:
        advance(learner.done)
        while learner.done < learner.steps:
            report = learner.step(batch_at(learner.done), objective, rows=rows)
            history.append(report)
            if on_step and main:
                on_step(report)
            advance(1)
            if checkpoint_dir and learner.done % every == 0:
                learner.save(checkpoint_dir, identity)
    return TrainReport(learner.steps, learner.skipped, tuple(history))


def fit_examples(
    learner: Learner,
    examples: Sequence[Example],
    objective: Objective,
    *,
    units: Callable[[Sequence[Example]], float] = len,
    columns: Callable[[Sequence[int]], Mapping[str, Any]] = lambda indices: {},
    **how: Any,
) -> TrainReport:
    """``fit`` on fixed data, in the order that ``batch_order`` gives.

    Args:
        learner: made for ``example_steps(config, len(examples))`` steps.
        examples: the data.
        objective: the loss.
        units: what the losses of a batch are divided by.
        columns: see ``Batch``; of the examples with these indices.
        how: see ``fit``.
    """
    config = learner.config
    order = batch_order(len(examples), config.batch_size, config.epochs, config.seed)

    def batch_at(step: int) -> Batch:
        chosen = [examples[index] for index in order[step]]
        return Batch(chosen, units(chosen), columns(order[step]))

    return fit(learner, batch_at, objective, identity={"data": digest(examples)}, **how)


def example_steps(batch_size: int, epochs: int, n: int) -> int:
    """Optimizer steps over ``n`` examples; the last batch of an epoch may be short."""
    return -(-n // batch_size) * epochs
