"""Anybody's data: conversations, preferences, examples, tasks and prompts, read from the field's formats.

A source is a file (JSON lines, a JSON list, CSV, TSV or Parquet, packed by gzip or not), a folder of such
files, a run (the data that it left), or ``hf:OWNER/NAME[/CONFIG][:SPLIT]``, a data set of the hub. What a row
is follows from its columns (``docs/data.md`` lists the shapes); columns that no shape knows are not read. A
row that cannot be read ends the reading, with one line that names the file, the line and the field.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from biddable.errors import FileError, InputError, shown
from biddable.runs.codec import digest as values_digest
from biddable.runs.codec import jsonable
from biddable.runs.files import content_digest, replacing, write_atomic
from biddable.runs.folder import artifact_of, is_run
from biddable.tasks.formats import (
    SHAPES,
    UnknownShapeError,
    conversation_of,
    example_of,
    preference_of,
    prompt_of,
    task_of,
    turns_of,
)
from biddable.tasks.nested_rows import rows_in
from biddable.tasks.row_forms import (
    alpaca_row,
    message_list,
    messages_row,
    preference_row,
    prompt_row,
    sharegpt_row,
    task_row,
)
from biddable.tasks.rows import Broken, Row, read_hub, read_values, source_files
from biddable.types import Check, Conversation, Preference, Prompt, Task, user

Noun = TypeVar("Noun")

Kind = Literal["conversations", "preferences"]

HUB = "hf:"
"""What the name of a data set of the hub begins with."""

_KINDS: dict[Kind, Callable[[Row], Any]] = {
    "conversations": conversation_of,
    "preferences": preference_of,
}
_INDEX = re.compile(r"\[\d+\]")


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
    return [prompt for _, prompt, _ in read_prompt_rows(source)]


def read_prompt_rows(source: str | Path) -> list[tuple[Row, Prompt, bool]]:
    """The same: each row, its prompt, and whether an answer was left off. Raises FileError."""

    def build(row: Row) -> tuple[Row, Prompt, bool]:
        return row, (prompt := prompt_of(row)), prompt != turns_of(row)

    return _read(source, build, "prompts")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that cannot be read: what it holds, why in words that such rows have in common, and the error."""

    value: Any
    reason: str
    error: FileError


def read_rows(source: str | Path, kind: Kind) -> dict[str, Any]:
    """The conversations or preferences of a source by their places in it, ``Unreadable`` where there is none.

    Raises:
        FileError: the source cannot be read at all, or holds no row.
    """
    build: Callable[[Row], Any] = _KINDS[kind]
    rows = {row.where: noun for row, noun in _scan(source, build, kind, [])}
    if not rows:
        raise FileError(source, "holds no rows")
    return rows


def kinds_of(source: str | Path) -> list[Kind]:
    """What the rows of a source can be read as, by the first of each file. Raises FileError."""
    kinds: dict[Kind, None] = {}
    for rows in _files(source, []):
        if row := next((each for stored in rows for each in rows_in(stored)), None):
            fits = {kind: _fits(build, row) for kind, build in _KINDS.items()}
            kinds |= dict.fromkeys(kind for kind, fit in fits.items() if fit and fit == max(fits.values()))
    return list(kinds)


def write_conversations(
    path: str | Path,
    conversations: Sequence[Conversation],
    form: Literal["messages", "sharegpt", "alpaca"] = "messages",
    beside: Sequence[dict[str, Any]] = (),
) -> None:
    """Write conversations, whole or not at all: JSON lines, a JSON list or Parquet, as the name ends.

    Turns that are not learned are marked by ``weight`` 0 (messages) or ``loss`` false (ShareGPT). Alpaca's
    form holds pairs of the user's and the assistant's turns, after a system turn or none, all learned.
    ``beside`` are further columns of each row.

    Raises:
        InputError: the name ends in something else, or a conversation (named) would not be read back equal.
        StorageError: the disk is full, permission is missing …; so in the writers below.
    """
    rows = {"messages": messages_row, "sharegpt": sharegpt_row, "alpaca": alpaca_row}
    if form not in rows:
        raise InputError("form", form, f"one of {', '.join(rows)}")
    write_rows(path, conversations, rows[form], conversation_of, "conversations", beside)


def write_preferences(
    path: str | Path, preferences: Sequence[Preference], beside: Sequence[dict[str, Any]] = ()
) -> None:
    """Write pairs in TRL's columns: prompt, chosen and rejected, each a list of messages. See above."""
    write_rows(path, preferences, preference_row, preference_of, "preferences", beside)


def write_examples(path: str | Path, examples: Sequence[Task]) -> None:
    """Write tasks with references: key, prompt and references. See ``write_conversations``."""
    write_rows(path, examples, task_row, example_of, "examples")


def write_tasks(path: str | Path, tasks: Sequence[Task]) -> None:
    """Write tasks in IFEval's form: key, prompt, instruction_id_list and kwargs. See above.

    What IFEval's form has no column for stands in ``references`` and ``meta``. Arguments that are None are
    not written: to the rules they are arguments that were not given.
    """
    given = [
        replace(task, checks=tuple(Check(check.id, _given(check.args)) for check in task.checks))
        for task in tasks
    ]
    write_rows(path, given, task_row, task_of, "tasks")


def write_prompts(path: str | Path, prompts: Sequence[Prompt]) -> None:
    """Write chats as ``messages`` and raw text as ``text``. See ``write_conversations``."""
    write_rows(path, prompts, prompt_row, prompt_of, "prompts")


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
    nouns: list[Noun] = []
    for _, noun in _scan(source, build, kind, None):
        if isinstance(noun, Unreadable):
            raise noun.error
        nouns.append(noun)
    if not nouns:
        raise FileError(source, "holds no rows")
    return nouns


def _files(source: str | Path, broken: Broken | None) -> Iterator[list[Row]]:
    if str(source).startswith(HUB):
        yield read_hub(str(source))
    else:
        yield from (read_values(file, broken=broken) for file in source_files(source))


def _scan(
    source: str | Path, build: Callable[[Row], Noun], kind: str, broken: Broken | None
) -> Iterator[tuple[Row, Noun | Unreadable]]:
    """The same, each with its row; with a list for ``broken``, lines that are no rows come last."""
    unknown, read = None, 0
    for rows in _files(source, broken):
        for index, row in enumerate(each for stored in rows for each in rows_in(stored)):
            try:
                yield row, build(row)
            except InputError as refusal:
                expected = f"{_INDEX.sub('[]', refusal.field)}: expected {refusal.expected}"
                yield row, Unreadable(row.value, expected, FileError(row.where, str(refusal)))
            except UnknownShapeError:
                problem = f"{_columns(row.value)}, expected {SHAPES[kind]}"
                unknown = Unreadable(row.value, f"not of the shape of {kind}", FileError(row.where, problem))
                if not index and is_run(source):
                    break
                yield row, unknown
            read += 1
    if unknown and not read:
        raise unknown.error
    for row, error in broken or ():
        yield row, Unreadable(row.value, "not a row of its file", error)


def _fits(build: Callable[[Row], Any], row: Row) -> int:
    """0 where a row has not the columns, 1 where it has and what they hold cannot be used, else 2."""
    try:
        build(row)
    except InputError:
        return 1
    except UnknownShapeError:
        return 0
    return 2


def _distinct(source: str | Path, build: Callable[[Row], Task], kind: str) -> list[Task]:
    """Tasks of which no two have one id: where a row has no key, its file and place are added to the id."""
    places: dict[str, Row] = {}

    def build_named(row: Row) -> Task:
        task = build(row)
        if task.id in places and not row.value.get("key"):
            task = replace(task, id=f"{task.id} ({Path(row.where).name})")
        if (first := places.setdefault(task.id, row)) is not row:
            raise FileError(row.where, f"key: {shown(task.id)} is that of {first.where} as well")
        return task

    return _read(source, build_named, kind)


def _columns(value: Any) -> str:
    if not isinstance(value, dict):
        return f"a row is {shown(value)}"
    names = [name for name in value if value[name] is not None]
    return f"has the columns {', '.join(map(shown, names[:12]))}{' …' if len(names) > 12 else ''}"


def write_rows(
    path: str | Path,
    nouns: Sequence[Noun],
    write: Callable[[Noun], dict[str, Any]],
    read: Callable[[Row], Noun],
    field: str,
    beside: Sequence[dict[str, Any]] = (),
) -> None:
    """Write a row for each noun, after making sure that each is read back as it was; see above."""
    path = Path(path)
    if path.suffix not in (".jsonl", ".json", ".parquet"):
        raise InputError("path", str(path), "a name that ends in .jsonl, .json or .parquet")
    rows, lines = [], []
    for index, noun in enumerate(nouns):
        where = f"{field}[{index}]"
        expected = f"what its form can hold: it would not be read back from {path.name} as it is"
        try:
            row = write(noun) | (beside[index] if beside else {})
            line = json.dumps(row, ensure_ascii=False, allow_nan=False)
            line.encode()
            same = jsonable(read(Row(json.loads(line), where, where))) == jsonable(noun)
        except InputError as error:
            raise error.at(where) from None
        except (UnknownShapeError, ValueError, TypeError, AttributeError):
            same = False
        if not same:
            raise InputError(where, noun, expected)
        rows.append(row)
        lines.append(line)
    if path.suffix == ".jsonl":
        write_atomic(path, "".join(f"{line}\n" for line in lines))
    elif path.suffix == ".json":
        write_atomic(path, "[" + ",\n".join(lines) + "]\n")
    else:
        _write_parquet(path, rows)


def _write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Rows as columns; what has another form in each row (``kwargs``, ``meta``) as JSON text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = [
        {name: json.dumps(held) if name in ("kwargs", "meta") else held for name, held in row.items()}
        for row in rows
    ]
    if any(isinstance(row.get("prompt"), list) for row in cells):
        for row in cells:
            if isinstance(row["prompt"], str):
                row["prompt"] = message_list(user(row["prompt"]))
    names = list(dict.fromkeys(name for row in cells for name in row))
    table = pa.Table.from_pydict({name: [row.get(name) for row in cells] for name in names})
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _given(args: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in args.items() if value is not None}
