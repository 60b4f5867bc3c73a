"""The lines that the manual types are taken, as far as nothing has to be there."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from biddable import registry
from biddable.errors import InputError
from biddable.methods import base

from .conftest import Command

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINES = {
    line.partition("  #")[0].removeprefix("biddable run ").strip(): None
    for page in PAGES
    for line in page.read_text("utf-8").replace("\\\n", " ").splitlines()
    if line.startswith("biddable run ")
}
TAKEN = "no more than that it is taken"


@pytest.mark.parametrize("line", LINES)
def test_a_run_has_options_that_there_are_and_that_have_an_effect(
    biddable: Command, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    name, *arguments = shlex.split(line)
    if name not in registry.names("methods"):
        pytest.skip("a method that the page writes")

    def run(name: str, *, preset: str, out: Any, seed: int, executor: Any, **options: Any) -> None:
        base.prepare(registry.find("methods", name), preset, options)
        raise InputError("run", name, TAKEN)

    monkeypatch.setattr(base, "require_packages", lambda method: None)
    monkeypatch.setattr(base, "run", run)
    assert TAKEN in biddable("run", name, *arguments).stderr
