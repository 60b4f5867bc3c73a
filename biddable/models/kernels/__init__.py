"""The one loop of the decoder that is worth a compiler: attention over the cache.

On a GPU it is a Triton kernel (``triton_attention.py``; Triton comes with torch there). On a CPU it is C
(``runs/compiled.py``). Where neither can be had, or ``BIDDABLE_NO_KERNELS`` is set, the functions here give
None and the decoder uses torch operations: same results, about a third of the speed of a step.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from biddable.runs.compiled import OFF, POINTER, SIZE, compiled

SOURCE = Path(__file__).with_name("decode_attention.c")
TYPES: dict[torch.dtype, tuple[str, ...]] = {torch.float32: (), torch.bfloat16: ("-DCACHE_BF16",)}


@functools.cache
def decode_attention(cache: torch.dtype = torch.float32) -> Callable[..., None] | None:
    """The C function compiled for a cache of that type (its arguments are in the C file).

    None where it cannot be had.
    """
    if cache not in TYPES or (library := compiled(SOURCE, "-fopenmp", *TYPES[cache])) is None:
        return None
    function = library.decode_attention
    function.restype = None
    function.argtypes = [POINTER] * 10 + [SIZE] * 7 + [ctypes.c_float, SIZE]
    return function


@functools.cache
def gpu_decode_attention() -> Callable[..., Tensor] | None:
    """The Triton function, or None where Triton is not installed."""
    if os.environ.get(OFF) or importlib.util.find_spec("triton") is None:
        return None
    from biddable.models.kernels.triton_attention import decode_attention as kernel

    return kernel
