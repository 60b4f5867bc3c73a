"""Responses under way: the queue of prompts, the rows that draw tokens, the cache they share.

``Batch`` is one call of ``generate``: prompts wait in a queue, longest first; a prompt is prefilled once and
sampled by as many rows as it has samples; a row that finishes leaves the batch at once and the next prompts
enter. Each row draws with its own seed. Where prompts come while others are answered, see
``models/stream.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from biddable.models.base import Sampling
from biddable.models.decode_layers import DecodeLayers
from biddable.models.decoder import Decoder
from biddable.models.graphs import StepGraphs
from biddable.models.kv_cache import DecodePlan, KVCache, PrefillPlan, uses_kernel
from biddable.models.prefix_tree import prefix_tree
from biddable.models.sampling import draw, uniforms

REFILL = 8  # new prompts enter when this fraction (one in REFILL) of the rows is free
CPU_ROWS, GPU_ROWS = 256, 1024
CPU_CACHE_BYTES = 4 << 30
GPU_CACHE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Completion:
    """Tokens drawn for one row, the ending token included, with their log-probabilities."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    ended: bool


@dataclass(frozen=True, slots=True)
class _Job:
    """Rows that sample from one prompt and enter the batch together: ``(prompt, sample)`` of each.

    They may belong to several entries of ``prompts`` that are the same, such as the repairs of one
    answer in a tree search: those are prefilled once as well.
    """

    tokens: tuple[int, ...]
    rows: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Rows:
    """What is known of each active row; every tensor has the row as its first axis."""

    capacity: int
    steps: int
    device: torch.device
    active: int = 0
    slot: Tensor = field(init=False)
    prompt_length: Tensor = field(init=False)
    drawn: Tensor = field(init=False)
    prompt: Tensor = field(init=False)
    sample: Tensor = field(init=False)
    tokens: Tensor = field(init=False)
    logprobs: Tensor = field(init=False)
    uniform: Tensor = field(init=False)

    def __post_init__(self) -> None:
        for name in ("slot", "prompt_length", "drawn", "prompt", "sample"):
            setattr(self, name, torch.zeros(self.capacity, dtype=torch.long, device=self.device))
        size = (self.capacity, self.steps)
        self.tokens = torch.zeros(size, dtype=torch.long, device=self.device)
        self.logprobs = torch.zeros(size, dtype=torch.float32, device=self.device)
        self.uniform = torch.zeros(size, dtype=torch.float64, device=self.device)

    def columns(self) -> Iterator[Tensor]:
        """All that is known of rows."""
        yield from (self.slot, self.prompt_length, self.drawn, self.prompt, self.sample)
        yield from (self.tokens, self.logprobs, self.uniform)

    def append(self, start: int, token: Tensor, logprob: Tensor) -> None:
        """What each of the rows from ``start`` on has drawn."""
        mine = slice(start, self.active)
        place = self.drawn[mine, None]
        self.tokens[mine] = self.tokens[mine].scatter(1, place, token[:, None])
        self.logprobs[mine] = self.logprobs[mine].scatter(1, place, logprob[:, None])
        self.drawn[mine] += 1

    def drop(self, finished: Tensor, cache: KVCache) -> None:
        """Close the gaps that ``finished`` rows leave with the last rows that go on."""
        left = self.active - len(finished)
        going = torch.ones(self.active, dtype=torch.bool, device=self.device)
        going[finished] = False
        targets = finished[finished < left]
        sources = going[left:].nonzero()[:, 0] + left
        if len(sources):
            cache.move_rows(sources, targets, int(self.drawn[sources].max()))
            for column in self.columns():
                column[targets] = column[sources]
        self.active = left


class Decoding:
    """Rows that draw side by side, the cache they share, and the passes that compute their logits.

    Args:
        decoder: the weights.
        rows: how many may draw at a time.
        slots: how many prompts may be kept.
        prompt_capacity: the longest prompt, in tokens.
        suffix_capacity: the longest response, in tokens.
    """

    def __init__(
        self, decoder: Decoder, *, rows: int, slots: int, prompt_capacity: int, suffix_capacity: int
    ):
        self.decoder, device, dtype = decoder, decoder.device, cache_dtype(decoder)
        self.free_slots = list(range(slots))
        self.rows = Rows(rows, suffix_capacity, device)
        self.cache = KVCache(
            decoder.shape,
            rows=rows,
            slots=slots,
            prompt_capacity=prompt_capacity,
            suffix_capacity=suffix_capacity,
            dtype=dtype,
            device=device,
        )
        graphed = device.type == "cuda" and uses_kernel(device, dtype)
        self.graphs = StepGraphs(lambda count: self._forward(count, count), rows) if graphed else None

    def prefill(self, prompts: Sequence[Sequence[int]], slots: Sequence[int]) -> Tensor:
        """Compute ``prompts`` into ``slots``; logits [prompts, vocabulary] after each."""
        tree = prefix_tree(prompts).to(self.decoder.device)
        plan = PrefillPlan(tree, self.cache, torch.tensor(slots, device=self.decoder.device))
        return self.decoder.logits(tree.tokens, tree.positions, plan, tree.last)

    def step_logits(self, layers: DecodeLayers) -> Tensor:
        """Logits [active rows, vocabulary] after the newest token of each."""
        count = self.rows.active
        logits = self.graphs(count) if self.graphs else self._forward(count, layers.padded(count))
        return logits[:count]

    def _forward(self, count: int, width: int) -> Tensor:
        """Logits [width, vocabulary] after the newest tokens of the first ``count`` rows, and of padding.

        In a graph some of these rows are not active: what is computed for them, from and into their own
        places, is never read.
        """
        rows = self.rows
        before = (rows.drawn[:count] - 1).clamp(min=0)
        tokens = torch.zeros(width, dtype=torch.long, device=rows.device)
        positions = torch.zeros(width, dtype=torch.long, device=rows.device)
        tokens[:count] = rows.tokens[:count].gather(1, before[:, None])[:, 0]
        positions[:count] = rows.prompt_length[:count] + before
        plan = DecodePlan(self.cache, rows.slot[:count], rows.prompt_length[:count], before)
        keep = torch.arange(width, device=rows.device)
        return self.decoder.logits(tokens, positions, plan, keep)


class Batch(Decoding):
    """One call of ``generate``: the queue, the rows, the cache."""

    def __init__(
        self,
        decoder: Decoder,
        prompts: Sequence[Sequence[int]],
        n: int,
        sampling: Sampling,
        seeds: Sequence[Sequence[int]],
    ):
        self.sampling, self.seeds = sampling, seeds
        longest = max(map(len, prompts))
        token_bytes = decoder.shape.bytes_per_token(cache_dtype(decoder))
        capacity = row_capacity(decoder.device, token_bytes * (sampling.max_tokens + -(-longest // n)))
        rows = min(capacity, len(prompts) * n)
        self.queue = deque(_jobs(prompts, n, rows))
        slots = min(rows, len(self.queue))
        self.users = [0] * slots  # rows that still sample from each slot
        super().__init__(
            decoder, rows=rows, slots=slots, prompt_capacity=longest, suffix_capacity=sampling.max_tokens
        )

    def run(self, layers: DecodeLayers) -> Iterator[list[tuple[int, int, Completion]]]:
        """Yields what finished (prompt, sample, completion), until nothing is left."""
        try:
            while self.queue or self.rows.active:
                free = self.rows.capacity - self.rows.active
                if self.queue and (free * REFILL >= self.rows.capacity or not self.rows.active):
                    while admitted := self._next_jobs():
                        first = self.rows.active
                        self._prefill(admitted)
                        yield self._collect(first)
                if self.rows.active:
                    self._draw(self.step_logits(layers), 0)
                    yield self._collect(0)
        finally:
            # If the garbage collector frees a graph while another is captured, that capture fails.
            self.graphs = None

    def _next_jobs(self) -> list[_Job]:
        free, tokens = self.rows.capacity - self.rows.active, 0
        jobs: list[_Job] = []
        while self.queue and len(self.queue[0].rows) <= free and len(jobs) < len(self.free_slots):
            tokens += len(self.queue[0].tokens)
            if jobs and tokens > self.decoder.pass_tokens:
                break
            jobs.append(self.queue.popleft())
            free -= len(jobs[-1].rows)
        return jobs

    def _prefill(self, jobs: Sequence[_Job]) -> None:
        """Compute the jobs' prompts and draw the first token of each of their rows."""
        rows, device, steps = self.rows, self.decoder.device, self.sampling.max_tokens
        slots = [self.free_slots.pop() for _ in jobs]
        logits = self.prefill([job.tokens for job in jobs], slots)
        start = rows.active
        for job, slot in zip(jobs, slots, strict=True):
            self.users[slot] = len(job.rows)
            new = slice(rows.active, rows.active + len(job.rows))
            rows.slot[new], rows.prompt_length[new], rows.drawn[new] = slot, len(job.tokens), 0
            rows.prompt[new], rows.sample[new] = torch.tensor(job.rows, device=device).T
            seeds = [self.seeds[prompt][sample] for prompt, sample in job.rows]
            rows.uniform[new] = torch.from_numpy(uniforms(seeds, steps))
            rows.active = new.stop
        of_row = torch.arange(len(jobs)).repeat_interleave(torch.tensor([len(job.rows) for job in jobs]))
        self._draw(logits[of_row.to(device)], start)

    def _draw(self, logits: Tensor, start: int) -> None:
        """Draw a token for each of the rows from ``start`` on."""
        rows = self.rows
        mine = slice(start, rows.active)
        place = rows.drawn[mine, None]
        token, logprob = draw(logits, rows.uniform[mine].gather(1, place)[:, 0], self.sampling)
        rows.append(start, token, logprob)

    def _collect(self, start: int) -> list[tuple[int, int, Completion]]:
        """Take the rows that are finished, among those from ``start`` on, out of the batch."""
        rows = self.rows
        mine = slice(start, rows.active)
        newest = rows.tokens[mine].gather(1, rows.drawn[mine, None] - 1)[:, 0]
        ended = torch.isin(newest, self.decoder.end_ids)
        if self.sampling.stop:
            ended |= self._stopped(start)
        done = (ended | (rows.drawn[mine] == self.sampling.max_tokens)).nonzero()[:, 0]
        if not len(done):
            return []
        finished = self._take(done + start, ended[done].tolist())
        rows.drop(done + start, self.cache)
        return finished

    def _take(self, done: Tensor, ended: Sequence[bool]) -> list[tuple[int, int, Completion]]:
        """What rows ``done`` have drawn; their slots are free again once no other row uses them."""
        rows = self.rows
        counts = rows.drawn[done].tolist()
        columns = (rows.prompt[done], rows.sample[done], rows.slot[done])
        drawn = (rows.tokens[done, : max(counts)], rows.logprobs[done, : max(counts)])
        taken = []
        for count, end, prompt, sample, slot, tokens, logprobs in zip(
            counts, ended, *(column.tolist() for column in (*columns, *drawn)), strict=True
        ):
            self.users[slot] -= 1
            if not self.users[slot]:
                self.free_slots.append(slot)
            taken.append((prompt, sample, Completion(tuple(tokens[:count]), tuple(logprobs[:count]), end)))
        return taken

    def _stopped(self, start: int) -> Tensor:
        """Which of the rows from ``start`` on end with a stop string, by the text of their latest tokens."""
        rows, stop = self.rows, self.sampling.stop
        hits = [
            stopped(self.decoder, rows.tokens[row, :end], stop)
            for row, end in enumerate(rows.drawn[: rows.active].tolist())
            if row >= start
        ]
        return torch.tensor(hits, device=rows.device)


def stopped(decoder: Decoder, tokens: Tensor, stop: Sequence[str]) -> bool:
    """Whether the latest ``tokens`` hold a stop string; a token is a byte or more: a short tail will do."""
    reach = max(len(text.encode()) for text in stop) + 4
    tail = decoder.decode(tokens[-reach:].tolist())
    return any(text in tail for text in stop)


def cache_dtype(decoder: Decoder) -> torch.dtype:
    """What keys and values are kept in."""
    on_cpu = torch.bfloat16 if decoder.bf16 else torch.float32
    return on_cpu if decoder.device.type == "cpu" else decoder.module.dtype


def _jobs(prompts: Sequence[Sequence[int]], n: int, capacity: int) -> Iterator[_Job]:
    """The rows of each distinct prompt in jobs of at most ``capacity`` rows, longest prompts first."""
    rows: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for index, prompt in enumerate(prompts):
        rows.setdefault(tuple(prompt), []).extend((index, sample) for sample in range(n))
    for tokens in sorted(rows, key=len, reverse=True):
        for start in range(0, len(rows[tokens]), capacity):
            yield _Job(tokens, tuple(rows[tokens][start : start + capacity]))


def row_capacity(device: torch.device, row_bytes: int) -> int:
    """How many rows of so many bytes a cache may have."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return max(1, min(GPU_ROWS, int(free * GPU_CACHE_SHARE) // row_bytes))
    return max(1, min(CPU_ROWS, CPU_CACHE_BYTES // row_bytes))
