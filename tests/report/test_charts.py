"""Charts draw what they are given, whatever its names are."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from biddable.report import charts
from biddable.report.svg import inline
from biddable.runs.figures import Bars, Curves, Point, Scatter, ScatterPoint

BARS = Bars(
    "t",
    ("first", "second"),
    {"base": (0.25, None), "method": (0.5, -0.125)},
    {"method": ((0.4, 0.6), None)},
    unit="share",
)
CURVES = Curves(
    "t", "x", "y", {"a": (Point(1, 0.5, 0.25, 0.75), Point(10, 1)), "b": (Point(1, 0),)}, x_scale="log"
)
SCATTER = Scatter(
    "t",
    "base",
    "tuned",
    {
        "bbh": (ScatterPoint(0.25, 0.5, "snarks", (0.125, 0.375)), ScatterPoint(0.75, 1, "navigate")),
        "mmlu": (ScatterPoint(0.5, 0.75),),
    },
    diagonal=True,
    fit=True,
)


def texts(svg: bytes) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("}text")]


def test_bars_carry_names_and_values() -> None:
    for width in charts.PIXELS:
        labels = texts(charts.svg(BARS, width))
        for text in (
            "first",
            "second",
            "base",
            "method",
            "0.250",
            "0.500",
            "−0.125",
            "not measured",
            "share",
        ):
            assert text in labels


def test_lengths_of_bars_are_in_proportion() -> None:
    bars = Bars("t", ("a", "b", "c"), {"s": (1.0, 2.0, 4.0)})
    svg = inline(charts.svg(bars, "wide"), prefix="p-", classes="c")
    paths = re.findall(r'<path d="([^"]*)"[^>]*style="fill: var\(--series-1\)"', svg)
    spans = []
    for path in paths:
        xs = [float(x) for x in re.findall(r"[ML] (\S+) \S+", path)]
        spans.append(max(xs) - min(xs))
    assert [span / spans[0] for span in spans] == pytest.approx([1, 2, 4], rel=1e-3)


def test_the_first_of_several_series_is_the_muted_reference() -> None:
    svg = inline(charts.svg(BARS, "wide"), prefix="p-", classes="c")
    assert "fill: var(--reference)" in svg
    assert "fill: var(--series-1)" in svg
    alone = inline(charts.svg(Bars("t", ("a",), {"s": (1.0,)}), "wide"), prefix="p-", classes="c")
    assert "fill: var(--reference)" not in alone


def test_a_logarithmic_axis_is_marked_where_the_points_are() -> None:
    assert [text for text in texts(charts.svg(CURVES, "wide")) if text in ("1", "2", "10")] == ["1", "10"]


def test_long_and_unprintable_names_become_one_short_line() -> None:
    bars = Bars("t", ("x" * 100, "a\n\x00\x1b\ud800 b"), {"s": (1.0, 2.0)})
    labels = texts(charts.svg(bars, "wide"))
    assert "a b" in labels
    assert "x" * (charts.LONGEST_NAME - 1) + "…" in labels


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["$x^", "a_b $\\frac", "<b>&amp;", "ünï 雪"])
def test_names_are_no_mathematics_and_no_markup(name: str) -> None:
    labels = texts(charts.svg(Bars("t", (name,), {"s": (1.0,)}), "narrow"))
    assert name in labels


def test_bars_as_a_table() -> None:
    columns, rows = charts.tabulate(BARS)
    assert columns == ["", "base", "method", "method, low", "method, high"]
    assert rows == [["first", 0.25, 0.5, 0.4, 0.6], ["second", None, -0.125, None, None]]


def test_curves_as_a_table() -> None:
    columns, rows = charts.tabulate(CURVES)
    assert columns == ["series", "x", "y", "low", "high"]
    assert rows == [["a", 1, 0.5, 0.25, 0.75], ["a", 10, 1, None, None], ["b", 1, 0, None, None]]


def test_an_inline_chart_shares_no_id_and_no_style_with_the_page() -> None:
    first, second = (inline(charts.svg(BARS, "wide"), prefix=prefix, classes="c") for prefix in ("a-", "b-"))
    first_ids, second_ids = (set(re.findall(r'id="([^"]+)"', svg)) for svg in (first, second))
    assert first_ids
    assert not first_ids & second_ids
    assert set(re.findall(r"url\(#([^)]+)\)", first)) <= first_ids
    assert set(re.findall(r'href="#([^"]+)"', inline(charts.svg(CURVES, "wide"), prefix="a-", classes="c")))
    for svg in (first, second):
        assert "<style" not in svg
        assert "xmlns" not in svg
        assert "http" not in svg


def test_points_are_named_and_the_lines_too() -> None:
    for width in charts.PIXELS:
        labels = texts(charts.svg(SCATTER, width))
        assert {"bbh", "mmlu", "snarks", "navigate", "x = y", "least-squares line"} <= {*labels}
        assert {"base", "tuned"} <= {*labels}


def test_both_axes_of_a_diagonal_show_the_same_range_and_the_line_fits() -> None:
    axes = charts._draw(SCATTER, "wide").axes[0]
    assert axes.get_xlim() == axes.get_ylim()
    [line] = [each for each in axes.lines if each.get_label() == "least-squares line"]
    (x1, y1), slope = line.get_xy1(), line.get_slope()
    assert slope == pytest.approx(1)
    assert y1 - slope * x1 == pytest.approx(0.25)


def test_no_name_is_written_over_another_or_over_a_point() -> None:
    crowd = tuple(ScatterPoint(0.5 + step / 1e4, 0.5, f"number {step}") for step in range(20))
    ends = (ScatterPoint(0, 0), ScatterPoint(1, 1))
    labels = texts(charts.svg(Scatter("t", "x", "y", {"s": crowd, "ends": ends}), "wide"))
    assert 1 <= sum(label.startswith("number") for label in labels) <= 4


def test_points_as_a_table_without_columns_nothing_stands_in() -> None:
    columns, rows = charts.tabulate(SCATTER)
    assert columns == ["series", "point", "base", "base, low", "base, high", "tuned"]
    assert rows[0] == ["bbh", "snarks", 0.25, 0.125, 0.375, 0.5]
    assert rows[2] == ["mmlu", "", 0.5, None, None, 0.75]


def test_an_axis_of_nothing_but_zeros_does_not_reach_below_zero() -> None:
    labels = texts(charts.svg(Bars("t", ("a",), {"s": (0.0,)}), "wide"))
    assert not any(label.startswith("−") for label in labels)
