"""Prompts that come while others are answered: they join the rows that decode (continuous batching).

Each job has its own sampling, length, seeds and stop strings; a row draws with its own seed, so what it
draws is what ``Engine.generate`` draws, whoever is beside it. One ``step`` is:

1. rows that got free go to samples of a prompt that was computed before;
2. prompts that wait are computed, ``PIECE`` tokens at most, so that rows which decode wait no longer than
   that; a longer prompt takes several steps;
3. every row draws one token more; rows that finish leave at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from math import isnan

import torch
from torch import Tensor

from biddable.errors import ModelError, said
from biddable.models.attention import AfterHeaderPlan, Header, HeaderPlan, planned_attention
from biddable.models.base import Sampling
from biddable.models.batch import Decoding, cache_dtype, row_capacity, stopped
from biddable.models.decode_layers import DecodeLayers
from biddable.models.decoder import Decoder
from biddable.models.plain import evaluating
from biddable.models.prefix_tree import prefix_tree
from biddable.models.sampling import draw, uniforms
from biddable.types import FinishReason

PIECE = 512
"""Prompt tokens computed between two steps of those who decode."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A prompt and its samples; not longer together than the stream's context.

    Attributes:
        tokens: the prompt, not empty.
        seeds: one for each sample.
        sampling: how to draw.
        top: how many of the likeliest tokens to tell at each step.
    """

    tokens: Sequence[int]
    seeds: Sequence[int]
    sampling: Sampling
    top: int = 0


@dataclass(frozen=True, slots=True)
class Drawn:
    """A token of a sample, or the end of its job by an error.

    Attributes:
        top: the likeliest tokens of this step with their log-probabilities.
        finish: None where the sample goes on.
        error: in one line.
    """

    job: Job
    sample: int
    token: int = 0
    logprob: float = 0.0
    top: tuple[tuple[int, float], ...] = ()
    finish: FinishReason | None = None
    error: str = ""


@dataclass(slots=True, eq=False)
class _Open:
    """A job whose prompt is in ``slot``; ``logits`` [1, vocabulary] come after it."""

    job: Job
    slot: int
    logits: Tensor
    begun: int = 0
    active: int = 0

    @property
    def left(self) -> int:
        """How many samples have not begun."""
        return len(self.job.seeds) - self.begun


@dataclass(frozen=True, slots=True, eq=False)
class _Long:
    """A prompt that is computed in pieces; ``header`` has what is done."""

    job: Job
    slot: int
    header: Header


class _NextPiecePlan(AfterHeaderPlan):
    """Attention of a prompt's next piece over itself and all before it, which ``header`` has in the end."""

    def keep(self, layer: int, key: Tensor, value: Tensor) -> None:
        """See ``TreePlan.keep``."""
        self.header.states[layer] = key.to(value.dtype), value


class Stream(Decoding):
    """Jobs under way. All calls come from one thread, those of ``step`` within ``running``.

    Args:
        decoder: the weights.
        rows: how many samples may decode at a time.
        context: the most tokens that a prompt and its response may have together.
    """

    def __init__(self, decoder: Decoder, rows: int, context: int):
        super().__init__(decoder, rows=rows, slots=rows, prompt_capacity=context, suffix_capacity=context)
        self.ends = set(decoder.end_ids.tolist())
        self.most = self.drawn = 0  # rows at a time, tokens in all
        self._waiting: deque[Job] = deque()
        self._long: _Long | None = None
        self._open: dict[int, _Open] = {}  # by the number that their rows have
        self._numbers = count()
        self._events: list[Drawn] = []

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._waiting or self._long or self._open)

    @contextmanager
    def running(self) -> Iterator[DecodeLayers]:
        """Within it the module computes for this stream, and for nobody else."""
        module, decoding = self.decoder.module, DecodeLayers(self.decoder.module, bf16=self.decoder.bf16)
        with torch.inference_mode(), evaluating(module), planned_attention(module), decoding as layers:
            try:
                yield layers
            finally:
                self.graphs = None  # see Batch.run

    def add(self, job: Job) -> None:
        """Let a job wait for its turn."""
        self._waiting.append(job)

    def drop(self, job: Job) -> None:
        """Forget a job, whatever has come of it; its rows are free at once."""
        if job in self._waiting:
            self._waiting.remove(job)
        elif self._long is not None and self._long.job is job:
            self.free_slots.append(self._long.slot)
            self._long = None
        for number, opened in list(self._open.items()):
            if opened.job is job:
                opened.begun = len(job.seeds)
                mine = self.rows.prompt[: self.rows.active] == number
                self._leave(mine.nonzero()[:, 0].tolist())
                self._close(number)

    def step(self, layers: DecodeLayers) -> list[Drawn]:
        """What was drawn; a job that ends by an error is dropped, and the others go on."""
        try:
            self._begin_samples()
            self._compute_prompts()
            if self.rows.active:
                self._draw(self.step_logits(layers), 0)
        except Exception as error:  # what went wrong with all rows at once
            self._fail([opened.job for opened in self._open.values()], error)
        events, self._events = self._events, []
        return events

    def _begin_samples(self) -> None:
        """Rows for samples whose prompt is computed."""
        for number, opened in list(self._open.items()):
            rows, device = self.rows, self.rows.device
            new = min(opened.left, rows.capacity - rows.active)
            if not new:
                continue
            job, start, samples = opened.job, rows.active, range(opened.begun, opened.begun + new)
            mine = slice(start, start + new)
            rows.slot[mine], rows.prompt_length[mine], rows.drawn[mine] = opened.slot, len(job.tokens), 0
            rows.prompt[mine], rows.sample[mine] = number, torch.tensor(samples, device=device)
            numbers = uniforms([job.seeds[sample] for sample in samples], job.sampling.max_tokens)
            rows.uniform[mine, : numbers.shape[1]] = torch.from_numpy(numbers).to(device)
            rows.active, opened.begun, opened.active = mine.stop, samples.stop, opened.active + new
            self.most = max(self.most, rows.active)
            self._draw(opened.logits.repeat(new, 1), start)

    def _compute_prompts(self) -> None:
        """Compute prompts of at most ``PIECE`` tokens, or a piece of one, and begin their samples."""
        if self._long is None:
            jobs = self._next_jobs()
            if not jobs:
                return
            slots = [self.free_slots.pop() for _ in jobs]
            if len(jobs[0].tokens) > PIECE:
                self._long = _Long(jobs[0], slots[0], Header(()))
        else:
            jobs, slots = [self._long.job], [self._long.slot]
        try:
            if self._long is None:
                logits = self.prefill([job.tokens for job in jobs], slots)
            elif (last := self._piece(self._long)) is not None:
                logits, self._long = last, None
            else:
                return
        except Exception as error:
            self._long = None
            self.free_slots += slots
            self._fail(jobs, error)
            return
        for index, (job, slot) in enumerate(zip(jobs, slots, strict=True)):
            self._open[next(self._numbers)] = _Open(job, slot, logits[index : index + 1].clone())
        self._begin_samples()

    def _next_jobs(self) -> list[Job]:
        """Jobs that may begin now: one at least where a row and a slot are free."""
        jobs: list[Job] = []
        free, tokens = self.rows.capacity - self.rows.active, 0
        # Rows that end at their first token leave slots to prompts whose other samples have yet to begin.
        while self._waiting and free > 0 and len(jobs) < len(self.free_slots):
            tokens += len(self._waiting[0].tokens)
            if jobs and tokens > PIECE:
                break
            jobs.append(self._waiting.popleft())
            free -= len(jobs[-1].seeds)
        return jobs

    def _piece(self, long: _Long) -> Tensor | None:
        """Compute the next piece of a long prompt; logits [1, vocabulary] after the last one."""
        job, header, device = long.job, long.header, self.decoder.device
        done, end = len(header), min(len(header) + PIECE, len(job.tokens))
        tree = prefix_tree([job.tokens[:end]]).to(device)
        plan = _NextPiecePlan(tree, header) if done else HeaderPlan(tree, header)
        logits = self.decoder.logits(tree.tokens[done:], tree.positions[done:], plan, tree.last - done)
        header.tokens = list(job.tokens[:end])
        if end < len(job.tokens):
            return None
        for layer, states in header.states.items():
            self.cache.shape.require(None, *states)
            for store, kept in zip((self.cache.prompt_keys, self.cache.prompt_values), states, strict=True):
                store[layer][long.slot, :, :end] = kept.transpose(0, 1).to(store.dtype)
        return logits

    def _draw(self, logits: Tensor, start: int) -> None:
        """Draw a token for each of the rows from ``start`` on; those that are finished leave."""
        rows = self.rows
        mine = slice(start, rows.active)
        jobs = [self._open[number].job for number in rows.prompt[mine].tolist()]
        top = [_likeliest(logits[i], job.top) if job.top else () for i, job in enumerate(jobs)]
        uniform = rows.uniform[mine].gather(1, rows.drawn[mine, None])[:, 0]
        token, logprob = _draw_each(logits, uniform, [job.sampling for job in jobs])
        rows.append(start, token, logprob)
        self.drawn += len(jobs)
        columns = rows.sample[mine].tolist(), token.tolist(), logprob.tolist(), rows.drawn[mine].tolist()
        finished, failed = [], {}
        for row, (job, likeliest, sample, newest, told, drawn) in enumerate(
            zip(jobs, top, *columns, strict=True), start
        ):
            try:
                finish = self._finish(job, row, newest, told, drawn)
            except Exception as error:
                failed[job] = error
                continue
            self._events.append(Drawn(job, sample, newest, told, likeliest, finish))
            if finish:
                finished.append(row)
        self._leave(finished)
        for job, problem in failed.items():
            self._fail([job], problem)

    def _finish(self, job: Job, row: int, token: int, logprob: float, drawn: int) -> FinishReason | None:
        """Why a row ends with its newest token, if it does."""
        if isnan(logprob):
            raise ModelError("the model's numbers are not finite (NaN)")
        stop = job.sampling.stop
        if token in self.ends or (stop and stopped(self.decoder, self.rows.tokens[row, :drawn], stop)):
            return "stop"
        return "length" if drawn == job.sampling.max_tokens else None

    def _leave(self, finished: Sequence[int]) -> None:
        """Take rows out of the batch; prompts that nobody samples from any more go as well."""
        if not finished:
            return
        gone = torch.tensor(finished, device=self.rows.device)
        numbers = self.rows.prompt[gone].tolist()
        self.rows.drop(gone, self.cache)
        for number in numbers:
            self._open[number].active -= 1
            self._close(number)

    def _close(self, number: int) -> None:
        opened = self._open.get(number)
        if opened is not None and not opened.active and not opened.left:
            self.free_slots.append(self._open.pop(number).slot)

    def _fail(self, jobs: Sequence[Job], error: Exception) -> None:
        problem = str(error) if isinstance(error, ModelError) else said(error)
        for job in jobs:
            self.drop(job)
            self._events.append(Drawn(job, 0, finish="error", error=problem))


def fitting_rows(decoder: Decoder, context: int) -> int:
    """How many rows of such a context a stream's cache may have on this machine."""
    return row_capacity(decoder.device, 2 * context * decoder.shape.bytes_per_token(cache_dtype(decoder)))


def _likeliest(logits: Tensor, top: int) -> tuple[tuple[int, float], ...]:
    values, tokens = logits.float().log_softmax(-1).topk(min(top, len(logits)))
    return tuple(zip(tokens.tolist(), values.tolist(), strict=True))


def _draw_each(logits: Tensor, uniform: Tensor, samplings: Sequence[Sampling]) -> tuple[Tensor, Tensor]:
    """``draw`` for rows [R, vocabulary] each of which has its own sampling: once for each kind."""
    kinds: dict[tuple[float, int, float], list[int]] = {}
    for row, each in enumerate(samplings):
        kinds.setdefault((each.temperature, each.top_k, each.top_p), []).append(row)
    if len(kinds) == 1:
        return draw(logits, uniform, samplings[0])
    token = torch.empty(len(samplings), dtype=torch.long, device=logits.device)
    logprob = torch.empty(len(samplings), dtype=torch.float32, device=logits.device)
    for rows in kinds.values():
        of_kind = torch.tensor(rows, device=logits.device)
        token[of_kind], logprob[of_kind] = draw(logits[of_kind], uniform[of_kind], samplings[rows[0]])
    return token, logprob
