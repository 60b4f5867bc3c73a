"""Figures and files of rows that were ranked by a rule."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from biddable.experiments.exchanges import Exchange
from biddable.experiments.mining_pool import LEVELS
from biddable.experiments.quality import Fit, Floats, QualityRule
from biddable.runs.codec import jsonable
from biddable.runs.figures import (
    Cell,
    Curves,
    Figure,
    Items,
    Point,
    Scatter,
    ScatterPoint,
    Table,
)
from biddable.runs.files import replacing, write_atomic, write_json
from biddable.tasks.steps import Drop, Funnel
from biddable.types import Conversation

Values = Mapping[str, Sequence[float]]


def fit_figures(fit: Fit, losses: Sequence[float]) -> list[Figure]:
    """Predicted against true log loss of each mix, and the indicators of the rule."""
    true = np.log(losses)
    series = {
        name: tuple(
            ScatterPoint(float(x), float(y), f"mix {at}")
            for at, (x, y) in enumerate(zip(of, true, strict=True))
        )
        for name, of in (("as fitted", fit.fitted), ("left out of the fit", fit.left_out))
        if of
    }
    note = "A point for each mix. What was left out of the fit is what the rule can do."
    return [
        Scatter("Predicted and true loss", "predicted log loss", "log loss on dev", series, True, note=note),
        fit.table(),
    ]


def level_table(rows: Sequence[Exchange], chosen: Sequence[int]) -> list[Table]:
    """How many rows of each level were chosen; nothing where levels are not known."""
    if not any(row.level for row in rows):
        return []
    counts = level_counts(rows, chosen)
    told: list[tuple[Cell, ...]] = [
        (level, of["rows"], of["chosen"], of["chosen"] / of["rows"]) for level, of in counts.items()
    ]
    note = "The rule does not see the levels."
    return [
        Table("What was chosen, by how it was made", ("rows", "there", "chosen", "share"), tuple(told), note)
    ]


def level_counts(rows: Sequence[Exchange], chosen: Sequence[int]) -> dict[str, dict[str, int]]:
    """Of each level that rows have, the rows there are and those chosen."""
    taken = {*chosen}
    places = {level: [at for at, row in enumerate(rows) if row.level == level] for level in LEVELS}
    return {
        level: {"rows": len(of), "chosen": sum(at in taken for at in of)}
        for level, of in places.items()
        if of
    }


def indicator_table(values: Values, chosen: Sequence[int]) -> Table:
    """Means of the indicators of all rows, and of those that were chosen."""
    rows: list[tuple[Cell, ...]] = []
    for name, of in values.items():
        every = np.array(of)
        rows.append((name, float(every.mean()), float(every.std()), float(every[list(chosen)].mean())))
    columns = ("indicator", "mean of all rows", "deviation", "mean of the chosen")
    return Table("Indicators", columns, tuple(rows))


def size_curve(sizes: Mapping[int, float], rows: int) -> list[Curves]:
    """The loss by the number of best rows; nothing where fewer than two sizes were tried."""
    if len(sizes) < 2:
        return []
    points = tuple(Point(float(size), loss) for size, loss in sorted(sizes.items()))
    note = f"Models tuned on the best rows of {rows}; the loss on dev, which the size is chosen by."
    return [Curves("Loss by size", "rows kept", "loss on dev", {"best rows": points}, "log", note)]


def rank(funnel: Funnel[Any], order: Sequence[int], keep: int) -> dict[str, int]:
    """Drop the rows below the first ``keep``, put the others in their order, and give the rank of each."""
    names = funnel.ids
    ranks = {names[at]: place + 1 for place, at in enumerate(order)}
    funnel.apply(
        "rule",
        [
            row if ranks[name] <= keep else Drop("ranked below those kept")
            for name, row in funnel.kept.items()
        ],
    )
    funnel.kept = dict(sorted(funnel.kept.items(), key=lambda item: ranks[item[0]]))
    return ranks


def tied(predicted: Floats, order: Sequence[int], keep: int) -> list[str]:
    """What to know where rows were left out of which the same is predicted as of the last one kept."""
    same = predicted == predicted[order[keep - 1]]
    kept = int(same[order[:keep]].sum())
    if kept == same.sum():
        return []
    return [
        f"Of {int(same.sum())} rows the same is predicted as of the last one kept. {kept} of them were kept: "
        "those that come first."
    ]


def browser(
    funnel: Funnel[Any], names: Sequence[str], ranks: Mapping[str, int], predicted: Floats, values: Values
) -> Items:
    """All rows to read, with their indicators or why they were dropped."""
    places = {name: at for at, name in enumerate(names)}

    def show(row: Any) -> tuple[str, str]:
        if isinstance(row, Exchange):
            return row.request, row.response
        chat = row.chat if isinstance(row, Conversation) else ()
        return "\n".join(turn.content for turn in chat) or json.dumps(jsonable(row), ensure_ascii=False), ""

    def notes(name: str, row: Any) -> list[str]:
        level = [row.level] if isinstance(row, Exchange) and row.level else []
        if name not in places:
            return level
        numbers = [f"{indicator} {of[places[name]]:.3g}" for indicator, of in values.items()]
        return [*level, f"rank {ranks[name]}", *numbers]

    # Of items the higher score is the better one; of the rule the lower loss.
    return funnel.browser(
        "Rows, by the predicted log loss turned around: higher is better",
        show,
        notes=notes,
        score=lambda name, row: -float(predicted[places[name]]) if name in places else None,
    )


def write_ranking(
    folder: Path,
    names: Sequence[str],
    rows: Sequence[Exchange],
    order: Sequence[int],
    keep: int,
    predicted: Floats,
    values: Values,
) -> None:
    """Write all rows, the best first, as ``rows.csv`` and ``rows.parquet``. Raises StorageError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    levels = any(row.level for row in rows)
    table = [
        {
            "rank": rank + 1,
            "id": names[at],
            "kept": rank < keep,
            "predicted_log_loss": float(predicted[at]),
            **{name: float(of[at]) for name, of in values.items()},
            **({"level": rows[at].level} if levels else {}),
            "request": rows[at].request,
            "response": rows[at].response,
        }
        for rank, at in enumerate(order)
    ]
    table = [
        {name: _written(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in table
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, table[0])
    writer.writeheader()
    writer.writerows(table)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "rows.csv", text.getvalue())
    with replacing(folder / "rows.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(table), temporary, compression="zstd")


def write_rule(path: Path, rule: QualityRule, fit: Fit) -> None:
    """Write a rule with its fit as JSON. Raises StorageError."""
    write_json(path, {"rule": asdict(rule), "fit": asdict(fit)})


def _written(text: str) -> str:
    """A model may emit unpaired surrogates, which UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()
