"""Tasks to find an instruction for: inputs with right outputs, some to learn from and some held out.

Read are Instruction Induction (Honovich et al. 2022, arXiv 2205.10782, as keirp/automatic_prompt_engineer has
it), BIG-bench's JSON (of which that repository's BBII is a part), Super-NaturalInstructions, and any file of
examples: CSV, JSON lines, Parquet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from biddable import registry
from biddable.errors import FileError, InputError
from biddable.runs.codec import describe
from biddable.runs.files import read_json
from biddable.tasks.compose.skills import skill_tasks
from biddable.tasks.data import read_examples, split
from biddable.tasks.groups import chosen
from biddable.tasks.superni import Instructed, read_instructed
from biddable.types import Task

EXACT = "induction_exact_match"
METRIC_OF = {
    "common_concept": "induction_f1",
    "informal_to_formal": "induction_f1",
    "orthography_starts_with": "induction_exact_set",
    "taxonomy_animal": "induction_exact_set",
    "synonyms": "induction_contains",
}
"""How Instruction Induction scores its tasks; the others by exact match."""
COMPOSED = ("sentiment", "topic", "first_item", "past_or_future", "animal_in_list")
LISTED = ("first_item", "animal_in_list")
"""Those whose output is an item of their input."""
COMPOSED_ROWS = 120
MOST_LABELS = 12
"""Outputs that a task has at most to be one of labels."""
INDUCE, EXECUTE, HUMANS = "induce", "execute", "annotations"


@dataclass(frozen=True, slots=True)
class InductionTask:
    """One task.

    Attributes:
        name: what it is called.
        induce: examples to find an instruction with; the prompt is the input, the references are right.
        execute: examples that are held out.
        metric: how written outputs are scored (``judges.reference.METRICS``).
        humans: instructions that people wrote for it.
        left_out: examples of the files without an output.
        shared: examples to find one with that were dropped, since their inputs are held out, too.
    """

    name: str
    induce: tuple[Task, ...]
    execute: tuple[Task, ...]
    metric: str = EXACT
    humans: tuple[str, ...] = ()
    left_out: int = 0
    shared: int = 0

    @property
    def remarks(self) -> list[str]:
        """What was left out of its files, a sentence each."""
        of = {"without an output": self.left_out, "to learn from that are held out, too": self.shared}
        return [f"{self.name}: examples {which}, left out: {n}." for which, n in of.items() if n]

    @property
    def chosen(self) -> bool:
        """Whether every example says what its output is one of."""
        return all(row.choices for row in (*self.induce, *self.execute))

    @property
    def labels(self) -> tuple[str, ...]:
        """What the output of every example is one of; empty where they differ, or there are none."""
        [first, *others] = {row.choices for row in (*self.induce, *self.execute)}
        return () if others else first


def read_induction(spec: str) -> list[InductionTask]:
    """The tasks of ``PATH?option=value``: a folder or a file of one of the forms that this file names.

    Options: ``tasks`` (names, with a plus between), ``metric`` (of outputs), ``test`` (the share that is held
    out, where the files do not say), ``name`` (of a single task).

    Raises:
        FileError: what is read is not as it should be.
        InputError: no such option or task; a task without two different inputs.
    """
    path, options = registry.split_spec("data", spec)
    tasks: list[InductionTask] = registry.made(_read, [path], options)
    return tasks


def _read(
    path: str, tasks: tuple[str, ...] = (), metric: str = "", test: float = 0.4, name: str = ""
) -> list[InductionTask]:
    if not 0 < test < 1:
        raise InputError("test", test, "a share between 0 and 1")
    place = Path(path)
    if (place / INDUCE).is_dir() and (place / EXECUTE).is_dir():
        read = _instruction_induction(place, tasks)
    elif big_bench := _big_bench_files(place):
        names = chosen("tasks", tasks, big_bench)
        read = [_divided(*_from_big_bench(each, big_bench[each]), share=test) for each in names]
    elif place.is_dir() or _is_superni(place):
        read = [from_instructed(each, test) for each in read_instructed(place, tasks=tasks)]
    else:
        read = [_divided(place.name.partition(".")[0], _rows(place), share=test)]
        chosen("tasks", tasks, [each.name for each in read])
    if name and len(read) > 1:
        raise InputError("name", name, f"one task; {path} has {len(read)}")
    named = [replace(each, name=name or each.name, metric=metric or each.metric) for each in read]
    return [with_labels(_without_held_out(path, each)) for each in named]


def composed_induction(seed: int = 0) -> list[InductionTask]:
    """Five tasks that need no files; their definitions are the human instructions."""
    composed = {each.name: each for each in skill_tasks(COMPOSED_ROWS, seed)}
    tasks = [replace(from_instructed(composed[name], 0.5), metric=EXACT) for name in COMPOSED]
    return [with_labels(_listed(task) if task.name in LISTED else task) for task in tasks]


def _listed(task: InductionTask) -> InductionTask:
    """A task whose output is one of the listed items of its input."""

    def of(rows: Sequence[Task]) -> tuple[Task, ...]:
        return tuple(replace(row, choices=tuple(str(row.prompt).split(", "))) for row in rows)

    return replace(task, induce=of(task.induce), execute=of(task.execute))


def with_labels(task: InductionTask) -> InductionTask:
    """The same with its outputs as the choices of every example, where they are few and come again."""
    rows = (*task.induce, *task.execute)
    labels = list(dict.fromkeys(text for row in rows for text in row.references))
    if any(row.choices for row in rows) or not 2 <= len(labels) <= min(MOST_LABELS, len(rows) // 3):
        return task

    def of(rows: Sequence[Task]) -> tuple[Task, ...]:
        return tuple(replace(row, choices=tuple(sorted(labels))) for row in rows)

    return replace(task, induce=of(task.induce), execute=of(task.execute))


def from_instructed(task: Instructed, share: float) -> InductionTask:
    """A task of Super-NaturalInstructions, whose definition is the human instruction."""
    rows = [replace(row, prompt=str(row.meta["input"])) for row in task.instances]
    humans = (task.definition,) if task.definition else ()
    return _divided(task.name, rows, humans, metric="superni_exact_match", share=share)


def _divided(
    name: str,
    rows: Sequence[Task],
    humans: Sequence[str] = (),
    left_out: int = 0,
    metric: str = EXACT,
    *,
    share: float,
) -> InductionTask:
    """Rows in those to learn from and those held out; equal inputs are on one side."""
    if len({str(row.prompt) for row in rows}) < 2:
        inputs = len({str(row.prompt) for row in rows})
        raise InputError(f"inputs of {name}", inputs, "at least two that differ")
    induce, execute = split(rows, [str(row.prompt) for row in rows], share, seed=0)
    return InductionTask(name, tuple(induce), tuple(execute), metric, tuple(humans), left_out)


def _without_held_out(path: str, task: InductionTask) -> InductionTask:
    """The same without examples to learn from whose inputs are held out; refused where none is left."""
    held_out = {str(row.prompt) for row in task.execute}
    induce = tuple(row for row in task.induce if str(row.prompt) not in held_out)
    if not induce:
        where = f"data, task {task.name} of {path}"
        raise InputError(where, f"{len(task.induce)} inputs to learn from", "some that are not held out")
    return replace(task, induce=induce, shared=len(task.induce) - len(induce))


def _rows(path: Path) -> list[Task]:
    rows = read_examples(path)
    for row in rows:
        if not isinstance(row.prompt, str) and len(row.prompt) != 1:
            raise FileError(path, f"row {row.id}: expected an input and its output, found a conversation")
        if not any(reference.strip() for reference in row.references):
            raise FileError(path, f"row {row.id}: the output is empty")
    plain = [row.prompt if isinstance(row.prompt, str) else row.prompt[0].content for row in rows]
    return [replace(row, prompt=text) for row, text in zip(rows, plain, strict=True)]


# -- Instruction Induction ---------------------------------------------------------------------------------


def _instruction_induction(path: Path, tasks: Sequence[str]) -> list[InductionTask]:
    names = chosen("tasks", tasks, sorted(each.stem for each in (path / INDUCE).glob("*.json")))
    read = []
    for name in names:
        (induce, less), (execute, fewer) = (
            _pairs(path / part / f"{name}.json", name) for part in (INDUCE, EXECUTE)
        )
        humans = _annotations(path / HUMANS / f"{name}.json")
        read.append(InductionTask(name, induce, execute, METRIC_OF.get(name, EXACT), humans, less + fewer))
    return read


def _pairs(path: Path, name: str) -> tuple[tuple[Task, ...], int]:
    """The examples of a file, and how many have no output."""
    value = read_json(path)
    examples = value.get("examples") if isinstance(value, dict) else None
    if not isinstance(examples, dict) or not examples:
        raise FileError(path, "expected examples: an object of numbered examples")
    rng = np.random.default_rng(0)  # which of cause and effect comes first
    pairs = []
    for key, each in examples.items():
        try:
            given, outputs = _pair(name, each, bool(rng.integers(2)))
        except (KeyError, TypeError, AttributeError) as error:
            raise FileError(path, f"example {key}: expected {error} as in Instruction Induction") from None
        if not isinstance(given, str) or not all(isinstance(text, str) for text in outputs):
            raise FileError(path, f"example {key}: expected an input and outputs that are texts")
        if references := tuple(text for text in outputs if text.strip()):
            pairs.append(Task(f"{path.parent.name}/{name}/{key}", given, references=references))
    return tuple(pairs), len(examples) - len(pairs)


def _pair(name: str, each: dict[str, Any], turned: bool) -> tuple[str, list[str]]:
    """The input of an example and its right outputs, as APE's loader makes them."""
    if name == "cause_and_effect":
        first, second = (each["effect"], each["cause"]) if turned else (each["cause"], each["effect"])
        return f"Sentence 1: {first} Sentence 2: {second}", [each["cause"]]
    if name == "common_concept":  # APE leaves the last item out, an error of its own
        return ", ".join(each["items"]), list(each["all_common_concepts"])
    if name == "rhymes":
        return each["input"], list(each["other_rhymes"])
    if name.startswith("translation"):
        return each["input"], list(each["possible_translations"])
    return each["input"], [each["output"]]


def _annotations(path: Path) -> tuple[str, ...]:
    if not path.exists():
        return ()
    value = read_json(path)
    texts = value.get("annotations") if isinstance(value, dict) else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise FileError(path, "expected annotations: a list of texts")
    return tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))


# -- BIG-bench ---------------------------------------------------------------------------------------------


class _BigBenchExample(BaseModel):
    model_config = ConfigDict(extra="ignore")
    input: str
    target: str | list[str] | None = None
    target_scores: dict[str, float] | None = None


class _BigBench(BaseModel):
    model_config = ConfigDict(extra="ignore")
    name: str
    description: str = ""
    task_prefix: str = ""
    append_choices_to_input: bool = True
    examples: list[_BigBenchExample]


def _big_bench_files(path: Path) -> dict[str, Path]:
    """A task's file, a task's folder, or a folder of such, by the task's name."""
    if path.is_file() and path.name == "task.json":
        return {path.parent.name: path}
    if (path / "task.json").is_file():
        return {path.name: path / "task.json"}
    return {each.parent.name: each for each in sorted(path.glob("*/task.json"))}


def _from_big_bench(name: str, path: Path) -> tuple[str, list[Task], tuple[str, ...], int]:
    """The examples that have an answer, the task's prefix or else its description, and how many have none."""
    try:
        read = _BigBench.model_validate(read_json(path))
    except ValidationError as error:
        raise FileError(path, describe(error)) from None
    rows = []
    for i, each in enumerate(read.examples):
        scores = {choice.strip(): score for choice, score in (each.target_scores or {}).items()}
        text = each.input
        if scores and each.target is None:
            references = [choice for choice, score in scores.items() if score == max(scores.values())]
            if read.append_choices_to_input:
                text += "".join(f"\nchoice: {choice}" for choice in scores)
        else:
            references = [each.target] if isinstance(each.target, str) else list(each.target or ())
        if references and all(each.strip() for each in references):
            rows.append(Task(f"{name}/{i}", text, references=tuple(references), choices=tuple(scores)))
    human = read.task_prefix.strip() or read.description.strip()
    return name, rows, (human,) if human else (), len(read.examples) - len(rows)


def _is_superni(path: Path) -> bool:
    if path.suffix.lower() != ".json":
        return False
    value = read_json(path)
    return isinstance(value, dict) and {"Definition", "Instances"} <= {*value}
