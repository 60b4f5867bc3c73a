"""Adapters that other tools wrote, whole, damaged and moved, on tiny modules with real PEFT."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from biddable.errors import ModelError, StorageError
from biddable.models.adapters import WEIGHTS
from biddable.models.base import Sampling
from biddable.models.load import load_model, load_trainable, model_identity
from biddable.models.local import LocalModel
from biddable.train.adapter import choose_weights
from biddable.train.config import LoraConfig
from biddable.types import user

from ..train.tiny import VOCABULARY, llama, local, word_tokenizer

CHATS = [user("w1 w2 w3"), user("w9")]
GREEDY = Sampling(max_tokens=8, temperature=0)


@pytest.fixture
def base(tmp_path) -> Path:
    return local().save(tmp_path / "base")


def adapter(base: Path, folder: Path, config=None, **settings) -> Path:
    """A PEFT adapter that changes answers, saved by PEFT itself beside ``base``."""
    config = config or peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", **settings)
    model = load_trainable(base)
    torch.manual_seed(1)
    adapted = peft.get_peft_model(model.module, config)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape))
    adapted.save_pretrained(folder)
    return folder


def answers(model) -> list[str]:
    return [row[0].text for row in model.generate(CHATS, sampling=GREEDY)]


def edit(folder: Path, change) -> None:
    """Rewrite the adapter's tensors as ``change`` gives them."""
    tensors = load_file(folder / WEIGHTS)
    save_file(change(tensors), folder / WEIGHTS, metadata={"format": "pt"})


def test_an_adapter_answers_as_peft_computes_it(base, tmp_path) -> None:
    for name, settings in {"dora": {"use_dora": True}, "rs": {"use_rslora": True}}.items():
        model = load_model(adapter(base, tmp_path / name, **settings))
        assert model._proof().path == "fast"
        assert answers(model) != answers(load_model(base))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: {f"_orig_mod.{name}": value for name, value in t.items()}, r"28 missing .*28 left over"),
        (lambda t: dict(list(t.items())[:14]), r"14 missing \(base_model\.model\.model\.layers"),
        (lambda t: t | {"base_model.model.other.lora_A.weight": torch.zeros(4, 32)}, "1 left over .*other"),
        (lambda t: {name: value[:, :-1].contiguous() for name, value in t.items()}, "size mismatch"),
    ],
    ids=["renamed", "half", "one too many", "another size"],
)
def test_tensors_that_do_not_fit_are_named(base, tmp_path, change, problem) -> None:
    folder = adapter(base, tmp_path / "lora")
    edit(folder, change)
    with pytest.raises(ModelError, match=problem) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_its_own_tokenizer_and_template_are_used(base, tmp_path) -> None:
    folder = adapter(base, tmp_path / "lora")
    template = "{% for m in messages %}{{ 'w50 ' + m.content + ' <end> ' }}{% endfor %}"
    word_tokenizer(template).save_pretrained(folder)
    model = load_model(folder)
    assert model.tokenizer.decode(model.encode_prompt(CHATS[1])) == "w50 w9 <end> w50"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    (folder / "chat_template.jinja").write_text(template.replace("w50", "w51"))
    assert (
        load_model(folder).tokenizer.decode(load_model(folder).encode_prompt(CHATS[1])) == "w51 w9 <end> w51"
    )


def test_a_grown_vocabulary_comes_with_its_rows_or_is_refused(base, tmp_path) -> None:
    model = load_trainable(base)
    model.tokenizer.add_tokens(["rivers", "lakes"])
    model.module.resize_token_embeddings(VOCABULARY + 2)
    module = peft.get_peft_model(
        model.module, peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    )
    module.save_pretrained(tmp_path / "grown", save_embedding_layers=True)
    model.tokenizer.save_pretrained(tmp_path / "grown")
    grown = load_model(tmp_path / "grown")
    assert grown.module.get_input_embeddings().weight.shape[0] == VOCABULARY + 2
    expected = module.get_input_embeddings().weight
    assert torch.equal(grown.module.get_input_embeddings().weight, expected)
    edit(tmp_path / "grown", lambda t: {name: v for name, v in t.items() if "lora" in name})
    with pytest.raises(ModelError, match=rf"has {VOCABULARY + 2} tokens, base and adapter have rows for"):
        load_model(tmp_path / "grown")


def test_a_vocabulary_grown_in_whole_modules_is_taken(base, tmp_path) -> None:
    model = load_trainable(base)
    model.tokenizer.add_tokens(["rivers", "lakes"])
    model.module.resize_token_embeddings(VOCABULARY + 2)
    whole = ["lm_head", "embed_tokens"]
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=whole, task_type="CAUSAL_LM")
    module = peft.get_peft_model(model.module, config).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape))
    module.save_pretrained(tmp_path / "grown")
    model.tokenizer.save_pretrained(tmp_path / "grown")
    ids = torch.tensor([[5, VOCABULARY + 1, 7]])
    with torch.no_grad():
        loaded = load_model(tmp_path / "grown")
        torch.testing.assert_close(loaded.module(ids).logits, module(ids).logits)
    assert loaded._proof().path == "fast"


@pytest.mark.parametrize(
    "config",
    [
        peft.PrefixTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
        peft.PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
    ],
    ids=["prefix", "prompt"],
)
def test_virtual_tokens_are_refused(base, tmp_path, config) -> None:
    with pytest.raises(ModelError, match="TUNING put tokens before the prompt, which is not supported"):
        load_model(adapter(base, tmp_path / "virtual", config))


def test_a_kind_that_is_not_lora_is_computed(base, tmp_path) -> None:
    config = peft.IA3Config(
        task_type="CAUSAL_LM", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]
    )
    model = load_model(adapter(base, tmp_path / "ia3", config))
    assert answers(model) != answers(load_model(base))


def test_weights_are_no_pickle_no_pointer_and_whole(base, tmp_path) -> None:
    folder = adapter(base, tmp_path / "lora")
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors: is cut off"):
        load_model(folder)
    (folder / WEIGHTS).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    with pytest.raises(ModelError, match="is a Git LFS pointer"):
        load_model(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"no adapter_model\.safetensors in it$"):
        load_model(folder)
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match=r"adapter_model\.bin is a pickle, which is never read"):
        load_model(folder)


def test_a_setting_of_a_later_peft_is_not_ignored(base, tmp_path) -> None:
    folder = adapter(base, tmp_path / "lora")
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"new_off": None, "new_scaling": 2.0}))
    with pytest.raises(ModelError, match=r"the installed peft does not know: new_scaling$"):
        load_model(folder)


def test_whole_modules_are_trained_on(base, tmp_path) -> None:
    folder = adapter(base, tmp_path / "lora", modules_to_save=["lm_head"])
    model = load_trainable(folder, lora_rank=4)
    module = choose_weights(model.module, LoraConfig(rank=4), seed=0)
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert any("lm_head.modules_to_save" in name for name in trained)
    assert sum(".lora_" in name for name in trained) == len(trained) - 1


def test_a_relative_base_is_found_from_elsewhere_and_told_apart(base, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = load_trainable("base", lora_rank=2)
    model.module = choose_weights(model.module, LoraConfig(rank=2), seed=0)
    model.save(Path("run", "lora"))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    before = model_identity("../run/lora")
    assert answers(load_model("../run/lora")) == answers(load_model(base))
    shutil.move(tmp_path / "run" / "lora", tmp_path / "lora")
    shutil.move(base, tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="its base model is not there: /"):
        load_model("../lora")
    shutil.move(tmp_path / "elsewhere", base)
    assert model_identity("../lora") == before
    local(llama(seed=5)).save(base)
    with pytest.raises(ModelError, match="was trained on other weights than those now in"):
        load_model("../lora")


def test_training_on_a_run_with_an_adapter_keeps_its_base(base, tmp_path) -> None:
    first = load_trainable(base, lora_rank=2)
    first.module = choose_weights(first.module, LoraConfig(rank=2), seed=0)
    first.save(tmp_path / "first")
    second = load_trainable(tmp_path / "first", lora_rank=2)
    second.save(tmp_path / "second")
    shutil.rmtree(tmp_path / "first")
    assert isinstance(load_model(tmp_path / "second"), LocalModel)


def test_a_model_is_not_saved_over_a_file(tmp_path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError):
            local().save(place)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_adapter_is_not_its_own_base(base, tmp_path) -> None:
    folder = adapter(base, tmp_path / "adapter")
    settings = json.loads((folder / "adapter_config.json").read_text())
    text = json.dumps(settings | {"base_model_name_or_path": str(folder)})
    (folder / "adapter_config.json").write_text(text)
    with pytest.raises(ModelError, match="its base model is not there"):
        load_model(folder)


def test_a_broken_record_of_the_base_is_as_none(base, tmp_path) -> None:
    folder = adapter(base, tmp_path / "adapter")
    (folder / "base.json").write_text("5")
    load_model(folder)


def test_a_template_of_an_adapter_is_taken_wherever_it_lies(base, tmp_path) -> None:
    folder = adapter(base, tmp_path / "adapter")
    template = "{% for m in messages %}{{ m.content }} w7{% endfor %}"
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    model = load_model(folder)
    assert model.tokenizer.decode(model.encode_prompt(user("w1"))) == "w1 w7"
    (folder / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(ModelError, match="cannot be read as an adapter: 'utf-8' codec"):
        load_model(folder)


def test_an_adapter_of_nan_is_said_to_be_one(base, tmp_path) -> None:
    folder = adapter(base, tmp_path / "adapter")
    edit(folder, lambda tensors: {name: value * torch.nan for name, value in tensors.items()})
    with pytest.raises(ModelError, match="of its tensors hold NaN or infinity"):
        answers(load_model(folder))
