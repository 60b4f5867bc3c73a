"""A data set on its way: reasons, counts, mixing."""

import json

import pytest

from biddable.errors import InputError
from biddable.runs.figures import load_figures, save_figures
from biddable.tasks.steps import Drop, Funnel, mixed


def sifted():
    funnel = Funnel({f"row {i}": text for i, text in enumerate(["one", "", "three words here", "two"], 1)})
    funnel.apply("empty", [text or Drop("empty") for text in funnel.rows])
    funnel.apply(
        "length",
        [Drop("too long", "3 words", "row 1") if " " in text else text.upper() for text in funnel.rows],
    )
    return funnel


def test_rows_are_kept_changed_or_dropped_with_a_reason():
    funnel = sifted()
    assert funnel.kept == {"row 1": "ONE", "row 4": "TWO"}
    assert [(each.id, each.row, each.step, each.why.reason) for each in funnel.dropped] == [
        ("row 2", "", "empty", "empty"),
        ("row 3", "three words here", "length", "too long"),
    ]
    assert funnel.counts() == {
        "empty": {"came": 4, "kept": 3, "reasons": {"empty": 1}},
        "length": {"came": 3, "kept": 2, "reasons": {"too long": 1}},
    }
    assert funnel.table().rows[1] == ("length", 3, 2, "too long (1)")


def test_a_step_answers_for_each_row():
    with pytest.raises(InputError, match="results of x is 1, expected one for each of 2 rows"):
        sifted().apply("x", ["ONE"])


def test_the_browser_shows_kept_and_dropped_with_why(tmp_path):
    figure = sifted().browser(
        "Rows", lambda text: ("asked", text), notes=lambda name, row: [f"of {name}"], most=1
    )
    assert [(item.id, item.group, item.answers["row"].correct) for item in figure.items] == [
        ("row 1", "kept", True),
        ("row 2", "empty: empty", False),
        ("row 3", "length: too long", False),
    ]
    assert figure.items[2].answers["row"].notes == ("too long: 3 words", "near to row 1", "of row 3")
    assert figure.note == "One more row is not shown: at most 1 of a kind are, from all places alike."
    save_figures(tmp_path / "figures.json", [figure])
    loaded = load_figures(tmp_path / "figures.json")[0]
    assert (loaded.outcomes, loaded.places) == (("kept", "dropped"), ("source", "step"))


def test_what_is_shown_of_many_comes_from_all_places():
    funnel = Funnel({str(i): "a" * i for i in range(9000)})
    funnel.apply("odd", [Drop(f"odd {i % 4}") if i % 2 else row for i, row in enumerate(funnel.rows)])
    kept, dropped = funnel.shown(10)
    assert kept[::3] == ["0", "3000", "5998", "8998"]
    assert [each.why.reason for each in dropped].count("odd 1") == 10 == len(dropped) - 10
    figure = funnel.browser("Rows", lambda text: ("asked", text), most=3, source=lambda name: f"file {name}")
    assert figure.items[2].answers["row"].text.endswith("aaa … (4,998 letters more)")
    assert figure.items[1].suite == f"file {figure.items[1].id}"
    assert figure.note.startswith("8,991 more rows are not shown")


def test_rows_are_selected_in_an_order():
    funnel = sifted()
    funnel.select("mixture", ["row 4"], "not drawn")
    assert (funnel.kept, funnel.dropped[-1].why) == ({"row 4": "TWO"}, Drop("not drawn"))
    assert funnel.bars().series == {"rows": (4.0, 3.0, 2.0, 1.0)}
    funnel = Funnel({"a": 1, "b": 2, "c": 3})
    funnel.select("mixture", ["c", "a"], "not drawn")
    assert list(funnel.kept) == ["c", "a"]


def test_what_was_dropped_is_written(tmp_path):
    sifted().write_dropped(tmp_path / "dropped.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "dropped.jsonl").read_text().splitlines()]
    assert rows[1] == {
        **{"id": "row 3", "step": "length", "reason": "too long", "detail": "3 words", "like": "row 1"},
        "row": "three words here",
    }


def test_a_mixture_has_its_proportions_and_no_row_twice():
    sources = {"a": list(range(100)), "b": list(range(100, 120))}
    rows = mixed(sources, [3, 1], 41, seed=1)
    assert len(set(rows.values())) == len(rows) == 41
    assert sum(value >= 100 for value in rows.values()) == 10
    assert all((name[0] == "b") == (value >= 100) for name, value in rows.items())
    assert rows == mixed(sources, [3, 1], 41, seed=1) != mixed(sources, [3, 1], 41, seed=2)


@pytest.mark.parametrize(
    ("weights", "total", "message"),
    [
        ([1], 2, "weights is 1, expected one for each of 2"),
        ([1, 0], 2, "expected numbers above 0"),
        ([1, 1], 0, "total is 0"),
        ([1, 1], 50, "at most 20, as many as b has"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(weights, total, message):
    with pytest.raises(InputError, match=message):
        mixed({"a": range(100), "b": range(20)}, weights, total, 0)
