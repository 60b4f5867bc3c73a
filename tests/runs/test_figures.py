"""Figures come back from disk as they were, and what cannot be drawn is refused where it is made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biddable.errors import FileError, InputError
from biddable.runs.figures import (
    Answer,
    Bars,
    Curves,
    DiffPair,
    Diffs,
    Figure,
    Item,
    Items,
    Point,
    Scatter,
    ScatterPoint,
    Table,
    Text,
    Tree,
    TreeNode,
    Trees,
    load_figures,
    save_figures,
)

ONE_OF_EACH: list[Figure] = [
    Text("Setting", ("First.", "Second, with 雪 and \x00.")),
    Table("Scores", ("name", "value"), (("a", 1.0), ("b", None), ("c", True), ("d", 3)), note="four cells"),
    Bars(
        "Rules",
        ("case", "length"),
        {"base": (0.25, None), "method": (0.5, 1.0)},
        {"base": ((0.2, 0.3), None)},
        unit="share passed",
    ),
    Curves("Budget", "answers", "solved", {"bfs": (Point(1, 0.5), Point(2, 0.75, 0.5, 1.0))}, x_scale="log"),
    Trees(
        "Searches",
        (Tree("Say hi.", TreeNode("ho", 0.0, ("case",), "no", (TreeNode("hi", 1.0, best=True),))),),
    ),
    Diffs("Pairs", (DiffPair("Say hi.", "ho", "hi", ("rejected", "chosen"), "case"),)),
    Scatter(
        "Tasks",
        "base",
        "tuned",
        {"bbh": (ScatterPoint(0.5, 0.25, "snarks", (0.4, 0.6), (0.1, 0.3)), ScatterPoint(0, 1))},
        diagonal=True,
        fit=True,
    ),
    Items(
        "Answers",
        ("base", "tuned"),
        (
            Item("1", "bbh", "snarks", "Which?", ("(A)",), {"tuned": Answer("(B)", False, -0.5, ("no",))}),
            Item("1", "ifeval", "", "Write.", (), {"base": Answer("")}),
        ),
    ),
]


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    save_figures(path, ONE_OF_EACH)
    assert load_figures(path) == ONE_OF_EACH
    assert [figure["kind"] for figure in json.loads(path.read_text("utf-8"))] == [
        "text",
        "table",
        "bars",
        "curves",
        "trees",
        "diffs",
        "scatter",
        "items",
    ]


numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
points = st.tuples(numbers, numbers).map(lambda xy: Point(*xy))
texts = st.builds(Text, words, st.lists(words).map(tuple))
tables = st.lists(words | numbers | st.booleans() | st.none(), max_size=4).map(
    lambda row: Table("t", tuple("abcd"[: len(row)]), (tuple(row),))
)
curves = st.lists(points).map(lambda line: Curves("c", "x", "y", {"s": tuple(line)}))


@settings(max_examples=50, deadline=None)
@given(texts | tables | curves)
def test_any_figure_survives_the_disk(tmp_path_factory: pytest.TempPathFactory, figure: Figure) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    save_figures(path, [figure])
    assert load_figures(path) == [figure]


def test_numpy_scalars_become_numbers(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    save_figures(path, [Table("t", ("a", "b"), ((np.float32(0.5), np.int64(3)),))])
    assert load_figures(path) == [Table("t", ("a", "b"), ((0.5, 3),))]


def test_an_unpaired_surrogate_does_not_lose_the_run(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    save_figures(path, [Text("t", ("half an emoji: \ud83d",))])
    assert load_figures(path) == [Text("t", ("half an emoji: ?",))]


def test_a_deep_tree_survives(tmp_path: Path) -> None:
    node = TreeNode("leaf", 1.0, best=True)
    for _ in range(60):
        node = TreeNode("node", 0.0, children=(node,))
    path = tmp_path / "figures.json"
    save_figures(path, [Trees("t", (Tree("p", node),))])
    assert load_figures(path) == [Trees("t", (Tree("p", node),))]


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        (
            [Text("t", (1,))],
            "figures[0].text.paragraphs[0] is 1, expected a valid string",
        ),
        ([Table("t", ("a",), ((object,),))], "expected texts and numbers"),
        ([Table("t", ("a",), ((np.zeros(2),),))], "figures[0].table.rows[0][0]"),
        ([ONE_OF_EACH[0], 3], "figures[1] is 3"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, figures: list, message: str) -> None:
    path = tmp_path / "figures.json"
    save_figures(path, ONE_OF_EACH)
    with pytest.raises(InputError) as caught:
        save_figures(path, figures)
    assert message in str(caught.value)
    assert load_figures(path) == ONE_OF_EACH
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[\n{]", ":2: not JSON"),
        ("{}", ": input should be a valid list"),
        ('[{"kind": "pie"}]', "[0]: input tag 'pie' found using 'kind' does not match"),
        ('[{"kind": "text", "paragraphs": []}]', "[0].text.title: field required"),
        (
            '[{"kind": "bars", "title": "t", "categories": ["a"], "series": {"base": [1, 2]}}]',
            "[0].bars: series.base is (1.0, 2.0), expected 1 values, one per category",
        ),
        (
            '[{"kind": "table", "title": "t", "columns": ["a"], "rows": [[NaN]]}]',
            "[0].table: rows[0] is nan, expected a finite number",
        ),
    ],
)
def test_a_broken_file_is_named_with_the_place(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "figures.json"
    path.write_text(content)
    with pytest.raises(FileError) as caught:
        load_figures(path)
    assert str(caught.value).startswith(str(path))
    assert problem in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        load_figures(tmp_path / "figures.json")


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Table("t", ("a", "b"), ((1, 2), (1,))), "rows[1]"),
        (lambda: Bars("t", ("a",), {"s": (float("nan"),)}), "series.s"),
        (lambda: Bars("t", ("a",), {"s": (0.5,)}, {"s": ((0.6, 0.4),)}), "intervals.s"),
        (lambda: Bars("t", ("a",), {"s": (0.5,)}, {"other": ((0.4, 0.6),)}), "intervals.other"),
        (lambda: Bars("t", ("a",), {"s": (0.5,)}, {"s": ()}), "intervals.s"),
        (lambda: Curves("t", "x", "y", {"s": (Point(0, 1),)}, x_scale="log"), "series.s"),
        (lambda: Curves("t", "x", "y", {"s": (Point(0, float("inf")),)}), "series.s"),
        (lambda: Curves("t", "x", "y", {"s": (Point(0, 1, low=0.5),)}), "series.s"),
        (lambda: TreeNode("t", float("nan")), "value"),
        (lambda: ScatterPoint(float("nan"), 1), "x"),
        (lambda: ScatterPoint(1, float("inf")), "y"),
        (lambda: ScatterPoint(1, 1, "", (2, 0)), "x_interval"),
        (lambda: ScatterPoint(1, 1, "", None, (0, float("nan"))), "y_interval"),
        (lambda: Answer("t", True, float("nan")), "score"),
        (lambda: Items("t", ("a", "a"), ()), "models"),
        (lambda: Items("t", ("a",), (Item("1", "s", "", "p", (), {"b": Answer("t")}),)), "items[0].answers"),
        (lambda: Items("t", (), (Item("1", "s", "", "p"), Item("1", "s", "g", "q"))), "items.id"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make: object, field: str) -> None:
    with pytest.raises(InputError) as caught:
        make()  # type: ignore[operator]
    assert caught.value.field == field
