"""Bars, curves and points drawn with matplotlib, in the house style.

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
from biddable.runs.figures import Bars, Curves, Interval, Scatter, ScatterPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

Width = Literal["wide", "narrow"]
Chart = Bars | Curves | Scatter

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
MAX_LABELS = 60
"""Points of a scatter beyond which none is named in the drawing."""


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
    if isinstance(chart, Scatter):
        return _tabulate_points(chart)
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


def _tabulate_points(chart: Scatter) -> tuple[list[str], list[list[str | float | None]]]:
    """Columns that nothing stands in are left out."""
    ends = [f"{label}, {end}" for label in (chart.x_label, chart.y_label) for end in ("low", "high")]
    columns = ["series", "point", chart.x_label, *ends[:2], chart.y_label, *ends[2:]]
    unknown = (None, None)
    rows: list[list[str | float | None]] = [
        [name, point.label, point.x, *(point.x_interval or unknown), point.y, *(point.y_interval or unknown)]
        for name, points in chart.series.items()
        for point in points
    ]
    filled = [any(row[at] not in (None, "") for row in rows) for at in range(len(columns))]
    kept = [at for at, some in enumerate(filled) if some or at in (2, 5)]
    return [columns[at] for at in kept], [[row[at] for at in kept] for row in rows]


def _save(chart: Chart, width: Width, **options: Any) -> bytes:
    from matplotlib import rc_context

    file = BytesIO()
    with rc_context(style.RC), warnings.catch_warnings():
        # A name in a script the font lacks: a browser has others, and the PNG shows a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        canvas = _draw(chart, width)
        canvas.savefig(file, **options)
    return file.getvalue()


def _draw(chart: Chart, width: Width) -> Canvas:
    if isinstance(chart, Bars):
        return _bars(chart, width)
    return _scatter(chart, width) if isinstance(chart, Scatter) else _curves(chart, width)


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
    if not any(value for values in chart.series.values() for value in values):
        axes.set_xlim(0, 1)  # else it would reach below zero as well
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
    _label_axes(axes, chart, width)
    _legend(canvas, axes, width)
    return canvas


def _scatter(chart: Scatter, width: Width) -> Canvas:
    canvas, axes = _canvas(width, 520 if width == "wide" else 350)
    everything = [point for points in chart.series.values() for point in points]
    for index, (name, points) in enumerate(chart.series.items()):
        colour = style.SERIES[index % len(style.SERIES)]
        if across := [(point.y, *point.x_interval) for point in points if point.x_interval]:
            axes.hlines(*zip(*across, strict=True), color=colour, linewidth=1.2, alpha=0.45)
        if upright := [(point.x, *point.y_interval) for point in points if point.y_interval]:
            axes.vlines(*zip(*upright, strict=True), color=colour, linewidth=1.2, alpha=0.45)
        axes.plot(
            [point.x for point in points],
            [point.y for point in points],
            linestyle="none",
            marker=style.MARKERS[index % len(style.MARKERS)],
            markersize=7,
            markerfacecolor=colour,
            markeredgecolor=style.LIGHT["paper"],
            label=_short(name),
        )
    # Lines span what the points span: they must not widen it.
    axes.margins(0.06)
    axes.autoscale_view()
    axes.autoscale(False)
    if chart.diagonal and everything:
        low, high = min(axes.get_xlim()[0], axes.get_ylim()[0]), max(axes.get_xlim()[1], axes.get_ylim()[1])
        axes.set(xlim=(low, high), ylim=(low, high))
        axes.axline((low, low), slope=1, color=style.LIGHT["reference"], linewidth=1.2, label="x = y")
    if chart.fit and len({point.x for point in everything}) > 1:
        slope, start = np.polyfit([point.x for point in everything], [point.y for point in everything], 1)
        axes.axline(
            (0, start), slope=slope, color=style.LIGHT["soft"], linewidth=1.4, linestyle="dashed",
            label="least-squares line",
        )  # fmt: skip
    axes.grid()
    _label_axes(axes, chart, width)
    _legend(canvas, axes, width)
    _name_points(canvas, axes, everything)
    return canvas


def _name_points(canvas: Canvas, axes: Axes, points: Sequence[ScatterPoint]) -> None:
    """Write each point's name beside it where there is room; the table of numbers has them all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.transforms import Bbox

    named = [point for point in points if point.label]
    if not named or len(named) > MAX_LABELS:
        return
    canvas.draw_without_rendering()  # only then is known where on the canvas a point lies
    places = axes.transData.transform([(point.x, point.y) for point in points])
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in places]
    for point in points:
        (left, right), (low, high) = point.x_interval or (point.x,) * 2, point.y_interval or (point.y,) * 2
        taken.append(Bbox(axes.transData.transform([(left, point.y), (right, point.y)])).padded(1))
        taken.append(Bbox(axes.transData.transform([(point.x, low), (point.x, high)])).padded(1))
    inside, renderer = axes.bbox, FigureCanvasAgg(canvas).get_renderer()
    for point in named:
        for dx, dy, across, along in ((8, 0, "left", "center"), (-8, 0, "right", "center"),
                                      (0, 8, "center", "bottom"), (0, -8, "center", "top")):  # fmt: skip
            text = axes.annotate(
                _short(point.label, 24), (point.x, point.y), xytext=(dx, dy), textcoords="offset points",
                ha=across, va=along, fontsize=11, color=style.LIGHT["soft"],
            )  # fmt: skip
            text.set_in_layout(False)
            box = text.get_window_extent(renderer)
            if inside.x0 <= box.x0 and box.x1 <= inside.x1 and not box.count_overlaps(taken):
                taken.append(box)
                break
            text.remove()


def _label_axes(axes: Axes, chart: Curves | Scatter, width: Width) -> None:
    axes.tick_params(length=0)
    axes.set_xlabel(_short(chart.x_label, PIXELS[width] // 8))
    # Above the axis the label reads horizontally and takes no width.
    label = _short(chart.y_label, PIXELS[width] // 8)
    axes.set_title(label, loc="left", fontsize=12, color=style.LIGHT["soft"])


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
