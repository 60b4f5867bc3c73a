"""Tokenizers as they lie in folders, with what is damaged or missing there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from biddable.errors import ModelError
from biddable.models.chat import ChatFormat
from biddable.models.tokenizer import read_tokenizer

TEMPLATE = "{% for m in messages %}{{ m.content }}b{% endfor %}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    backend = Tokenizer(BPE({"a": 0, "b": 1, "</s>": 2}, []))
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>").save_pretrained(tmp_path)
    return tmp_path


def test_it_is_read_with_its_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    tokenizer = read_tokenizer(folder)
    assert tokenizer("ab")["input_ids"] == [0, 1]
    assert tokenizer.chat_template == TEMPLATE


@pytest.mark.parametrize("named", [False, True])
def test_the_template_of_a_processor_is_taken_where_there_is_no_other(folder: Path, named: bool) -> None:
    found: Any = [{"name": "default", "template": TEMPLATE}] if named else TEMPLATE
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": found}))
    assert read_tokenizer(folder).chat_template == ({"default": TEMPLATE} if named else TEMPLATE)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert read_tokenizer(folder).chat_template == "{{ messages }}"


def test_templates_in_a_folder_need_a_default(folder: Path) -> None:
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "rag.jinja").write_text(TEMPLATE)
    with pytest.raises(ModelError, match=r": its chat templates are named rag, expected one named default$"):
        ChatFormat(read_tokenizer(folder))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    assert ChatFormat(read_tokenizer(folder)).response("a") == [0, 2]


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"tokenizer.json": None}, r": no tokenizer in it \(expected tokenizer.json\)$"),
        ({"tokenizer.json": "{"}, r": cannot be read as a tokenizer: "),
        ({"tokenizer.json": POINTER}, r"tokenizer.json: is a Git LFS pointer"),
        (
            {"tokenizer.json": None, "tokenizer.model": "\n"},
            r"no tokenizer.json, and tokenizer.model ",
        ),
        ({"tokenizer_config.json": "[]"}, r": cannot be read as a tokenizer: "),
        ({"chat_template.json": "[]"}, r"chat_template.json: no chat template in it"),
        ({"chat_template.json": "{"}, r": cannot be read as a tokenizer: "),
    ],
)
def test_what_is_damaged_or_missing_is_one_line(
    folder: Path, files: dict[str, str | None], problem: str
) -> None:
    for name, content in files.items():
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_text(content)
    with pytest.raises(ModelError, match=problem) as caught:
        read_tokenizer(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
