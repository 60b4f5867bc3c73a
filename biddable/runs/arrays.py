"""Arrays as texts, so that results of a stage can hold them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def array_text(array: NDArray[Any], *, compressed: bool = False) -> str:
    """The bytes of an array in base64; ``text_array`` reads them."""
    data = array.tobytes()
    return base64.b64encode(zlib.compress(data, 6) if compressed else data).decode()


def text_array(text: str, dtype: Any, shape: Sequence[int], *, compressed: bool = False) -> NDArray[Any]:
    """The array of such a text, which cannot be written to; one side of its shape may be -1."""
    data = base64.b64decode(text)
    return np.frombuffer(zlib.decompress(data) if compressed else data, dtype).reshape(shape)
