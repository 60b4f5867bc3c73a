"""Prompt templates: an instruction and solved examples that stand before every input; ``prompt.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from biddable.errors import FileError, InputError
from biddable.runs.codec import describe
from biddable.runs.files import read_json, write_json
from biddable.types import Message, Prompt, as_chat

PROMPT_FILE = "prompt.json"
INPUT, OUTPUT = "{input}", "{output}"
Template = Literal["auto", "chat", "none"]
"""A prompt is a user's turn (chat), raw text (none), or a turn where the model has a template (auto)."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """An input with its output, shown before the input that is asked."""

    input: str
    output: str


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """What a model is shown around an input.

    The parts are put together, never searched for placeholders: an instruction or an input that holds
    ``{input}`` stays as it is.

    Attributes:
        instruction: what to do with inputs; may be empty.
        exemplars: solved examples, in the order in which they are shown.
        input: how an input is written, with ``{input}`` once.
        output: how an output is written, with ``{output}`` at its end; what stands before it ends the prompt.
        separator: between the instruction, the exemplars and the input.
        template: whether what is put together is a user's turn (chat), raw text (none), or what the prompt is
            (auto).
        choices: outputs are the likeliest of these; empty: what the model writes.

    Raises:
        InputError: a placeholder is missing, stands twice, or is not where it has to be; or choices are not
            two or more different texts.
    """

    instruction: str = ""
    exemplars: tuple[Exemplar, ...] = ()
    input: str = "Input: {input}"
    output: str = "Output: {output}"
    separator: str = "\n\n"
    template: Template = "auto"
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the placeholders and the choices."""
        distinct = {choice.strip() for choice in self.choices}
        if self.choices and (len(distinct) < max(2, len(self.choices)) or "" in distinct):
            raise InputError("choices", list(self.choices), "two or more different texts, or none")
        if self.input.count(INPUT) != 1:
            raise InputError("input", self.input, f"a text with {INPUT} once")
        if self.output.count(OUTPUT) != 1 or not self.output.endswith(OUTPUT):
            raise InputError("output", self.output, f"a text that ends with {OUTPUT}, once")

    def text(self, given: str) -> str:
        """The instruction, the exemplars, and an input up to where its output begins."""
        parts = [self.instruction, *(self._pair(each.input, each.output) for each in self.exemplars)]
        parts.append(self._pair(given, "").rstrip())
        return self.separator.join(part for part in parts if part)

    def prompt(self, prompt: Prompt) -> Prompt:
        """A prompt whose text, or the last user's turn of which, is the input of the template.

        Raises:
            InputError: a chat without a turn of the user; or of several turns, where raw text is asked for.
        """
        if isinstance(prompt, str):
            return as_chat(self.text(prompt)) if self.template == "chat" else self.text(prompt)
        if self.template == "none":
            if len(prompt) > 1:
                raise InputError(
                    "prompt", f"a chat of {len(prompt)} turns", "one turn: the template is raw text"
                )
            return self.text(prompt[0].content)
        last = max((i for i, turn in enumerate(prompt) if turn.role == "user"), default=None)
        if last is None:
            raise InputError("prompt", [turn.role for turn in prompt], "a chat with a turn of the user")
        filled = Message("user", self.text(prompt[last].content))
        return (*prompt[:last], filled, *prompt[last + 1 :])

    def with_instruction(self, instruction: str) -> PromptTemplate:
        """The same with another instruction."""
        return replace(self, instruction=instruction)

    def with_exemplars(self, exemplars: Sequence[Exemplar]) -> PromptTemplate:
        """The same with other exemplars."""
        return replace(self, exemplars=tuple(exemplars))

    def without(self, given: str) -> PromptTemplate:
        """The same without exemplars of an input: whoever is asked for its output must not see it solved."""
        return replace(self, exemplars=tuple(each for each in self.exemplars if each.input != given))

    def _pair(self, given: str, output: str) -> str:
        before, after = self.input.split(INPUT)
        lead = self.output[: -len(OUTPUT)]
        return f"{before}{given}{after}\n{lead}{output}"


class _Pair(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    input: str
    output: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    instruction: str
    exemplars: list[_Pair] = []
    input: str = "Input: {input}"
    output: str = "Output: {output}"
    separator: str = "\n\n"
    template: Template = "auto"
    choices: list[str] = []


def write_prompt(path: str | Path, template: PromptTemplate) -> None:
    """Write a template as ``prompt.json``. Raises StorageError."""
    write_json(Path(path), asdict(template))


def read_prompt(source: str | Path) -> PromptTemplate:
    """The template of a ``prompt.json``, of a run that left one, or of a text file: its instruction alone.

    Raises:
        FileError: there is none, or a field of it (named) is wrong.
    """
    path = Path(source)
    if path.is_dir():
        places = (path / PROMPT_FILE, path / "artifacts" / PROMPT_FILE)
        inside = next((each for each in places if each.exists()), None)
        if inside is None:
            raise FileError(path, f"expected a run that leaves a prompt (artifacts/{PROMPT_FILE})")
        path = inside
    if path.suffix.lower() != ".json":
        from biddable.tasks.rows import read_text

        instruction = read_text(path).strip()
        if not instruction:
            raise FileError(path, "expected an instruction, found an empty file")
        return PromptTemplate(instruction, input=INPUT, output=OUTPUT)
    value: Any = read_json(path)
    try:
        read = _File.model_validate(value)
        exemplars = tuple(Exemplar(each.input, each.output) for each in read.exemplars)
        layout = (read.input, read.output, read.separator, read.template, tuple(read.choices))
        return PromptTemplate(read.instruction, exemplars, *layout)
    except ValidationError as error:
        raise FileError(path, describe(error)) from None
    except InputError as error:
        raise FileError(path, str(error)) from None
