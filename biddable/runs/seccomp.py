"""A filter of system calls for untrusted programs, as the kernel's BPF reads it (seccomp(2)).

It refuses what neither limits of processes nor namespaces bound: memory that belongs to no process, the
kernel's keyrings, and entrances to the kernel that programs of this kind never need.
"""

from __future__ import annotations

import errno
import struct

# Per machine: the kernel's number of the architecture (linux/audit.h), and the numbers of: shmget, msgget,
# semget, memfd_create, memfd_secret; add_key, request_key, keyctl; bpf, perf_event_open, userfaultfd,
# io_uring_setup; unshare, setns, mount, ptrace, process_vm_readv, process_vm_writev.
REFUSED: dict[str, tuple[int, tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E,
        (29, 68, 64, 319, 447, 248, 249, 250, 321, 298, 323, 425, 272, 308, 165, 101, 310, 311),
    ),
    "aarch64": (
        0xC00000B7,
        (194, 186, 190, 279, 447, 217, 218, 219, 280, 241, 282, 425, 97, 268, 40, 117, 270, 271),
    ),
}
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # where struct seccomp_data holds them
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_X32 = 0x40000000  # from here on numbers are those of another set of calls on the same machine


def seccomp_filter(machine: str) -> bytes | None:
    """The filter for a machine (``platform.machine()``); None where its numbers are not known."""
    if machine not in REFUSED:
        return None
    architecture, numbers = REFUSED[machine]
    refuse = len(numbers) + 1  # from the comparison of the set of calls to the instruction that refuses
    instructions = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, refuse, 0, _X32),
        *((_EQUAL, refuse - place, 0, number) for place, number in enumerate(numbers, 1)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *each) for each in instructions)
