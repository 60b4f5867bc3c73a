"""IFEval's file of prompts with their verifiable instructions, as it is and as others have changed it.

Source: Zhou et al. (2023), arXiv 2311.07911; ``input_data.jsonl`` (541 lines) from the repository
google-research/google-research, folder ``instruction_following_eval/data``. The copy on model hubs fills
every argument that a rule does not take with null; those are dropped. Whether the arguments are right is for
the judge to say.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, field_validator

from biddable.errors import FileError, InputError
from biddable.tasks.chats import from_json, read_chat
from biddable.tasks.rows import Row, parsed, require_rows
from biddable.types import Chat, Check, Task


class _Example(BaseModel):
    key: str | int | float | None = None
    instruction_id_list: list[str] = Field(min_length=1)
    kwargs: list[dict[str, Any]]

    @field_validator("key", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("input should be an integer or a text")
        return value

    @field_validator("instruction_id_list", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return from_json(value)

    @field_validator("kwargs", mode="before")
    @classmethod
    def _one_each(cls, value: Any) -> Any:
        value = from_json(value)
        if not isinstance(value, list):
            return value
        entries = [from_json(entry) for entry in value]
        return [{} if entry is None else entry for entry in entries]


def load_ifeval(path: str | Path) -> list[Task]:
    """One task per row: ``key`` becomes its id, each instruction id with its arguments a check.

    Read beside the published form: what ``read_values`` reads of files and ``read_chat`` of prompts; a key
    that is a text, or missing (the line is then the id); ``instruction_id_list``, ``kwargs`` and its entries
    as JSON text; ``kwargs`` or entries that are null; ``kwargs`` as one object, which every instruction of
    the task is then given; and the samples that lm-eval logs, which hold the row as ``doc``.

    Raises:
        FileError: the file cannot be read or is empty, or a row (named) is malformed or repeats a key.
    """
    tasks: list[Task] = []
    places: dict[str, str] = {}
    for row in require_rows(path):
        task = read_task(row)
        if (first := places.setdefault(task.id, row.name)) != row.name:
            raise FileError(row.where, f"key: the same as in {first}")
        tasks.append(task)
    return tasks


def prompt_of(row: Row, value: dict[str, Any]) -> Chat:
    """The chat in ``value``, which is ``row`` or a part of it. Raises FileError: it is no chat to answer."""
    try:
        chat = read_chat(value)
    except InputError as error:
        raise FileError(row.where, str(error)) from None
    if chat[-1].role == "assistant":
        raise FileError(row.where, "prompt: the last turn is the assistant's, expected the user's")
    return chat


def read_task(row: Row) -> Task:
    """The task that a row holds. Raises FileError: it is malformed."""
    value = row.value
    if isinstance(value, dict) and isinstance(value.get("doc"), dict):
        value = value["doc"]
    if isinstance(value, dict) and "kwargs" in value:
        kwargs, ids = (from_json(value.get(name)) for name in ("kwargs", "instruction_id_list"))
        if isinstance(kwargs, dict | None) and isinstance(ids, list):
            value = {**value, "kwargs": [kwargs] * len(ids)}
    example = parsed(Row(value, row.where, row.name), _Example, strict=True)
    asked, given = len(example.instruction_id_list), len(example.kwargs)
    if asked != given:
        raise FileError(row.where, f"kwargs: {given} entries for {asked} in instruction_id_list")
    checks = tuple(
        Check(id, {name: argument for name, argument in kwargs.items() if argument is not None})
        for id, kwargs in zip(example.instruction_id_list, example.kwargs, strict=True)
    )
    return Task(task_id(example.key) or row.name.replace(" ", "-"), prompt_of(row, value), checks)


def task_id(key: str | int | float | None) -> str:
    """A row's key as the id of its task; empty where there is none."""
    # Tables that lack a key somewhere write whole numbers as 7.0.
    return "" if key is None else re.sub(r"^(-?\d+)\.0+$", r"\1", str(key))
