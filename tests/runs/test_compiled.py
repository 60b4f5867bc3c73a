"""C compiled on first use: kept, made anew for other code, and done without where it cannot be had."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from biddable.runs import compiled as module
from biddable.runs.compiled import OFF, compiled

needs_a_compiler = pytest.mark.skipif(
    not (shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")), reason="there is no C compiler"
)


@pytest.fixture
def source(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BIDDABLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(OFF, raising=False)
    file = tmp_path / "answer.c"
    file.write_text("int answer(void) { return ANSWER; }")
    return file


@needs_a_compiler
def test_it_is_compiled_once(source, tmp_path, monkeypatch) -> None:
    first = compiled(source, "-DANSWER=42")
    assert first is not None
    assert first.answer() == 42
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: pytest.fail("it was compiled again"))
    again = compiled(source, "-DANSWER=42")
    assert again is not None
    assert again.answer() == 42
    assert len(list((tmp_path / "cache" / "kernels").iterdir())) == 1, "something temporary was left"


@needs_a_compiler
def test_other_code_and_other_options_are_another_library(source) -> None:
    first, other = compiled(source, "-DANSWER=1"), compiled(source, "-DANSWER=2")
    source.write_text("int answer(void) { return 3; }")
    third = compiled(source, "-DANSWER=1")
    assert [library.answer() for library in (first, other, third) if library] == [1, 2, 3]


def test_there_is_none_where_it_cannot_be_had(source, monkeypatch) -> None:
    assert compiled(source) is None, "ANSWER is not defined: it cannot be compiled"
    monkeypatch.setenv(OFF, "1")
    assert compiled(source, "-DANSWER=1") is None
    monkeypatch.delenv(OFF)
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    assert compiled(source, "-DANSWER=1") is None
