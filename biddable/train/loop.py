"""The training loop: one for every objective, from one CPU to many GPUs.

    order of the data -> micro-batches -> log-probabilities -> objective -> gradients -> AdamW

An effective batch is cut into micro-batches by a budget of tokens. How it is cut does not change the
gradient: losses are summed and divided by the weight of the *whole* batch. Under ``torchrun`` the
micro-batches are shared out among the processes (DDP, or FSDP2 where Accelerate is configured for it).
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from biddable.errors import BiddableError
from biddable.runs.progress import progress
from biddable.train.batches import batch_order, micro_batches, shared_prefix
from biddable.train.checkpoint import load_checkpoint, save_checkpoint
from biddable.train.config import TrainConfig
from biddable.train.examples import Example
from biddable.train.losses import Losses
from biddable.train.packing import pack
from biddable.train.scorer import PackedLM, packed


@dataclass(frozen=True, slots=True)
class Scores:
    """What an objective sees of a micro-batch.

    Attributes:
        examples: the index of each example in the data.
        logprobs: [sequences] log-probability of every completion, those of one example side by side.
        lengths: [sequences] tokens of every completion.
    """

    examples: list[int]
    logprobs: Tensor
    lengths: Tensor


Objective = Callable[[Scores], Losses]
"""Gives one loss, and one value of each metric, per example."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """One optimizer step. ``loss`` and ``metrics`` are means over the batch; ``step`` counts from 1."""

    step: int
    steps: int
    loss: float
    metrics: dict[str, float]
    grad_norm: float
    lr: float
    seconds: float
    skipped: bool


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


def train(
    module: Any,
    examples: Sequence[Example],
    objective: Objective,
    config: TrainConfig,
    *,
    weights: Sequence[float] | None = None,
    checkpoint_dir: Path | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> TrainReport:
    """Train those parameters of ``module`` that require gradients, in place.

    Args:
        module: a ``transformers`` causal language model, with or without a PEFT adapter.
        examples: the data, at least one.
        objective: the loss.
        config: see ``TrainConfig``.
        weights: how many units (tokens, say) the loss of each example is a sum over; a batch's loss is
            the mean over its units. 1 each when None.
        checkpoint_dir: where checkpoints go. A training found there goes on, and on a CPU ends with the
            same weights, bit for bit, as if it had never stopped.
        on_step: called after each step, in the first process.

    Raises:
        BiddableError: more than ``max_skips`` steps in a row had a loss or gradient that is not finite.
        ModelError: the architecture cannot be trained on packed batches.
        RunError: ``checkpoint_dir`` holds a training with another configuration, other data or another model.
        FileError: a checkpoint in it cannot be read.
        StorageError: a checkpoint cannot be written.
    """
    history = []
    with packed(module, config) as model:
        training = Training(model, examples, objective, config, weights=weights)
        if checkpoint_dir:
            training.resume(checkpoint_dir)
        every = config.checkpoint_steps(next(model.parameters()).device)
        first = training.is_main_process
        shown = progress(training.steps, "training steps") if first else nullcontext(lambda done: None)
        with shown as advance:
            advance(training.step)
            while training.step < training.steps:
                report = training.advance()
                history.append(report)
                if on_step and first:
                    on_step(report)
                advance(1)
                due = training.step % every == 0
                if checkpoint_dir and due:
                    training.save(checkpoint_dir)
    return TrainReport(training.steps, training.skipped, tuple(history))


class Training:
    """A training under way: the model, the optimizer and how far they have come.

    Args:
        model: see ``scorer.packed``; under ``torchrun`` it is moved to its process's device.
        examples: see ``train``.
        objective: see ``train``.
        config: see ``train``.
        weights: see ``train``.
    """

    def __init__(
        self,
        model: PackedLM,
        examples: Sequence[Example],
        objective: Objective,
        config: TrainConfig,
        *,
        weights: Sequence[float] | None = None,
    ):
        self.config = config
        self._examples, self._objective = examples, objective
        self._weights = [1.0] * len(examples) if weights is None else weights
        # What all prompts open with is computed once for each piece of a batch.
        self._opening = shared_prefix([example.prompt for example in examples])
        self._sizes = [example.tokens - self._opening for example in examples]
        self._batches = batch_order(len(examples), config.batch_size, config.epochs, config.seed)
        self._start = _fingerprint(model)
        self.step = self.skipped = self._in_a_row = 0
        self._accelerator = Accelerator(device_placement=False)
        if self._accelerator.num_processes > 1:
            model.to(self._accelerator.device)
        self._bare_model, self._device = model, next(model.parameters()).device
        self._model, optimizer = self._accelerator.prepare(model, _adamw(model, config, self._device))
        self._optimizer = optimizer.optimizer

    @property
    def steps(self) -> int:
        """Optimizer steps from beginning to end."""
        return len(self._batches)

    @property
    def is_main_process(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self._accelerator.is_main_process

    def advance(self) -> StepReport:
        """Make the next step.

        Raises:
            BiddableError: too many steps in a row were not finite.
        """
        start = time.perf_counter()
        loss, metrics = self._gradients(self._batches[self.step])
        norm = float(self._accelerator.clip_grad_norm_(self._model.parameters(), self.config.max_grad_norm))
        lr = self.config.lr_at(self.step, self.steps)
        finite = math.isfinite(loss) and math.isfinite(norm)
        if finite:
            for group in self._optimizer.param_groups:
                group["lr"] = lr
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=False)
        self.step += 1
        self.skipped += not finite
        self._in_a_row = 0 if finite else self._in_a_row + 1
        if self._in_a_row > self.config.max_skips:
            raise BiddableError(
                f"training stopped at step {self.step} of {self.steps}: {self._in_a_row} steps in a row were "
                f"not finite (loss {loss:.3g}, gradient norm {norm:.3g}); try a smaller lr"
            )
        seconds = time.perf_counter() - start
        return StepReport(self.step, self.steps, loss, metrics, norm, lr, seconds, not finite)

    def save(self, folder: Path) -> None:
        """Write a checkpoint. Raises StorageError."""
        progress = {"step": self.step, "skipped": self.skipped, "in_a_row": self._in_a_row}
        state = self._identity() | progress
        save_checkpoint(folder, self._bare_model, self._optimizer, state, writes=self.is_main_process)

    def resume(self, folder: Path) -> None:
        """Go on from the newest checkpoint, if there is one. Raises RunError, FileError: see ``train``."""
        state = load_checkpoint(folder, self._bare_model, self._optimizer, self._identity())
        if state:
            self.step, self.skipped, self._in_a_row = state["step"], state["skipped"], state["in_a_row"]

    def _gradients(self, indices: Sequence[int]) -> tuple[float, dict[str, float]]:
        """Leave the batch's gradient in the parameters; return the means of loss and metrics over it."""
        processes, rank = self._accelerator.num_processes, self._accelerator.process_index
        budget = max(1, self.config.tokens_at_once(self._device) - self._opening)
        pieces = micro_batches(indices, self._sizes, budget, processes)
        mine = pieces[rank::processes]
        share = 1.0 if mine else 0.0  # who has nothing to do must still take part in the exchange
        units = sum(self._weights[index] for index in indices)
        sums: dict[str, Tensor] = {}
        for number, piece in enumerate(mine or pieces[:1], 1):
            batch = pack([self._examples[index] for index in piece]).to(self._device)
            with nullcontext() if number >= len(mine) else self._accelerator.no_sync(self._model):
                logprobs = batch.per_sequence(self._model(batch))
                losses, metrics = self._objective(Scores(piece, logprobs, batch.lengths))
                # The processes' gradients are averaged; times their number, that is the sum.
                self._accelerator.backward(losses.sum() * (share * processes / units))
            for name, values in {"loss": losses.detach(), **metrics}.items():
                sums[name] = sums.get(name, 0) + values.sum() * share
        means = (self._accelerator.reduce(torch.stack(list(sums.values())), "sum") / units).tolist()
        named = dict(zip(sums, means, strict=True))
        return named.pop("loss"), named

    def _identity(self) -> dict[str, Any]:
        """What decides the result, and so must be the same when the training is resumed."""
        free = ("max_tokens_per_step", "checkpoint_every", "max_skips")
        config = {name: value for name, value in asdict(self.config).items() if name not in free}
        digest = hashlib.sha256()
        for example in self._examples:
            for ids in (example.prompt, *example.completions):
                digest.update(np.array([len(ids), *ids], dtype=np.int64).tobytes())
        return {**config, "data": digest.hexdigest()[:16], "starting_weights": self._start}


def _fingerprint(model: nn.Module) -> str:
    """Tells the weights that a training starts from: a frozen base, or DPO's reference, is in no checkpoint.

    A few values of each parameter will do: training moves all of them.
    """
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        some = parameter.detach().flatten()[:64].float().cpu().numpy()
        digest.update(name.encode() + some.tobytes())
    return digest.hexdigest()[:16]


def _adamw(model: nn.Module, config: TrainConfig, device: torch.device) -> torch.optim.AdamW:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = device.type in ("cpu", "cuda")  # on a CPU many times faster than the plain one
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.lr, fused=fused)
