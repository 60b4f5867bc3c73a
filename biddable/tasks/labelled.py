"""Texts with a label each: the rows of a classification set, from tables or from lines "LABEL TEXT".

Tables are CSV, TSV, JSON lines, a JSON list or Parquet (``rows.read_values``); lines are those of the
Stanford Sentiment Treebank, TREC and SUBJ as published, and of fastText.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biddable.errors import FileError, InputError, shown
from biddable.tasks.chats import sendable
from biddable.tasks.rows import Row, read_hub, read_text, read_values, source_files

_PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("title", "description"),
)
_TEXTS = (
    "text",
    "sentence",
    "input",
    "content",
    "review",
    "comment",
    "tweet",
    "utterance",
    "query",
    "question",
)
_LABELS = (
    *("label", "class", "class index", "category", "sentiment", "target", "gold_label", "intent", "output"),
    *("coarse_label", "fine_label", "emotion", "polarity"),
)
_LINE = re.compile(r"(-?\d+|[A-Z]{2,}(?::\w+)?|__label__\S+)[ \t]+(\S.*)")
_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
_UNLABELLED = -1
"""What data sets of the hub have as the label of rows whose label is not public."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text, or a pair of texts, with its label.

    Attributes:
        text: the text, or the first of the two.
        text_pair: the second; empty where there is one.
        label: the label's name.
        where: the file and the line that it stands in.
    """

    text: str
    text_pair: str
    label: str
    where: str


def read_labelled(
    path: str | Path,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    labels: Sequence[str] | Mapping[Any, str] | None = None,
    encoding: str | None = None,
) -> list[Labelled]:
    """Every row of a file, a folder, a run's data or ``hf:OWNER/NAME[/CONFIG][:SPLIT]``.

    Args:
        path: where the rows are.
        text, text_pair, label: the columns of a table. Those not given are found by their usual names
            (text, sentence, premise and hypothesis …; label, class, category …), if one column has one.
        labels: the labels' names, by number from 0; or by what stands in the file, or stands there before a
            colon (``{"NUM": "number"}`` for TREC's ``NUM:dist``). With names, each label must have one.
        encoding: of text, where it is not Unicode: SUBJ's is cp1252.

    Raises:
        FileError: the source cannot be read or holds nothing; no or several columns may be meant; or a row
            (named, with the field) has no text or label, or a label without a name.
        InputError: there is no such encoding, or ``text_pair`` is given without ``text``.
    """
    if text_pair is not None and text is None:
        raise InputError("text_pair", text_pair, "text as well: the column of the first text")
    named = _Names(text, text_pair, label)
    if str(path).startswith("hf:"):
        files = [read_hub(str(path))]
    else:
        files = [_rows(file, encoding) for file in source_files(path)]
    rows = [row for read in files for row in read]
    if not rows:
        raise FileError(path, "holds no rows")
    return [_labelled(row, named, labels) for row in rows]


@dataclass(frozen=True)
class _Names:
    """The columns that a user names, and those found in a row by their usual names."""

    text: str | None
    text_pair: str | None
    label: str | None

    def found(self, row: Row) -> tuple[str, str | None, str]:
        """The columns of text, second text and label in a row."""
        there = {str(name).strip().lower(): name for name in row.value}
        label = self.label or self._only("label", row, [there[name] for name in _LABELS if name in there])
        if self.text:
            return self.text, self.text_pair, label
        usual = {name: original for name, original in there.items() if original != label}
        pairs = [pair for pair in _PAIRS if usual.keys() >= {*pair}]
        singles = [name for name in _TEXTS if name in usual and not any(name in pair for pair in pairs)]
        if len(pairs) == 1 and not singles:
            first, second = pairs[0]
            return usual[first], usual[second], label
        several = [*dict.fromkeys(name for pair in pairs for name in pair), *singles]
        return self._only("text", row, [usual[name] for name in several]), None, label

    def _only(self, field: str, row: Row, columns: list[str]) -> str:
        if len(columns) == 1:
            return columns[0]
        listed = ", ".join(map(shown, columns or list(row.value)[:12]))
        problem = f"{listed} may each be it" if columns else f"the columns are {listed}"
        raise FileError(row.where, f"{field}: {problem}: name that of the {field}")


def _labelled(row: Row, named: _Names, labels: Sequence[str] | Mapping[Any, str] | None) -> Labelled:
    if not isinstance(row.value, dict):
        raise FileError(row.where, f"expected an object with text and label, not {shown(row.value)}")
    text, pair, label = named.found(row)
    for name in (text, *([pair] if pair else []), label):
        if name not in row.value:
            known = ", ".join(map(shown, list(row.value)[:12]))
            raise FileError(row.where, f"{name}: there is no such column among {known}")
    second = _text(row, pair) if pair else ""
    return Labelled(_text(row, text), second, _label(row, label, labels), row.where)


def _text(row: Row, column: str) -> str:
    try:
        return sendable(column, row.value[column]).strip()
    except InputError as error:
        raise FileError(row.where, str(error)) from None


def _label(row: Row, column: str, labels: Sequence[str] | Mapping[Any, str] | None) -> str:
    value = row.value[column]
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # as tables with gaps have whole numbers
    if isinstance(value, bool):
        value = int(value) if labels else str(value).lower()
    if not isinstance(value, str | int) or not str(value).strip():
        raise FileError(row.where, f"{column}: is {shown(value)}, expected a label: a text or an integer")
    label = str(value).strip()
    if labels is None:
        if label == str(_UNLABELLED):
            raise FileError(row.where, f"{column}: is -1, which says that the row has no label")
        return label
    names = labels if isinstance(labels, Mapping) else dict(enumerate(labels))
    by_text = {str(key): name for key, name in names.items()}
    for key in (label, label.partition(":")[0]):
        if key in by_text:
            return by_text[key]
    if label in by_text.values():
        return label
    known = ", ".join(f"{key} ({name})" for key, name in by_text.items())
    raise FileError(row.where, f"{column}: is {shown(value)}, expected one of {known}")


def _rows(path: Path, encoding: str | None) -> list[Row]:
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(_TABLES):
        return read_values(path, encoding)
    text = read_text(path, encoding)
    if text.lstrip()[:1] in ("[", "{"):
        return read_values(path, encoding)
    # Lines end at "\n" alone; splitlines would also cut at the other line ends that Unicode knows.
    return [_line(path, n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]


def _line(path: Path, number: int, line: str) -> Row:
    match = _LINE.fullmatch(line.strip())
    if not match:
        problem = 'expected a line "LABEL TEXT" (0 …, NUM:dist …, __label__x …), or a table: CSV, TSV, JSON …'
        raise FileError(path, problem, line=number)
    value = {"label": match[1].removeprefix("__label__"), "text": match[2]}
    return Row(value, f"{path}:{number}", f"line {number}")
