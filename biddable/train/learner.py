"""The learner: the weights that train, their optimizer, and what makes one step of any objective.

    batch -> micro-batches -> log-probabilities -> objective -> gradients -> AdamW

A batch may come from fixed data or be freshly sampled. It is cut into micro-batches by a budget of tokens;
how it is cut does not change the gradient: losses are summed and divided by the units of the *whole* batch.
Under ``torchrun`` the micro-batches are shared out among the processes (DDP, or FSDP2 where Accelerate is
configured for it), unless an ``Exchange`` says how processes learn from each other.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from biddable.errors import BiddableError, InputError
from biddable.models.base import TrainableModel
from biddable.models.packed import PackedLM, RowFunctions, span_logprobs
from biddable.models.packing import Packed, pack
from biddable.models.prefix_tree import shared_prefix
from biddable.runs.codec import jsonable
from biddable.runs.progress import progress
from biddable.train.adapter import choose_weights
from biddable.train.batches import micro_batches
from biddable.train.checkpoint import load_checkpoint, save_checkpoint
from biddable.train.config import TrainConfig
from biddable.train.examples import Example
from biddable.train.losses import Losses
from biddable.train.scorer import language_model, training_precision

Item = TypeVar("Item")
Value = TypeVar("Value")

FREE = ("max_tokens_per_step", "checkpoint_every", "max_skips")
"""Settings that change no result beyond rounding, so a resumed training may have others."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step learns from.

    Attributes:
        examples: prompts with their completions, S sequences in all; the completions of one example stay
            together in a micro-batch.
        units: what the sum of the losses is divided by (examples, tokens, sequences); None: the examples.
        columns: what the objective needs to know beside, by name: for each sequence a tensor of one number
            per completion token (old or reference log-probabilities, advantages), or one tensor [S].
        metrics: what is known of it before the step (rewards, lengths), to be reported with the step.
    """

    examples: Sequence[Example]
    units: float | None = None
    columns: Mapping[str, Sequence[Tensor] | Tensor] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


class Scores(dict[str, Tensor]):
    """What an objective sees of a micro-batch: numbers by name, [S, L] per token or [S] per sequence.

    ``logprobs`` are the model's own, 0 where a token does not count; ``mask`` says which do. Beside them
    stand what the batch brought (``old``, ``reference``, ``advantages`` …), what was asked for
    (``entropy``, ``values``, ``layer I``) or, of a classifier, ``scores`` alone.
    """

    def __init__(self, examples: Sequence[int], values: Mapping[str, Tensor]):
        super().__init__(values)
        self.examples = list(examples)
        """The index in the batch of each example."""

    @property
    def logprobs(self) -> Tensor:
        """[S, L] log-probabilities of the completions' tokens, in nats."""
        return self["logprobs"]

    @property
    def mask(self) -> Tensor:
        """[S, L] which completion tokens count."""
        return self["mask"]

    @property
    def sums(self) -> Tensor:
        """[S] log-probability of each completion."""
        return self["logprobs"].sum(1)

    @property
    def lengths(self) -> Tensor:
        """[S] tokens of each completion that count."""
        return self["mask"].sum(1)


Objective = Callable[[Scores], Losses]
"""Gives losses and metrics of any shape; both are summed over the batch and divided by its units."""


class Exchange(Protocol):
    """How processes learn from each other, instead of averaging the gradients of every step."""

    def after_step(self, network: nn.Module, step: int) -> None:
        """Called in each process after its own optimizer step ``step`` (from 1)."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """One optimizer step.

    ``loss`` and the objective's ``metrics`` are sums over the batch divided by its units, beside the batch's
    own metrics; ``step`` counts from 1; ``tokens`` are those worked on, an example's prompt counted once.
    """

    step: int
    steps: int
    loss: float
    metrics: dict[str, float]
    grad_norm: float
    lr: float
    seconds: float
    skipped: bool
    tokens: int


class Learner:
    """Trains ``model.module`` in place, step by step; used as a context manager.

    Within the context the trained weights are fp32 and the module is in evaluation mode (no dropout: a
    policy is compared with itself); ``model.generate`` answers with the weights as they are.

    Args:
        model: what to train; with ``config.lora.rank`` its module gets an adapter.
        config: learning rate, schedule, clipping, precision …
        steps: optimizer steps from beginning to end, which the schedule is stretched over.
        network: makes the function of packed batches that is trained from (module, whether in bf16).
        task: what the module does, in PEFT's words, for a new adapter.
        exchange: see ``Exchange``; None: gradients are averaged at every step.

    Raises:
        ModelError: the architecture cannot be trained on packed batches.
    """

    def __init__(
        self,
        model: TrainableModel,
        config: TrainConfig,
        *,
        steps: int,
        network: Callable[[Any, bool], nn.Module] = language_model,
        task: str = "CAUSAL_LM",
        exchange: Exchange | None = None,
    ):
        self.model, self.config, self.steps, self.task = model, config, steps, task
        self.done = self.skipped = self._skipped_in_a_row = 0
        self._make, self._exchange = network, exchange
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        config = self.config
        module = self.model.module = choose_weights(
            self.model.module, config.lora, seed=config.seed, task=self.task
        )
        bf16 = config.bf16_on(next(module.parameters()).device)
        with ExitStack() as stack:
            stack.enter_context(training_precision(module, bf16))
            self.network = self._make(module, bf16)
            self._start = _fingerprint(self.network)
            self._accelerator = Accelerator(device_placement=False)
            if self.processes > 1:
                self.network.to(self._accelerator.device)
            self.device = next(self.network.parameters()).device
            self._optimizer = _adamw(self.network, config, self.device)
            self._prepared: Any = self.network
            if self._exchange is None:
                self._prepared, optimizer = self._accelerator.prepare(self.network, self._optimizer)
                self._optimizer = optimizer.optimizer
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return self._accelerator.num_processes

    @property
    def is_main_process(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self._accelerator.is_main_process

    def step(
        self,
        batch: Batch,
        objective: Objective,
        *,
        rows: RowFunctions | None = None,
        layers: Sequence[int] = (),
    ) -> StepReport:
        """Make one optimizer step.

        Args:
            batch: what to learn from.
            objective: the losses of a micro-batch.
            rows: further numbers of the next-token distributions that it needs (see ``PackedLM``).
            layers: whose states it needs.

        Raises:
            BiddableError: too many steps in a row had a loss or gradient that is not finite.
        """
        started = time.perf_counter()
        wanted: dict[str, Any] = {}
        if rows:
            wanted["rows"] = rows
        if layers:
            wanted["layers"] = layers
        loss, metrics = self._gradients(batch, objective, wanted)
        norm = float(
            self._accelerator.clip_grad_norm_(self._prepared.parameters(), self.config.max_grad_norm)
        )
        lr = self.config.lr_at(self.done, self.steps)
        finite = math.isfinite(loss) and math.isfinite(norm)
        if finite:
            for group in self._optimizer.param_groups:
                group["lr"] = lr
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=False)
        self.done += 1
        self.skipped += not finite
        self._skipped_in_a_row = 0 if finite else self._skipped_in_a_row + 1
        if self._skipped_in_a_row > self.config.max_skips:
            raise BiddableError(
                f"training stopped at step {self.done} of {self.steps}: {self._skipped_in_a_row} steps in a "
                f"row were not finite (loss {loss:.3g}, gradient norm {norm:.3g}); try a smaller lr"
            )
        if self._exchange is not None:
            self._exchange.after_step(self.network, self.done)
        tokens = sum(example.tokens for example in batch.examples)
        seconds = time.perf_counter() - started
        metrics = {**batch.metrics, **metrics}
        return StepReport(self.done, self.steps, loss, metrics, norm, lr, seconds, not finite, tokens)

    def logprobs(self, examples: Sequence[Example], *, shown_as: str = "") -> list[list[Tensor]]:
        """Log-probability of every completion token under the weights as they are, without gradients.

        Args:
            examples: prompts and completions.
            shown_as: what the progress bar is called; none is shown when empty.

        Returns:
            for each example a tensor [tokens] of each of its completions, on the CPU.
        """
        if not isinstance(self.network, PackedLM):
            raise InputError("model", type(self.network).__name__, "a language model")
        spans = [(example.prompt, answer) for example in examples for answer in example.completions]
        tokens = self.config.tokens_at_once(self.device)
        with progress(len(spans), shown_as) if shown_as else nullcontext(lambda count: None) as advance:
            rows = iter(span_logprobs(self.network, spans, tokens, advance))
        return [[next(rows) for _ in example.completions] for example in examples]

    def share_out(self, work: Callable[[list[Item]], list[Value]], items: Sequence[Item]) -> list[Value]:
        """``work(items)``, with the items shared out among the processes; all get all results, in order."""
        if self.processes == 1:
            return work(list(items))
        rank = self._accelerator.process_index
        mine = work(list(items[rank :: self.processes]))
        every = gather_object([(rank, mine)])
        parts = [part for _, part in sorted(every, key=lambda row: row[0])]
        return [parts[i % self.processes][i // self.processes] for i in range(len(items))]

    def save(self, folder: Path, identity: Mapping[str, Any] | None = None) -> None:
        """Write a checkpoint of the steps done. Raises StorageError."""
        counts = {"step": self.done, "skipped": self.skipped, "in_a_row": self._skipped_in_a_row}
        state = {**self._identity(identity), **counts}
        save_checkpoint(folder, self.network, self._optimizer, state, writes=self.is_main_process)

    def resume(self, folder: Path, identity: Mapping[str, Any] | None = None) -> None:
        """Go on from the newest checkpoint, if there is one.

        Args:
            folder: holds the checkpoints of this training and nothing else.
            identity: what else decides the result (a digest of the data, say), as JSON values.

        Raises:
            RunError: it holds a training with another configuration, identity or model.
            FileError: the checkpoint cannot be read.
        """
        state = load_checkpoint(folder, self.network, self._optimizer, self._identity(identity))
        if state:
            self.done, self.skipped = state["step"], state["skipped"]
            self._skipped_in_a_row = state["in_a_row"]

    def _gradients(
        self, batch: Batch, objective: Objective, wanted: dict[str, Any]
    ) -> tuple[float, dict[str, float]]:
        """Leave the batch's gradient in the parameters; return loss and metrics, divided by its units."""
        examples = batch.examples
        units = len(examples) if batch.units is None else batch.units
        firsts = np.cumsum([0, *(len(example.completions) for example in examples)]).tolist()
        # 1. Micro-batches. What all prompts open with is computed once for each.
        opening = shared_prefix([example.prompt for example in examples])
        sizes = [example.tokens - opening for example in examples]
        budget = max(1, self.config.tokens_at_once(self.device) - opening)
        processes, rank = (
            (self.processes, self._accelerator.process_index) if self._exchange is None else (1, 0)
        )
        pieces = micro_batches(range(len(examples)), sizes, budget, processes)
        mine = pieces[rank::processes]
        share = 1.0 if mine else 0.0  # who has nothing to do must still take part in the exchange
        # 2. Losses and gradients, added up.
        sums: dict[str, Tensor] = {}
        for number, piece in enumerate(mine or pieces[:1], 1):
            sequences = [row for index in piece for row in range(firsts[index], firsts[index + 1])]
            packed = self._pack([examples[index] for index in piece])
            last = number >= len(mine)
            with nullcontext() if last or self._exchange else self._accelerator.no_sync(self._prepared):
                values = self._prepared(packed, **wanted)
                columns = {name: self._column(column, sequences) for name, column in batch.columns.items()}
                losses, metrics = objective(Scores(piece, {"mask": packed.mask, **values, **columns}))
                # The processes' gradients are averaged; times their number, that is the sum.
                self._accelerator.backward(losses.sum() * (share * processes / units))
            for name, value in {"loss": losses.detach(), **metrics}.items():
                sums[name] = sums.get(name, 0) + value.sum() * share
        # 3. The same over all processes.
        totals = torch.stack(list(sums.values()))
        if self._exchange is None:
            totals = self._accelerator.reduce(totals, "sum")
        named = dict(zip(sums, (totals / units).tolist(), strict=True))
        return named.pop("loss"), named

    def _pack(self, examples: Sequence[Example]) -> Packed:
        spans = [(example.prompt, answer) for example in examples for answer in example.completions]
        masks = [mask for example in examples for mask in example.masks or [None] * len(example.completions)]
        return pack(spans, masks).to(self.device)

    def _column(self, column: Sequence[Tensor] | Tensor, sequences: list[int]) -> Tensor:
        """The part of a column of the batch that belongs to ``sequences``: [S] or, padded with 0, [S, L]."""
        if isinstance(column, Tensor):
            return column[sequences].to(self.device)
        return pad_sequence([column[row] for row in sequences], batch_first=True).to(self.device)

    def _identity(self, more: Mapping[str, Any] | None) -> dict[str, Any]:
        """What decides the result, and so must be the same when the training is resumed."""
        config = {name: value for name, value in asdict(self.config).items() if name not in FREE}
        identity = {**config, "steps": self.steps, **(more or {}), "starting_weights": self._start}
        return dict(jsonable(identity))  # as it is read back: a tuple is a list there


def digest(examples: Sequence[Example]) -> str:
    """Tells data apart; 16 hexadecimal digits."""
    sha = hashlib.sha256()
    for example in examples:
        for ids in (example.prompt, *example.completions, *map(tuple, example.masks)):
            sha.update(np.array([len(ids), *ids], dtype=np.int64).tobytes())
    return sha.hexdigest()[:16]


def _fingerprint(network: nn.Module) -> str:
    """Tells the weights that a training starts from: a frozen base, or DPO's reference, is in no checkpoint.

    A few values of each parameter will do: training moves all of them.
    """
    sha = hashlib.sha256()
    for name, parameter in network.named_parameters():
        some = parameter.detach().flatten()[:64].float().cpu().numpy()
        sha.update(name.encode() + some.tobytes())
    return sha.hexdigest()[:16]


def _adamw(network: nn.Module, config: TrainConfig, device: torch.device) -> torch.optim.AdamW:
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = device.type in ("cpu", "cuda")  # on a CPU many times faster than the plain one
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.lr, fused=fused)
