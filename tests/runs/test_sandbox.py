"""Untrusted programs do their work and nothing else: each of these tries to get out or to take too much."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from biddable.errors import InputError, MissingDependency, SandboxError
from biddable.runs import sandbox
from biddable.runs.sandbox import OUTPUT_BYTES, PROCESSES, require_sandbox, run_all, run_sandboxed

LONG = 20.0
"""Seconds for what is over at once unless the machine is busy."""


@pytest.fixture(scope="module")
def walls() -> None:
    try:
        require_sandbox()
    except (MissingDependency, SandboxError) as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


shut_in = pytest.mark.usefixtures("walls")


def tried(code: str) -> str:
    """What a program prints of its attempt; it must have come to its end."""
    result = run_sandboxed(code, seconds=LONG)
    assert result.succeeded, result
    return result.stdout.strip()


def refused(attempt: str, setup: str = "import os, socket, ctypes") -> str:
    """The kind of error that an attempt ends in; "done" if it worked."""
    lines = "\n    ".join([*attempt.splitlines(), "print('done')"])
    return tried(f"{setup}\ntry:\n    {lines}\nexcept Exception as e: print(type(e).__name__)")


@shut_in
def test_programs_do_what_they_do() -> None:
    code = "import sys\nprint(sys.stdin.read().upper())\nprint('é', file=sys.stderr)"
    result = run_sandboxed(code, seconds=LONG, stdin="straße")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "STRASSE\n", "é\n")
    assert result.succeeded
    assert not result.timed_out


@shut_in
def test_a_program_of_the_system_is_given_its_arguments_by_no_shell() -> None:
    result = run_sandboxed(["echo", "$HOME; ls", "`id`"], seconds=LONG)
    assert result.stdout == "$HOME; ls `id`\n"


@shut_in
@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("raise SystemExit(3)", 3),
        ("1/0", 1),
        ("not python at all", 1),
        ("'\ud800'", 1),
        ("import os; os.kill(os.getpid(), 9)", 137),
        (["no-such-program"], 127),
        ("x = 1\n" * 100_000, 0),
    ],
)
def test_how_a_program_ends_is_told(program: str | list[str], code: int) -> None:
    assert run_sandboxed(program, seconds=LONG).exit_code == code


@shut_in
def test_many_come_back_in_order_and_one_bad_one_ends_no_other() -> None:
    programs = ["print(0)", "1/0", ["echo", "2"], "while True: pass", "print(4)"]
    results = run_all(programs, workers=2, seconds=3)
    assert [result.stdout for result in results] == ["0\n", "", "2\n", "", "4\n"]
    assert [result.stopped for result in results] == [None, None, None, "time", None]


# Getting out


@shut_in
def test_no_network_not_even_this_machines() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = f"socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2)"
        assert refused(connect) == "ConnectionRefusedError"
    assert refused("socket.create_connection(('192.0.2.1', 80), 2)") == "OSError"
    assert refused("socket.getaddrinfo('example.org', 80)") == "gaierror"
    interfaces = tried("print(open('/proc/net/dev').read())").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]


@shut_in
def test_no_socket_but_of_its_own_network() -> None:
    for family in (socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK, 38):  # 38: the kernel's ciphers
        assert refused(f"socket.socket({int(family)}, socket.SOCK_DGRAM)") == "PermissionError"
    own = "server = socket.create_server(('127.0.0.1', 0))\nsocket.create_connection(server.getsockname(), 2)"
    assert refused(f"{own}\nsocket.socketpair()\nsocket.socket(socket.AF_INET6)") == "done"


@shut_in
def test_no_abstract_socket_of_this_machine() -> None:
    name = f"\0biddable-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        attempt = f"socket.socket(socket.AF_UNIX).connect({name!r})"
        assert refused(attempt) == "ConnectionRefusedError"


@shut_in
def test_no_file_of_this_machine_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    own = [tmp_path / "secret", __file__, Path.home() / ".bashrc", "/etc/shadow", "/etc/passwd", "/etc/hosts"]
    for path in map(str, own):
        assert refused(f"open({path!r}).read()") in ("FileNotFoundError", "PermissionError")
    assert refused("open('/dev/vda', 'rb').read(1)") == "FileNotFoundError"
    assert refused("open('/sys/kernel/uevent_seqnum').read()") == "FileNotFoundError"


@shut_in
def test_nothing_is_written_but_to_its_own_folder(tmp_path: Path) -> None:
    for folder in ("/", "/usr", "/usr/bin", "/etc", "/dev", "/proc", str(Path(sys.base_prefix))):
        assert refused(f"open({folder!r} + '/written', 'w')") != "done"
    for call in ("open('/program.py', 'w')", "os.remove('/usr/bin/env')", "os.chmod('/usr/bin/env', 0o777)"):
        assert refused(call) in ("OSError", "PermissionError")
    assert refused("open('/proc/sys/kernel/hostname', 'w').write('x')") != "done"
    # A folder of this name is made, but in its own memory.
    made = str(tmp_path / "made")
    assert refused(f"os.makedirs({made!r})\nopen('/dev/shm/own-file', 'w').write('x')") == "done"
    assert not os.path.exists(made)
    assert not os.path.exists("/dev/shm/own-file")


@shut_in
def test_links_and_races_in_its_folder_lead_nowhere(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("untouched")
    attempt = f"""
import os, threading
def swap():
    for _ in range(200):
        for make in (lambda: os.symlink({str(target)!r}, '/tmp/link'), lambda: open('/tmp/link', 'w')):
            try: os.remove('/tmp/link')
            except OSError: pass
            try: make()
            except OSError: pass
thread = threading.Thread(target=swap)
thread.start()
while thread.is_alive():
    try: open('/tmp/link', 'w').write('changed')
    except OSError: pass
os.symlink('/proc/1/root' + {str(target)!r}, '/tmp/out')
for path in ('/tmp/out', '/proc/self/root/../' + {str(target)!r}, '/proc/1/cwd/../../' + {str(target)!r}):
    try: open(path, 'a').write('changed')
    except OSError: print('refused')
"""
    assert tried(attempt).split() == ["refused"] * 3
    assert target.read_text() == "untouched"
    assert not tried("import os; print(*os.listdir('/tmp'))")


@shut_in
def test_nothing_of_this_environment_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIDDABLE_TEST_SECRET", "hush-hush")
    seen = tried(
        "import glob, os\nprint(dict(os.environ))\n"
        "for path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):\n"
        "    try: print(path, open(path).read())\n    except OSError: pass"
    )
    assert "hush" not in seen
    assert "PYTEST" not in seen


@shut_in
def test_no_process_of_this_machine_is_seen_killed_or_traced() -> None:
    assert int(tried("import os; print(sum(name.isdecimal() for name in os.listdir('/proc')))")) <= 3
    for pid in (os.getpid(), os.getppid(), -1):
        assert refused(f"os.kill({pid}, 9)") == "ProcessLookupError"
    libc = "libc = ctypes.CDLL(None, use_errno=True)\n"
    asked = f"print(libc.ptrace(16, {os.getpid()}, 0, 0), libc.ptrace(0, 0, 0, 0))"  # attach, trace me
    assert tried(f"import ctypes\n{libc}{asked}") == "-1 -1"


@shut_in
def test_no_rights_are_gained() -> None:
    assert refused("os.setuid(0)") == "OSError"
    assert refused("os.chroot('/tmp')") == "PermissionError"
    assert refused("os.mknod('/tmp/disk', 0o60666, os.makedev(254, 0))") == "PermissionError"
    lines = tried("print(open('/proc/self/status').read())").splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    # A copy of a program that root owns, with the bit that makes it root's, is no root's here.
    code = "import os, shutil\nshutil.copy('/usr/bin/id', '/tmp/id')\nos.chmod('/tmp/id', 0o4755)\n"
    assert tried(code + "print(os.popen('/tmp/id -u').read())") == "65534"
    # CLONE_NEWUSER, and mounting something in a namespace of one's own
    assert tried("import ctypes\nprint(ctypes.CDLL(None).unshare(0x10000000))") == "-1"
    assert run_sandboxed(["unshare", "--user", "--map-root-user", "true"], seconds=LONG).exit_code != 0


@shut_in
def test_no_open_file_is_handed_on() -> None:
    with open(__file__) as own:
        os.set_inheritable(own.fileno(), True)
        assert tried("import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:3])") == "[0, 1, 2]"
        assert tried("import os; print(len(os.listdir('/proc/self/fd')))") == "4"  # and the listing's own
    assert refused("os.write(0, b'x')") == "OSError"


# Taking too much


@shut_in
def test_whoever_ignores_signals_and_never_ends_is_killed_with_all_its_processes() -> None:
    mark = f"mark-{os.getpid()}-{time.time_ns()}"
    code = (
        "import os, signal, subprocess, time\n"
        "for each in (15, 2, 1, 3): signal.signal(each, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        os.close(1); os.close(2)\n"
        f"subprocess.Popen(['sleep', '1000', '{mark}'])\nwhile True: pass"
    )
    start = time.monotonic()
    result = run_sandboxed(code, seconds=1)
    assert result.timed_out
    assert result.exit_code is None
    assert time.monotonic() - start < LONG
    assert mark not in processes()


def processes() -> str:
    """The command lines of this machine's processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_text())
        except OSError:
            continue
    return "\n".join(lines)


@shut_in
def test_a_program_that_closed_its_output_is_waited_for_and_stopped() -> None:
    result = run_sandboxed("import os, time\nos.close(1); os.close(2)\ntime.sleep(1000)", seconds=1)
    assert result.timed_out


@shut_in
def test_what_outlives_its_program_ends_with_it() -> None:
    code = "import subprocess\nsubprocess.Popen(['sleep', '1000'])\nprint('done')"
    result = run_sandboxed(code, seconds=LONG)
    assert result.stdout == "done\n"
    assert result.seconds < LONG


@shut_in
def test_a_fork_bomb_stays_small() -> None:
    bomb = "import os, time\nmade = 0\ntry:\n    while True:\n        if os.fork() == 0: time.sleep(1000)\n"
    made = int(tried(bomb + "        made += 1\nexcept OSError: print(made)"))
    assert 1 <= made < PROCESSES
    endless = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    assert run_sandboxed(endless, seconds=1).timed_out


@shut_in
def test_no_process_takes_more_memory_than_it_may() -> None:
    assert refused("bytearray(600 << 20)") == "MemoryError"
    assert refused("x = [0]\nwhile True: x += x") == "MemoryError"


@shut_in
def test_nor_do_all_together() -> None:
    code = "import os, time\nfor _ in range(3): os.fork()\nx = b'x' * (100 << 20)\ntime.sleep(1000)"
    result = run_sandboxed(code, seconds=LONG, memory_mb=256)
    assert result.stopped == "memory"


@shut_in
def test_nor_is_memory_had_that_belongs_to_no_process() -> None:
    assert refused("os.memfd_create('x')") == "PermissionError"
    libc = "import ctypes\nlibc = ctypes.CDLL(None)\n"
    assert tried(f"{libc}print(libc.shmget(0, 1 << 30, 0o1666), libc.msgget(0, 0o1666))") == "-1 -1"


@shut_in
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_flood_of_output_is_cut_and_stopped(stream: str) -> None:
    result = run_sandboxed(f"import sys\nwhile True: sys.{stream}.write('x' * 100000)", seconds=LONG)
    assert result.stopped == "output"
    assert len(getattr(result, stream)) == OUTPUT_BYTES


@shut_in
def test_no_file_is_huge_and_all_together_are_not() -> None:
    assert refused("open('/tmp/huge', 'wb').write(bytes(100 << 20))") == "OSError"
    assert refused("for n in range(100): open(f'/tmp/{n}', 'wb').write(bytes(1 << 20))") == "OSError"
    assert refused("files = [open(f'/tmp/{n}', 'w') for n in range(1000)]") == "OSError"


@shut_in
def test_the_limits_hold_with_many_at_a_time() -> None:
    threads = threading.active_count()
    bombs = ["while True: pass", "import os\nwhile True: os.fork()", "print('x' * 10**8)", "x = 'x' * 10**10"]
    results = run_all(bombs, workers=4, seconds=2)
    assert not any(result.succeeded for result in results)
    assert threading.active_count() == threads


# Refusing


@pytest.mark.parametrize("command", ["bwrap", "prlimit", "choom"])
def test_without_its_tools_nothing_is_run(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setattr(sandbox, "require_sandbox", require_sandbox.__wrapped__)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == command else f"/usr/bin/{name}")
    monkeypatch.setattr(sandbox, "_start", lambda *_, **__: pytest.fail("something was run"))
    package = "bubblewrap" if command == "bwrap" else "util-linux"
    with pytest.raises(MissingDependency, match=f"^{package} .* install it with: apt-get install {package}$"):
        run_sandboxed("print(1)")


@pytest.mark.parametrize(("part", "found"), [("system", "Darwin"), ("machine", "riscv64")])
def test_on_another_machine_nothing_is_run(monkeypatch: pytest.MonkeyPatch, part: str, found: str) -> None:
    monkeypatch.setattr(sandbox, "require_sandbox", require_sandbox.__wrapped__)
    monkeypatch.setattr(f"platform.{part}", lambda: found)
    with pytest.raises(SandboxError, match=f"^untrusted programs run on.*not.*{found}$"):
        run_sandboxed("print(1)")


@shut_in
def test_where_the_walls_cannot_be_built_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "require_sandbox", require_sandbox.__wrapped__)
    monkeypatch.setattr(sandbox, "_walls", lambda: ["--no-such-wall"])
    with pytest.raises(SandboxError, match=r"no-such-wall.*user namespaces must be allowed") as caught:
        run_sandboxed(["true"])
    assert "\n" not in str(caught.value)


@shut_in
def test_where_they_fail_later_on_the_program_is_not_taken_for_one_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox, "_walls", lambda: ["--ro-bind", "/no/such/folder", "/x"])
    with pytest.raises(SandboxError, match="/no/such/folder"):
        run_sandboxed(["true"])


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"seconds": 0}, "seconds"),
        ({"seconds": float("inf")}, "seconds"),
        ({"memory_mb": 1}, "memory_mb"),
    ],
)
def test_limits_that_are_none_are_refused(options: dict[str, float], field: str) -> None:
    with pytest.raises(InputError) as caught:
        run_sandboxed("print(1)", **options)  # type: ignore[arg-type]
    assert caught.value.field == field


@shut_in
@pytest.mark.parametrize("program", [[], ["echo", "a\0b"]])
def test_arguments_that_are_none_are_refused(program: list[str]) -> None:
    with pytest.raises(InputError, match="program is"):
        run_sandboxed(program)
    with pytest.raises(InputError, match="workers is 0"):
        run_all(["print(1)"], workers=0)
