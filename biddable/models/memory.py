"""Freed memory stays with the process while it works on a CPU.

glibc gives every large block back to the system when it is freed and asks for it again at the next
step, a page fault for each 4 KB of it. Logits, activations and arranged weights are such blocks, and
the same sizes come back at every step: on a virtual machine the faults took longer than the arithmetic.
"""

from __future__ import annotations

import ctypes
import functools
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


@functools.cache
def keep_freed_memory() -> None:
    """From now on, take memory from the heap alone and never shrink it. Does nothing without glibc."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)
