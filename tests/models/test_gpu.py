"""The decoder and the training loop on a GPU, against the same on the CPU."""

from __future__ import annotations

import copy
from itertools import chain

import pytest
import torch

from biddable.models import kv_cache
from biddable.models.base import Sampling
from biddable.models.engine import Engine
from biddable.models.local import LocalModel
from biddable.train.config import TrainConfig
from biddable.train.examples import Example
from biddable.train.learner import Learner
from biddable.train.loop import example_steps, fit_examples
from biddable.train.losses import sft_loss
from tests.train.tiny import word_tokenizer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

PROMPTS = [[3 + i, 7, 11 + i % 4] + [9] * (i % 6) for i in range(60)]
SEEDS = [[1000 * i + j for j in range(3)] for i in range(len(PROMPTS))]
WAYS = {
    "greedy": Sampling(max_tokens=24, temperature=0),
    "plain": Sampling(max_tokens=24),
    "nucleus": Sampling(max_tokens=24, temperature=0.9, top_p=0.9),
    "top-k": Sampling(max_tokens=24, top_k=20),
}


@pytest.fixture
def on_gpu(tiny):
    return copy.deepcopy(tiny).cuda()


def engine_of(module) -> Engine:
    return Engine(module, range(2, 40), lambda ids: "")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("dim", "group", "window"), [(64, 3, 0), (16, 2, 6), (80, 1, 0), (128, 8, 100)])
def test_the_kernel_attends_like_a_plain_softmax(dtype, dim, group, window) -> None:
    from biddable.models.kernels.triton_attention import decode_attention

    rows, slots, kv_heads, prompt, suffix = 33, 7, 2, 150, 200
    generator = torch.Generator("cuda").manual_seed(0)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=generator, device="cuda").to(dtype)

    def up_to(most: int) -> torch.Tensor:
        return torch.randint(1, most + 1, (rows,), generator=generator, device="cuda")

    prompts = normal(slots, kv_heads, prompt, dim), normal(slots, kv_heads, prompt, dim)
    suffixes = normal(40, kv_heads, suffix, dim), normal(40, kv_heads, suffix, dim)
    query = normal(rows, kv_heads * group, dim)
    slot, prompt_length, seen = up_to(slots) - 1, up_to(prompt), up_to(suffix)
    found = decode_attention(
        query, *prompts, *suffixes, slot, prompt_length, seen, scale=dim**-0.5, window=window
    )
    for row in range(rows):
        keys, values = (
            torch.cat([of_prompt[slot[row], :, : prompt_length[row]], own[row, :, : seen[row]]], 1).double()
            for of_prompt, own in zip(prompts, suffixes, strict=True)
        )
        if window:
            keys, values = keys[:, -window:], values[:, -window:]
        grouped = query[row].view(kv_heads, group, dim).double()
        expected = ((grouped @ keys.mT * dim**-0.5).softmax(-1) @ values).view(-1, dim)
        error = (found[row] - expected).norm() / expected.norm()
        assert error < (1e-5 if dtype == torch.float32 else 1e-2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kernel", [True, False])
def test_the_same_tokens_as_on_the_cpu(tiny, on_gpu, way, kernel, monkeypatch) -> None:
    if not kernel:
        monkeypatch.setattr(kv_cache, "gpu_decode_attention", lambda: None)
    expected = engine_of(tiny).generate(PROMPTS, 3, WAYS[way], SEEDS)
    found = engine_of(on_gpu).generate(PROMPTS, 3, WAYS[way], SEEDS)
    pairs = list(zip(chain.from_iterable(expected), chain.from_iterable(found), strict=True))
    # A draw that falls on the border of two tokens may go either way by rounding.
    assert sum(a.token_ids == b.token_ids for a, b in pairs) >= 0.97 * len(pairs)
    assert any(len(a.token_ids) < 24 for a, _ in pairs), "no row ended early, so none left the batch"
    for a, b in pairs:
        if a.token_ids == b.token_ids:
            assert b.logprobs == pytest.approx(a.logprobs, abs=1e-3)
            assert b.ended == a.ended


def test_trained_weights_are_used_at_once(on_gpu) -> None:
    before = engine_of(on_gpu).generate(PROMPTS, 3, WAYS["greedy"], SEEDS)
    with torch.no_grad():
        on_gpu.model.layers[0].mlp.down_proj.weight.mul_(-2)
    assert engine_of(on_gpu).generate(PROMPTS, 3, WAYS["greedy"], SEEDS) != before


def test_scores_as_on_the_cpu(tiny, on_gpu) -> None:
    targets = [[8, 2]] * len(PROMPTS)
    expected = engine_of(tiny).score(PROMPTS, targets)
    for a, b in zip(expected, engine_of(on_gpu).score(PROMPTS, targets), strict=True):
        assert b.logprobs == pytest.approx(a.logprobs, abs=1e-3)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 0.1)])
def test_training_goes_the_way_it_goes_on_the_cpu(tiny, on_gpu, precision, tolerance) -> None:
    examples = [Example(tuple(p), ((5 + i % 90, 8, 60 + i % 7, 2),)) for i, p in enumerate(PROMPTS)]
    config = TrainConfig(lr=1e-3, batch_size=8, precision=precision)
    losses = []
    for module in (tiny, on_gpu):
        model = LocalModel(module, word_tokenizer(), name="tiny")
        with Learner(model, config, steps=example_steps(8, 1, len(examples))) as learner:
            report = fit_examples(learner, examples, lambda scores: sft_loss(scores.logprobs))
        losses.append([step.loss for step in report.history])
    assert losses[0][-1] < losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=tolerance)
