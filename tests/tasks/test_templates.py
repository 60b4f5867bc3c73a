"""Prompt templates put texts together, and ``prompt.json`` gives the same template back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biddable.errors import FileError, InputError
from biddable.tasks.templates import Exemplar, PromptTemplate, read_prompt, write_prompt
from biddable.types import Message, user


def test_what_a_model_is_shown() -> None:
    template = PromptTemplate("Add up.", (Exemplar("1 2", "3"), Exemplar("4 5", "9")))
    assert template.text("6 1") == (
        "Add up.\n\nInput: 1 2\nOutput: 3\n\nInput: 4 5\nOutput: 9\n\nInput: 6 1\nOutput:"
    )
    assert PromptTemplate().text("x") == "Input: x\nOutput:"
    plain = PromptTemplate("Say it in French.", input="{input}", output="{output}", separator=" ")
    assert plain.text("dog") == "Say it in French. dog"


def test_placeholders_in_texts_stay_as_they_are() -> None:
    template = PromptTemplate("Use {input} and {output}.", (Exemplar("{output}", "{input}"),))
    assert template.text("{input}") == (
        "Use {input} and {output}.\n\nInput: {output}\nOutput: {input}\n\nInput: {input}\nOutput:"
    )


@pytest.mark.parametrize(
    ("layout", "problem"),
    [
        ({"input": "Input:"}, r"input is 'Input:', expected a text with \{input\} once"),
        ({"input": "{input}{input}"}, "input is .*once"),
        ({"output": "{output}."}, r"output is '\{output\}\.', expected a text that ends with \{output\}"),
        ({"output": "Output:"}, "output is"),
        ({"choices": ("a",)}, r"choices is \['a'\], expected two or more different texts"),
        ({"choices": ("a", "b", "a ")}, "choices is"),
        ({"choices": ("a", " ")}, "choices is"),
    ],
)
def test_layouts_that_cannot_be(layout: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        PromptTemplate(**layout)


def test_prompts_of_each_kind() -> None:
    template = PromptTemplate("Do it.", input="{input}", output="{output}")
    assert template.prompt("x") == "Do it.\n\nx"
    chat = (Message("system", "s"), Message("user", "x"), Message("assistant", "y"), Message("user", "z"))
    assert template.prompt(chat) == (*chat[:3], Message("user", "Do it.\n\nz"))
    raw = PromptTemplate("Do it.", input="{input}", output="{output}", template="none")
    assert raw.prompt(user("x")) == "Do it.\n\nx"
    with pytest.raises(InputError, match="a chat of 4 turns"):
        raw.prompt(chat)
    with pytest.raises(InputError, match="a chat with a turn of the user"):
        template.prompt((Message("system", "s"),))


def test_a_file_gives_the_template_back(tmp_path: Path) -> None:
    layout = ("Q {input}", "A {output}", "\n", "chat", ("yes", "no"))
    template = PromptTemplate("Äß {x}", (Exemplar("a", "b"),), *layout)
    write_prompt(tmp_path / "prompt.json", template)
    assert read_prompt(tmp_path / "prompt.json") == template
    (tmp_path / "run" / "artifacts").mkdir(parents=True)
    write_prompt(tmp_path / "run" / "artifacts" / "prompt.json", template)
    assert read_prompt(tmp_path / "run") == template
    (tmp_path / "mine.txt").write_text("\ufeffTranslate.\n", encoding="utf-8")
    assert read_prompt(tmp_path / "mine.txt").text("dog") == "Translate.\n\ndog"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"exemplars": []}, "instruction"),
        ({"instruction": 3}, "instruction"),
        ({"instruction": "x", "examples": []}, "examples"),
        ({"instruction": "x", "exemplars": [{"input": "a"}]}, "output"),
        ({"instruction": "x", "input": "no place"}, "input is 'no place'"),
        ({"instruction": "x", "template": "alpaca"}, "template"),
        ({"instruction": "x", "choices": ["yes"]}, "choices is"),
        ([], "valid dictionary|object|instance"),
    ],
)
def test_a_file_that_is_no_prompt_says_why(tmp_path: Path, content: object, problem: str) -> None:
    file = tmp_path / "p.json"
    file.write_text(json.dumps(content))
    with pytest.raises(FileError, match=problem):
        read_prompt(file)


def test_what_is_no_prompt_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="a run that leaves a prompt"):
        read_prompt(tmp_path)
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(FileError, match="expected an instruction, found an empty file"):
        read_prompt(tmp_path / "empty.txt")
