"""Anybody's data: conversations, preferences, examples, tasks and prompts, read from the field's formats.

A source is a file (JSON lines, a JSON list, CSV, TSV or Parquet, packed by gzip or not), a folder of such
files, a run (the data that it left), or ``hf:OWNER/NAME[/CONFIG][:SPLIT]``, a data set of the hub. What a row
is follows from its columns (``docs/data.md`` lists the shapes); columns that no shape knows are not read. A
row that cannot be read ends the reading, with one line that names the file, the line and the field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from biddable.errors import FileError, InputError, shown
from biddable.runs.codec import digest as values_digest
from biddable.runs.files import content_digest
from biddable.runs.folder import artifact_of, is_run
from biddable.tasks import chats
from biddable.tasks.chats import asked, from_json, learned, messages, one_of, read_chat, sendable, transcript
from biddable.tasks.ifeval import read_task, task_id
from biddable.tasks.rows import Row, read_hub, read_values, source_files
from biddable.types import Chat, Check, Conversation, Preference, Prompt, Task

Noun = TypeVar("Noun")

HUB = "hf:"
"""What the name of a data set of the hub begins with."""

_LISTS = ("data", "rows", "examples", "instances", "Instances")
"""Under what names a JSON object holds its rows."""

def read_conversations(source: str | Path) -> list[Conversation]:
    """Chats to learn from. All turns of the assistant's are learned, but those that the data mark otherwise.

    Raises:
        FileError: the source cannot be read, holds nothing, or a row (named) is no conversation.
        MissingDependency, EndpointError: see ``rows.read_hub``; so in the readers below.
    """
    return _read(source, conversation_of, "conversations")


def read_preferences(source: str | Path) -> list[Preference]:
    """Pairs of answers to one prompt, the better one as ``chosen``. Raises FileError."""
    return _read(source, preference_of, "preferences")


def read_examples(source: str | Path) -> list[Task]:
    """Inputs, each with one or several right answers: the task's ``references``. Raises FileError."""
    return _distinct(source, example_of, "examples")


def read_tasks(source: str | Path) -> list[Task]:
    """Instructions, with the rules that check an answer where the rows have them (IFEval's form).

    A task's id is its ``key``, else its ``id``, else its place in the file. An answer at the end of a chat is
    left off. Raises FileError.
    """
    return _distinct(source, task_of, "tasks")


def read_prompts(source: str | Path) -> list[Prompt]:
    """What is to be answered: chats, or raw text where the column is ``text``.

    An answer at the end of a chat is left off. Raises FileError.
    """
    return _read(source, prompt_of, "prompts")


def digest(source: str | Path) -> str:
    """What tells the data of a source from any other: it changes with their content, not with their place."""
    if str(source).startswith(HUB):
        return values_digest(row.value for row in read_hub(str(source)))
    return content_digest(artifact_of(source, "data"))


def split(
    rows: Sequence[Noun], sources: Sequence[Hashable], share: float, seed: int
) -> tuple[list[Noun], list[Noun]]:
    """Divide rows in those to learn from and those held out, so that no source is on both sides.

    Which side a source is on depends on itself, the seed and how many rows there are; not on their order.

    Args:
        rows: of any type.
        sources: what each row comes from: its prompt, its document.
        share: how many of the rows are held out, at least; one source or more stays on each side.
        seed: another seed, another division.

    Returns:
        the rows to learn from, and those held out, in their order.

    Raises:
        InputError: ``share`` is not between 0 and 1, there are not two sources, or not one for each row.
    """
    if not 0 < share < 1:
        raise InputError("share", share, "a number between 0 and 1")
    if len(sources) != len(rows):
        raise InputError("sources", f"{len(sources)} of them", f"one for each of the {len(rows)} rows")
    sizes: dict[Hashable, int] = {}
    for source in sources:
        sizes[source] = sizes.get(source, 0) + 1
    if len(sizes) < 2:
        raise InputError("sources", f"{len(sizes)} different", "at least two, one for each side")
    drawn = sorted(sizes, key=lambda source: hashlib.sha256(f"{seed}:{source!r}".encode()).digest())
    held: set[Hashable] = set()
    count = 0
    for source in drawn[:-1]:
        if count >= share * len(rows):
            break
        held.add(source)
        count += sizes[source]
    pairs = list(zip(rows, sources, strict=True))
    return [row for row, source in pairs if source not in held], [
        row for row, source in pairs if source in held
    ]


def _read(source: str | Path, build: Callable[[Row], Noun], kind: str) -> list[Noun]:
    """Every row of a source. Of a run's files, those are read whose first row has the shape."""
    if str(source).startswith(HUB):
        files = [read_hub(str(source))]
    else:
        files = [read_values(file) for file in source_files(source)]
    nouns: list[Noun] = []
    unknown = None
    for rows in files:
        for index, row in enumerate(each for stored in rows for each in _rows_in(stored)):
            try:
                nouns.append(build(row))
            except InputError as error:
                raise FileError(row.where, str(error)) from None
            except UnknownShapeError:
                unknown = FileError(row.where, f"{_columns(row.value)}, expected {SHAPES[kind]}")
                if index or not is_run(source):
                    raise unknown from None
                break
    if not nouns:
        raise unknown or FileError(source, "holds no rows")
    return nouns


def _distinct(source: str | Path, build: Callable[[Row], Task], kind: str) -> list[Task]:
    """Tasks of which no two have one id: those without a key are named by their file as well, if need be."""
    files = 1 if str(source).startswith(HUB) else len(source_files(source))
    places: dict[str, Row] = {}

    def build_named(row: Row) -> Task:
        task = build(row)
        if task.id == _place(row) and files > 1:
            task = replace(task, id=f"{Path(row.where.rsplit(':', 1)[0]).name}:{task.id}")
        if (first := places.setdefault(task.id, row)) is not row:
            raise FileError(row.where, f"key: {shown(task.id)} is that of {first.where} as well")
        return task

    return _read(source, build_named, kind)


def _rows_in(row: Row) -> Iterator[Row]:
    """The rows that one value of a file holds: itself, or those under it.

    Read are an object that holds its rows under one of ``_LISTS``, or under numbers; and instances of one
    instruction (Super-NaturalInstructions' and Self-Instruct's).
    """
    value = row.value
    if not isinstance(value, dict):
        yield row
        return
    name = next((name for name in _LISTS if _objects(value.get(name))), "")
    numbered = not name and value.keys() and all(str(key).isdecimal() for key in value) and _objects(value)
    if not name and not numbered:
        yield row
        return
    inner = value[name] if name else value
    definition = value.get("Definition") or value.get("definition") or value.get("instruction")
    if isinstance(definition, list):
        definition = "\n".join(map(str, definition))
    above = {} if definition is None or name.lower() != "instances" else {"instruction": definition}
    for key, each in inner.items() if isinstance(inner, dict) else enumerate(inner, 1):
        place = f"{name} {key}".strip()
        yield Row({**each, **above}, f"{row.where}: {place}", f"{row.name} {place}")


def _objects(value: Any) -> bool:
    inner = list(value.values()) if isinstance(value, dict) else value
    return isinstance(inner, list) and bool(inner) and all(isinstance(each, dict) for each in inner)


def _columns(value: Any) -> str:
    if not isinstance(value, dict):
        return f"a row is {shown(value)}"
    names = [name for name in value if value[name] is not None]
    return f"has the columns {', '.join(map(shown, names[:12]))}{' …' if len(names) > 12 else ''}"


