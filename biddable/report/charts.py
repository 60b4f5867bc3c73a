"""Bars and curves drawn with matplotlib, in the house style.

Each chart exists in two widths: one for a desktop page, one that stays legible on a phone.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from biddable.report import style
from biddable.report.formats import decimals, number
from biddable.runs.figures import Bars, Curves, Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

Width = Literal["wide", "narrow"]
Chart = Bars | Curves

PIXELS: dict[Width, int] = {"wide": 860, "narrow": 350}
BAR = 14
"""Thickness of a bar, in pixels of the page."""
GAP = 16
"""Space between two groups of bars."""
LABEL = 20
"""Height of a category's name where it stands above its bars."""
LONGEST_NAME = 42
"""Letters of a name a chart has room for."""
MAX_MARKERS = 40
"""Points of a curve beyond which their markers would run into each other."""


def svg(chart: Chart, width: Width) -> bytes:
    """The chart as an SVG file whose texts are texts."""
    return _save(chart, width, format="svg", metadata={"Date": None})


def png(chart: Chart) -> bytes:
    """The wide chart as a PNG file, on white, at twice the page's resolution."""
    return _save(chart, "wide", format="png", dpi=2 * style.DPI, facecolor=style.LIGHT["paper"])


def tabulate(chart: Chart) -> tuple[list[str], list[list[str | float | None]]]:
    """The columns and rows of the numbers a chart draws."""
    if isinstance(chart, Curves):
        columns = ["series", chart.x_label, chart.y_label, "low", "high"]
        rows: list[list[str | float | None]] = [
            [name, *point] for name, points in chart.series.items() for point in points
        ]
        return columns, rows
    columns, rows = [""], [[category] for category in chart.categories]
    for name, values in chart.series.items():
        columns.append(name)
        for row, value in zip(rows, values, strict=True):
            row.append(value)
        if pairs := (chart.intervals or {}).get(name):
            columns += [f"{name}, low", f"{name}, high"]
            for row, pair in zip(rows, pairs, strict=True):
                row += pair or (None, None)
    return columns, rows


def _save(chart: Chart, width: Width, **options: Any) -> bytes:
    from matplotlib import rc_context

    file = BytesIO()
    with rc_context(style.RC), warnings.catch_warnings():
        # A name in a script the font lacks: a browser has others, and the PNG shows a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        canvas = _bars(chart, width) if isinstance(chart, Bars) else _curves(chart, width)
        canvas.savefig(file, **options)
    return file.getvalue()


def _bars(chart: Bars, width: Width) -> Canvas:
    label = LABEL if width == "narrow" else 0
    step = label + BAR * len(chart.series) + GAP
    bottom = step * max(1, len(chart.categories))
    canvas, axes = _canvas(width, bottom + 76)
    places = decimals(value for values in chart.series.values() for value in values if value is not None)

    for index, (name, values) in enumerate(chart.series.items()):
        colour = _bar_colour(index, len(chart.series))
        middles = [row * step + GAP / 2 + label + BAR * (index + 0.5) for row in range(len(values))]
        axes.barh(middles, [value or 0 for value in values], height=BAR - 2, color=colour, label=_short(name))
        pairs = (chart.intervals or {}).get(name) or [None] * len(values)
        for middle, value, pair in zip(middles, values, pairs, strict=True):
            _write_value(axes, middle, value, pair, places)

    axes.set_ylim(bottom, 0)
    axes.margins(x=0.12)
    axes.axvline(0, color=style.LIGHT["reference"], linewidth=1)
    axes.grid(axis="x")
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlabel(_short(chart.unit, PIXELS[width] // 8))
    _name_groups(axes, chart.categories, step, above=label > 0)
    _legend(canvas, axes, width)
    return canvas


def _write_value(
    axes: Axes, middle: float, value: float | None, interval: Interval | None, places: int
) -> None:
    """The interval as a line over the bar, and the value in figures behind both."""
    if interval:
        # The wider line in the page's colour keeps the interval visible on any bar.
        for colour, thickness in (("paper", 4.0), ("ink", 1.4)):
            axes.plot(
                interval, (middle, middle), color=style.LIGHT[colour], linewidth=thickness,
                solid_capstyle="butt",
            )  # fmt: skip
    text = "not measured" if value is None else number(float(value), places)
    axes.annotate(
        text,
        (max(0, value or 0, *(interval or ())), middle),
        xytext=(6, 0),
        textcoords="offset points",
        va="center_baseline",
        fontsize=11,
        color=style.LIGHT["soft"],
    )


def _name_groups(axes: Axes, categories: Sequence[str], step: float, *, above: bool) -> None:
    names = [_short(category) for category in categories]
    if not above:
        centres = [(row + 0.5) * step for row in range(len(names))]
        axes.set_yticks(centres, names, color=style.LIGHT["ink"])
        return
    axes.set_yticks([])
    left = axes.get_yaxis_transform()  # x in the axes' width, y in the bars' pixels
    for row, name in enumerate(names):
        y = row * step + GAP / 2 + LABEL / 2
        axes.text(0, y, name, va="center", color=style.LIGHT["ink"], transform=left)


def _curves(chart: Curves, width: Width) -> Canvas:
    canvas, axes = _canvas(width, 380 if width == "wide" else 320)
    for index, (name, points) in enumerate(chart.series.items()):
        colour = style.SERIES[index % len(style.SERIES)]
        axes.plot(
            [point.x for point in points],
            [point.y for point in points],
            color=colour,
            linewidth=2,
            linestyle=style.DASHES[index % len(style.DASHES)],
            marker=style.MARKERS[index % len(style.MARKERS)] if len(points) <= MAX_MARKERS else None,
            markersize=6,
            markeredgecolor=style.LIGHT["paper"],
            label=_short(name),
        )
        banded = np.array([point for point in points if point.low is not None], dtype=float).reshape(-1, 4)
        x, _, low, high = banded.T
        axes.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)
    _scale_x(axes, chart)
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlabel(_short(chart.x_label, PIXELS[width] // 8))
    # Above the axis the label reads horizontally and takes no width.
    label = _short(chart.y_label, PIXELS[width] // 8)
    axes.set_title(label, loc="left", fontsize=12, color=style.LIGHT["soft"])
    _legend(canvas, axes, width)
    return canvas


def _scale_x(axes: Axes, chart: Curves) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator

    positions = sorted({point.x for points in chart.series.values() for point in points})
    if chart.x_scale == "log":
        axes.set_xscale("log")
        if len(positions) <= 10:
            axes.set_xticks(positions, [f"{x:g}" for x in positions])
            axes.xaxis.set_minor_locator(NullLocator())
    elif all(x == int(x) for x in positions):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _canvas(width: Width, height: float) -> tuple[Canvas, Axes]:
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(PIXELS[width] / style.DPI, height / style.DPI), layout="constrained")
    return canvas, canvas.subplots()


def _legend(canvas: Canvas, axes: Axes, width: Width) -> None:
    handles, names = axes.get_legend_handles_labels()
    if len(names) > 1:
        columns = PIXELS[width] // (8 * max(map(len, names)) + 40)
        canvas.legend(handles, names, loc="outside upper left", ncols=max(1, columns), borderaxespad=0)


def _bar_colour(index: int, count: int) -> str:
    if count > 1:
        return style.LIGHT["reference"] if index == 0 else style.SERIES[(index - 1) % len(style.SERIES)]
    return style.SERIES[0]


def _short(name: str, longest: int = LONGEST_NAME) -> str:
    """One line of printable text, of a length a chart can hold."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
