"""Arrays as texts."""

from __future__ import annotations

import numpy as np
import pytest

from biddable.runs.arrays import array_text, text_array


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_an_array_comes_back_as_it_was(dtype: str, compressed: bool) -> None:
    array = np.arange(24, dtype=dtype).reshape(2, 3, 4)[:, ::-1]  # not in one piece
    text = array_text(array, compressed=compressed)
    assert np.array_equal(text_array(text, dtype, array.shape, compressed=compressed), array)
    assert text_array(text, dtype, (-1, 3, 4), compressed=compressed).dtype == array.dtype


def test_what_was_written_before_is_read() -> None:
    assert array_text(np.array([[1, 2], [3, 255]], dtype=np.uint8)) == "AQID/w=="
    assert text_array("AACAPwAAAMA=", np.float32, [2]).tolist() == [1.0, -2.0]
