from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import biddable
from biddable.runs.environment import environment


def test_environment_says_where_and_with_what_but_no_folder() -> None:
    versions = environment()
    assert versions["biddable"] == biddable.__version__
    assert versions["cores"] >= 1
    assert versions["numpy"].count(".") == 2
    assert versions["cpu"]
    assert json.loads(json.dumps(versions)) == versions
    assert str(Path(biddable.__file__).parents[1]) not in json.dumps(versions)
    assert environment() == versions


def test_the_commit_is_that_of_the_source_tree_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        command = ["git", *identity, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    package = tmp_path / "biddable"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(biddable, "__file__", str(package / "__init__.py"))
    assert "commit" not in environment()

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert environment()["commit"] == commit
    (tmp_path / "notes").write_text("beside the library")
    assert environment()["commit"] == commit
    (package / "__init__.py").write_text("changed = True")
    assert environment()["commit"] == commit + "+changes"

    # A copy installed inside somebody else's repository is not of that commit.
    monkeypatch.setattr(biddable, "__file__", str(tmp_path / "venv" / "biddable" / "__init__.py"))
    assert "commit" not in environment()
