"""The manual holds together: what its pages name is there, and every page is in its contents."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
NAMED = re.findall(r"^::: (\S+)$", (DOCS / "reference.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", NAMED)
def test_the_reference_names_what_there_is(name: str) -> None:
    try:
        pkgutil.resolve_name(name)
    except ImportError:
        owner, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(owner), last)


def test_the_reference_names_each_once() -> None:
    assert len({*NAMED}) == len(NAMED)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_is_in_the_contents(page: Path) -> None:
    listed = re.findall(r"[\w/-]+\.md", (DOCS.parent / "mkdocs.yml").read_text())
    assert page.relative_to(DOCS).as_posix() in listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).is_file(), target
