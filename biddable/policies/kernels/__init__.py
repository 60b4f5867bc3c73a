"""Passes through small layers, and steps of Adam, in C (``runs/compiled.py``)."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from biddable.runs.compiled import POINTER, SIZE, compiled

SOURCE = Path(__file__).with_name("small_layers.c")
PANEL = 32
"""Columns that are computed together, at most."""


class LayerStruct(ctypes.Structure):
    """``layer`` in the C file."""

    _fields_ = tuple((name, SIZE) for name in ("side", "out", "channels", "outputs", "activation", "extra"))


@dataclass(frozen=True, slots=True)
class SmallKernels:
    """The functions of the C file, which says what they take."""

    forward: Callable[..., None]
    backward: Callable[..., None]
    adam: Callable[..., None]


@functools.cache
def small_kernels() -> SmallKernels | None:
    """Compiled on first use; None where they cannot be had."""
    library = compiled(SOURCE, "-fno-finite-math-only")
    if library is None:
        return None
    forward, backward, adam = library.small_layers_forward, library.small_layers_backward, library.adam_step
    forward.argtypes = [POINTER, SIZE, SIZE, *[POINTER] * 6]
    backward.argtypes = [POINTER, SIZE, SIZE, *[POINTER] * 6, SIZE, *[POINTER] * 2]
    adam.argtypes = [SIZE, *[POINTER] * 4, *[ctypes.c_float] * 5]
    for function in (forward, backward, adam):
        function.restype = None
    return SmallKernels(forward, backward, adam)
