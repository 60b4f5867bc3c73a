"""What a type checker sees of the package is what is there."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import biddable

ROOT = Path(__file__).parents[1]
STUB = ROOT / "biddable" / "__init__.pyi"
OTHERS = "torch.*,transformers.*,numpy.*,pydantic.*,pydantic_core.*,click.*,rich.*,pyarrow.*,peft.*,httpx.*"
SCRIPT = """\
import biddable
reveal_type(biddable.load_model("smollm2"))
reveal_type(biddable.Sampling(temperature=0.5))
biddable.lod_model("smollm2")
biddable.Sampling(temprature=0.5)
"""


def test_the_stub_names_what_the_module_finds() -> None:
    found = {
        alias.asname: node.module
        for node in ast.parse(STUB.read_text("utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert found == biddable._PUBLIC


def test_a_typo_is_found_and_right_use_passes(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(SCRIPT)
    (tmp_path / "mypy.ini").write_text(
        f"[mypy]\nstrict = True\nfollow_imports = silent\nignore_missing_imports = True\n"
        f"[mypy-{OTHERS}]\nfollow_imports = skip\nfollow_imports_for_stubs = True\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "user.py"],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "MYPYPATH": str(ROOT)},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) == 5, done.stdout + done.stderr
    assert "biddable.models.base.LanguageModel" in lines[0]
    assert "biddable.models.base.Sampling" in lines[1]
    assert 'no attribute "lod_model"' in lines[2]
    assert '"temprature"' in lines[3]
