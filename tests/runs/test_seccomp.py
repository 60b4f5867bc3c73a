"""The filter of system calls says what it should, on machines that the tests do not run on too."""

from __future__ import annotations

import struct

import pytest

from biddable.runs.seccomp import seccomp_filter

ALLOWED, REFUSED, KILLED = 0x7FFF0000, 0x00050001, 0x80000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
READ, SOCKET, MEMFD_CREATE, PTRACE = (
    {"x86_64": 0, "aarch64": 63},
    {"x86_64": 41, "aarch64": 198},
    {"x86_64": 319, "aarch64": 279},
    {"x86_64": 101, "aarch64": 117},
)


def decide(machine: str, number: int, argument: int = 0, architecture: int | None = None) -> int:
    """What the kernel makes of a call: it runs the filter over struct seccomp_data."""
    data = struct.pack("=IIQQ", number, architecture or ARCHITECTURES[machine], 0, argument)
    filtered = seccomp_filter(machine)
    assert filtered is not None
    instructions = list(struct.iter_unpack("=HBBI", filtered))
    place, held = 0, 0
    while True:
        code, then, otherwise, value = instructions[place]
        if code == 0x06:
            return value
        if code == 0x20:
            [held] = struct.unpack_from("=I", data, value)
        else:
            place += then if (held == value if code == 0x15 else held >= value) else otherwise
        place += 1


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_calls_are_allowed_or_refused(machine: str) -> None:
    assert decide(machine, READ[machine]) == ALLOWED
    assert decide(machine, 1000) == ALLOWED
    for call in (MEMFD_CREATE, PTRACE):
        assert decide(machine, call[machine]) == REFUSED
    assert decide(machine, 0x40000000 + READ[machine]) == REFUSED
    assert decide(machine, READ[machine], architecture=0x40000003) == KILLED
    sockets = {family: decide(machine, SOCKET[machine], family) for family in (1, 2, 10, 16, 17, 38, 40, 0)}
    assert sockets == {family: ALLOWED if family in (1, 2, 10) else REFUSED for family in sockets}


def test_a_machine_whose_numbers_are_not_known_has_no_filter() -> None:
    assert seccomp_filter("riscv64") is None
