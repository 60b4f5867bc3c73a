"""A filter of system calls for untrusted programs, as the kernel's BPF reads it (seccomp(2)).

It refuses what neither limits of processes nor namespaces bound: memory that belongs to no process, the
kernel's keyrings, sockets to the host of a virtual machine, and entrances to the kernel that programs of this
kind never need.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class _Machine:
    """The kernel's number of an architecture (linux/audit.h), and its numbers of system calls.

    The refused ones are shmget, msgget, semget, memfd_create, memfd_secret; add_key, request_key, keyctl;
    bpf, perf_event_open, userfaultfd, io_uring_setup; unshare, setns, mount, ptrace, process_vm_readv and
    process_vm_writev; syslog.
    """

    architecture: int
    socket: int
    refused: tuple[int, ...]


_MACHINES = {
    "x86_64": _Machine(
        0xC000003E,
        41,
        (29, 68, 64, 319, 447, 248, 249, 250, 321, 298, 323, 425, 272, 308, 165, 101, 310, 311, 103),
    ),
    "aarch64": _Machine(
        0xC00000B7,
        198,
        (194, 186, 190, 279, 447, 217, 218, 219, 280, 241, 282, 425, 97, 268, 40, 117, 270, 271, 116),
    ),
}
_FAMILIES = (1, 2, 10)
"""Sockets a program may make, which its own network has: AF_UNIX, AF_INET, AF_INET6."""
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16  # where struct seccomp_data holds them
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
_X32 = 0x40000000  # from here on numbers are those of another set of calls on the same machine


def seccomp_filter(machine: str) -> bytes | None:
    """The filter for a machine (``platform.machine()``); None where its numbers are not known."""
    if machine not in _MACHINES:
        return None
    known = _MACHINES[machine]
    families = len(_FAMILIES)
    refuse = len(known.refused) + families + 2  # from the first refused call to the refusal
    instructions = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, known.architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, refuse, 0, _X32),
        *((_EQUAL, refuse - place, 0, number) for place, number in enumerate(known.refused, 1)),
        (_EQUAL, 0, families + 2, known.socket),  # any other call is allowed
        (_LOAD, 0, 0, _ARGUMENT),
        *((_EQUAL, families - place, 0, family) for place, family in enumerate(_FAMILIES)),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *each) for each in instructions)
