"""Encoded pictures to arrays and back: PNG and JPEG, several at a time."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

MANY = 16
"""From so many pictures on, threads are worth it: the decoder lets go of the interpreter's lock."""


def decoded(encoded: Sequence[bytes]) -> NDArray[np.uint8]:
    """PNG or JPEG pictures of one size as an array [N, height, width] or [N, height, width, channels].

    Raises:
        ValueError: one of them is not whole, no picture, or of another size than the first.
    """
    first = _decode(encoded[0], 0)
    pictures = np.empty((len(encoded), *first.shape), first.dtype)
    pictures[0] = first

    def fill(places: range) -> None:
        for place in places:
            picture = _decode(encoded[place], place)
            if picture.shape != first.shape:
                raise ValueError(f"picture {place} is of shape {picture.shape}, expected {first.shape}")
            pictures[place] = picture

    workers = min(os.cpu_count() or 1, len(encoded) // MANY) or 1
    if workers == 1:
        fill(range(1, len(encoded)))
        return pictures
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(fill, [range(1 + i, len(encoded), workers) for i in range(workers)]))
    return pictures


def encoded(picture: NDArray[np.uint8]) -> bytes:
    """A picture [height, width] or [height, width, 3] as PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def _decode(content: bytes, place: int) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as picture:
            return np.asarray(picture.convert("RGB") if picture.mode == "P" else picture)
    except Exception as error:  # whatever the decoders raise
        problem = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"picture {place}: {problem}") from error
