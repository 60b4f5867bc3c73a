from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biddable.errors import FileError, StorageError
from biddable.runs.files import LineFile, read_json, read_jsonl, remove_temporaries, replacing, write_atomic


@pytest.fixture
def no_rights(tmp_path: Path) -> Iterator[Path]:
    """A folder this process may look into but not write to."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o555)
    if os.geteuid() != 0:
        yield folder
        return
    # Root may write anywhere, so be somebody else for a while.
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
    os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(0)


def test_writes_text_and_bytes_and_makes_folders(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b" / "text", "é\n")
    write_atomic(tmp_path / "bytes", b"\x00\xff")
    assert (tmp_path / "a" / "b" / "text").read_bytes() == b"\xc3\xa9\n"
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"


def test_respects_the_umask(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_atomic(tmp_path / "atomic", "")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_is_written_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is synced before it takes its place, and the folder it stands in after."""
    calls: list[tuple[str, int]] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(fd: int) -> None:
        calls.append(("sync", os.fstat(fd).st_ino))
        fsync(fd)

    def noted_replace(source: Path, target: Path) -> None:
        calls.append(("rename", source.stat().st_ino))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_atomic(tmp_path / "file", "x")
    file, folder = (tmp_path / "file").stat().st_ino, tmp_path.stat().st_ino
    assert calls == [("sync", file), ("rename", file), ("sync", folder)]

    calls.clear()
    with replacing(tmp_path / "folder") as temporary:
        (temporary / "inner").mkdir(parents=True)
        (temporary / "inner" / "part").write_text("x")
    written = {path.stat().st_ino for path in [tmp_path / "folder", *(tmp_path / "folder").rglob("*")]}
    assert {inode for call, inode in calls[:3] if call == "sync"} == written
    assert [call for call, _ in calls[3:]] == ["rename", "sync"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: Any) -> None:
    write_atomic(tmp_path / "file", "old")

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"no space left on the disk while writing .*/file$"):
        write_atomic(tmp_path / "file", "new")
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_truly_full_file_system(tmp_path: Path) -> None:
    """A limit on the size of files is the full disk anybody may have."""
    script = """
import resource, sys
from pathlib import Path
from biddable.errors import StorageError
from biddable.runs.files import LineFile, write_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
folder = Path(sys.argv[1])
file = LineFile(folder / "lines", bool)
file.append(b"x" * 60, sync=True)
try:
    write_atomic(folder / "whole", b"x" * 101)
except StorageError as error:
    print(error)
try:
    file.append(b"x" * 60, sync=True)
except StorageError as error:
    print(error)
file.append(b"y", sync=True)
"""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        f"the file is larger than the system allows while writing {tmp_path}/whole",
        f"the file is larger than the system allows while writing {tmp_path}/lines",
    ]
    assert os.listdir(tmp_path) == ["lines"]
    assert (tmp_path / "lines").read_bytes() == b"x" * 60 + b"\ny\n"


def test_no_permission(no_rights: Path) -> None:
    with pytest.raises(StorageError, match="no permission while writing"):
        write_atomic(no_rights / "file", "x")
    with pytest.raises(StorageError, match="no permission while writing"):
        write_atomic(no_rights / "folder" / "file", "x")


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="part of the path is a file"):
        write_atomic(tmp_path / "file" / "inner", "x")
    with pytest.raises(StorageError, match="part of the path is a file"):
        write_atomic(tmp_path / "file" / "deeper" / "inner", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="a folder of that name is in the way"):
        write_atomic(tmp_path / "folder", "x")


def test_other_errors_pass_through_unchanged_and_clean_up(tmp_path: Path) -> None:
    def download_half() -> None:
        with replacing(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / "part").write_text("x")
            raise ConnectionResetError(errno.ECONNRESET, "reset")

    with pytest.raises(ConnectionResetError):
        download_half()
    assert os.listdir(tmp_path) == []


def test_leftovers_of_a_kill_are_removed(tmp_path: Path) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / ".x.json.1a2b3c4d.biddable-tmp").write_text("half")
    (tmp_path / ".w.1a2b3c4d.biddable-tmp").mkdir()
    (tmp_path / ".w.1a2b3c4d.biddable-tmp" / "part").write_text("half")
    (tmp_path / ".kept").write_text("")
    remove_temporaries(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".kept", "stages"]


def test_jsonl_counts_every_line_and_skips_blank_ones(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n  \n"one\xe2\x80\xa8line"\n[2]')
    assert list(read_jsonl(tmp_path / "x.jsonl")) == [(1, {"a": 1}), (4, "one\u2028line"), (5, [2])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n\n{"a": \n', ":3: not JSON: expecting value at column"),
        (b'{"a": 1}\n\xff\xfe\n', ":2: not UTF-8 text"),
        (b'{"a": 1}\n' + b"9" * 5000, ":2: not JSON that can be read: "),
        (b"[" * 100_000, ":1: not JSON that can be read: "),
    ],
)
def test_jsonl_names_the_bad_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        list(read_jsonl(path))
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n "b": }', ":2: not JSON: expecting value at column 7"),
        (b"", ":1: not JSON: expecting value at column 1"),
        (b'{"a": 1,\n "b": "\xff"}', ":2: not UTF-8 text"),
    ],
)
def test_json_names_the_bad_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        read_json(path)
    assert str(caught.value) == f"{path}{message}"


def test_files_that_cannot_be_read_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"missing: no such file$"):
        read_json(tmp_path / "missing")
    with pytest.raises(FileError, match=r"missing: no such file$"):
        list(read_jsonl(tmp_path / "missing"))
    with pytest.raises(FileError, match="cannot be read: is a directory"):
        read_json(tmp_path)


@given(st.lists(st.binary(max_size=8).map(lambda b: b.replace(b"\n", b"")), max_size=5), st.data())
def test_a_line_file_cut_anywhere_keeps_its_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes], data: st.DataObject
) -> None:
    lines = [b"<" + text.replace(b">", b"") + b">" for text in texts]
    whole = b"".join(line + b"\n" for line in lines)
    length = data.draw(st.integers(0, len(whole)))
    path = tmp_path_factory.mktemp("lines") / "file"
    path.write_bytes(whole[:length])

    file = LineFile(path, intact=lambda line: line.endswith(b">"))
    kept = whole[:length].count(b"\n")
    assert file.lines() == lines[:kept]
    file.append(b"<more>", sync=False)
    assert file.lines() == [*lines[:kept], b"<more>"]
    file.close()


def test_a_last_line_that_ends_but_is_damaged_is_cut_too(tmp_path: Path) -> None:
    """After a power cut a block may hold zeros while the one behind it was written."""
    path = tmp_path / "file"
    for damaged in (b"<\0\0\0\n", b"\n", b"\0\0"):
        path.write_bytes(b"<good>\n" + damaged)
        file = LineFile(path, intact=lambda line: line.endswith(b">"))
        assert file.lines() == [b"<good>"]
        file.close()
