"""The decoder against ``transformers``' own forward and ``generate``, on tiny and on real weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM

from biddable.models import batch, decode_layers, kv_cache, sampling, tree_attention
from biddable.models.base import Sampling
from biddable.models.engine import Engine
from biddable.models.load import load_model
from biddable.types import user

PROMPTS = [[5, 9, 14, 3], [5, 9, 14, 77, 20, 31, 8], [100], [5, 9, 14, 3]]
GREEDY = Sampling(max_tokens=12, temperature=0)
SHARED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "tie_word_embeddings",
    "eos_token_id",
)


def engine_of(module, end_ids=()) -> Engine:
    return Engine(module, [*end_ids, -1], lambda ids: " ".join(map(str, ids)))


def seeds_for(prompts, n=1, start=0):
    return [[start + 1000 * i + j for j in range(n)] for i in range(len(prompts))]


needs_bf16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor cannot multiply bfloat16"
)


def reference(module, prompt: list[int], steps: int) -> tuple[list[int], list[float]]:
    ids, logprobs = list(prompt), []
    for _ in range(steps):
        with torch.no_grad():
            scores = module(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        ids.append(int(scores.argmax()))
        logprobs.append(float(scores.max()))
    return ids[len(prompt) :], logprobs


@pytest.fixture(params=["kernel", "torch"])
def path(request, monkeypatch):
    """With the loops in C, and with torch's operations alone."""
    if request.param == "torch":
        monkeypatch.setattr(kv_cache, "decode_attention", lambda dtype: None)
        monkeypatch.setattr(tree_attention, "kernel_for", lambda value: None)
        monkeypatch.setattr(decode_layers, "pointwise", lambda dtype: None)
        monkeypatch.setattr(sampling, "draw_kernel", lambda dtype: None)
    elif kv_cache.decode_attention() is None:
        pytest.skip("no C compiler here (install gcc): the compiled loop cannot be built")


def test_greedy_matches_a_full_forward_at_every_step(tiny, path) -> None:
    found = engine_of(tiny).generate(PROMPTS, 1, GREEDY, seeds_for(PROMPTS))
    for prompt, (completion,) in zip(PROMPTS, found, strict=True):
        tokens, logprobs = reference(tiny, prompt, 12)
        assert list(completion.token_ids) == tokens
        assert completion.logprobs == pytest.approx(logprobs, abs=1e-4)
        assert not completion.ended


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "qwen2"},
        {"model_type": "qwen3", "head_dim": 16},
        {"model_type": "gemma3_text", "head_dim": 16, "sliding_window": 6, "query_pre_attn_scalar": 16},
        {"model_type": "mistral", "sliding_window": 5},
    ],
)
def test_other_architectures_too(tiny_config, path, changes) -> None:
    from transformers import AutoConfig

    kind = changes["model_type"]
    own = {name: value for name, value in changes.items() if name != "model_type"}
    config = AutoConfig.for_model(kind, **{name: getattr(tiny_config, name) for name in SHARED}, **own)
    torch.manual_seed(1)
    module = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(3)
    found = engine_of(module).generate(PROMPTS, 1, GREEDY, seeds_for(PROMPTS))
    for prompt, (completion,) in zip(PROMPTS, found, strict=True):
        assert list(completion.token_ids) == reference(module, prompt, 12)[0]


def test_rows_enter_and_leave_and_none_is_lost(tiny, path, monkeypatch) -> None:
    monkeypatch.setattr(batch, "CPU_ROWS", 5)
    prompts = [[3 + i, 7, 11 + i % 4] + [9] * (i % 6) for i in range(23)]
    how = Sampling(max_tokens=20)
    ending = engine_of(tiny, end_ids=range(2, 60))
    crowded = ending.generate(prompts, 3, how, seeds_for(prompts, 3))
    lengths = {len(c.token_ids) for row in crowded for c in row}
    assert len(lengths) > 3, "rows of many lengths, or nothing was tested"
    for i, prompt in enumerate(prompts):
        alone = ending.generate([prompt], 3, how, [seeds_for(prompts, 3)[i]])[0]
        assert [c.token_ids for c in alone] == [c.token_ids for c in crowded[i]]
        assert [c.ended for c in alone] == [c.ended for c in crowded[i]]


def test_samples_differ_and_repeat_by_seed(tiny) -> None:
    how = Sampling(max_tokens=10)
    first, again, other = (
        engine_of(tiny).generate(PROMPTS, 4, how, seeds_for(PROMPTS, 4, start)) for start in (0, 0, 5)
    )
    assert first == again
    assert first != other
    assert len({c.token_ids for c in first[0]}) == 4


def test_an_end_token_ends_and_is_kept(tiny) -> None:
    tokens, _ = reference(tiny, PROMPTS[0], 6)
    cut = tokens.index(tokens[3])
    (completion,) = engine_of(tiny, end_ids=[tokens[3]]).generate([PROMPTS[0]], 1, GREEDY, [[0]])[0]
    assert completion.ended
    assert list(completion.token_ids) == tokens[: cut + 1]


def test_trained_weights_are_used_at_once(tiny) -> None:
    before = engine_of(tiny).generate(PROMPTS, 1, GREEDY, seeds_for(PROMPTS))
    with torch.no_grad():
        tiny.model.layers[0].mlp.down_proj.weight.mul_(-2)
    after = engine_of(tiny).generate(PROMPTS, 1, GREEDY, seeds_for(PROMPTS))
    assert before != after
    assert list(after[0][0].token_ids) == reference(tiny, PROMPTS[0], 12)[0]


def test_nothing_is_left_behind_in_the_module(tiny) -> None:
    before = tiny.config._attn_implementation
    engine_of(tiny).generate(PROMPTS, 1, GREEDY, seeds_for(PROMPTS))
    assert tiny.config._attn_implementation == before
    assert not any("forward" in layer.__dict__ for layer in tiny.modules())


def test_score_matches_a_full_forward(tiny) -> None:
    targets = [[8, 2], [50, 60, 70, 2], [2], [9, 9, 9]]
    found = engine_of(tiny).score(PROMPTS, targets)
    for prompt, target, scores in zip(PROMPTS, targets, found, strict=True):
        with torch.no_grad():
            logprobs = tiny(torch.tensor([prompt + target])).logits[0].log_softmax(-1)
        expected = [float(logprobs[len(prompt) - 1 + i, t]) for i, t in enumerate(target)]
        assert scores.logprobs == pytest.approx(expected, abs=1e-4)
        assert scores.token_ids == tuple(target)


@pytest.mark.skipif(kv_cache.decode_attention() is None, reason="there is no C compiler")
@pytest.mark.parametrize("bf16", [False, pytest.param(True, marks=needs_bf16)])
@pytest.mark.parametrize("how", [Sampling(), Sampling(temperature=0), Sampling(top_p=0.9)])
def test_a_row_is_the_same_bit_for_bit_whatever_is_beside_it(tiny_config, bf16, how) -> None:
    tiny_config.head_dim = 32  # which attention in C takes
    tiny_config.intermediate_size = 2048  # long sums, which oneDNN adds up otherwise in products of one row
    torch.manual_seed(0)
    engine = Engine(AutoModelForCausalLM.from_config(tiny_config).eval(), [-1], str, bf16=bf16)
    prompts = [[3 + i, 7, 11 + i % 4] + [9] * (i % 6) for i in range(11)] + [[5], list(range(3, 60))]
    how, seeds = replace(how, max_tokens=12), seeds_for(prompts)
    crowded = engine.generate(prompts, 1, how, seeds)
    for some in [slice(i, i + 1) for i in range(len(prompts))] + [slice(0, 2), slice(4, 7), slice(5, 13)]:
        assert engine.generate(prompts[some], 1, how, seeds[some]) == crowded[some]


@needs_bf16
def test_in_bf16_real_weights_are_near_fp32_and_left_as_they_were(smollm2) -> None:
    prompts = [smollm2.encode_prompt(user(text)) for text in ("Name three colours.", "Describe the sea.")]
    exact = engine_of(smollm2.module)
    rough = Engine(smollm2.module, [-1], str, bf16=True)
    found = [rows[0] for rows in rough.generate(prompts, 1, Sampling(max_tokens=40), seeds_for(prompts))]
    again = exact.score(prompts, [completion.token_ids for completion in found])
    for completion, scores in zip(found, again, strict=True):
        error = torch.tensor(completion.logprobs) - torch.tensor(scores.logprobs)
        assert 0 < error.abs().max() < 0.5, "bf16 keeps 8 bits: near, and not the same, or nothing was tested"
        assert error.abs().mean() < 0.05
    assert {p.dtype for p in smollm2.module.parameters()} == {torch.float32}
    assert not any("forward" in layer.__dict__ for layer in smollm2.module.modules())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_model_is_told_what_to_compute_in(smollm2, tmp_path, precision) -> None:
    model = load_model(smollm2.save(tmp_path), precision=precision)
    assert model.bf16 is (precision == "bf16")
    assert model.module.dtype == torch.float32  # on a CPU the weights stay fp32 and can be trained


def test_no_prompts_no_completions(tiny) -> None:
    assert engine_of(tiny).generate([], 2, GREEDY, []) == []


def test_real_weights_greedy_and_scores(smollm2) -> None:
    chats = [user("What is 2+2?"), user("Name three colours."), user("Write a haiku about the sea.")]
    found = smollm2.generate(chats, sampling=Sampling(max_tokens=24, temperature=0))
    for chat, (response,) in zip(chats, found, strict=True):
        ids = torch.tensor([smollm2.encode_prompt(chat)])
        out = smollm2.module.generate(ids, max_new_tokens=24, do_sample=False)
        expected = out[0, ids.shape[1] :].tolist()
        assert list(response.token_ids) == expected
        scores = smollm2.score([chat], [response.text])[0]
        if response.finish_reason == "stop":
            assert scores.token_ids == response.token_ids
            assert scores.total == pytest.approx(response.logprob, abs=2e-3)


def test_stop_strings_cut_the_text(smollm2) -> None:
    chat = user("Write a haiku about the sea.")

    def answer(*stop: str):
        return smollm2.generate([chat], sampling=Sampling(max_tokens=30, temperature=0, stop=stop))[0][0]

    free = answer()
    stop = free.text[20:26]  # in the middle of words: a stop string need not be a token
    stopped = answer("never said", stop)
    assert stopped.text == free.text.partition(stop)[0]
    assert stopped.finish_reason == "stop"
    assert len(stopped.token_ids) < len(free.token_ids)
