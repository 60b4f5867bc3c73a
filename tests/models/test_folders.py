"""Folders of weights: what is missing, left over, damaged or quantised is said; what is harmless is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging

from biddable.errors import InputError, ModelError
from biddable.models.base import Sampling
from biddable.models.folders import fingerprint
from biddable.models.load import load_model, model_identity, require_trainable
from biddable.types import user

from ..train.tiny import llama, local

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path) -> Path:
    return local(llama()).save(tmp_path / "model")


def rewrite(folder: Path, change) -> None:
    tensors = {name: value.contiguous() for name, value in change(load_file(folder / WEIGHTS)).items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def configure(folder: Path, **values) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: {n: v for n, v in t.items() if n != "lm_head.weight"}, r"1 missing \(lm_head\.weight\)$"),
        (lambda t: {f"_orig_mod.{n}": v for n, v in t.items()}, r"21 missing .*; 21 left over \(_orig_mod\."),
        (lambda t: t | {"model.layers.2.input_layernorm.weight": torch.ones(32)}, "1 left over"),
        (lambda t: t | {"lm_head.weight": torch.ones(60, 32)}, r"1 of another shape \(lm_head\.weight\)$"),
        (lambda t: t | {"model.norm.weight": torch.ones(32, dtype=torch.int8)}, "are quantised .*norm.*I8"),
    ],
    ids=["no head", "renamed", "a layer too many", "another shape", "int8"],
)
def test_tensors_that_do_not_fit_are_named(folder, change, problem) -> None:
    rewrite(folder, change)
    with pytest.raises(ModelError, match=problem) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_constants_of_older_versions_are_no_weights(folder) -> None:
    rewrite(folder, lambda t: t | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)})
    load_model(folder)


def test_a_configuration_of_other_sizes_is_refused(folder) -> None:
    configure(folder, num_hidden_layers=1)
    with pytest.raises(ModelError, match=r"9 left over \(model\.layers\.1\."):
        load_model(folder)
    configure(folder, num_hidden_layers=2, num_key_value_heads=4)
    with pytest.raises(ModelError, match="4 of another shape"):
        load_model(folder)


@pytest.mark.parametrize("method", ["gptq", "bitsandbytes", "compressed-tensors"])
def test_quantised_folders_are_refused(folder, method) -> None:
    configure(folder, quantization_config={"quant_method": method, "bits": 4})
    with pytest.raises(
        ModelError, match=rf"its weights are quantised \({method}\), expected weights in fp32"
    ):
        load_model(folder)


def test_damaged_files_are_named(folder) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    damages = {
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n": "is a Git LFS pointer",
        whole[: len(whole) // 2]: r"is cut off \(\d+ bytes, expected \d+\)",
        b"": "is cut off or no safetensors file",
        (9).to_bytes(8, "little") + b"[1, 2, 3]": "its header cannot be read",
        (1 << 60).to_bytes(8, "little") + b"{}": "is cut off or no safetensors file",
    }
    for content, problem in damages.items():
        (folder / WEIGHTS).write_bytes(content)
        with pytest.raises(ModelError, match=problem):
            load_model(folder)


def test_a_missing_shard_is_named(folder) -> None:
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    with pytest.raises(ModelError, match=r"1 of 2 files of weights missing \(model-00002"):
        load_model(folder)


def shard(folder: Path, files: dict) -> None:
    """An index by which the one file of weights is a shard, with ``files`` for further tensors."""
    shards = dict.fromkeys(load_file(folder / WEIGHTS), "a.safetensors") | files
    (folder / WEIGHTS).rename(folder / "a.safetensors")
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shards}))


def test_an_index_that_names_no_files_is_refused(folder) -> None:
    shard(folder, {"b": 5})
    with pytest.raises(ModelError, match="cannot be read as an index of weights"):
        load_model(folder)


@pytest.mark.parametrize("sharded", [False, True])
def test_files_beside_the_weights_are_not_looked_at(folder, sharded) -> None:
    if sharded:
        shard(folder, {})
    (folder / "consolidated.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    load_model(folder)


def test_a_configuration_of_a_far_larger_model_is_refused_before_it_fills_the_memory(folder) -> None:
    configure(folder, vocab_size=2_000_000)
    with pytest.raises(ModelError, match=r"describes a model of 128,\d+,\d+ numbers, its files hold"):
        load_model(folder)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"eos_token_id": 5', "cannot be read as a configuration"),
        ("[]", "cannot be read as a"),
        ('{"eos_token_id": "</s>"}', "eos_token_id is '</s>', expected the number of a token"),
        ('{"eos_token_id": [2, "</s>"]}', "eos_token_id is .*, expected the number of a token"),
    ],
)
def test_a_generation_config_that_cannot_be_read_is_not_passed_over(folder, content, problem) -> None:
    (folder / "generation_config.json").write_text(content)
    with pytest.raises(ModelError, match=problem):
        load_model(folder)


@pytest.mark.parametrize("shown", [True, False])
def test_reading_prints_no_bar_and_leaves_the_users_choice(folder, shown, capfd, monkeypatch) -> None:
    monkeypatch.delenv("HF_HUB_DISABLE_PROGRESS_BARS", raising=False)
    before = logging.is_progress_bar_enabled()
    try:
        (logging.enable_progress_bar if shown else logging.disable_progress_bar)()
        load_model(folder)
        assert logging.is_progress_bar_enabled() == shown
    finally:
        (logging.enable_progress_bar if before else logging.disable_progress_bar)()
    assert capfd.readouterr().err == ""


def test_a_fingerprint_is_of_content_not_of_place(folder, tmp_path) -> None:
    before = fingerprint(folder)
    moved = folder.rename(tmp_path / "moved")
    assert fingerprint(moved) == before
    (moved / "README.md").write_text("not decisive")
    assert fingerprint(moved) == before
    (moved / "chat_template.jinja").write_text("{{ 1 }}")
    assert fingerprint(moved) != before


@pytest.mark.parametrize("device", ["banana", "cuda:99", "meta"])
def test_a_device_that_is_not_here_is_named(folder, device) -> None:
    with pytest.raises(InputError, match=f"device is '{device}', expected cpu, or a device that is here"):
        load_model(folder, device=device)


@pytest.mark.parametrize("use", [load_model, require_trainable])
def test_names_that_no_folder_can_have(use) -> None:
    for name in ("x" * 5000, "a\0b"):
        assert model_identity(name) == name
        with pytest.raises(InputError, match="model is"):
            use(name)


def test_a_file_is_no_folder(folder) -> None:
    with pytest.raises(InputError, match=r"\(it is a file\)"):
        load_model(folder / WEIGHTS)


def test_more_tokens_than_the_context_are_named(folder) -> None:
    model = load_model(folder)
    context = model.module.config.max_position_embeddings
    with pytest.raises(InputError, match=f"max_tokens is {context}, expected at most {context - 1}"):
        model.generate([user("w1")], sampling=Sampling(max_tokens=context))
