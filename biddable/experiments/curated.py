"""What is shown of a data set that went through its steps: numbers, lengths, and rows to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import numpy as np

from biddable.runs.figures import Bars, Figure, Items, Table
from biddable.tasks.data import Unreadable
from biddable.tasks.neighbours import Compare, nearest
from biddable.tasks.steps import Funnel
from biddable.tasks.views import Row, prompt_of_row, shown, word_counts

NEIGHBOURS = 2
SNIPPET = 100
"""Letters of a neighbour's prompt that are shown."""
BINS = (0, 1, 6, 11, 21, 51, 101, 201, 501, 1001)
"""Where the bars of the lengths begin, in words."""


def curated_figures(
    funnel: Funnel[Row],
    source_of: Mapping[str, str],
    held: Collection[str],
    compare: Compare,
    scores: Mapping[str, float],
) -> list[Figure]:
    """The figures of a funnel whose first step reads.

    Args:
        funnel: after its last step.
        source_of: the data set that each row, by its id, comes from.
        held: the ids of the rows that are held out.
        compare: how near prompts are.
        scores: what a judge gave to rows.
    """
    return [
        funnel.bars(),
        funnel.table(),
        _sources(funnel, source_of, held),
        _lengths(funnel),
        _browser(funnel, source_of, held, compare, scores),
    ]


def _sources(funnel: Funnel[Row], source_of: Mapping[str, str], held: Collection[str]) -> Table:
    came, kept, aside = (Counter(source_of[name] for name in ids) for ids in (source_of, funnel.ids, held))
    rows = tuple((name, came[name], kept[name] - aside[name], aside[name]) for name in came)
    return Table("What is left of each source", ("source", "rows", "to learn", "held out"), rows)


def _lengths(funnel: Funnel[Row]) -> Bars:
    names = [f"{low}–{high - 1}" if high - low > 1 else str(low) for low, high in pairwise(BINS)]

    def numbers(rows: Sequence[Row]) -> tuple[float | None, ...]:
        lengths = [number for row in rows for number in word_counts(row)]
        return tuple(map(float, np.histogram(lengths, bins=[*BINS, np.inf])[0]))

    dropped = [each.row for each in funnel.dropped if not isinstance(each.row, Unreadable)]
    series = {"dropped": numbers(dropped), "kept": numbers(funnel.rows)}
    return Bars("Words of the responses", (*names, f"from {BINS[-1]}"), series, unit="responses")


def _browser(
    funnel: Funnel[Row],
    source_of: Mapping[str, str],
    held: Collection[str],
    compare: Compare,
    scores: Mapping[str, float],
) -> Items:
    """Rows to read, each with the kept rows whose prompts are nearest to its own."""
    kept, dropped = funnel.shown()
    rows = {name: funnel.kept[name] for name in kept}
    rows |= {each.id: each.row for each in dropped if not isinstance(each.row, Unreadable)}
    prompts, ids = list(map(prompt_of_row, funnel.rows)), funnel.ids
    place = {name: at for at, name in enumerate(ids)}
    itself = [place.get(name, -1) for name in rows]
    found = nearest(list(map(prompt_of_row, rows.values())), prompts, NEIGHBOURS, compare, same=itself)
    near = {
        name: [
            f"nearest kept: {ids[each.place]} ({each.similarity:.2f}): {_beginning(prompts[each.place])}"
            for each in some
            if each.similarity > 0
        ]
        for name, some in zip(rows, found, strict=True)
    }
    return funnel.browser(
        "Rows and what came of them",
        shown,
        source=lambda name: source_of[name],
        part=lambda name: "held out" if name in held else "kept",
        notes=lambda name, row: near.get(name, ()),
        score=lambda name, row: scores.get(name),
    )


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SNIPPET else f"{line[:SNIPPET]} …"
