"""Whatever is handed over, a command ends in one line and leaves nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from biddable.errors import FileError, InputError, StorageError, printable, said, shown
from biddable.runs.files import make_folder, write_atomic
from tests.doubles import Parrot

from .conftest import Command
from .fakes import assert_one_line

EVIL = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eab\u2066\b\r[/x][red]\x7f"
RAW = [sign for sign in EVIL if printable(sign) != sign]

CONTENTS: dict[str, bytes | None] = {
    "a folder": None,
    "empty": b"",
    "junk": bytes(range(256)),
    "a number": b"3\n",
    "a blank text": b'" "\n',
    "not JSON": b"{",
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "a huge integer": b'{"key": ' + b"9" * 5000 + b"}",
    "NaN": b'{"prompt": NaN, "schema_version": NaN}',
    "an empty object": b"{}",
    "an escape": json.dumps({"prompt": 3, EVIL: EVIL, "messages": EVIL}).encode(),
}
NAMES = ["missing", "file/inside", "with\nline", "x" * 5000, "/dev/null", "/proc/none/x"]

READERS = [
    ("judge", "ifeval", "--tasks", "{}", "--responses", "{}"),
    ("eval", "parrot", "--tasks", "{}"),
    ("generate", "parrot", "--prompts", "{}", "--out", "answers.jsonl"),
    ("report", "{}"),
    ("compare", "{}", "{}"),
]


@pytest.mark.usefixtures("parrot")
@pytest.mark.parametrize("command", READERS, ids=lambda command: command[0])
@pytest.mark.parametrize("content", CONTENTS)
def test_a_broken_file_is_refused_in_one_line(
    biddable: Command, command: tuple[str, ...], content: str
) -> None:
    data, path = CONTENTS[content], Path("given")
    if data is None:
        path.mkdir()
    else:
        path.write_bytes(data)
    assert_refused(biddable, command, "given")


@pytest.mark.usefixtures("parrot")
@pytest.mark.parametrize("command", READERS, ids=lambda command: command[0])
@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name[:20]))
def test_a_file_that_is_not_there_is_refused_in_one_line(
    biddable: Command, command: tuple[str, ...], name: str
) -> None:
    Path("file").write_text("")
    assert_refused(biddable, command, name)


@pytest.mark.parametrize("content", [name for name in CONTENTS if name != "a folder"])
@pytest.mark.parametrize("command", [("report", "run"), ("compare", "run", "run")])
def test_a_damaged_run_is_refused_in_one_line(
    biddable: Command, command: tuple[str, ...], content: str
) -> None:
    Path("run").mkdir()
    Path("run", "results.json").write_bytes(CONTENTS[content] or b"")
    assert_refused(biddable, command, "")


@pytest.mark.usefixtures("parrot")
@pytest.mark.parametrize("out", ["folder", "/dev/null", "file/inside", "loop", "x" * 300, "/proc/none/x"])
def test_what_cannot_be_written_is_refused_in_one_line(biddable: Command, out: str) -> None:
    Path("folder").mkdir()
    Path("file").write_text("")
    Path("loop").symlink_to("loop")
    Path("prompts.jsonl").write_text('{"prompt": "x"}\n')
    assert_refused(biddable, ("generate", "parrot", "--prompts", "prompts.jsonl", "--out", "{}"), out)


@pytest.mark.usefixtures("parrot")
@pytest.mark.parametrize("command", [("eval", "parrot", "--suite", "composed"), ("run", "spar")])
@pytest.mark.parametrize("out", ["", " "])
def test_a_run_folder_without_a_name_is_refused(
    biddable: Command, command: tuple[str, ...], out: str
) -> None:
    assert_one_line(biddable(*command, "--out", out), "--out is", "expected the name of a folder")
    assert not list(Path().iterdir())


def test_an_empty_name_of_a_file_is_shown(biddable: Command) -> None:
    command = ("judge", "ifeval", "--tasks", "", "--responses", "x")
    assert_one_line(biddable(*command), "error: '': cannot be read")


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("command", [("methods",), ("methods", "--json")])
def test_a_damaged_run_does_not_hide_the_methods(
    biddable: Command, command: tuple[str, ...], content: str
) -> None:
    path, data = Path("runs", "spar", "results.json"), CONTENTS[content]
    path.parent.mkdir(parents=True)
    if data is None:
        path.mkdir()
    else:
        path.write_bytes(data)
    result = biddable(*command)
    assert result.exit_code == 0
    assert "web-navigation" in result.stdout
    assert not [sign for sign in RAW if sign in result.stdout]


@pytest.mark.parametrize(
    "arguments",
    [
        ("",),
        ("no\nmethod\x1b[2J",),
        ("spar", "--preset", ""),
        ("spar", "--seed", "-1"),
        ("spar", "--seed", "1e3"),
        ("spar", "--out", "file"),
        ("spar", "--out", "file/inside"),
        ("spar", "--out", "/proc/none/x"),
        ("spar", "--out", "full"),
        ("spar", "--no\x1bsuch", "1"),
    ],
    ids=repr,
)
def test_a_method_that_cannot_be_run_as_asked_is_refused_in_one_line(
    biddable: Command, arguments: tuple[str, ...]
) -> None:
    Path("file").write_text("")
    Path("full").mkdir()
    Path("full", "notes.txt").write_text("")
    assert_refused(biddable, ("run", *arguments), "")


def assert_refused(biddable: Command, command: tuple[str, ...], path: str) -> None:
    before = sorted(Path().rglob("*"))
    result = biddable(*(part.format(path) for part in command))
    assert_one_line(result, exit_code=result.exit_code)
    assert result.exit_code in (1, 2)
    assert "not foreseen" not in result.stderr
    assert not [sign for sign in RAW if sign in result.stderr]
    after = [path for path in sorted(Path().rglob("*")) if "runs" not in path.parts]
    assert after == before


def test_chat_shows_what_a_terminal_would_obey_and_keeps_lines(biddable: Command, parrot: Parrot) -> None:
    result = biddable("chat", "parrot", input=f"{EVIL}\tلا‌ 👩‍🚀\n")
    assert result.exit_code == 0
    assert not [sign for sign in RAW if sign in result.stdout]
    assert r"\x1b]0;title" in result.stdout
    assert "[/x][red]" in result.stdout
    assert "لا‌ 👩‍🚀" in result.stdout
    assert printable("a\r\nb\tc\n") == "a\nb\tc\n"


def test_errors_are_one_printable_line() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (EVIL, "\ud800", 10**5000, deep, "x\n" * 10_000):
        for error in (InputError(EVIL, value, "a\nb"), FileError(EVIL, shown(value)), StorageError(EVIL)):
            text = str(error)
            assert text.encode()
            assert len(text.splitlines()) == 1
            assert not [sign for sign in RAW if sign in text]
    assert said(OSError(EVIL)).isprintable()


def test_writing_below_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for write in (lambda path: make_folder(path), lambda path: write_atomic(path, "x")):
        with pytest.raises(StorageError):
            write(tmp_path / "file" / "inside" / "x")
        with pytest.raises(StorageError):
            write(tmp_path / ("x" * 300))


def test_names_in_tables_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    from biddable.cli.output import print_table

    table = Table("[/x]", EVIL, title="[/title]", caption="[red]")
    table.add_row("[/y]", EVIL)
    print_table(table)
    shown_table = capsys.readouterr().out
    assert all(name in shown_table for name in ("[/x]", "[/y]", "[/title]", "[red]"))
    assert not [sign for sign in RAW if sign in shown_table]
