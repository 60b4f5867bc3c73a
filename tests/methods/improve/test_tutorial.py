"""The tutorial on iterated DPO, as it stands in the manual, with a scripted model in place of weights."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from biddable import registry
from biddable.methods.base import run
from tests.methods.improve.scripted import COMPOSED, script

PAGE = Path(__file__).parents[3] / "docs" / "iterated-dpo.md"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, list]:
    """What each training was given, by its name; the page's blocks are registered as ``iterated-dpo``."""
    blocks = re.findall(r'```python title="iterated_dpo.py"\n(.*?)```', PAGE.read_text("utf-8"), re.DOTALL)
    folder = tmp_path / "manual"
    folder.mkdir()
    (folder / "iterated_dpo.py").write_text("\n\n".join(blocks), "utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "iterated_dpo", raising=False)
    monkeypatch.setitem(registry.BUILTIN["methods"], "iterated-dpo", "iterated_dpo:IteratedDpo")
    return script(monkeypatch)


def test_the_tutorial_is_a_method_that_runs(trained: dict[str, list], tmp_path: Path) -> None:
    settings = {**COMPOSED, "iterations": 2, "prompts": 12, "samples": 3}
    results = run("iterated-dpo", out=tmp_path / "run", seed=5, **settings)
    assert set(trained) == {"seed5000-1-dpo", "seed5000-2-dpo"}
    assert all(pair.chosen != pair.rejected for pairs in trained.values() for pair in pairs)
    compared = {(c.baseline_name, c.method_name) for c in results.comparisons}
    assert compared == {("base", "iteration-2")}
    assert (tmp_path / "run" / "artifacts" / "model").is_dir()


def test_the_page_is_short() -> None:
    assert len(PAGE.read_text("utf-8").splitlines()) <= 150
