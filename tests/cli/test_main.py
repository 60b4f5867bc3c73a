"""What holds for every command: help, errors, interruption, pipes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from biddable.cli import main
from biddable.errors import BiddableError, EndpointError, InputError
from tests.doubles import Parrot

from .conftest import Command
from .fakes import assert_one_line

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "biddable"]


def commands(command: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, *path, name)


@pytest.mark.parametrize("path", [*commands(main)], ids=" ".join)
def test_help_teaches_by_example(biddable: Command, path: tuple[str, ...]) -> None:
    result = biddable(*path, "--help")
    assert result.exit_code == 0
    assert f"biddable {' '.join(path)}".strip() in result.stdout.partition("\n")[2]
    assert "TODO" not in result.stdout


def test_no_command_shows_the_help_and_fails(biddable: Command) -> None:
    result = biddable()
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Commands:" in result.stderr


def test_version(biddable: Command) -> None:
    from importlib.metadata import version

    assert biddable("--version").stdout.split() == ["biddable,", "version", version("biddable")]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("evl",), "evl"),
        (("--nope",), "--nope"),
        (("eval",), "MODEL"),
        (("eval", "parrot", "--suit", "ifeval"), "--suite"),
        (("eval", "parrot", "--suite", "glue"), "suite is 'glue', expected"),
        (("eval", "parrot", "--limit", "none"), "--limit"),
        (("eval", "parrot", "--limit", "0"), "--limit"),
        (("compare",), "LOG"),
        (("judge", "rouge"), "rouge"),
        (("judge", "ifeval"), "--tasks"),
        (("generate", "parrot", "--prompts", "x", "--out", "y", "--top-p", "0"), "--top-p"),
        (("generate", "parrot", "--prompts", "x", "--out", "y", "--temperature", "-1"), "--temperature"),
        (("chat", "parrot", "--seed", "-1"), "--seed"),
    ],
)
def test_a_wrong_command_line_is_one_line(biddable: Command, arguments: tuple[str, ...], part: str) -> None:
    assert_one_line(biddable(*arguments), part)


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputError("model", "gpt", "a known name"), 2), (EndpointError("no answer\nin 60 s"), 1)],
)
def test_errors_keep_their_exit_code_and_fit_on_a_line(
    biddable: Command, monkeypatch: pytest.MonkeyPatch, error: BiddableError, code: int
) -> None:
    def refuse(spec: object, **_: object) -> None:
        raise error

    monkeypatch.setattr("biddable.models.load.load_model", refuse)
    assert_one_line(biddable("chat", "gpt", input="hello\n"), exit_code=code)


def test_what_nothing_foresaw_is_one_line_and_can_be_shown_whole(
    biddable: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(spec: object, **_: object) -> None:
        raise ZeroDivisionError("no\ntokens")

    monkeypatch.setattr("biddable.models.load.load_model", fail)
    monkeypatch.delenv("BIDDABLE_TRACEBACK", raising=False)
    result = biddable("chat", "gpt", input="hello\n")
    assert_one_line(result, "ZeroDivisionError: no tokens", "BIDDABLE_TRACEBACK=1", exit_code=1)
    monkeypatch.setenv("BIDDABLE_TRACEBACK", "1")
    assert isinstance(biddable("chat", "gpt", input="hello\n").exception, ZeroDivisionError)


def test_ctrl_c_says_how_to_go_on(biddable: Command, parrot: Parrot) -> None:
    parrot.interrupt_after = 1
    arguments = ("eval", "parrot", "--suite", "composed", "--limit", "140", "--json")
    result = biddable(*arguments)
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.splitlines()[-1] == "interrupted; the same command goes on where it stopped"
    assert len(parrot.chats) == 128

    parrot.interrupt_after = -1
    assert biddable(*arguments).exit_code == 0
    assert len(parrot.chats) == 140


def test_ctrl_c_promises_nothing_where_nothing_is_kept(biddable: Command, parrot: Parrot) -> None:
    parrot.interrupt_after = 0
    result = biddable("chat", "parrot", input="hello\n")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (130, "interrupted")


def test_a_closed_pipe_ends_quietly() -> None:
    process = subprocess.Popen(
        [*PROGRAM, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(30) == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("command", "redirection", "said", "code"),
    [
        ("methods --json", "> /dev/full", "error: the standard output cannot be written: no space left", 1),
        ("methods", ">&-", "error: the standard output cannot be written: it is closed\n", 1),
        ("--version", ">&-", "error: the standard output cannot be written: it is closed\n", 1),
        ("methods --nope", "2>&-", "", 2),
        ("methods --nope", "2> /dev/full", "", 2),
        ("methods --nope", "<&- >&- 2>&-", "", 2),
        ("judge", "2> /dev/full", "", 2),
        ("methods --json", "<&- > /dev/null", "", 0),
    ],
)
def test_streams_that_are_closed_or_full_end_in_a_line(
    command: str, redirection: str, said: str, code: int, unbuffered: str
) -> None:
    if "/dev/full" in redirection and not Path("/dev/full").exists():
        pytest.skip("this system has no full device")
    script = f"{sys.executable} -m biddable {command} {redirection}"
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )  # fmt: skip
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") <= 1


def test_a_terminal_without_these_letters_gets_escapes() -> None:
    script = f"{sys.executable} -m biddable methods"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()


@pytest.mark.parametrize(("wish", "heard"), [(None, "error"), ("info", "info")])
def test_libraries_are_quiet_unless_the_user_wants_to_hear_them(
    monkeypatch: pytest.MonkeyPatch, wish: str | None, heard: str
) -> None:
    script = "import atexit, os; atexit.register(lambda: print(os.environ['TRANSFORMERS_VERBOSITY']))"
    monkeypatch.delenv("TRANSFORMERS_VERBOSITY", raising=False)
    if wish is not None:
        monkeypatch.setenv("TRANSFORMERS_VERBOSITY", wish)
    command = [sys.executable, "-c", f"{script}; from biddable.cli import main; main()", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split()[-1] == heard


@pytest.mark.usefixtures("smollm2")
def test_the_real_model_killed_and_resumed(biddable: Command, tmp_path: Path) -> None:
    """The one test here with real weights: quiet, killed in the middle, and the same in the end."""
    (tmp_path / "mine.toml").write_text(
        'data = "d.csv"\ntemplate = "{{ text }} is"\n'
        'labels = {1 = "up", 0 = "down"}\ncolumns = {answer = "up"}'
    )
    (tmp_path / "d.csv").write_text("text,up\n" + "The sky,1\nThe sea,0\n" * 8)
    suites = f"composed?tasks=17,{tmp_path / 'mine.toml'}"
    command = ("eval", "smollm2", "--suite", suites, "--max-tokens", "3", "--json", "--out")
    folder, log = tmp_path / "killed", tmp_path / "log"
    with log.open("w") as said:
        process = subprocess.Popen([*PROGRAM, *command, str(folder)], stdout=said, stderr=said, cwd=ROOT)
    try:
        deadline = time.monotonic() + 120
        while not any(folder.glob("cells/composed-*/cell.json")):  # the first suite is answered
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    for line in log.read_text().splitlines():  # on a slow machine it tells how far it is
        assert re.fullmatch(r"(smollm2 (answers|scores)|(composed|mine)-smollm2-\w+): \d+/\d+", line)
    assert not (folder / "results.json").exists()

    resumed, undisturbed = biddable(*command, str(folder)), biddable(*command, "undisturbed")
    found, expected = json.loads(resumed.stdout), json.loads(undisturbed.stdout)
    assert expected["suites"]["composed"]["smollm2"]["n"] == 17
    for key in expected.keys() - {"folder", "report", "next_steps"}:
        assert found[key] == expected[key]
    records = [sorted(path.glob("cells/*/records.jsonl")) for path in (folder, Path("undisturbed"))]
    assert len(records[0]) == 2
    assert [path.read_bytes() for path in records[0]] == [path.read_bytes() for path in records[1]]
