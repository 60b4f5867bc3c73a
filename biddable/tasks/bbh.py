"""BIG-Bench Hard: 27 tasks that language models found hard, with prompts of three solved examples each.

Source: Suzgun et al., 2022 (arXiv 2210.09261, MIT), repository suzgunmirac/BIG-Bench-Hard: ``bbh/TASK.json``
with the questions, ``cot-prompts/TASK.txt`` with a description and the examples, solved step by step.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from biddable.errors import FileError, InputError
from biddable.tasks.fewshot import Shots
from biddable.tasks.groups import chosen
from biddable.tasks.rows import parsed, read_text, require_rows
from biddable.types import Task

Style = Literal["lm-eval", "instructeval"]

HELD_OUT = 3
"""How many questions of a task are its solved examples in INSTRUCTEVAL."""

_STEPS = "Let's think step by step."
_LETTERED = re.compile(r"^(\([A-Z]\))", re.MULTILINE)
_LISTED = re.compile(r"^- (.+?) *$", re.MULTILINE)
_ANSWER = re.compile(r".*answer is (.*?)\.?$", re.MULTILINE | re.IGNORECASE)
_FIXED = {
    "boolean_expressions": ("False", "True"),
    "sports_understanding": ("yes", "no"),
    "web_of_lies": ("Yes", "No"),
    "object_counting": tuple(str(number) for number in range(19)),
}
"""What is chosen among where the question does not list it, as the Open LLM Leaderboard has it."""


class _Example(BaseModel):
    input: str = Field(min_length=1)
    target: str = Field(min_length=1)


class _File(BaseModel):
    examples: list[_Example] = Field(min_length=1)


def read_bbh(
    path: str | Path, *, tasks: Sequence[str] = (), style: Style = "lm-eval", reasoning: bool = False
) -> tuple[list[Task], dict[str, Shots]]:
    """Questions, and what precedes them by task: a description and three solved examples.

    A question that lists options, lettered or not, or that has a fixed set of answers is to be chosen in;
    the others are free. The three published questions of which the right answer is none of the options are
    free as well; the one that shows a single option has the task's usual ones.

    Args:
        path: the published folder (``bbh`` and ``cot-prompts`` in it), one of task files alone, or one file.
        tasks: those to read; none: all.
        style: "lm-eval" writes ``Q: …`` and ``A:``, "instructeval" the question and ``Answer:``; the latter
            has no description, and its examples are the first three questions, which are then left out.
        reasoning: whether the examples are solved step by step, and the question asks for that.

    Raises:
        FileError: there is no such file, or what it holds is not as it should be.
        InputError: there is no such style or task, or reasoning is asked for in INSTRUCTEVAL's style.
    """
    if style not in ("lm-eval", "instructeval"):
        raise InputError("style", style, "lm-eval or instructeval")
    if reasoning and style == "instructeval":
        raise InputError("reasoning", reasoning, "false: INSTRUCTEVAL asks without it")
    files, prompts = _files(Path(path))
    made: list[Task] = []
    shots: dict[str, Shots] = {}
    for name in chosen("tasks", tasks, files):
        read = _tasks(files[name], name, style, reasoning)
        if style == "instructeval":
            if len(read) <= HELD_OUT:
                problem = f"{len(read)} examples, expected more than the {HELD_OUT} that are shown solved"
                raise FileError(files[name], problem)
            shown, read = read[:HELD_OUT], read[HELD_OUT:]
            shots[name] = Shots(examples=tuple(f"{task.prompt} {task.references[0]}" for task in shown))
        elif name in prompts:
            shots[name] = read_cot_prompt(prompts[name], reasoning=reasoning)
        made += read
    return made, shots


def read_cot_prompt(path: str | Path, *, reasoning: bool = True) -> Shots:
    """A task's description and its solved examples, from one of the published prompts.

    Args:
        path: the file: a line "-----" after a warning, the description, and examples ``Q: … A: …``.
        reasoning: whether the examples keep their reasoning, or the answer alone.

    Raises:
        FileError: the file has another form, or an example of it no answer.
    """
    before, line, text = read_text(path).partition("-----\n")
    description, *examples = re.split(r"^Q: ", text if line else before, flags=re.MULTILINE)
    if not examples:
        raise FileError(path, 'holds no line that begins with "Q: "')
    solved = [_example(path, number, each, reasoning) for number, each in enumerate(examples, 1)]
    return Shots(description.strip(), tuple(solved))


def _example(path: str | Path, number: int, text: str, reasoning: bool) -> str:
    question, line, solved = text.partition("\nA: ")
    answer = _ANSWER.findall(solved.strip())
    if not line or not answer:
        raise FileError(path, f'example {number}: expected a line "A: …" with "the answer is …" after it')
    if not reasoning:
        return f"Q: {question.strip()}\nA: {answer[-1]}"
    steps = solved.strip().removeprefix(_STEPS).lstrip()
    return f"{_query(question.strip(), 'lm-eval', True)}{steps}"


def _query(question: str, style: Style, reasoning: bool) -> str:
    if style == "instructeval":
        return f"{question}\nAnswer:"
    return f"Q: {question}\nA:" + (f" {_STEPS}\n" if reasoning else "")


def _files(path: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """The files of questions and of prompts, by task."""
    if not path.is_dir():
        beside = path.parent.parent / "cot-prompts" / f"{path.stem}.txt"
        return {path.stem: path}, {path.stem: beside} if beside.is_file() else {}
    folder = path / "bbh" if (path / "bbh").is_dir() else path
    files: dict[str, Path] = {}
    for file in sorted(each for each in folder.glob("*") if each.suffix in (".json", ".jsonl")):
        if files.setdefault(file.stem, file) != file:
            raise FileError(file, f"is of the task {file.stem}, as {files[file.stem]} is: read one")
    if not files:
        raise FileError(folder, "holds no file named TASK.json")
    prompts = folder.parent / "cot-prompts"
    return files, {file.stem: file for file in prompts.glob("*.txt")}


def _tasks(path: Path, name: str, style: Style, reasoning: bool) -> list[Task]:
    rows = require_rows(path)
    if len(rows) > 1 or (isinstance(rows[0].value, dict) and "target" in rows[0].value):
        examples = [parsed(row, _Example) for row in rows]  # as the hub has them
    else:
        examples = parsed(rows[0], _File).examples
    offered = [_choices(name, example) for example in examples]
    usual = Counter(offered).most_common(1)[0][0]
    made = []
    for number, (example, choices) in enumerate(zip(examples, offered, strict=True)):
        among = choices if len(choices) > 1 else usual
        among = among if example.target in among else ()
        prompt = _query(example.input, style, reasoning)
        meta = {"group": name}
        made.append(Task(f"{name}/{number}", prompt, references=(example.target,), meta=meta, choices=among))
    return made


def _choices(name: str, example: _Example) -> tuple[str, ...]:
    _, line, options = example.input.partition("\nOptions:\n")
    if not line:
        return _FIXED.get(name, ())
    return tuple(dict.fromkeys(_LETTERED.findall(options) or _LISTED.findall(options)))
