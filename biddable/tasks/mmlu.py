"""MMLU: questions with four choices each, of 57 subjects.

Source: Hendrycks et al., ICLR 2021 (arXiv 2009.03300, MIT): folders ``dev``, ``test`` and ``val`` of files
``SUBJECT_SPLIT.csv`` without a header: question, four choices, the right one's letter. Files with a header
and an index from 0 as the answer, and Parquet files of the hub's ``cais/mmlu``, are read too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from biddable.errors import FileError, InputError, shown
from biddable.tasks.chats import sendable
from biddable.tasks.fewshot import Shots
from biddable.tasks.groups import chosen
from biddable.tasks.rows import Row, read_cells, require_rows
from biddable.types import Task

LETTERS = ("A", "B", "C", "D")
Style = Literal["lm-eval", "official"]

_CSV = re.compile(r"(?P<subject>\w+)_(?P<split>dev|test|val)(\.[\w.]+)?\.csv")
_OF_HUB = re.compile(r"(?P<split>dev|test|validation)-\d+-of-\d+\.parquet")
_EXPECTED = "a question, four choices and the answer"
_SUBJECTS = {
    "stem": "abstract_algebra anatomy astronomy college_biology college_chemistry college_computer_science "
    "college_mathematics college_physics computer_security conceptual_physics electrical_engineering "
    "elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science "
    "high_school_mathematics high_school_physics high_school_statistics machine_learning",
    "other": "business_ethics clinical_knowledge college_medicine global_facts human_aging management "
    "marketing medical_genetics miscellaneous nutrition professional_accounting professional_medicine "
    "virology",
    "social_sciences": "econometrics high_school_geography high_school_government_and_politics "
    "high_school_macroeconomics high_school_microeconomics high_school_psychology human_sexuality "
    "professional_psychology public_relations security_studies sociology us_foreign_policy",
    "humanities": "formal_logic high_school_european_history high_school_us_history "
    "high_school_world_history international_law jurisprudence logical_fallacies moral_disputes "
    "moral_scenarios philosophy prehistory professional_law world_religions",
}
CATEGORIES = {subject: category for category, names in _SUBJECTS.items() for subject in names.split()}
"""The category of each subject as lm-evaluation-harness has it; the paper counts anatomy to "other"."""


def read_mmlu(
    path: str | Path, *, subjects: Sequence[str] = (), style: Style = "lm-eval"
) -> tuple[list[Task], dict[str, Shots]]:
    """Questions of the test files, and what precedes them by subject: a header and the questions of dev.

    A task chooses among the letters A to D; ``meta`` holds ``group`` (the subject) and ``category``.

    Args:
        path: the published folder, or one that holds such files; or a single file, which is all test.
        subjects: those to read; none: all.
        style: how prompts are written. The two differ in one blank of the header, and in those around
            questions, which "lm-eval" leaves off.

    Raises:
        FileError: there is no such file, two are of one subject, or a row is not as it should be.
        InputError: there is no such style or subject.
    """
    if style not in ("lm-eval", "official"):
        raise InputError("style", style, "lm-eval or official")
    tests, devs = _rows(Path(path))
    tasks: list[Task] = []
    shots: dict[str, Shots] = {}
    for subject in chosen("subjects", subjects, tests):
        tasks += [_task(subject, n, row, style) for n, row in enumerate(tests[subject])]
        dev = [_task(subject, n, row, style) for n, row in enumerate(devs.get(subject, []))]
        blank = " " * (1 if style == "lm-eval" else 2)
        header = "The following are multiple choice questions (with answers) about" + blank
        examples = tuple(f"{task.prompt} {task.references[0]}" for task in dev)
        shots[subject] = Shots(f"{header}{subject.replace('_', ' ')}.", examples)
    return tasks, shots


def _task(subject: str, number: int, row: Row, style: Style) -> Task:
    question, choices, answer = _question(row)
    right = answer if answer in LETTERS else dict(zip("0123", LETTERS, strict=True)).get(answer)
    if right is None:
        raise FileError(row.where, f"answer: is {shown(answer)}, expected A, B, C, D or an index from 0 to 3")
    try:
        for name, text in (("question", question), *zip(LETTERS, choices, strict=True)):
            sendable(name, text)
    except InputError as error:
        raise FileError(row.where, str(error)) from None
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=True)]
    prompt = "\n".join([question.strip() if style == "lm-eval" else question, *lines, "Answer:"])
    category = CATEGORIES.get(subject)
    if style == "official" and subject == "anatomy":
        category = "other"
    meta = {"group": subject} | ({"category": category} if category else {})
    return Task(f"{subject}/{number}", prompt, references=(right,), meta=meta, choices=LETTERS)


def _question(row: Row) -> tuple[str, list[str], str]:
    """Question, choices and answer of a row, which is a list of cells or an object."""
    if isinstance(row.value, dict):
        question, choices, answer = (row.value.get(name) for name in ("question", "choices", "answer"))
        if not isinstance(question, str) or not isinstance(choices, list) or isinstance(answer, bool):
            raise FileError(row.where, "expected an object with question, choices (a list) and answer")
        cells: list[Any] = [question, *choices, answer]
    else:
        cells = row.value if isinstance(row.value, list) else [row.value]
    if len(cells) != 6:
        raise FileError(row.where, f"{len(cells)} cells, expected 6: {_EXPECTED}")
    return cells[0], cells[1:5], str(cells[5]).strip().upper()


def _rows(path: Path) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    """The rows of the test files and of the dev files, by subject."""
    if not path.is_dir():
        name = _CSV.fullmatch(path.name)
        subject = name["subject"] if name else path.name.split(".")[0]
        return _by_subject([(subject, path)]), {}
    found: dict[str, list[tuple[str, Path]]] = {"dev": [], "test": []}
    for subject, split, file in _files(path):
        if split in found:
            found[split].append((subject, file))
    if not found["test"]:
        raise FileError(path, "holds no file named SUBJECT_test.csv, beside others or in a folder test")
    return _by_subject(found["test"]), _by_subject(found["dev"])


def _files(path: Path) -> Iterable[tuple[str, str, Path]]:
    """Subject, split and place of a folder's files, in the first layout that has a test file."""
    splits = ("dev", "test", "val")
    for known, folders in (
        (_CSV, [path]),
        (_CSV, [path / split for split in splits]),
        (_CSV, [path / "data" / split for split in splits]),
        (_OF_HUB, [path / "all"]),
        (_OF_HUB, sorted(path.glob("*"))),
    ):
        named = [
            (name, file)
            for folder in folders
            for file in sorted(folder.glob("*"))
            if (name := known.fullmatch(file.name))
        ]
        if any(name["split"] == "test" for name, _ in named):
            for name, file in named:
                yield name.groupdict().get("subject") or file.parent.name, name["split"], file
            return


def _by_subject(files: Iterable[tuple[str, Path]]) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    places: dict[str, Path] = {}
    for named, file in files:
        table = file.name.lower().endswith((".csv", ".csv.gz"))
        read = read_cells(file) if table else require_rows(file)
        if table and _is_header(read[0].value):
            read = read[1:]
        if not read:
            raise FileError(file, "holds no rows")
        for row in read:
            subject = row.value.get("subject") if isinstance(row.value, dict) else None
            subject = subject if isinstance(subject, str) and subject else named
            if places.setdefault(subject, file) != file and table:
                raise FileError(file, f"is of the subject {subject}, as {places[subject]} is: read one")
            rows.setdefault(subject, []).append(row)
    return rows


def _is_header(cells: list[str]) -> bool:
    return cells[0].strip().lower() == "question" and cells[-1].strip().lower() == "answer"
