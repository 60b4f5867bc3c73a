"""GGUF files: every tensor has its place, shards are one model, and what cannot be read is one line."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gguf import MODEL_ARCH, GGUFValueType, GGUFWriter, get_tensor_name_map
from safetensors.torch import load_file
from transformers import AutoConfig, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.convert_slow_tokenizer import bytes_to_unicode

from biddable.errors import ModelError
from biddable.models.gguf_file import _require_same_settings
from biddable.models.weights import gguf_folder

TOKENS = [*bytes_to_unicode().values(), "ab", *(f"<t{i}>" for i in range(43))]
THETA = 500_000.0


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIDDABLE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def module() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(TOKENS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config)


def write(
    path: Path,
    *,
    fields: dict[str, tuple[Any, GGUFValueType]] | None = None,
    tensors: Callable[[str], bool] = lambda _: True,
    more: Sequence[tuple[str, np.ndarray]] = (),
    tokenizer: bool = True,
    pre: str = "gpt-2",
    layers: int = 2,
    architecture: str = "llama",
) -> Path:
    """The module as a GGUF file, with those of its tensors that are asked for and ``more`` of them."""
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(512)
    writer.add_embedding_length(32)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(THETA)
    if tokenizer:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_list(TOKENS)
        writer.add_token_types([1] * 257 + [3] * 43)
        writer.add_token_merges(["a b"])
        writer.add_eos_token_id(257)
        writer.add_chat_template("{% for m in messages %}{{ m.content }}<t0>{% endfor %}")
    for name, (value, kind) in (fields or {}).items():
        writer.add_key_value(name, value, kind)
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, 2)
    for key, tensor in module().state_dict().items():
        name = names.get_name(key, (".weight",))
        assert name is not None
        if tensors(name):
            writer.add_tensor(name, tensor.numpy())
    for name, values in more:
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def split(number: int, *, count: int = 2, total: int = 21) -> dict[str, tuple[int, GGUFValueType]]:
    return {
        "split.no": (number, GGUFValueType.UINT16),
        "split.count": (count, GGUFValueType.UINT16),
        "split.tensors.count": (total, GGUFValueType.INT32),
    }


def in_first(name: str) -> bool:
    return name.startswith(("token_embd", "blk.0"))


def write_shards(folder: Path, **second: Any) -> tuple[Path, Path]:
    one = write(folder / "m-00001-of-00002.gguf", fields=split(0), tensors=in_first)
    options = {"fields": split(1), "tensors": lambda name: not in_first(name), "tokenizer": False}
    return one, write(folder / "m-00002-of-00002.gguf", **{**options, **second})


def test_the_model_comes_out_as_it_went_in(tmp_path: Path) -> None:
    folder = gguf_folder(write(tmp_path / "whole.gguf"))
    found = load_file(folder / "model.safetensors")
    for key, tensor in module().state_dict().items():
        if not key.endswith(("q_proj.weight", "k_proj.weight")):  # whose rows GGUF orders otherwise
            torch.testing.assert_close(found[key], tensor, rtol=0, atol=0, msg=key)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.convert_ids_to_tokens(tokenizer("ab<t0>")["input_ids"]) == ["ab", "<t0>"]
    assert tokenizer.eos_token == "<t0>"
    assert "<t0>" in tokenizer.chat_template


@pytest.mark.parametrize("given", [0, 1])
def test_shards_are_one_model_whichever_is_given(tmp_path: Path, given: int) -> None:
    whole = gguf_folder(write(tmp_path / "whole.gguf"))
    folder = gguf_folder(write_shards(tmp_path)[given])
    assert folder.name.startswith("m-00001-of-00002-")
    expected, found = (load_file(one / "model.safetensors") for one in (whole, folder))
    assert expected.keys() == found.keys()
    assert all(torch.equal(tensor, found[key]) for key, tensor in expected.items())
    assert (
        AutoTokenizer.from_pretrained(folder).get_vocab() == AutoTokenizer.from_pretrained(whole).get_vocab()
    )


def test_a_change_of_any_shard_is_converted_anew(tmp_path: Path) -> None:
    one, two = write_shards(tmp_path)
    before = gguf_folder(one)
    content = bytearray(two.read_bytes())
    content[-1] ^= 1
    two.write_bytes(content)
    assert gguf_folder(one) != before


def test_what_is_no_set_of_shards_is_named(tmp_path: Path) -> None:
    one, two = write_shards(tmp_path)
    (tmp_path / "renamed.gguf").write_bytes(one.read_bytes())
    with pytest.raises(ModelError, match=r"it is shard 1 of 2; they lie in one folder as NAME-00001"):
        gguf_folder(tmp_path / "renamed.gguf")
    content = two.read_bytes()
    two.unlink()
    with pytest.raises(ModelError, match=r"m-00002-of-00002.gguf: no such GGUF file; m-00001.* 2 shards$"):
        gguf_folder(one)
    two.write_bytes(one.read_bytes())
    with pytest.raises(ModelError, match=r"00002-of-00002.gguf: says it is shard 1 of 2, expected shard 2"):
        gguf_folder(one)
    write_shards(tmp_path, tensors=lambda name: name.startswith("blk.1"))
    with pytest.raises(ModelError, match=r"m-00001-of-00002.gguf: 19 tensors in its shards, expected 21$"):
        gguf_folder(one)
    one.unlink()
    two.write_bytes(content)
    with pytest.raises(ModelError, match=r"m-00001-of-00002.gguf: no such GGUF file; m-00002"):
        gguf_folder(two)


ZEROS = np.zeros(32, np.float32)


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (
            {"tensors": lambda name: name != "blk.1.attn_q.weight"},
            r" lacks 1 tensors of LlamaForCausalLM \(model.layers.1.self_attn.q_proj.weight\)$",
        ),
        ({"layers": 3}, r" lacks 9 tensors of LlamaForCausalLM \(model.layers.2.input_layernorm.weight, "),
        ({"layers": 1}, r"37,792 numbers \(blk.1.attn_k.weight, .* among them\), which has 28,512$"),
        ({"more": [("blk.0.attn_q.bias", ZEROS)]}, r"\(blk.0.attn_q.bias among them\)"),
        ({"more": [("blk.0.of_its_own.weight", ZEROS)]}, r"\(blk.0.of_its_own.weight among them\)"),
        (
            {"more": [("rope_freqs.weight", np.float32([1, 1, 3, 8]))]},
            r"positions \(rope_freqs.weight\) in",
        ),
        (
            {"fields": {"llama.rope.scaling.type": ("yarn", GGUFValueType.STRING)}},
            r"scales its positions \('yarn'\) in a way that is not read here$",
        ),
        (
            {"fields": {"general.type": ("adapter", GGUFValueType.STRING)}},
            r"no whole model \(general.type ",
        ),
        ({"tokenizer": False}, r"it has no tokenizer \(tokenizer.ggml.model, "),
        ({"architecture": "clip"}, r"architecture clip is not supported"),
    ],
)
def test_a_file_that_is_not_what_it_seems_is_refused(
    tmp_path: Path, made: Any, problem: str, cache: Path
) -> None:
    with pytest.raises(ModelError, match=problem) as caught:
        gguf_folder(write(tmp_path / "odd.gguf", **made))
    assert str(tmp_path / "odd.gguf") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((cache / "models").iterdir()), "nothing half-made is left"


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("rope.dimension_count", 8, GGUFValueType.UINT32),
        ("attention.sliding_window", 512, GGUFValueType.UINT32),
        ("expert_weights_scale", 1.0, GGUFValueType.FLOAT32),
        ("logit_scale", 1.0, GGUFValueType.FLOAT32),
    ],
)
def test_a_setting_that_changes_nothing_is_read(tmp_path: Path, key: str, value: Any, kind: Any) -> None:
    gguf_folder(write(tmp_path / "m.gguf", fields={f"llama.{key}": (value, kind)}))


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("attention.sliding_window", 8, GGUFValueType.UINT32),
        ("final_logit_softcapping", 30.0, GGUFValueType.FLOAT32),
        ("logit_scale", 0.25, GGUFValueType.FLOAT32),
        ("attention.scale", 0.1, GGUFValueType.FLOAT32),
        ("attention.causal", False, GGUFValueType.BOOL),
    ],
)
def test_a_setting_that_is_not_read_is_no_default(tmp_path: Path, key: str, value: Any, kind: Any) -> None:
    file = write(tmp_path / "m.gguf", fields={f"llama.{key}": (value, kind)})
    with pytest.raises(ModelError, match=rf"m\.gguf cannot be read as it is meant: it says llama\.{key} "):
        gguf_folder(file)


@pytest.mark.parametrize("architecture", ["mamba", "gemma3_text", "gemma4_text", "gpt2", "minimax_m2"])
def test_settings_of_any_architecture_can_be_looked_at(architecture: str) -> None:
    named = SimpleNamespace(contents=lambda: architecture)
    reader = SimpleNamespace(fields={"general.architecture": named})
    _require_same_settings(reader, AutoConfig.for_model(architecture), "m.gguf")


@pytest.mark.parametrize(("theta", "problem"), [(10_000.0, ""), (999_999.0, "rope.freq_base")])
def test_settings_of_other_architectures(theta: float, problem: str) -> None:
    fields = {"general.architecture": "starcoder2", "starcoder2.rope.freq_base": theta}
    known = {name: SimpleNamespace(contents=lambda value=value: value) for name, value in fields.items()}
    reader, config = SimpleNamespace(fields=known), AutoConfig.for_model("starcoder2")
    with pytest.raises(ModelError, match=problem) if problem else nullcontext():
        _require_same_settings(reader, config, "m.gguf")


@pytest.mark.parametrize("share", [0.00005, 0.001, 0.02, 0.5, 0.999])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, share: float) -> None:
    content = write(tmp_path / "whole.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match=r"cut.gguf cannot be read .*: it is cut off or damaged") as caught:
        gguf_folder(cut)
    assert "\n" not in str(caught.value)


def test_a_pointer_is_not_the_file(tmp_path: Path) -> None:
    pointer = tmp_path / "pointer.gguf"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ModelError, match=r"pointer.gguf: is a Git LFS pointer, .*: git lfs pull$"):
        gguf_folder(pointer)


def llama_3_factors() -> np.ndarray:
    """What llama.cpp writes for Llama 3.2 (factor 32), for heads of 8 dimensions."""
    factors = []
    for place in range(0, 8, 2):
        length = 2 * math.pi * THETA ** (place / 8)
        if length < 8192 / 4:
            factors.append(1.0)
        elif length > 8192:
            factors.append(32.0)
        else:
            smooth = (8192 / length - 1) / 3
            factors.append(1 / ((1 - smooth) / 32 + smooth))
    return np.array(factors, np.float32)


def test_the_scaled_positions_of_llama_3_are_read(tmp_path: Path) -> None:
    file = write(tmp_path / "scaled.gguf", more=[("rope_freqs.weight", llama_3_factors())])
    rope = AutoConfig.from_pretrained(gguf_folder(file)).rope_parameters
    assert (rope["rope_type"], rope["factor"], rope["rope_theta"]) == ("llama3", 32.0, THETA)
    assert rope["original_max_position_embeddings"] == 8192
    plain = write(tmp_path / "plain.gguf", more=[("rope_freqs.weight", np.ones(4, np.float32))])
    assert AutoConfig.from_pretrained(gguf_folder(plain)).rope_parameters["rope_type"] == "default"


@pytest.mark.parametrize(
    ("pre", "apart", "said"),
    [("gpt-2", False, 0), ("smollm", True, 0), ("qwen2", True, 0), ("odd", False, 1)],
)
def test_text_is_split_as_the_file_says(
    tmp_path: Path, pre: str, apart: bool, said: int, caplog: Any
) -> None:
    folder = gguf_folder(write(tmp_path / "pre.gguf", pre=pre))
    backend = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    pieces = [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str("in 12")]
    assert pieces == (["in", "Ġ", "1", "2"] if apart else ["in", "Ġ12"])
    assert len([line for line in caplog.messages if "splits text in a way that is not known" in line]) == said
