"""The one loop that is worth a compiler: attention over the cache while decoding.

On a GPU it is a Triton kernel (``triton_attention.py``; Triton comes with torch there). On a CPU it is C,
compiled with the machine's C compiler on first use (under a second) and kept in the cache
folder. Where there is no compiler, or ``BIDDABLE_NO_KERNELS`` is set, ``decode_attention`` is None and
the decoder uses torch operations: same results, about a third of the speed of a step.

The object is linked against no OpenMP library of its own: torch brings one into the process with
global symbols, and two thread pools on one set of cores would fight.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from biddable.models.weights import cache_folder
from biddable.runs.environment import cpuinfo

SOURCE = Path(__file__).with_name("decode_attention.c")
FLAGS = ["-O3", "-march=native", "-ffast-math", "-fopenmp", "-fPIC"]
TYPES: dict[torch.dtype, tuple[str, ...]] = {torch.float32: (), torch.bfloat16: ("-DCACHE_BF16",)}
COMPILE_SECONDS = 120
OFF = "BIDDABLE_NO_KERNELS"
POINTER, INT = ctypes.c_void_p, ctypes.c_int64


@functools.cache
def decode_attention(cache: torch.dtype = torch.float32) -> Callable[..., None] | None:
    """The C function compiled for a cache of that type (its arguments are in the C file).

    None where it cannot be had.
    """
    if cache not in TYPES:
        return None
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    if compiler is None or platform.system() != "Linux" or os.environ.get(OFF):
        return None
    try:
        library = ctypes.CDLL(str(_compiled(compiler, TYPES[cache])))
    except (OSError, subprocess.SubprocessError):
        return None
    function = library.decode_attention
    function.restype = None
    function.argtypes = [POINTER] * 10 + [INT] * 7 + [ctypes.c_float, INT]
    return function


@functools.cache
def gpu_decode_attention() -> Callable[..., Tensor] | None:
    """The Triton function, or None where Triton is not installed."""
    if os.environ.get(OFF) or importlib.util.find_spec("triton") is None:
        return None
    from biddable.models.kernels.triton_attention import decode_attention as kernel

    return kernel


def _compiled(compiler: str, options: tuple[str, ...]) -> Path:
    # -march=native code must not be carried to another processor through a shared home folder.
    identity = SOURCE.read_bytes() + "|".join((_processor(), compiler, *options)).encode()
    target = cache_folder() / "kernels" / f"decode_attention-{hashlib.sha256(identity).hexdigest()[:16]}.so"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built, library = Path(folder) / "kernel.o", Path(folder) / "kernel.so"
        for command in (
            [compiler, *FLAGS, *options, "-c", str(SOURCE), "-o", str(built)],
            [compiler, "-shared", "-nostdlib", str(built), "-o", str(library), "-lc"],
        ):
            subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_SECONDS)
        os.replace(library, target)
    return target


def _processor() -> str:
    return cpuinfo().get("flags") or platform.machine()
