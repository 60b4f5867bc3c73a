"""Jobs that join a running batch draw what they draw alone; none hurts another."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from biddable.models import stream as streams
from biddable.models.base import Sampling
from biddable.models.engine import Engine
from biddable.models.kernels import decode_attention
from biddable.models.stream import Job, Stream

needs_bf16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor cannot multiply bfloat16"
)

PROMPTS = [[3 + i, 7, 11 + i % 4] + [9] * (i % 6) for i in range(14)]
KINDS = (
    Sampling(max_tokens=12, temperature=0),
    Sampling(max_tokens=20),
    Sampling(max_tokens=7, temperature=0.7, top_p=0.9),
    Sampling(max_tokens=1, top_k=5),
    Sampling(max_tokens=20, stop=("1 7", "99")),
)
JOBS = [Job(tuple(prompt), (5 * i, 5 * i + 1), KINDS[i % len(KINDS)]) for i, prompt in enumerate(PROMPTS)]


def engine_of(module, end_ids=()) -> Engine:
    return Engine(module, [*end_ids, -1], lambda ids: " ".join(map(str, ids)))


def run(stream: Stream, jobs, *, each: int = 1, between=lambda step: None) -> dict:
    """What every job draws, ``each`` of them joining at a step: token ids, log-probabilities, finish."""
    drawn = {job: [([], []) for _ in job.seeds] for job in jobs}
    ends, errors, coming, step = {}, {}, list(jobs), 0
    with stream.running() as layers:
        while coming or stream.busy:
            for job in coming[:each]:
                stream.add(job)
            coming = coming[each:]
            for event in stream.step(layers):
                if event.error:
                    errors[event.job] = event.error
                    continue
                tokens, logprobs = drawn[event.job][event.sample]
                tokens.append(event.token)
                logprobs.append(event.logprob)
                if event.finish:
                    assert (event.job, event.sample) not in ends
                    ends[event.job, event.sample] = event.finish
            between(step := step + 1)
    run.ends, run.errors = ends, errors
    return {job: [(tuple(t), tuple(p)) for t, p in rows] for job, rows in drawn.items()}


def alone(engine: Engine, job: Job) -> list:
    [found] = engine.generate([job.tokens], len(job.seeds), job.sampling, [job.seeds])
    return found


def test_rows_that_join_draw_what_they_draw_alone(tiny) -> None:
    engine = engine_of(tiny, end_ids=range(2, 40))
    stream = Stream(engine, 5, 64)
    found = run(stream, JOBS)
    assert stream.most == 5, "rows beside each other, or nothing was tested"
    for job in JOBS:
        expected = alone(engine, job)
        assert [tokens for tokens, _ in found[job]] == [each.token_ids for each in expected]
        assert [run.ends[job, i] for i in (0, 1)] == ["stop" if e.ended else "length" for e in expected]
        for (_, logprobs), each in zip(found[job], expected, strict=True):
            assert logprobs == pytest.approx(each.logprobs, abs=1e-5)
    assert sorted(stream.free_slots) == list(range(5))
    assert not stream.busy


def test_a_long_prompt_is_computed_in_pieces_while_others_decode(tiny, monkeypatch) -> None:
    monkeypatch.setattr(streams, "PIECE", 16)
    engine = engine_of(tiny)
    short = Job((5, 9), (1,), Sampling(max_tokens=20))
    long = Job(tuple(range(3, 53)), (2, 3), Sampling(max_tokens=6))
    order = []

    class Noting(Stream):
        def step(self, layers):
            events = super().step(layers)
            order.extend(event.job for event in events)
            return events

    found = run(Noting(engine, 4, 80), [short, long])
    assert order.index(long) > 3, "the short one draws while the four pieces are computed"
    for job in (short, long):
        assert [tokens for tokens, _ in found[job]] == [each.token_ids for each in alone(engine, job)]


@pytest.mark.skipif(decode_attention() is None, reason="there is no C compiler")
@pytest.mark.parametrize("bf16", [False, pytest.param(True, marks=needs_bf16)])
def test_rows_that_join_draw_it_bit_for_bit(tiny_config, bf16, monkeypatch) -> None:
    tiny_config.head_dim, tiny_config.intermediate_size = 32, 2048  # see test_engine
    monkeypatch.setattr(streams, "PIECE", 16)
    torch.manual_seed(0)
    engine = Engine(AutoModelForCausalLM.from_config(tiny_config).eval(), [-1], str, bf16=bf16)
    jobs = [Job(job.tokens, job.seeds[:1], job.sampling) for job in JOBS[:8]]
    jobs.append(Job(tuple(range(3, 52)), (2,), Sampling(max_tokens=6)))  # whose last piece is one token
    found = run(Stream(engine, 5, 64), jobs)
    for job in jobs:
        assert found[job] == [(each.token_ids, each.logprobs) for each in alone(engine, job)]


def test_samples_share_the_computation_of_their_prompt_even_where_rows_are_few(tiny, monkeypatch) -> None:
    engine = engine_of(tiny)
    stream, calls = Stream(engine, 3, 64), []
    compute = stream.prefill
    monkeypatch.setattr(
        stream, "prefill", lambda prompts, slots: calls.append(len(prompts)) or compute(prompts, slots)
    )
    job = Job((5, 9, 14), tuple(range(8)), Sampling(max_tokens=6))
    found = run(stream, [job])
    assert calls == [1]
    assert [tokens for tokens, _ in found[job]] == [each.token_ids for each in alone(engine, job)]


@pytest.mark.parametrize("rows", [1, 2])
def test_rows_that_end_at_once_leave_no_prompt_without_a_slot(tiny, rows) -> None:
    engine = engine_of(tiny)
    jobs = [Job((5, 9, 14 + i), (7, 8, 9), Sampling(max_tokens=1)) for i in range(4)]
    stream = Stream(engine, rows, 32)
    found = run(stream, jobs, each=4)
    assert run.errors == {}
    for job in jobs:
        assert [tokens for tokens, _ in found[job]] == [each.token_ids for each in alone(engine, job)]
    assert sorted(stream.free_slots) == list(range(rows))


@pytest.mark.parametrize("when", [0, 1, 3])
def test_a_job_that_is_dropped_frees_its_rows_and_the_others_go_on(tiny, monkeypatch, when) -> None:
    monkeypatch.setattr(streams, "PIECE", 16)
    engine = engine_of(tiny)
    stream = Stream(engine, 4, 80)
    gone = Job(tuple(range(3, 43)) if when == 1 else (4, 4), (7, 8, 9), Sampling(max_tokens=30))
    stays = Job((5, 9), (1,), Sampling(max_tokens=12))
    if when == 0:
        stream.add(gone)
        stream.drop(gone)
        found = run(stream, [stays])
        assert stream.drawn == 12
    else:
        found = run(stream, [gone, stays], between=lambda step: step == when and stream.drop(gone))
        assert max(len(tokens) for tokens, _ in found[gone]) <= when + 1
    assert found[stays][0][0] == alone(engine, stays)[0].token_ids
    assert sorted(stream.free_slots) == [0, 1, 2, 3]


def test_an_error_in_a_row_ends_its_job_alone(tiny) -> None:
    def decode(ids):
        if len(ids) > 1:
            raise ValueError("no text")
        return ""

    engine = Engine(tiny, [-1], decode)
    bad = Job((4, 4), (7, 8), Sampling(max_tokens=9, stop=("x",)))
    good = Job((5, 9), (1,), Sampling(max_tokens=9))
    stream = Stream(engine, 4, 32)
    found = run(stream, [bad, good])
    assert run.errors == {bad: "ValueError: no text"}
    assert found[good][0][0] == alone(engine, good)[0].token_ids
    assert sorted(stream.free_slots) == [0, 1, 2, 3]


def test_an_error_in_a_step_ends_what_is_under_way_and_what_comes_is_served(tiny, monkeypatch) -> None:
    engine = engine_of(tiny)
    stream = Stream(engine, 4, 32)
    compute, calls = stream.step_logits, []

    def failing(layers):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        return compute(layers)

    monkeypatch.setattr(stream, "step_logits", failing)
    first, later = (Job((4, 4 + i), (7,), Sampling(max_tokens=5)) for i in range(2))
    found = run(stream, [first, later], each=1)
    assert set(run.errors) == {first, later} - set(run.ends)
    again = Job((4, 4), (7,), Sampling(max_tokens=5))
    found = run(stream, [again])
    assert found[again][0][0] == alone(engine, again)[0].token_ids


def test_the_likeliest_tokens_are_those_of_the_step(tiny) -> None:
    job = Job((5, 9, 14), (1,), Sampling(max_tokens=4, temperature=0), top=3)
    stream = Stream(engine_of(tiny), 2, 32)
    events = []
    with stream.running() as layers:
        stream.add(job)
        while stream.busy:
            events += stream.step(layers)
    for event in events:
        assert len(event.top) == 3
        assert event.top[0][0] == event.token
        assert event.top[0][1] == pytest.approx(event.logprob, abs=1e-5)
        assert event.top[0][1] >= event.top[1][1] >= event.top[2][1]
