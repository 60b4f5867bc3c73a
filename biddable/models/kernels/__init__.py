"""Loops of a language model that are worth a compiler: attention, and a decoder's small operations.

Over the decoder's cache it is a Triton kernel on a GPU (``triton_attention.py``; Triton comes with torch
there) and C on a CPU (``runs/compiled.py``); the rest is C on a CPU. Where that cannot be had, or
``BIDDABLE_NO_KERNELS`` is set, the functions here give None and torch operations are used: same results, two
thirds of the speed of short responses (less of long ones), three quarters of that of a training step.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from biddable.runs.compiled import OFF, POINTER, SIZE, compiled

FOLDER = Path(__file__).parent
TYPES: dict[torch.dtype, tuple[str, ...]] = {torch.float32: (), torch.bfloat16: ("-DKEPT_BF16",)}


def _library(name: str, kept: torch.dtype, *options: str) -> ctypes.CDLL | None:
    """A file of this folder, compiled for numbers of that type in memory; None where it cannot be had."""
    if kept not in TYPES:
        return None
    return compiled(FOLDER / name, "-fopenmp", *options, *TYPES[kept])


@functools.cache
def decode_attention(cache: torch.dtype = torch.float32) -> Callable[..., None] | None:
    """The C function compiled for a cache of that type (its arguments are in the C file).

    None where it cannot be had.
    """
    library = _library("decode_attention.c", cache)
    if library is None:
        return None
    function = library.decode_attention
    function.restype = None
    function.argtypes = [POINTER] * 12 + [SIZE] * 7 + [ctypes.c_float, SIZE]
    return function


@dataclass(frozen=True, slots=True)
class Pointwise:
    """The functions of ``pointwise.c``, which says what they take, for results of type ``dtype``."""

    dtype: torch.dtype
    rms_norm: Callable[..., None]
    swiglu: Callable[..., None]


@functools.cache
def pointwise(results: torch.dtype) -> Pointwise | None:
    """The C functions compiled for results of that type, or None where they cannot be had."""
    library = _library("pointwise.c", results, "-fno-finite-math-only")
    if library is None:
        return None
    library.rms_norm.argtypes = [POINTER] * 3 + [SIZE] * 2 + [ctypes.c_float, SIZE]
    library.swiglu.argtypes = [POINTER] * 3 + [SIZE] * 3
    library.rms_norm.restype = library.swiglu.restype = None
    return Pointwise(results, library.rms_norm, library.swiglu)


@functools.cache
def draw_kernel(logits: torch.dtype) -> Callable[..., None] | None:
    """The C function for logits of that type (``draw.c`` says what it takes), or None if it cannot be had."""
    library = _library("draw.c", logits)
    if library is None:
        return None
    function = library.draw
    function.restype = None
    function.argtypes = [POINTER] * 2 + [SIZE] * 2 + [ctypes.c_float] + [POINTER] * 4 + [SIZE]
    return function


class TreeStruct(ctypes.Structure):
    """``tree`` in ``tree_attention.c``."""

    _fields_ = (
        *(
            (name, SIZE)
            for name in ("sequences", "width", "tokens", "kv_heads", "group", "dim", "window", "threads")
        ),
        *((name, POINTER) for name in ("path", "begin", "end")),
    )


@dataclass(frozen=True, slots=True)
class TreeAttention:
    """The functions of ``tree_attention.c``, which says what they take."""

    room: Callable[..., int]
    forward: Callable[..., None]
    backward: Callable[..., None]


@functools.cache
def tree_attention(states: torch.dtype) -> TreeAttention | None:
    """The C functions compiled for states of that type, or None where they cannot be had."""
    library = _library("tree_attention.c", states, "-fno-finite-math-only")
    if library is None:
        return None
    room, forward, backward = (
        getattr(library, f"tree_attention_{name}") for name in ("room", "forward", "backward")
    )
    room.argtypes, room.restype = [POINTER], SIZE
    forward.argtypes = [POINTER, ctypes.c_float, *[POINTER] * 6]
    backward.argtypes = [POINTER, ctypes.c_float, *[POINTER] * 10]
    forward.restype = backward.restype = None
    return TreeAttention(room, forward, backward)


@functools.cache
def gpu_decode_attention() -> Callable[..., Tensor] | None:
    """The Triton function, or None where Triton is not installed."""
    if os.environ.get(OFF) or importlib.util.find_spec("triton") is None:
        return None
    from biddable.models.kernels.triton_attention import decode_attention as kernel

    return kernel
