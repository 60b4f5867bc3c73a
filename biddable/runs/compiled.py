"""Loops in C, compiled with the machine's own compiler on first use and kept in the cache folder.

There must be another way for whatever is computed here: no compiler, no Linux or ``BIDDABLE_NO_KERNELS`` and
there is no library. Compiling takes about a second.

The object is linked against no OpenMP library of its own: torch brings one into the process with
global symbols, and two thread pools on one set of cores would fight.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from biddable.runs.environment import cpuinfo
from biddable.runs.files import cache_folder

FLAGS = ("-O3", "-march=native", "-ffast-math", "-fPIC")
SHARED = sorted(Path(__file__).parent.glob("*.h"))  # what the C files may include
COMPILE_SECONDS = 120
OFF = "BIDDABLE_NO_KERNELS"
POINTER, SIZE = ctypes.c_void_p, ctypes.c_int64


def compiled(source: Path, *options: str) -> ctypes.CDLL | None:
    """The library of a C file, compiled with ``options`` beside ``FLAGS``; None where it cannot be had."""
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    if compiler is None or platform.system() != "Linux" or os.environ.get(OFF):
        return None
    try:
        return ctypes.CDLL(str(_built(source, compiler, options)))
    except (OSError, subprocess.SubprocessError):
        return None


def _built(source: Path, compiler: str, options: tuple[str, ...]) -> Path:
    # -march=native code must not be carried to another processor through a shared home folder.
    identity = (
        b"".join(file.read_bytes() for file in (source, *SHARED))
        + "|".join((_processor(), compiler, *FLAGS, *options)).encode()
    )
    target = cache_folder() / "kernels" / f"{source.stem}-{hashlib.sha256(identity).hexdigest()[:16]}.so"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built, library = Path(folder) / "kernel.o", Path(folder) / "kernel.so"
        for command in (
            [compiler, *FLAGS, *options, f"-I{Path(__file__).parent}", "-c", str(source), "-o", str(built)],
            [compiler, "-shared", "-nostdlib", str(built), "-o", str(library), "-lc"],
        ):
            subprocess.run(command, check=True, capture_output=True, timeout=COMPILE_SECONDS)
        os.replace(library, target)
    return target


def _processor() -> str:
    return cpuinfo().get("flags") or platform.machine()
