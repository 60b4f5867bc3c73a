"""Natural Instructions, first version: tasks with crowdsourced instructions of several fields.

Source: Mishra et al., ACL 2022 (arXiv 2104.08773), repository allenai/natural-instructions-v1 (Apache-2.0): a
JSON file for each task, and files of what GPT-3 and BART predicted. The second version is ``superni``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from biddable.errors import FileError, InputError
from biddable.tasks.fewshot import Shots
from biddable.tasks.rows import parsed, require_rows
from biddable.types import Response, Task

FIELDS = ("Title", "Definition", "Prompt", "Things to Avoid", "Emphasis & Caution")
DEFAULT_FIELDS = ("Definition", "Prompt", "Things to Avoid", "Emphasis & Caution")
RESERVED = 60
"""How many of a task's instances, from the first, are kept for solved examples."""

SEPARATOR = "\n"
"""What stands between the parts of a prompt, for ``few_shot_prompt``."""

_NONE = ("", "-")
_FILE_OF_PREDICTIONS = re.compile(r"(?P<task>[^@]+)@_?(?P<encoding>[^@]*)@(?P<examples>\d+)_\d+")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _none_is_empty(value: Any) -> Any:
    return [] if value in _NONE else value


class _Example(BaseModel):
    input: str
    output: str
    reason: str = ""
    suggestion: str = ""


_Examples = Annotated[list[_Example], BeforeValidator(_none_is_empty)]


class _Both(BaseModel):
    positive: _Examples = Field([], alias="Positive Examples")
    negative: _Examples = Field([], alias="Negative Examples")


class _Instance(BaseModel):
    input: str
    output: Annotated[list[str], BeforeValidator(_listed)] = Field(min_length=1)


class _File(BaseModel):
    title: str = Field("", alias="Title")
    definition: str = Field("", alias="Definition")
    prompt: str = Field("", alias="Prompt")
    avoid: str = Field("", alias="Things to Avoid")
    emphasis: str = Field("", alias="Emphasis & Caution")
    examples: _Both = Field(default_factory=lambda: _Both.model_validate({}), alias="Examples")
    instances: list[_Instance] = Field(alias="Instances")


class _Prediction(BaseModel):
    index: int = Field(ge=0)
    output: str
    input: str = ""


class _FileOfPredictions(BaseModel):
    predictions: list[_Prediction] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model answered to some instances of a task.

    Attributes:
        task: the task's name.
        encoding: which fields its prompt had, as the file's name says; empty where it does not.
        responses: by the instance's index.
        prompts: what was asked, by the instance's index, where the file says.
    """

    task: str
    encoding: str
    responses: dict[int, Response]
    prompts: dict[int, str]


def read_natural_instructions(
    path: str | Path,
    *,
    fields: Sequence[str] = DEFAULT_FIELDS,
    explained: bool = False,
    count: int | None = 100,
) -> tuple[list[Task], dict[str, Shots]]:
    """Instances of each task, and its instruction: the fields asked for, and solved examples.

    Instances and examples are written ``input: …`` and ``output: …``. The examples are the task's own, then
    the first 60 of its instances, which are not asked. Of the others ``count`` are asked, evenly spaced, as
    the paper's code has it (the last is not among them).

    Args:
        path: a task's file, or a folder of such.
        fields: some of ``FIELDS``, in the order in which they are shown. Those that a task marks as absent
            ("-") are left out.
        explained: whether examples are numbered and say why they are right, those of wrong answers after
            them; the task's own only.
        count: how many instances of a task are asked, at most; None: all but the first 60.

    Raises:
        FileError: there is no such file, or what it holds (named) is not as it should be; or a task has no
            instance besides those kept for examples.
        InputError: there is no such field.
    """
    if unknown := [name for name in fields if name not in FIELDS]:
        raise InputError("fields", unknown[0], f"one of {', '.join(FIELDS)}")
    if count is not None and count < 1:
        raise InputError("count", count, "an integer of at least 1")
    path = Path(path)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise FileError(path, "holds no file named TASK.json")
    tasks: list[Task] = []
    shots: dict[str, Shots] = {}
    for file in files:
        asked, shots[file.stem] = _read(file, fields, explained, count)
        tasks += asked
    return tasks, shots


def read_predictions(path: str | Path) -> Predictions:
    """The predictions of a published file, by the index of their instance.

    Raises:
        FileError: the file cannot be read, or a prediction (named) has no index or output, or an index twice.
    """
    rows = require_rows(path)
    if len(rows) > 1:
        raise FileError(path, "expected one object with predictions")
    read = parsed(rows[0], _FileOfPredictions).predictions
    responses: dict[int, Response] = {}
    for number, each in enumerate(read):
        if each.index in responses:
            raise FileError(path, f"predictions.{number}.index: {each.index} is that of another as well")
        responses[each.index] = Response(each.output)
    stem = Path(path).stem
    name = _FILE_OF_PREDICTIONS.fullmatch(stem)
    prompts = {each.index: each.input for each in read if each.input}
    task, encoding = (name["task"], name["encoding"]) if name else (stem, "")
    return Predictions(task, encoding, responses, prompts)


def _read(path: Path, fields: Sequence[str], explained: bool, count: int | None) -> tuple[list[Task], Shots]:
    rows = require_rows(path)
    if len(rows) > 1:
        raise FileError(path, f"expected one object with Definition and Instances, not {len(rows)} rows")
    read = parsed(rows[0], _File)
    number = len(read.instances)
    if number <= RESERVED + 1:
        problem = f"Instances: {number} of them, expected more than the {RESERVED} kept for examples and one"
        raise FileError(path, problem)
    step = max(1, (number - RESERVED) // count) if count else 1
    chosen = range(RESERVED, number - 1 if count else number, step)[:count]
    group = path.stem
    tasks = []
    for index in chosen:
        instance = read.instances[index]
        meta = {"group": group, "input": instance.input, "index": index}
        prompt = f"input: {instance.input.strip()}\noutput:"
        tasks.append(Task(f"{group}/{index}", prompt, references=tuple(instance.output), meta=meta))
    texts = (read.title, read.definition, read.prompt, read.avoid, read.emphasis)
    known = dict(zip(FIELDS, (text.strip() for text in texts), strict=True))
    description = SEPARATOR.join(f"{name}: {known[name]}" for name in fields if known[name] not in _NONE)
    return tasks, Shots(description, _solved(read, explained))


def _solved(read: _File, explained: bool) -> tuple[str, ...]:
    if explained:
        positive = [_explained("Positive", n, each) for n, each in enumerate(read.examples.positive, 1)]
        negative = [_explained("Negative", n, each) for n, each in enumerate(read.examples.negative, 1)]
        return (*positive, *negative)
    own = [(each.input, each.output) for each in read.examples.positive]
    own += [(each.input, each.output[0]) for each in read.instances[:RESERVED]]
    return tuple(f"input: {text.strip()}\noutput: {answer.strip()}" for text, answer in own)


def _explained(kind: str, number: int, example: _Example) -> str:
    lines = [
        f"{kind} Example {number}-",
        f"input: {example.input.strip()}",
        f"output: {example.output.strip()}",
    ]
    if example.reason.strip() not in _NONE:
        suggestion = example.suggestion.strip()
        # The paper's code writes the suggestion straight behind the reason.
        lines.append(
            f"reason: {example.reason.strip()}" + (f"suggestion: {suggestion}" if suggestion else "")
        )
    return "\n".join(lines)
