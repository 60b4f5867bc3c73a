"""A method is one file that a reader gets through: what it shares with others belongs in other rooms."""

from __future__ import annotations

from pathlib import Path

import pytest

import biddable.methods

ROOT = Path(biddable.methods.__file__).parent
MOST = 400
WITH_BASELINES = {"spar.py": 600}
"""Methods with the baselines of their paper."""
FILES = list(ROOT.glob("*/*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_method_is_not_too_long(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= WITH_BASELINES.get(file.name, MOST)


def test_a_method_is_one_file() -> None:
    assert len(FILES) > 7
    assert not [folder for folder in ROOT.glob("improve/*/") if folder.name != "__pycache__"]
