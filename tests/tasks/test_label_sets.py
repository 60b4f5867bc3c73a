"""Sets of two labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from biddable.errors import InputError
from biddable.tasks.label_sets import label_set


def test_a_text_that_stands_twice_is_one_item(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text("text,label\ngood,up\nbad,down\ngood,up\nfine,up\nbad,down\nawful,down\n")
    rows = label_set(str(path), items=4).rows
    assert sorted(row.text for row in rows) == ["awful", "bad", "fine", "good"]
    with pytest.raises(InputError, match=r"items is 6, expected at most 4: .* has 2 of the label down"):
        label_set(str(path), items=6)


def saved(path: Path, *labels: str) -> str:
    path.write_text("text,label\n" + "".join(f"t{n},{label}\n" for n, label in enumerate(labels)))
    return str(path)


def test_labels_that_are_numbers_need_names(tmp_path: Path) -> None:
    for labels in (("0", "1"), ("1", "2"), ("-2", "3.5")):
        with pytest.raises(InputError, match=r"labels of .* expected names, .*\?labels="):
            label_set(saved(tmp_path / "v.csv", *labels), items=2)
    said = {"when": "it is spam", "otherwise": "it is none", "items": 2}
    assert label_set(saved(tmp_path / "v.csv", "0", "1"), **said).labels == ("1", "0")
    with pytest.raises(InputError, match="expected names"):
        label_set(saved(tmp_path / "v.csv", "1", "2"), **said)
    of = label_set(
        saved(tmp_path / "v.csv", "1", "2", "3"), labels=("?", "a", "b", "c"), keep=("a", "b"), items=2
    )
    assert of.labels == ("b", "a")


@pytest.mark.parametrize(
    ("labels", "asked"),
    [
        (("equivalent", "not_equivalent"), "equivalent"),
        (("non-toxic", "toxic"), "toxic"),
        (("HATE", "noHate"), "HATE"),
        (("ham", "spam"), "spam"),
        (("False", "True"), "True"),
        (("a", "b"), "b"),
    ],
)
def test_the_label_asked_after_is_the_affirmative_one(
    tmp_path: Path, labels: tuple[str, str], asked: str
) -> None:
    assert label_set(saved(tmp_path / "v.csv", *labels), items=2).labels[0] == asked


def test_who_is_asked_after_is_kept(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="positive is 'z', expected one of x, y"):
        label_set(saved(tmp_path / "v.csv", "x", "y", "z"), keep=("x", "y"), positive="z", items=2)
