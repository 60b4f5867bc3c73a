"""Programs that nobody vouches for (a model wrote them), each shut in by bubblewrap.

Such a program has no network, none of the files of this machine but its system folders and Python's own (read
only), no environment and no process but its own; it may write to a folder in memory that ends with it. Time,
memory, processes, files and output are limited. Where bubblewrap cannot do this, nothing is run.

What root runs, runs as the user ``nobody``: the kernel does not limit the number of root's processes.
"""

from __future__ import annotations

import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from biddable.errors import InputError, MissingDependency, SandboxError, one_line
from biddable.runs.seccomp import seccomp_filter
from biddable.runs.watching import Stopped, watched

Program = str | Sequence[str]
"""Python source, or a program of the system with its arguments."""

SECONDS = 3.0
MEMORY_MB = 512
LEAST_MEMORY_MB = 64
PROCESSES = 16
OPEN_FILES = 64
FILE_MB = 16
"""The largest file a program may write."""
FOLDER_MB = 64
"""What all files a program writes may take."""
OUTPUT_BYTES = 1_000_000
"""What a program may print, on stdout and on stderr each."""

_NOBODY = 65534
_PATIENCE = 30.0
"""Seconds that trying it out may take."""
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
_DEVICES = ("null", "zero", "random", "urandom")
_SHUT = ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp")
_LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    # What a program does with a set must not change from run to run.
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHONSAFEPATH": "1",
}
_SOURCE = "/program.py"
_ADVICE = (
    "user namespaces must be allowed (sysctl kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container: --security-opt seccomp=unconfined)"
)


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """What came of a program.

    Attributes:
        exit_code: what it ended with, 128 and the signal's number where a signal ended it; None where it
            was stopped.
        stdout, stderr: what it printed, as UTF-8, up to ``OUTPUT_BYTES`` each.
        stopped: the limit it was stopped at; None where it ended by itself.
        seconds: how long it ran, of wall clock.
    """

    exit_code: int | None
    stdout: str
    stderr: str
    stopped: Stopped | None = None
    seconds: float = 0.0

    @property
    def timed_out(self) -> bool:
        """Whether it was still running when its time was up."""
        return self.stopped == "time"

    @property
    def succeeded(self) -> bool:
        """Whether it ended by itself, and well."""
        return self.exit_code == 0


def run_sandboxed(
    program: Program, *, seconds: float = SECONDS, memory_mb: int = MEMORY_MB, stdin: str = ""
) -> SandboxResult:
    """Run a program where it can harm nothing.

    Args:
        program: Python source, which runs in its own interpreter with the standard library, or the
            arguments of a program of the system (no shell is between).
        seconds: wall clock after which the program and all its processes are killed.
        memory_mb: what each process may ask for, and what all of them may take together.
        stdin: what it may read.

    Raises:
        MissingDependency: bubblewrap or util-linux is not installed.
        SandboxError: the kernel does not let bubblewrap shut programs in.
        InputError: a limit or an argument cannot be used.
    """
    _require_limits(seconds, memory_mb)
    require_sandbox()
    return _run(program, seconds, memory_mb, stdin, _python() if isinstance(program, str) else "")


def run_all(
    programs: Iterable[Program], workers: int = 2, *, seconds: float = SECONDS, memory_mb: int = MEMORY_MB
) -> list[SandboxResult]:
    """Run programs as ``run_sandboxed`` does, ``workers`` at a time; their results in order."""
    if workers < 1:
        raise InputError("workers", workers, "an integer of at least 1")
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(partial(run_sandboxed, seconds=seconds, memory_mb=memory_mb), programs))


@cache
def require_sandbox() -> None:
    """Refuse where untrusted programs cannot be shut in; it is tried out once.

    Raises:
        MissingDependency: bubblewrap or util-linux is not installed.
        SandboxError: they are, and still it cannot be done.
    """
    if platform.system() != "Linux":
        raise SandboxError(f"untrusted programs run on Linux, not on {platform.system()}")
    if seccomp_filter(platform.machine()) is None:
        raise SandboxError(f"untrusted programs run on x86_64 and aarch64, not on {platform.machine()}")
    for command, package in (("bwrap", "bubblewrap"), ("prlimit", "util-linux"), ("choom", "util-linux")):
        if shutil.which(command) is None:
            raise MissingDependency(f"{package} (for untrusted programs)", f"apt-get install {package}")
    if not os.path.exists("/proc/thread-self/children"):
        raise SandboxError("untrusted programs are not run: this kernel does not list a process's children")
    try:
        tried = _run(["true"], _PATIENCE, MEMORY_MB, "", "")
    except SandboxError as error:
        raise SandboxError(f"untrusted programs cannot be shut in here ({error}); {_ADVICE}") from None
    if not tried.succeeded:
        raise SandboxError(f"untrusted programs cannot be shut in here ({one_line(tried.stderr)})")


@cache
def _python() -> str:
    """An interpreter that runs in the sandbox: this one's own, or else the system's."""
    own = getattr(sys, "_base_executable", sys.executable)
    problems = []
    for interpreter in dict.fromkeys((own, "/usr/local/bin/python3", "/usr/bin/python3")):
        try:
            tried = _run("print(1)", _PATIENCE, MEMORY_MB, "", interpreter)
        except SandboxError as error:
            problems.append(str(error))
            continue
        if tried.stdout == "1\n":
            return interpreter
        problems.append(one_line(tried.stderr))
    raise SandboxError(
        f"no Python can be run as the user that untrusted programs run as ({problems[0]}); "
        "install one for all users: apt-get install python3"
    )


def _require_limits(seconds: float, memory_mb: int) -> None:
    if not (math.isfinite(seconds) and seconds > 0):
        raise InputError("seconds", seconds, "a number above 0")
    if memory_mb < LEAST_MEMORY_MB:
        raise InputError("memory_mb", memory_mb, f"at least {LEAST_MEMORY_MB}, which an interpreter takes")


def _run(program: Program, seconds: float, memory_mb: int, stdin: str, interpreter: str) -> SandboxResult:
    """``interpreter`` runs a program that is source."""
    with ExitStack() as opened:
        options: list[str] = []
        passed = []
        if isinstance(program, str):
            arguments = [interpreter, _SOURCE]
            passed.append(_in_memory(opened, program.encode("utf-8", "surrogatepass")))
            options += ["--ro-bind-data", str(passed[-1]), _SOURCE, *_own_folders(interpreter)]
        else:
            arguments = _checked(program)
        passed.append(_in_memory(opened, seccomp_filter(platform.machine()) or b""))
        options += ["--seccomp", str(passed[-1])]
        said, status = os.pipe()
        opened.callback(os.close, said)
        try:
            process = _start(
                [
                    *(_bwrap(), *_walls(), *options, *_SHUT, "--json-status-fd", str(status), "--"),
                    # Should the machine run out of memory, the program goes first.
                    *("choom", "-n", "1000", "--", "prlimit", *_limits(seconds, memory_mb), "--", *arguments),
                ],
                stdin=_in_memory(opened, stdin.encode("utf-8", "replace")),
                pass_fds=(*passed, status),
            )
        finally:
            os.close(status)
        seen = watched(process, seconds, memory_mb << 20, OUTPUT_BYTES)
        out, err = (text.decode("utf-8", "replace") for text in (seen.stdout, seen.stderr))
        result = SandboxResult(seen.code, out, err, seen.stopped, seen.seconds)
        if result.stopped is None and '"exit-code"' not in _read(said):
            # bwrap reports how a program ended; where there is no report there was no program.
            raise SandboxError(one_line(result.stderr) or "bwrap ended without a word")
        return result


def _bwrap() -> str:
    return shutil.which("bwrap") or "bwrap"


def _walls() -> list[str]:
    """bwrap's arguments that a program's surroundings are made with."""
    made = [
        "--unshare-all",
        "--unshare-user",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
    ]
    made += ["--uid", str(_NOBODY), "--gid", str(_NOBODY), "--hostname", "sandbox"]
    if _forbids_namespaces():
        made += ["--disable-userns"]
    for path in _SYSTEM:
        made += ["--ro-bind-try", path, path]
    made += ["--proc", "/proc", "--size", "65536", "--tmpfs", "/dev"]
    for name in _DEVICES:
        made += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for name, end in _LINKS.items():
        made += ["--symlink", f"/proc/self/fd{end}", f"/dev/{name}"]
    for path, size in (("/dev/shm", FILE_MB), ("/tmp", FOLDER_MB)):
        made += ["--size", str(size << 20), "--perms", "0700", "--tmpfs", path]
    return made


def _limits(seconds: float, memory_mb: int) -> list[str]:
    """prlimit's arguments."""
    processor = math.ceil(seconds) + 1
    limits = {
        "as": memory_mb << 20,
        "cpu": f"{processor}:{processor + 1}",
        "nproc": PROCESSES,
        "nofile": OPEN_FILES,
        "fsize": FILE_MB << 20,
        "core": 0,
        "memlock": 0,
        "msgqueue": 0,
    }
    return [f"--{name}={most}" for name, most in limits.items()]


def _own_folders(interpreter: str) -> list[str]:
    """Lets the interpreter be read where it does not belong to the system: pyenv's, uv's, conda's."""
    folder = Path(sys.base_prefix)
    if not Path(interpreter).is_relative_to(folder) or Path.home().is_relative_to(folder):
        return []
    return ["--ro-bind", str(folder), str(folder)]


def _start(arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
    if os.geteuid() == 0 and _has_nobody():
        options |= {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    try:
        return subprocess.Popen(
            arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
            **options,
        )
    except (OSError, ValueError) as error:
        raise SandboxError(f"bwrap does not start ({error})") from error


def _has_nobody() -> bool:
    """Whether root may become another user; in a container without root, root is an ordinary user."""
    lines = [list(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    if any(first <= _NOBODY < first + count for first, _, count in lines):
        return True
    if any(outside == 0 for _, outside, _ in lines):
        raise SandboxError(
            "this user namespace is root's and has no other user, whose processes have a limit"
        )
    return False


def _in_memory(opened: ExitStack, content: bytes) -> int:
    """A file of no folder that can only be read; closed with ``opened``."""
    descriptor = os.memfd_create("sandbox")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        readable = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
    finally:
        os.close(descriptor)
    opened.callback(os.close, readable)
    return readable


def _read(pipe: int) -> str:
    with open(pipe, "rb", closefd=False) as file:
        return file.read().decode("utf-8", "replace")


def _checked(program: Sequence[str]) -> list[str]:
    if not program or any("\0" in each for each in program):
        raise InputError("program", list(program), "a program and its arguments, without NUL characters")
    return list(program)


@cache
def _forbids_namespaces() -> bool:
    """Whether bwrap is new enough (0.8) to keep a program from making namespaces of its own."""
    done = subprocess.run([_bwrap(), "--help"], capture_output=True, text=True)
    return "--disable-userns" in done.stdout + done.stderr
