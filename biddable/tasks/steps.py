"""A data set on its way: what each step drops and why, what is left, and how sets are mixed.

::

    funnel = Funnel({"row 1": chat, "row 2": other})
    funnel.apply("length", [Drop("too long", "812 words") if long(chat) else chat for chat in funnel.rows])
    funnel.apply("parse", [parsed(chat) for chat in funnel.rows])     # rows may become something else
    run.finish(..., metrics={"rows": funnel.counts()})
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from biddable.errors import InputError
from biddable.runs.codec import jsonable
from biddable.runs.figures import Answer, Bars, Cell, Item, Items, Table
from biddable.runs.files import write_atomic
from biddable.runs.items import KEPT_OR_DROPPED

Row = TypeVar("Row")

LONGEST = 4000
"""Letters of a text that the browser shows."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a row is dropped.

    Attributes:
        reason: what is wrong, in words that are the same for all such rows, for they are counted.
        detail: what was found in this row.
        like: the id of the row, or of the task of a suite, that it is too near to.
    """

    reason: str
    detail: str = ""
    like: str = ""


@dataclass(frozen=True, slots=True)
class Dropped(Generic[Row]):
    """A row that a step dropped, as it came to that step."""

    id: str
    row: Row
    step: str
    why: Drop


@dataclass(frozen=True, slots=True)
class StepCount:
    """How many rows came to a step, how many it kept, and the reasons for the others."""

    step: str
    came: int
    kept: int
    reasons: dict[str, int]


class Funnel(Generic[Row]):
    """Rows that go through steps, each of which keeps, changes or drops each of them.

    Attributes:
        kept: the rows that are left, by id, in their order.
        dropped: the others, in the order in which they went.
        steps: what each step did.

    Args:
        rows: by an id that tells a row's origin (its file and line).
    """

    def __init__(self, rows: Mapping[str, Row]):
        self.kept: dict[str, Row] = dict(rows)
        self.dropped: list[Dropped[Row]] = []
        self.steps: list[StepCount] = []

    @property
    def rows(self) -> list[Row]:
        """The rows that are left."""
        return list(self.kept.values())

    @property
    def ids(self) -> list[str]:
        """Their ids."""
        return list(self.kept)

    def apply(self, step: str, results: Sequence[Row | Drop]) -> None:
        """Take a step.

        Args:
            step: its name.
            results: for each row that is left, in their order, the row as it goes on, or why it does not.

        Raises:
            InputError: not one result for each row.
        """
        if len(results) != len(self.kept):
            raise InputError(f"results of {step}", len(results), f"one for each of {len(self.kept)} rows")
        left: dict[str, Row] = {}
        reasons: Counter[str] = Counter()
        for (name, row), result in zip(self.kept.items(), results, strict=True):
            if isinstance(result, Drop):
                self.dropped.append(Dropped(name, row, step, result))
                reasons[result.reason] += 1
            else:
                left[name] = result
        self.steps.append(StepCount(step, len(self.kept), len(left), dict(reasons.most_common())))
        self.kept = left

    def counts(self) -> dict[str, dict[str, Any]]:
        """By step: rows that came, rows kept, and how many were dropped for which reason."""
        return {each.step: {k: v for k, v in asdict(each).items() if k != "step"} for each in self.steps}

    def select(self, step: str, ids: Sequence[str], reason: str) -> None:
        """Take a step that keeps the rows with these ids, in this order, and drops the others."""
        chosen = set(ids)
        self.apply(step, [row if name in chosen else Drop(reason) for name, row in self.kept.items()])
        self.kept = {name: self.kept[name] for name in ids}

    def table(self, title: str = "What each step kept, and why it dropped the rest") -> Table:
        """The steps in turn."""
        rows: list[tuple[Cell, ...]] = [
            (each.step, each.came, each.kept, _reasons(each.reasons)) for each in self.steps
        ]
        return Table(title, ("step", "rows", "kept", "dropped for"), tuple(rows))

    def bars(self, title: str = "Rows left after each step") -> Bars:
        """How many rows came, and how many each step kept."""
        came = self.steps[0].came if self.steps else len(self.kept)
        left = {"all": came} | {each.step: each.kept for each in self.steps}
        return Bars(title, tuple(left), {"rows": tuple(map(float, left.values()))}, unit="rows")

    def shown(self, most: int = 2000) -> tuple[list[str], list[Dropped[Row]]]:
        """The rows that ``browser`` shows: of those that are left, and of those dropped.

        Where there are more than ``most`` of the former, or of those that one step dropped for one reason,
        they are taken from all places alike.
        """
        groups: dict[tuple[str, str], list[int]] = {}
        for place, each in enumerate(self.dropped):
            groups.setdefault((each.step, each.why.reason), []).append(place)
        places = sorted(place for group in groups.values() for place in _evenly(group, most))
        return _evenly(self.ids, most), [self.dropped[place] for place in places]

    def browser(
        self,
        title: str,
        show: Callable[[Row], tuple[str, str]],
        *,
        source: Callable[[str], str] = lambda name: "rows",
        part: Callable[[str], str] = lambda name: "kept",
        notes: Callable[[str, Row], Sequence[str]] = lambda name, row: (),
        score: Callable[[str, Row], float | None] = lambda name, row: None,
        most: int = 2000,
    ) -> Items:
        """Rows to read, those of ``shown``, by source, by step and reason, with what else is said of them.

        Args:
            title: of the figure.
            show: the prompt and the response of a row; of each the first ``LONGEST`` letters are shown.
            source: the name of the data set that a row, by its id, comes from.
            part: what those that are left are called.
            notes: what else is to be said of a row: its neighbours, its indicators.
            score: a number of it, higher is better.
            most: see ``shown``.
        """

        def item(name: str, group: str, row: Row, kept: bool, why: Sequence[str]) -> Item:
            prompt, response = map(_start, show(row))
            answer = Answer(response, kept, score(name, row), (*why, *notes(name, row)))
            return Item(name, source(name), group, prompt, (), {"row": answer})

        kept, dropped = self.shown(most)
        items = [item(name, part(name), self.kept[name], True, ()) for name in kept]
        for each in dropped:
            why = [f"{each.why.reason}: {each.why.detail}" if each.why.detail else each.why.reason]
            why += [f"near to {each.why.like}"] if each.why.like else []
            items.append(item(each.id, f"{each.step}: {each.why.reason}", each.row, False, why))
        left_out = len(self.kept) + len(self.dropped) - len(items)
        rows = "One more row is" if left_out == 1 else f"{left_out:,} more rows are"
        note = f"{rows} not shown: at most {most:,} of a kind are, from all places alike." if left_out else ""
        return Items(title, ("row",), tuple(items), note, KEPT_OR_DROPPED, ("source", "step"))

    def write_dropped(self, path: Path, plain: Callable[[Row], Any] = lambda row: row) -> None:
        """Write what was dropped, a line each: id, step, reason, detail, like and the row.

        Args:
            path: of the file, which appears whole or not at all.
            plain: what of a row is written.

        Raises:
            StorageError: the disk is full, permission is missing …
        """
        lines = [
            {"id": each.id, "step": each.step, **asdict(each.why), "row": jsonable(plain(each.row))}
            for each in self.dropped
        ]
        write_atomic(path, "".join(f"{_line(each)}\n" for each in lines))


def mixed(
    sources: Mapping[str, Sequence[Row]], weights: Sequence[float], total: int, seed: int
) -> dict[str, Row]:
    """Rows of several data sets in given proportions, drawn without replacement and shuffled.

    Args:
        sources: rows by the name of their data set.
        weights: one for each, of any sum.
        total: how many rows.
        seed: of the draws.

    Returns:
        the rows by ``NAME row N``.

    Raises:
        InputError: a weight that is not above 0, not one for each, or a set that has not enough rows.
    """
    if len(weights) != len(sources):
        raise InputError("weights", len(weights), f"one for each of {len(sources)} data sets")
    if any(not 0 < weight < float("inf") for weight in weights):
        raise InputError("weights", list(weights), "numbers above 0")
    if total < 1:
        raise InputError("total", total, "an integer of at least 1")
    rng = np.random.default_rng(seed)
    exact = np.array(weights) / sum(weights) * total
    numbers = np.floor(exact).astype(int)
    for place in np.argsort(-(exact - numbers), kind="stable")[: total - numbers.sum()]:
        numbers[place] += 1  # what rounding left goes to those that lost most by it
    drawn: list[tuple[str, Row]] = []
    for (name, rows), number in zip(sources.items(), numbers, strict=True):
        if number > len(rows):
            expected = f"at most {len(rows)}, as many as {name} has ({number} would be its part)"
            raise InputError("total", total, expected)
        drawn += [(f"{name} row {i + 1}", rows[i]) for i in sorted(rng.permutation(len(rows))[:number])]
    return dict(drawn[i] for i in rng.permutation(len(drawn)))


def _evenly(values: Sequence[Any], most: int) -> list[Any]:
    """At most so many of them, from all places alike."""
    if len(values) <= most:
        return list(values)
    return [values[place] for place in np.linspace(0, len(values) - 1, most).round().astype(int)]


def _start(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST:,} letters more)"


def _reasons(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} ({number:,})" for reason, number in reasons.items())


def _line(value: dict[str, Any]) -> str:
    # A model may emit unpaired surrogates, which UTF-8 cannot hold.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
