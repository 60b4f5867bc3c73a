"""Sets of two labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from biddable.errors import InputError
from biddable.tasks.label_sets import label_set


def test_a_text_that_stands_twice_is_one_item(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text("text,label\ngood,1\nbad,0\ngood,1\nfine,1\nbad,0\nawful,0\n")
    rows = label_set(str(path), items=4).rows
    assert sorted(row.text for row in rows) == ["awful", "bad", "fine", "good"]
    with pytest.raises(InputError, match=r"items is 6, expected at most 4: .* has 2 of the label 0"):
        label_set(str(path), items=6)
