"""LLMBar: does a judge see which of two outputs follows the instruction, and not just reads well?

Source: Zeng et al., ICLR 2024 (arXiv 2310.07641); data from the repository princeton-nlp/LLMBar, folder
``Dataset/LLMBar``. SPaR (arXiv 2412.11605) uses it pointwise: each pair becomes two questions, "does this
output follow the instruction?", yes for the one labelled better and no for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from biddable.errors import FileError
from biddable.tasks.rows import read_rows
from biddable.types import Response, Task, user

ADVERSARIAL = ("Neighbor", "GPTInst", "GPTOut", "Manual")
SUBSETS = ("Natural", *ADVERSARIAL)


class _Row(BaseModel):
    input: str
    output_1: str
    output_2: str
    label: Literal[1, 2]


def load_llmbar(path: str | Path) -> list[Task]:
    """Two tasks for each pair, from one subset's ``dataset.json`` or from the folder of all subsets.

    A task's ``meta`` holds ``subset``, ``response`` (the output to judge) and ``follows`` (the truth).

    Raises:
        FileError: no file of a subset there, or one with a malformed row.
    """
    path = Path(path)
    files = list(path.rglob("dataset.json")) if path.is_dir() else [path]
    files = sorted((file for file in files if file.parent.name in SUBSETS), key=_place)
    if not files:
        raise FileError(path, f"no dataset.json in a folder named {' or '.join(SUBSETS)}")
    return [task for file in files for task in _load_file(file)]


def candidates(tasks: Sequence[Task]) -> list[Response]:
    """The outputs to judge, one per task."""
    return [Response(task.meta["response"]) for task in tasks]


def _place(path: Path) -> int:
    return SUBSETS.index(path.parent.name)


def _load_file(path: Path) -> list[Task]:
    subset = path.parent.name
    return [
        Task(
            f"{subset}/{number}/{place}",
            user(row.input),
            meta={"subset": subset, "response": output, "follows": place == row.label},
        )
        for number, row in enumerate(read_rows(path, _Row))
        for place, output in ((1, row.output_1), (2, row.output_2))
    ]
