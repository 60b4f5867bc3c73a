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

_HUB = "hf:"
_PROMPTS = ("prompt", "messages", "conversations", "instruction")
_INPUTS = ("input", "inputs", "question", "query", "article", "document", "source")
_BESIDE_INPUT = ("context", "passage", "story", "options", "choices", "hypothesis")
_REFERENCES = (
    *("references", "reference", "outputs", "output", "targets", "target", "answers", "answer"),
    *("completion", "response", "highlights", "summary"),
)
_REPLIES = ("completion", "response", "output")
_CHOSEN, _REJECTED = ("chosen", "chosen_messages"), ("rejected", "rejected_messages")
_LISTS = ("data", "rows", "examples", "instances", "Instances")
"""Under what names a JSON object holds its rows."""

_PROMPT_SHAPES = "prompt (a text or messages), messages, conversations, instruction with or without input"
SHAPES = {
    "conversations": "messages or conversations (from and value); instruction, input and output; prompt and "
    "completion (or response); or input and output",
    "preferences": "chosen and rejected, beside one of prompt, conversations, instruction or input, or each a "
    "whole chat that differs in its last turn",
    "examples": f"one of {', '.join(_INPUTS)} or of prompt, messages, conversations, instruction; and one of "
    f"{', '.join(_REFERENCES)}",
    "tasks": f"prompt with instruction_id_list and kwargs (IFEval's); or {_PROMPT_SHAPES}, or input",
    "prompts": f"{_PROMPT_SHAPES}, or input, or text (for raw text); or a text for each line",
}
"""The columns that each reader knows."""


class _UnknownShapeError(Exception):
    """A row has none of the shapes that a reader knows."""


def read_conversations(source: str | Path) -> list[Conversation]:
    """Chats to learn from. All turns of the assistant's are learned, but those that the data mark otherwise.

    Raises:
        FileError: the source cannot be read, holds nothing, or a row (named) is no conversation.
        MissingDependency, EndpointError: see ``rows.read_hub``; so in the readers below.
    """
    return _read(source, _conversation, "conversations")


def read_preferences(source: str | Path) -> list[Preference]:
    """Pairs of answers to one prompt, the better one as ``chosen``. Raises FileError."""
    return _read(source, _preference, "preferences")


def read_examples(source: str | Path) -> list[Task]:
    """Inputs, each with one or several right answers: the task's ``references``. Raises FileError."""
    return _distinct(source, _example, "examples")


def read_tasks(source: str | Path) -> list[Task]:
    """Instructions, with the rules that check an answer where the rows have them (IFEval's form).

    A task's id is its ``key``, else its ``id``, else its place in the file. An answer at the end of a chat is
    left off. Raises FileError.
    """
    return _distinct(source, _task, "tasks")


def read_prompts(source: str | Path) -> list[Prompt]:
    """What is to be answered: chats, or raw text where the column is ``text``.

    An answer at the end of a chat is left off. Raises FileError.
    """
    return _read(source, _prompt, "prompts")


def digest(source: str | Path) -> str:
    """What tells the data of a source from any other: it changes with their content, not with their place."""
    if str(source).startswith(_HUB):
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
    if str(source).startswith(_HUB):
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
            except _UnknownShapeError:
                unknown = FileError(row.where, f"{_columns(row.value)}, expected {SHAPES[kind]}")
                if index or not is_run(source):
                    raise unknown from None
                break
    if not nouns:
        raise unknown or FileError(source, "holds no rows")
    return nouns


def _distinct(source: str | Path, build: Callable[[Row], Task], kind: str) -> list[Task]:
    """Tasks of which no two have one id: those without a key are named by their file as well, if need be."""
    files = 1 if str(source).startswith(_HUB) else len(source_files(source))
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


def _object(row: Row, *needed: Sequence[str]) -> dict[str, Any]:
    """The row's value, if it is an object that has one column of each group."""
    value = row.value
    if not isinstance(value, dict):
        raise _UnknownShapeError
    if not all(any(value.get(name) is not None for name in names) for names in needed):
        raise _UnknownShapeError
    return value


def _chat(value: dict[str, Any]) -> Chat:
    """The chat of a row, all turns: in one of the forms of ``read_chat``, or as a single input."""
    if any(value.get(name) is not None for name in _PROMPTS):
        return read_chat(value)
    if (given := one_of(value, _INPUTS)) is None:
        raise _UnknownShapeError
    name, text = given
    for beside in _BESIDE_INPUT:
        if value.get(beside):
            raise InputError(beside, value[beside], f"nothing beside {name}: put all that is asked in {name}")
    return read_chat({**value, "prompt": sendable(name, text)})


def _prompt_chat(value: dict[str, Any]) -> Chat:
    chat = _chat(value)
    if chat[-1].role == "assistant":
        raise InputError("prompt", chat[-1].content, "a last turn that is not the assistant's")
    return chat


def _conversation(row: Row) -> Conversation:
    if isinstance(row.value, dict) and isinstance(row.value.get("trained"), list):
        value = _object(row, ("chat",), ("trained",))  # as a run leaves it
        return Conversation(messages("chat", value["chat"]), tuple(map(bool, value["trained"])))
    value = _object(row, (*_PROMPTS, *_INPUTS))
    if isinstance(value.get("label"), bool):
        raise InputError("label", value["label"], "none: it says of an answer that it is good or bad (KTO)")
    for name in ("messages", "conversations"):
        if value.get(name) is not None:
            turns = from_json(value[name])
            chat = read_chat({**value, "prompt": None, name: turns})
            opening = len(chat) - len(turns)  # a system turn from another column
            trained = (False,) * opening + learned(turns, chat[opening:])
            if all(turn.role != "assistant" for turn in chat):
                raise InputError(name, [turn.role for turn in chat], "a turn of the assistant's, to learn")
            return Conversation(chat, trained)
    if (reply := one_of(value, _replies(value))) is None:
        raise _UnknownShapeError
    prompt = _prompt_chat(value)
    answer = chats.Message("assistant", _reply(*reply, prompt))
    chat = (*prompt, answer)
    return Conversation(chat, learned([{}] * len(chat), chat))


def _replies(value: dict[str, Any]) -> Sequence[str]:
    """The columns that may hold the answer: any reference beside an input, else the usual three."""
    return _REPLIES if any(value.get(name) is not None for name in _PROMPTS) else _REFERENCES


def _preference(row: Row) -> Preference:
    value = _object(row, _CHOSEN, _REJECTED)
    chosen, rejected = (one_of(value, names) for names in (_CHOSEN, _REJECTED))
    if chosen is None or rejected is None:
        name = _CHOSEN[0] if chosen is None else _REJECTED[0]
        raise InputError(name, "", "a text that is not blank")
    if any(value.get(name) is not None for name in (*_PROMPTS, *_INPUTS)):
        prompt = asked(_chat(value))
    else:
        whole = _whole(*chosen)
        if whole is None:
            expected = "a prompt beside it, or a chat: messages, or a text that begins with \\n\\nHuman:"
            raise InputError(*chosen, expected)
        prompt = whole[:-1]
    if not prompt:
        raise InputError(*chosen, "at least one turn before the answer, or a prompt beside it")
    return Preference(prompt, _reply(*chosen, prompt), _reply(*rejected, prompt), _meta(value))


def _whole(field: str, value: Any) -> Chat | None:
    """The turns in an answer that is more than a text; None where it is a text."""
    if isinstance(value, list | dict):
        return messages(field, value)
    return transcript(value)


def _reply(field: str, value: Any, prompt: Chat) -> str:
    """An answer to ``prompt``: a text, a message, or messages that may repeat the prompt before it."""
    turns = _whole(field, value)
    if turns is None:
        return sendable(field, value)
    if turns[-1].role != "assistant":
        raise InputError(field, turns[-1].role, "a last turn that is the assistant's")
    if turns[:-1] not in ((), prompt, tuple(turn for turn in prompt if turn.role != "system")):
        raise InputError(field, value, "the turns of the prompt (of chosen), then one of the assistant's")
    return turns[-1].content


def _example(row: Row) -> Task:
    value = _object(row, (*_PROMPTS, *_INPUTS), _REFERENCES)
    names = [name for name in _REFERENCES if name not in _INPUTS]
    given = one_of(value, names)
    if given is None:
        raise InputError(next(name for name in names if name in value), "", "a text that is not blank")
    references = _references(*given)
    return Task(_id(row, value), asked(_chat(value)), (), references, _meta(value))


def _references(field: str, value: Any) -> tuple[str, ...]:
    if field == "references":
        value = from_json(value)
    if not isinstance(value, list):
        return (_reference(field, value),)
    if not value:
        raise InputError(field, value, "at least one text")
    return tuple(_reference(f"{field}[{index}]", each) for index, each in enumerate(value))


def _reference(field: str, value: Any) -> str:
    whole_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole_number else sendable(field, value)


def _task(row: Row) -> Task:
    value = row.value.get("doc", row.value) if isinstance(row.value, dict) else row.value
    if isinstance(value, dict) and value.get("instruction_id_list") is not None:
        task = read_task(row)
    elif isinstance(value, dict) and isinstance(value.get("checks"), list):  # as a run leaves it
        checks = tuple(_check(index, check) for index, check in enumerate(value["checks"]))
        task = Task(_id(row, value), _prompt_chat(value), checks)
    else:
        value = _object(row, (*_PROMPTS, *_INPUTS))
        task = Task(_id(row, value), asked(_chat(value)))
    references = _references("references", value["references"]) if value.get("references") else ()
    return replace(task, references=references, meta=_meta(value))


def _check(index: int, check: Any) -> Check:
    if not isinstance(check, dict) or not isinstance(check.get("id"), str):
        raise InputError(f"checks[{index}]", check, "an object with id and args")
    args = from_json(check.get("args") or {})
    if not isinstance(args, dict):
        raise InputError(f"checks[{index}].args", args, "an object")
    return Check(check["id"], args)


def _prompt(row: Row) -> Prompt:
    if isinstance(row.value, str):
        return (chats.Message("user", sendable("the line", row.value)),)
    value = _object(row, (*_PROMPTS, *_INPUTS, "text"))
    if any(value.get(name) is not None for name in (*_PROMPTS, *_INPUTS)):
        return asked(_chat(value))
    return sendable("text", value["text"])


def _id(row: Row, value: dict[str, Any]) -> str:
    name = "key" if value.get("key") is not None else "id"
    given = value.get(name)
    if isinstance(given, bool) or not isinstance(given, str | int | float | None):
        raise InputError(name, given, "an integer or a text")
    return task_id(given) or _place(row)


def _place(row: Row) -> str:
    return row.name.replace(" ", "-")


def _meta(value: dict[str, Any]) -> dict[str, Any]:
    """What a row's ``meta`` holds, an object or the JSON text of one; nothing where it is something else."""
    meta = from_json(value.get("meta"))
    return meta if isinstance(meta, dict) else {}
