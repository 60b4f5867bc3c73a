"""IFEval's two files: the prompts with their verifiable instructions, and a model's responses.

Source: Zhou et al. (2023), arXiv 2311.07911; ``input_data.jsonl`` (541 lines) from the repository
google-research/google-research, folder ``instruction_following_eval/data``. The copy on model hubs fills
every argument that a rule does not take with null; those are dropped. Whether the arguments are right is for
the judge to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from biddable.errors import FileError
from biddable.runs.codec import first_problem
from biddable.runs.files import read_jsonl
from biddable.types import Check, Task, user


class _Example(BaseModel):
    key: int
    prompt: str = Field(min_length=1)
    instruction_id_list: list[str] = Field(min_length=1)
    kwargs: list[dict[str, Any]]


class _Answer(BaseModel):
    prompt: str
    response: str


Row = TypeVar("Row", bound=BaseModel)


def load_ifeval(path: str | Path) -> list[Task]:
    """One task per line: ``key`` becomes its id, each instruction id with its arguments a check.

    Raises:
        FileError: the file cannot be read or is empty, or a line (named) is malformed or repeats a key.
    """
    tasks: list[Task] = []
    lines: dict[int, int] = {}
    for line, example in _rows(path, _Example):
        asked, given = len(example.instruction_id_list), len(example.kwargs)
        if asked != given:
            raise FileError(path, f"kwargs: {given} entries for {asked} in instruction_id_list", line=line)
        if (first := lines.setdefault(example.key, line)) != line:
            raise FileError(path, f"key: the same as in line {first}", line=line)
        checks = tuple(
            Check(id, {name: value for name, value in kwargs.items() if value is not None})
            for id, kwargs in zip(example.instruction_id_list, example.kwargs, strict=True)
        )
        tasks.append(Task(str(example.key), user(example.prompt), checks))
    return tasks


def load_responses(path: str | Path) -> dict[str, str]:
    """Prompt -> response. A line may be repeated as it is.

    Raises:
        FileError: the file cannot be read or is empty, or a line (named) is malformed or gives another
            response to the same prompt.
    """
    responses: dict[str, str] = {}
    for line, answer in _rows(path, _Answer):
        if responses.setdefault(answer.prompt, answer.response) != answer.response:
            raise FileError(path, "response: differs from an earlier one to the same prompt", line=line)
    return responses


def _rows(path: str | Path, row: type[Row]) -> Iterator[tuple[int, Row]]:
    empty = True
    for line, value in read_jsonl(path):
        empty = False
        try:
            parsed = row.model_validate(value, strict=True)
        except ValidationError as error:
            raise FileError(path, _problem(error), line=line) from error
        yield line, parsed
    if empty:
        raise FileError(path, "expected at least one line of JSON")


def _problem(error: ValidationError) -> str:
    place, problem = first_problem(error)
    return f"{'.'.join(map(str, place))}: {problem}" if place else "expected a JSON object"
