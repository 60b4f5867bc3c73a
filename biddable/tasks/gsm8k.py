"""GSM8K: grade school mathematics in words, solved step by step, each answer a number.

Source: Cobbe et al., 2021 (arXiv 2110.14168, MIT), repository openai/grade-school-math: ``test.jsonl`` and
``train.jsonl`` of rows with a question and an answer, which is a solution and a last line "#### NUMBER".
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, Field

from biddable.errors import FileError
from biddable.tasks.fewshot import Shots
from biddable.tasks.rows import parsed, require_rows
from biddable.types import Task

GROUP = "gsm8k"

_NUMBER = re.compile(r"#### (-?[\d.,]*\d)\s*$")


class _Row(BaseModel):
    question: str = Field(min_length=1)
    answer: str


def read_gsm8k(path: str | Path) -> tuple[list[Task], dict[str, Shots]]:
    """Questions of the test file, and those of the training file as solved examples, in its order.

    A task's reference is the number, without commas; ``meta["solution"]`` holds the solution.

    Args:
        path: the published folder, or one file, which is all test.

    Raises:
        FileError: there is no such file, or a row (named) has no question or no number.
    """
    path = Path(path)
    test = path / "test.jsonl" if path.is_dir() else path
    train = path / "train.jsonl"
    if path.is_dir() and not test.is_file():
        raise FileError(path, "holds no test.jsonl")
    examples = _read(train) if path.is_dir() and train.is_file() else []
    solved = tuple(f"{task.prompt} {task.meta['solution']}" for task in examples)
    return _read(test), {GROUP: Shots(examples=solved)}


def _read(path: Path) -> list[Task]:
    tasks = []
    for number, row in enumerate(require_rows(path)):
        read = parsed(row, _Row)
        found = _NUMBER.search(read.answer)
        if not found:
            raise FileError(row.where, 'answer: has no last line "#### NUMBER"')
        meta = {"group": GROUP, "solution": read.answer}
        reference = found[1].replace(",", "")
        prompt = f"Question: {read.question}\nAnswer:"
        tasks.append(Task(f"{GROUP}/{number}", prompt, references=(reference,), meta=meta))
    return tasks
