"""HumanEval: 164 Python functions to write, from a signature and a docstring, each with its tests.

Source: Chen et al., 2021 (arXiv 2107.03374, MIT), repository openai/human-eval: ``HumanEval.jsonl.gz``, rows
of task_id, prompt, entry_point, canonical_solution and test. INSTRUCTEVAL (arXiv 2306.04757) puts a sentence
before the prompt.
"""

from __future__ import annotations

import keyword
from pathlib import Path

from pydantic import BaseModel, Field

from biddable.errors import FileError
from biddable.tasks.fewshot import Shots
from biddable.tasks.rows import parsed, require_rows
from biddable.types import Task

GROUP = "humaneval"
INSTRUCTION = (
    "Complete the following Python code without providing any additional tasks such as testing or "
    "explanations"
)
NAMES = ("HumanEval.jsonl.gz", "HumanEval.jsonl")


class _Row(BaseModel):
    task_id: str = Field(min_length=1)
    prompt: str = Field(min_length=1)
    entry_point: str
    canonical_solution: str = ""
    test: str = Field(min_length=1)


def read_humaneval(path: str | Path, *, instructed: bool = False) -> tuple[list[Task], dict[str, Shots]]:
    """Functions to write, in the order of the file; there are no solved examples.

    A task's prompt is the beginning of a program, ``meta["stub"]``. ``meta["test"]`` defines ``check``, which
    is called with the function of the name ``meta["entry_point"]``; the reference goes on with the stub and
    passes.

    Args:
        path: the published file, packed or not, or the folder that holds it.
        instructed: whether the prompt begins with INSTRUCTEVAL's sentence.

    Raises:
        FileError: there is no such file, or a row (named) is not as it should be.
    """
    tasks: dict[str, Task] = {}
    for row in require_rows(_file(Path(path))):
        read = parsed(row, _Row)
        if not read.entry_point.isidentifier() or keyword.iskeyword(read.entry_point):
            raise FileError(row.where, f"entry_point: {read.entry_point!r} is not the name of a function")
        if "def check(" not in read.test:
            raise FileError(row.where, "test: does not define the function check")
        if read.task_id in tasks:
            raise FileError(row.where, f"task_id: {read.task_id!r} stands in an earlier row too")
        prompt = f"{INSTRUCTION}\n{read.prompt}" if instructed else read.prompt
        meta = {"group": GROUP, "stub": read.prompt, "test": read.test, "entry_point": read.entry_point}
        references = (read.canonical_solution,) if read.canonical_solution else ()
        tasks[read.task_id] = Task(read.task_id, prompt, references=references, meta=meta)
    return list(tasks.values()), {}


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = next((path / name for name in NAMES if (path / name).is_file()), None)
    if found is None:
        raise FileError(path, f"holds no {' and no '.join(NAMES)}")
    return found
