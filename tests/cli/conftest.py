from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from biddable import registry
from biddable.cli import main
from biddable.models import load
from tests.doubles import Fickle, Parrot

PAGE = Path(__file__).parents[2] / "docs" / "write-a-method.md"

Command = Callable[..., Result]


@pytest.fixture
def biddable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Call a command in an empty folder, as ``biddable("eval", "parrot", input="…")``."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(main, arguments, **options)

    return call


@pytest.fixture
def parrot(monkeypatch: pytest.MonkeyPatch) -> Parrot:
    """What every model name stands for."""
    model = Parrot()
    monkeypatch.setattr(load, "load_model", model.load)
    return model


@pytest.fixture
def fickle(monkeypatch: pytest.MonkeyPatch) -> Fickle:
    """The same, not always with an answer."""
    model = Fickle()
    monkeypatch.setattr(load, "load_model", model.load)
    return model


@pytest.fixture
def ask_again(
    monkeypatch: pytest.MonkeyPatch, parrot: Parrot, tmp_path_factory: pytest.TempPathFactory
) -> Parrot:
    """The method of the manual, as it stands there, registered as ``ask-again`` and asking a parrot."""
    blocks = re.findall(r'```python title="ask_again.py"\n(.*?)```', PAGE.read_text("utf-8"), re.DOTALL)
    folder = tmp_path_factory.mktemp("manual")
    (folder / "ask_again.py").write_text("\n\n".join(blocks), "utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "ask_again", raising=False)
    monkeypatch.setitem(registry.BUILTIN["methods"], "ask-again", "ask_again:AskAgain")
    import ask_again

    monkeypatch.setattr(ask_again, "load_model", parrot.load)
    return parrot
