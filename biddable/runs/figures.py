"""Figures of a run: generic blocks that the report draws, so that no method writes HTML.

A method builds these from plain numbers and texts; they are kept in ``figures.json`` and drawn by
``biddable.report``. Texts may come straight from a model: the report escapes them.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np

from biddable.errors import FileError, InputError
from biddable.runs.files import read_json, write_atomic
from biddable.runs.items import Answer, Item, Items

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Cell = str | bool | int | float | None
"""What a table may hold; None is an empty cell."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Text:
    """Plain paragraphs (no markup)."""

    title: str
    paragraphs: tuple[str, ...]
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns; columns of numbers are aligned on the decimal point."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    kind: Literal["table"] = "table"

    def __post_init__(self) -> None:
        for index, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise InputError(f"rows[{index}]", row, f"{len(self.columns)} cells, one per column")
            _check_finite(f"rows[{index}]", (cell for cell in row if isinstance(cell, float)))


@dataclass(frozen=True, slots=True)
class Bars:
    """Grouped horizontal bars: one group per category, one bar per series.

    The first of several series is taken for the reference and drawn muted, so put the baseline first.
    ``series`` holds one value per category (None: nothing was measured), ``intervals`` the (low, high)
    of those values where known, ``unit`` what the axis counts ("share of prompts passed").
    """

    title: str
    categories: tuple[str, ...]
    series: dict[str, tuple[float | None, ...]]
    intervals: dict[str, tuple[Interval | None, ...]] | None = None
    unit: str = ""
    note: str = ""
    kind: Literal["bars"] = "bars"

    def __post_init__(self) -> None:
        expected = f"{len(self.categories)} values, one per category"
        for name, values in self.series.items():
            if len(values) != len(self.categories):
                raise InputError(f"series.{name}", values, expected)
            _check_finite(f"series.{name}", values)
        for name, pairs in (self.intervals or {}).items():
            if name not in self.series:
                raise InputError(f"intervals.{name}", name, "the name of a series")
            if len(pairs) != len(self.categories):
                raise InputError(f"intervals.{name}", pairs, expected)
            for pair in filter(None, pairs):
                _check_interval(f"intervals.{name}", *pair)


class Point(NamedTuple):
    """A point of a curve, with the (low, high) of an interval around ``y`` where one is known."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


def mean_curve(curves: Sequence[Sequence[tuple[float, float]]]) -> tuple[Point, ...]:
    """The mean of curves [curves, points] of (x, y) that have their x in common."""
    rows = np.array(curves)
    return tuple(Point(float(x), float(y)) for x, y in zip(rows[0, :, 0], rows[:, :, 1].mean(0), strict=True))


@dataclass(frozen=True, slots=True)
class Curves:
    """Lines over a common x axis: learning curves, accuracy against budget."""

    title: str
    x_label: str
    y_label: str
    series: dict[str, tuple[Point, ...]]
    x_scale: Literal["linear", "log"] = "linear"
    note: str = ""
    kind: Literal["curves"] = "curves"

    def __post_init__(self) -> None:
        for name, points in self.series.items():
            for x, y, low, high in points:
                _check_finite(f"series.{name}", (x, y))
                if self.x_scale == "log" and x <= 0:
                    raise InputError(f"series.{name}", x, "x above 0 on a logarithmic scale")
                if (low is None) != (high is None):
                    raise InputError(f"series.{name}", (low, high), "both ends of an interval or neither")
                if low is not None and high is not None:
                    _check_interval(f"series.{name}", low, high)


@dataclass(frozen=True, slots=True)
class ScatterPoint:
    """A point that may carry a name, and the (low, high) of the intervals around ``x`` and ``y``."""

    x: float
    y: float
    label: str = ""
    x_interval: Interval | None = None
    y_interval: Interval | None = None

    def __post_init__(self) -> None:
        _check_finite("x", (self.x,))
        _check_finite("y", (self.y,))
        for name, pair in (("x_interval", self.x_interval), ("y_interval", self.y_interval)):
            if pair is not None:
                _check_interval(name, *pair)


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points in two measures: tasks under two models, cost against quality.

    ``diagonal`` draws where x equals y, and both axes then show the same range. ``fit`` draws the
    least-squares line through the points of all series.
    """

    title: str
    x_label: str
    y_label: str
    series: dict[str, tuple[ScatterPoint, ...]]
    diagonal: bool = False
    fit: bool = False
    note: str = ""
    kind: Literal["scatter"] = "scatter"


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One answer in a search tree: its value, the rules it fails, what the judge said of it.

    ``best`` marks the answer the search returned; the way to it from the root is highlighted.
    """

    text: str
    value: float | None = None
    failed: tuple[str, ...] = ()
    critique: str = ""
    children: tuple[TreeNode, ...] = ()
    best: bool = False

    def __post_init__(self) -> None:
        _check_finite("value", (self.value,))


@dataclass(frozen=True, slots=True)
class Tree:
    """A search tree and the prompt it answers."""

    prompt: str
    root: TreeNode


@dataclass(frozen=True, slots=True)
class Trees:
    """Search trees to browse."""

    title: str
    trees: tuple[Tree, ...]
    note: str = ""
    kind: Literal["trees"] = "trees"


@dataclass(frozen=True, slots=True)
class DiffPair:
    """Two texts answering one prompt; ``labels`` name the two sides ("rejected", "chosen")."""

    prompt: str
    before: str
    after: str
    labels: tuple[str, str] = ("before", "after")
    note: str = ""


@dataclass(frozen=True, slots=True)
class Diffs:
    """Pairs of texts, shown as word-level differences."""

    title: str
    pairs: tuple[DiffPair, ...]
    note: str = ""
    kind: Literal["diffs"] = "diffs"


@dataclass(frozen=True, slots=True)
class Clip:
    """An episode as an animated GIF, in base64, with its caption and whether it succeeded."""

    caption: str
    gif: str
    success: bool

    def __post_init__(self) -> None:
        try:
            head = base64.b64decode(self.gif, validate=True)[:4]
        except ValueError:
            head = b""
        if head != b"GIF8":
            raise InputError("gif", self.gif[:20], "an animated GIF in base64")


@dataclass(frozen=True, slots=True)
class Replays:
    """Episodes, side by side."""

    title: str
    clips: tuple[Clip, ...]
    note: str = ""
    kind: Literal["replays"] = "replays"


Figure = Text | Table | Bars | Curves | Scatter | Trees | Diffs | Replays | Items


def save_figures(path: Path, figures: Sequence[Figure]) -> None:
    """Write figures to ``path`` (JSON), whole or not at all.

    NumPy scalars are written as numbers. Unpaired surrogates, which a model may emit and UTF-8
    cannot hold, become question marks.

    Raises:
        InputError: a figure holds something ``load_figures`` would not read back (a value of the wrong type).
        StorageError: the disk is full, permission is missing …
    """
    from pydantic import ValidationError

    from biddable.runs.codec import describe, jsonable

    try:
        plain = jsonable(list(figures))
        _adapter().validate_python(plain)
    except ValidationError as error:
        place, _, problem = describe(error).partition(": ")
        value = error.errors()[0]["input"]
        raise InputError(f"figures{place}", value, problem.removeprefix("input should be ")) from None
    except TypeError as error:
        raise InputError("figures", figures, f"texts and numbers: {error}") from None
    text = json.dumps(plain, ensure_ascii=False, indent=1)
    write_atomic(path, text.encode("utf-8", "replace"))


def load_figures(path: Path) -> list[Figure]:
    """Read what ``save_figures`` wrote.

    Raises:
        FileError: the file is missing or holds something else; the message names the place in it.
    """
    from pydantic import ValidationError

    from biddable.runs.codec import describe

    try:
        return _adapter().validate_python(read_json(path))
    except ValidationError as error:
        raise FileError(path, describe(error)) from None


@cache
def _adapter() -> TypeAdapter[list[Figure]]:
    from pydantic import Field, TypeAdapter

    return TypeAdapter(list[Annotated[Figure, Field(discriminator="kind")]])


def _check_finite(field: str, values: Iterable[float | None]) -> None:
    for value in values:
        if value is not None and not math.isfinite(value):
            raise InputError(field, value, "a finite number")


def _check_interval(field: str, low: float, high: float) -> None:
    _check_finite(field, (low, high))
    if low > high:
        raise InputError(field, (low, high), "an interval (low, high) with low at most high")


__all__ = [
    "Answer",
    "Bars",
    "Clip",
    "Curves",
    "DiffPair",
    "Diffs",
    "Figure",
    "Item",
    "Items",
    "Point",
    "Replays",
    "Scatter",
    "ScatterPoint",
    "Table",
    "Text",
    "Tree",
    "TreeNode",
    "Trees",
    "load_figures",
    "save_figures",
]
