"""Super-NaturalInstructions: tasks that say in words what is asked, with examples of right and wrong answers.

Sources: Wang et al., EMNLP 2022 (arXiv 2204.07705), one JSON file a task in allenai/natural-instructions, and
the encoder of Tk-Instruct; Gupta et al., 2023 (srsawant34/efficient_instruction_learning), a folder a task of
CSV files (``test.csv``, ``ten.csv`` …), in which definition and examples stand in each row's input.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from biddable.errors import FileError, InputError, shown
from biddable.tasks.fewshot import Shots
from biddable.tasks.groups import chosen
from biddable.tasks.rows import Row, parsed, require_rows
from biddable.types import Task

Style = Literal["tk-instruct", "quick-learners"]

OFFICIAL_LIMIT = 100
"""How many instances of a task its test has: the first."""

_ANNOUNCED = "Now complete the following example-\n"
_BLOCK = re.compile(r"^Positive example \d+-\n", re.MULTILINE)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_Text = Annotated[str, BeforeValidator(_first)]
_Texts = Annotated[list[str], BeforeValidator(_listed)]


class _Example(BaseModel):
    input: str
    output: _Text
    explanation: str = ""


class _Instance(BaseModel):
    id: str = ""
    input: str
    output: _Texts = Field(min_length=1)


class _File(BaseModel):
    definition: _Text = Field(alias="Definition", min_length=1)
    categories: _Texts = Field([], alias="Categories")
    sources: _Texts = Field([], alias="Source")
    positive: list[_Example] = Field([], alias="Positive Examples")
    negative: list[_Example] = Field([], alias="Negative Examples")
    instances: list[_Instance] = Field(alias="Instances", min_length=1)


class _CsvRow(BaseModel):
    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Example:
    """An input with an answer to it, right or wrong, and why."""

    input: str
    output: str
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Instructed:
    """One task of Super-NaturalInstructions.

    Attributes:
        name: that of its file or folder: ``task648_answer_generation``.
        definition: what is asked, in words; empty where the files do not say.
        positive, negative: examples of right and of wrong answers.
        categories: what kind of task it is; reports go by the first.
        sources: the data sets that it is made from; tasks that share one are not independent.
        instances: its inputs (``meta["input"]``) with their right answers, as ``read_superni`` gives them.
    """

    name: str
    definition: str
    positive: tuple[Example, ...] = ()
    negative: tuple[Example, ...] = ()
    categories: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    instances: tuple[Task, ...] = ()


def read_superni(
    path: str | Path, *, tasks: Sequence[str] = (), split: str = "test", limit: int | None = OFFICIAL_LIMIT
) -> tuple[list[Task], dict[str, Shots]]:
    """The instances of tasks, and by task its definition and right examples, as Tk-Instruct writes them.

    Tk-Instruct shows two of the examples. See ``read_instructed`` for the arguments and errors; ``limit`` is
    how many instances of each task are read, from the first; None: all.
    """
    if limit is not None and limit < 1:
        raise InputError("limit", limit, "an integer of at least 1")
    read = read_instructed(path, tasks=tasks, split=split)
    return [task for each in read for task in each.instances[:limit]], {
        each.name: instructed_shots(each, positive=len(each.positive)) for each in read
    }


def read_instructed(path: str | Path, *, tasks: Sequence[str] = (), split: str = "test") -> list[Instructed]:
    """Tasks with their definitions, examples and instances.

    Args:
        path: a task's JSON file or a folder of such (in ``tasks``, where there is one); or a CSV file, a
            task's folder of such, or a folder of those folders.
        tasks: names of those to read, whole or ``task648``; none: all.
        split: which CSV file: test, val, train, ten, hundred ….

    Raises:
        FileError: there is no such file, or what it holds (named) is not as it should be.
        InputError: there is no such task, or a split of JSON files, which have none.
    """
    path = Path(path)
    files = dict(_files(path, split))
    numbered = {name.split("_")[0]: name for name in files}
    names = chosen("tasks", [numbered.get(name, name) for name in tasks], files)
    read = [(_from_csv if ".csv" in files[name].name else _from_json)(name, files[name]) for name in names]
    places: dict[str, str] = {}
    for each in read:
        for task in each.instances:
            if places.setdefault(task.id, each.name) != each.name:
                problem = f"the id {shown(task.id)} is in {places[task.id]} and in {each.name}"
                raise FileError(path, problem)
    return read


def instructed_shots(
    task: Instructed,
    *,
    definition: bool = True,
    positive: int = 2,
    negative: int = 0,
    explanations: bool = False,
    style: Style = "tk-instruct",
) -> Shots:
    """What precedes an instance: the definition, and the first examples of right and of wrong answers.

    "quick-learners" writes as the CSV files do, which have right examples alone and one line feed between
    the parts; "tk-instruct" has two, ``few_shot_prompt``'s own.

    Raises:
        InputError: more examples are asked for than there are, or what the style does not have.
    """
    for name, count, there in (("positive", positive, task.positive), ("negative", negative, task.negative)):
        if count < 0 or count > len(there):
            raise InputError(name, count, f"0 to {len(there)}, as many examples as {task.name} has")
    defined = definition and bool(task.definition)
    if style == "quick-learners":
        if negative or explanations:
            raise InputError("style", style, "tk-instruct, where wrong examples or explanations are shown")
        parts = [
            f"Positive example {n}-\ninput: {each.input}\noutput: {each.output}"
            for n, each in enumerate(task.positive[:positive], 1)
        ]
        return Shots(f"Definition: {task.definition}" if defined else "", tuple(parts))
    shown_first = [("Positive", n, each) for n, each in enumerate(task.positive[:positive], 1)]
    shown_first += [("Negative", n, each) for n, each in enumerate(task.negative[:negative], 1)]
    examples = tuple(_tk_example(kind, n, each, explanations) for kind, n, each in shown_first)
    return Shots(_stopped("Definition", task.definition) if defined else "", examples)


def instance_query(text: str, *, style: Style = "tk-instruct", announced: bool = True) -> str:
    """An instance as it is asked; ``announced``: after the line that says that examples have ended."""
    if style == "quick-learners":
        line, query = "Now complete the following example-\n", f"input: {text}\noutput: "
    else:
        line, query = "Now complete the following example -\n", f"{_stopped('Input', text)}\nOutput: "
    return line + query if announced else query


def _tk_example(kind: str, number: int, example: Example, explained: bool) -> str:
    lines = [
        f" {kind} Example {number} -",
        _stopped("Input", example.input),
        _stopped(" Output", example.output),
    ]
    if explained and example.explanation.strip():
        lines.append(_stopped(" Explanation", example.explanation))
    return "\n".join(lines)


def _stopped(name: str, text: str) -> str:
    """A field, ended by a full stop unless by other ASCII punctuation."""
    line = f"{name}: {text.strip()}"
    return line if line[-1] in string.punctuation else f"{line}."


def _files(path: Path, split: str) -> list[tuple[str, Path]]:
    """Name and place of each task under a path."""
    if not path.is_dir():
        inside = ".csv" in path.name and path.parent.name
        return [(inside or path.name.split(".")[0], path)]
    folder = path / "tasks" if (path / "tasks").is_dir() else path
    if found := sorted(folder.glob("task*.json")):
        if any(folder.glob("task*/*.csv")):
            raise FileError(folder, "holds tasks in JSON and in CSV folders: name folders of one layout each")
        if split != "test":
            raise InputError("split", split, "test: tasks in JSON have no others")
        return [(file.stem, file) for file in found]
    if (folder / f"{split}.csv").is_file():
        return [(folder.name, folder / f"{split}.csv")]
    if found := sorted(folder.glob(f"task*/{split}.csv")):
        return [(file.parent.name, file) for file in found]
    raise FileError(path, f"holds neither files task….json nor {split}.csv, in it or in folders task…")


def _from_json(name: str, path: Path) -> Instructed:
    [row] = whole if len(whole := require_rows(path)) == 1 else [Row(None, str(path), "")]
    read = parsed(row, _File)
    category = read.categories[0] if read.categories else ""
    tasks: dict[str, Task] = {}
    for number, each in enumerate(read.instances):
        task = _instance(name, each.id or f"{name}/{number}", each.input, each.output, category)
        if task.id in tasks:
            raise FileError(path, f"Instances.{number}.id: {shown(task.id)} is that of another instance")
        tasks[task.id] = task
    return Instructed(
        name,
        read.definition.strip(),
        _examples(read.positive),
        _examples(read.negative),
        tuple(read.categories),
        tuple(read.sources),
        tuple(tasks.values()),
    )


def _examples(read: Sequence[_Example]) -> tuple[Example, ...]:
    return tuple(Example(each.input, each.output, each.explanation) for each in read)


def _from_csv(name: str, path: Path) -> Instructed:
    """A task of which each row holds definition and examples, the same in all."""
    tasks = []
    instructions: list[Any] | None = None
    for number, row in enumerate(require_rows(path)):
        read = parsed(row, _CsvRow)
        baked = _parsed_out(read.input)
        if baked is None:
            raise FileError(row.where, 'input: expected "Definition: …", examples, "input: …" and "output: "')
        text, *found = baked
        if instructions not in (None, found):
            raise FileError(row.where, "input: has another definition or other examples than the rows before")
        instructions = found
        tasks.append(_instance(name, f"{name}/{path.stem}/{number}", text, [read.output], ""))
    definition, positive = instructions or ("", ())
    return Instructed(name, definition, positive, instances=tuple(tasks))


def _parsed_out(text: str) -> tuple[str, str, tuple[Example, ...]] | None:
    """Instance, definition and examples of an input; None where it has another form."""
    before, announced, query = text.rpartition(_ANNOUNCED)
    asked = _pair(query, last=True)
    definition, *blocks = _BLOCK.split(before.removesuffix("\n"))
    pairs = [_pair(block) for block in blocks]
    if asked is None or asked[1].strip() or not all(pairs):
        return None
    if announced and not definition.startswith("Definition: "):
        return None
    examples = tuple(Example(given, answer.removesuffix("\n")) for given, answer in filter(None, pairs))
    return asked[0], definition.removeprefix("Definition: ").removesuffix("\n"), examples


def _pair(text: str, *, last: bool = False) -> tuple[str, str] | None:
    """Input and output of a block; the output begins at the first line of that name, or at the last."""
    given, line, answer = (text.rpartition if last else text.partition)("\noutput:")
    if not line or not text.startswith("input: "):
        return None
    return given.removeprefix("input: "), answer.removeprefix(" ")


def _instance(name: str, id: str, text: str, outputs: Sequence[str], category: str) -> Task:
    meta = {"group": name, "input": text} | ({"category": category} if category else {})
    return Task(id, instance_query(text), references=tuple(outputs), meta=meta)
