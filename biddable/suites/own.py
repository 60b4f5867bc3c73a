"""Suites of a user's own, each described by a TOML file: data, columns, template, and what is counted.

::

    data = "reviews.jsonl"                      # beside this file
    template = "Review: {{ text }}\\nSentiment:"
    metric = "acc"
    labels = {0 = "negative", 1 = "positive"}
    columns = {answer = "label"}

Templates are Jinja2's, in its sandbox: they see the columns of a row by name (``row["a name with blanks"]``
for all others) and nothing else. ``Description`` lists every key.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from biddable.config import Count, Natural, configure, settings
from biddable.errors import FileError, InputError, said, shown
from biddable.judges.base import Judge
from biddable.judges.reference import METRICS, ReferenceJudge
from biddable.models.base import Sampling
from biddable.runs.files import read_toml
from biddable.suites.base import ANSWER, Ask, Metric, Suite, check_suite
from biddable.suites.columns import cell_of, no_column, place_of, text_of
from biddable.suites.metrics import (
    ACC,
    ACC_NORM,
    BITS_PER_BYTE,
    JUDGED,
    MC2,
    WORD_PERPLEXITY,
    met,
    score,
)
from biddable.tasks.fewshot import Shots
from biddable.tasks.rows import Row, read_hub, read_values, source_files
from biddable.types import Task

if TYPE_CHECKING:
    from jinja2 import Template

GRADED = ("token_f1", "rouge_l", "induction_f1")
"""Metrics of references that are no yes or no: a verdict's score is the one of them that is asked for."""
_COUNTED: dict[Ask, dict[str, Metric]] = {
    "choose": {metric.name: metric for metric in (ACC, ACC_NORM, MC2)},
    "perplexity": {metric.name: metric for metric in (BITS_PER_BYTE, WORD_PERPLEXITY)},
    "generate": {name: score(name) if name in GRADED else met(name, f"reference:{name}") for name in METRICS},
}
_COMPARED = ("extract", "last", "ignore_case", "ignore_punctuation")

Names = str | tuple[str, ...]


@settings
class Columns:
    """Where things stand in a row: a column, or a path into one (``question.stem``, ``options.0``)."""

    prompt: str | None = None
    """What is asked. Not needed with a template."""
    answer: str | None = None
    """The right answer, or a list of right answers."""
    choices: Names | None = None
    """One column that lists what to choose among, or several that hold one each."""
    id: str | None = None
    """What the task is called; else its number in the file."""
    group: str | None = None
    """Scores are told by it as well: a subject, say."""
    source: str | None = None
    """What rows that are not independent share, such as a passage; intervals then count it once."""


@settings
class Description:
    """What a TOML file says of a suite."""

    data: str
    """The rows: a file or folder beside the TOML file (JSON lines, JSON, CSV, TSV, Parquet), or hf:NAME."""
    name: str | None = None
    """What the suite is called; else the file's name."""
    columns: Columns = Columns()
    template: str | None = None
    """What is asked, with the columns in it: ``Question: {{ question }}\\nAnswer:``."""
    ask: Ask | None = None
    """Else choose where there are choices or labels, generate where there are none."""
    choices: tuple[str, ...] | None = None
    """What to choose among, where it is the same for all rows."""
    labels: dict[str, str] | None = None
    """What a value of the answer column stands for; its values are the choices where none are named."""
    answer_is: Literal["text", "index", "number", "letter"] = "text"
    """How the answer names its choice: by its text, its index from 0, its number from 1, or its letter."""
    metric: Names | None = None
    """What is counted, the headline first."""
    judge: str | None = None
    """Who judges written answers instead of a metric: reference:…, lm:MODEL, rating:MODEL, hf:DIR, a run."""
    extract: str = ""
    """A regular expression: what is compared is its first match in the answer, or that match's group."""
    last: bool = False
    """Its last match instead."""
    ignore_case: bool = False
    ignore_punctuation: bool = False
    description: str = ""
    """What stands before all else."""
    shots: Natural = 0
    """Solved examples before each task."""
    shots_data: str | None = None
    """Where they are; else they are the first rows of the data, which are then not asked."""
    separator: str = "\n\n"
    """Between description, solved examples and task."""
    max_tokens: Count = ANSWER.max_tokens
    """Longest written answer."""
    stop: Names = ()
    """Texts that end a written answer."""
    version: str = "1"
    source: str = ""
    license: str = ""


def read_suite(path: str | Path) -> Suite:
    """The suite that a TOML file describes.

    Raises:
        FileError: the file, its data or its template cannot be read, or a row (named) has no such column,
            no answer, an answer that is no choice, or another row's id.
        InputError: no such key, metric or judge, or keys that do not go together; the file is named.
    """
    path = Path(path)
    try:
        described = configure(Description, read_toml(path))
        reader = _Reader.of(path, described)
        judge, metrics, version = _counted(described, reader.ask)
        stop = _listed(described.stop)
        sampling = Sampling(max_tokens=described.max_tokens, temperature=0.0, stop=stop)
    except InputError as error:
        raise (error if error.where else error.at(str(path))) from None
    rows = _rows(path, described.data)
    examples = _rows(path, described.shots_data) if described.shots_data else rows
    if len(examples) < described.shots + (described.shots_data is None):
        needed = f"more than {described.shots}" if examples is rows else f"at least {described.shots}"
        raise FileError(path, f"shots: {len(examples)} rows, expected {needed} for {described.shots} of them")
    solved = tuple(reader.solved(row) for row in examples[: described.shots])
    asked = rows if described.shots_data else rows[described.shots :]
    suite = Suite(
        described.name or path.stem,
        reader.tasks(asked),
        metrics,
        reader.ask,
        judge,
        shots={"": Shots(described.description, solved)},
        k=described.shots,
        separator=described.separator,
        sampling=sampling,
        version=version,
        source=described.source,
        license=described.license,
    )
    check_suite(suite)
    return suite


def _rows(beside: Path, source: str) -> list[Row]:
    """The rows of a source, whose path is taken from the TOML file."""
    if source.startswith("hf:"):
        rows = read_hub(source)
    else:
        rows = [row for file in source_files(beside.parent / source) for row in read_values(file)]
    if not rows:
        raise FileError(beside.parent / source, "holds no rows")
    for row in rows:
        if not isinstance(row.value, dict):
            raise FileError(row.where, f"expected an object with columns, not {shown(row.value)}")
    return rows


def _listed(names: Names | None) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names or ()


def _counted(described: Description, ask: Ask) -> tuple[Judge | None, tuple[Metric, ...], str]:
    """Who judges, what is counted, and the suite's version, which names both."""
    names, known = _listed(described.metric), _COUNTED[ask]
    if described.judge is not None:
        return _judged(described, ask)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            raise InputError("metric", name, f"{' or '.join(near or known)} (ask = {ask!r})")
        if names.count(name) > 1:
            raise InputError("metric", name, "each once")
    if ask != "generate":
        _refuse(described, (*_COMPARED, "stop"), f"nothing of it where ask is {ask!r}")
        if described.max_tokens != ANSWER.max_tokens:
            raise InputError("max_tokens", described.max_tokens, f"nothing of it where ask is {ask!r}")
        chosen = [known[name] for name in names] or [next(iter(known.values()))]
        return None, tuple(chosen), described.version
    names = names or ("exact_match",)
    graded = [name for name in names if name in GRADED]
    if len(graded) > 1:
        raise InputError("metric", list(names), f"only one of {' and '.join(GRADED)}")
    judge = ReferenceJudge(
        (*graded, *(name for name in names if name not in graded)),
        described.extract,
        described.last,
        ignore_case=described.ignore_case,
        ignore_punctuation=described.ignore_punctuation,
    )
    return judge, tuple(known[name] for name in names), f"{described.version} {judge}"


def _judged(described: Description, ask: Ask) -> tuple[Judge, tuple[Metric, ...], str]:
    from biddable.judges.load import load_judge

    spec = str(described.judge)
    if ask != "generate":
        raise InputError("judge", spec, f"none where ask is {ask!r}")
    _refuse(described, ("metric", *_COMPARED), "none beside a judge")
    if spec.partition("?")[0] in ("rules", "answer"):
        expected = "another judge: rows of columns have no rules (tasks in IFEval's form are ifeval:FILE)"
        raise InputError("judge", spec, expected)
    return load_judge(spec), JUDGED, f"{described.version} {spec}"


def _refuse(described: Description, fields: Sequence[str], expected: str) -> None:
    """Raises InputError: one of the fields says something, which nothing would heed."""
    for field in fields:
        if value := getattr(described, field):
            raise InputError(field, value, expected)


@dataclass(frozen=True)
class _Reader:
    """Makes tasks of rows."""

    said: Description
    ask: Ask
    template: Template | None
    names: frozenset[str]
    """Columns that the template names."""

    @classmethod
    def of(cls, path: Path, described: Description) -> _Reader:
        """Raises InputError: keys that do not go together. FileError: a template that is none."""
        columns, labels = described.columns, described.labels
        offered = [
            field
            for field, value in (("choices", described.choices), ("columns.choices", columns.choices))
            if value
        ]
        if len(offered) > 1:
            raise InputError("choices", list(described.choices or ()), "no columns.choices beside it")
        ask = described.ask or ("choose" if offered or labels else "generate")
        if described.template is None and columns.prompt is None:
            raise InputError("template", None, "a template, or columns.prompt: the column that is asked")
        if described.template is not None and columns.prompt is not None:
            raise InputError("columns.prompt", columns.prompt, "no template beside it")
        if ask == "choose" and not offered and not labels:
            raise InputError("choices", None, "what to choose among: choices, columns.choices or labels")
        if columns.answer is None and ask != "perplexity" and (described.judge is None or described.shots):
            raise InputError("columns.answer", None, "the column of the right answers")
        if labels is not None and not labels:
            raise InputError("labels", labels, "at least one: a value of the answer column and its choice")
        if described.answer_is != "text" and not offered:
            raise InputError("answer_is", described.answer_is, "text, where there are no choices")
        if described.answer_is != "text" and labels:
            raise InputError("answer_is", described.answer_is, "text beside labels, which say what it is")
        if ask == "perplexity":
            expected = "nothing of it where ask is 'perplexity': the text itself is measured"
            _refuse(described, ("choices", "labels", "description", "shots", "shots_data"), expected)
            for field, value in (("choices", columns.choices), ("answer", columns.answer)):
                if value:
                    raise InputError(f"columns.{field}", value, expected)
        if described.shots_data is not None and described.shots_data == described.data:
            expected = "another file than data, or none: the first rows of data, which are then not asked"
            raise InputError("shots_data", described.shots_data, expected)
        template, names = (
            (None, frozenset[str]()) if described.template is None else _template(path, described.template)
        )
        return cls(described, ask, template, names)

    def tasks(self, rows: Sequence[Row]) -> tuple[Task, ...]:
        """A task for each row."""
        seen: dict[str, str] = {}
        tasks = []
        for number, row in enumerate(rows, 1 + (0 if self.said.shots_data else self.said.shots)):
            column = self.said.columns.id
            id = str(number) if column is None else self._text(row, "columns.id", column)
            if id in seen:
                raise FileError(row.where, f"the id {shown(id)} is that of {seen[id]} already")
            seen[id] = row.where
            meta = {
                name: self._text(row, f"columns.{name}", path)
                for name, path in (("group", self.said.columns.group), ("source", self.said.columns.source))
                if path is not None
            }
            choices = self._choices(row)
            tasks.append(Task(id, self._prompt(row), (), self._answers(row, choices), meta, choices))
        return tuple(tasks)

    def solved(self, row: Row) -> str:
        """A row as a solved example: what is asked, and after a blank its first right answer."""
        prompt, answer = self._prompt(row), self._answers(row, self._choices(row))[0]
        return f"{prompt}{'' if prompt[-1:].isspace() else ' '}{answer}"

    def _prompt(self, row: Row) -> str:
        if self.template is None:
            prompt = self._text(row, "columns.prompt", str(self.said.columns.prompt))
        else:
            for name in sorted(self.names - row.value.keys()):
                raise no_column(row, "template", name)
            try:
                prompt = self.template.render({**row.value, "row": row.value})
            except Exception as error:  # whatever an expression of somebody's may do
                raise FileError(row.where, f"template: {said(error)}") from None
        if not prompt.strip():
            raise FileError(row.where, "what is asked is empty")
        return prompt

    def _choices(self, row: Row) -> tuple[str, ...]:
        columns = self.said.columns.choices
        if self.said.choices or columns is None:
            fixed = self.said.choices or tuple(dict.fromkeys((self.said.labels or {}).values()))
            return fixed if self.ask == "choose" or self.said.choices else ()
        if isinstance(columns, tuple):
            return tuple(self._text(row, "columns.choices", column) for column in columns)
        listed = cell_of(row, "columns.choices", columns)
        if not isinstance(listed, list) or not listed:
            raise FileError(row.where, f"{columns} is {shown(listed)}, expected a list of choices")
        return tuple(text_of(row, columns, each) for each in listed)

    def _answers(self, row: Row, choices: tuple[str, ...]) -> tuple[str, ...]:
        column = self.said.columns.answer
        if column is None or self.ask == "perplexity":
            return ()
        value = cell_of(row, "columns.answer", column)
        values = value if isinstance(value, list) else [value]
        if not values:
            raise FileError(row.where, f"{column} is [], expected a right answer")
        read = (self._answer(row, column, text_of(row, column, each), choices) for each in values)
        return tuple(dict.fromkeys(read))

    def _answer(self, row: Row, column: str, text: str, choices: tuple[str, ...]) -> str:
        """What a value of the answer column stands for."""
        labels, how = self.said.labels, self.said.answer_is
        if labels is not None:
            if text not in labels:
                raise FileError(row.where, f"{column} is {text!r}, expected a label: {', '.join(labels)}")
            text = labels[text]
        elif how != "text":
            at = place_of(text, how)
            if at is None or at not in range(len(choices)):
                expected = f"the {how} of one of {len(choices)} choices"
                raise FileError(row.where, f"{column} is {text!r}, expected {expected}")
            text = choices[at]
        if choices and text not in choices:
            hint = "labels and answer_is say what else an answer may stand for"
            listed = ", ".join(map(shown, choices))
            raise FileError(row.where, f"{column} is {shown(text)}, no choice of {listed} ({hint})")
        return text

    def _text(self, row: Row, field: str, column: str) -> str:
        return text_of(row, column, cell_of(row, field, column))


def _required(value: Any) -> Any:
    """What a template writes. Raises ValueError: nothing is there, which would be written as "None"."""
    if value is None:
        raise ValueError("an empty cell is written (default: {{ COLUMN or '' }})")
    return value


def _template(path: Path, text: str) -> tuple[Template, frozenset[str]]:
    """A template, and the columns it names."""
    from jinja2 import StrictUndefined, TemplateSyntaxError, meta
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, keep_trailing_newline=True, finalize=_required
    )
    try:
        names = meta.find_undeclared_variables(environment.parse(text))
        compiled = environment.from_string(text)
    except TemplateSyntaxError as error:
        raise FileError(path, f"template, its line {error.lineno}: {error.message}") from None
    return compiled, frozenset(names - {"row", *environment.globals})
