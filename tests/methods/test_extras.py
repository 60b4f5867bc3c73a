"""What a plain install can do: every method is listed and explained, and says what it lacks in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

HIDE = """
import sys

class Hidden:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""
ENVS = ("gymnasium", "minigrid", "miniwob", "mujoco", "PIL", "psutil", "selenium")


def run(code: str, hidden: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HIDE.format(hidden=hidden) + code], capture_output=True, text=True, timeout=120
    )


def test_methods_are_listed_without_their_extras_and_without_torch() -> None:
    done = run(
        "from biddable import registry; print(*(name for name, _ in registry.items('methods')))",
        (*ENVS, "torch"),
    )
    assert done.returncode == 0, done.stderr
    assert {"spar", "compatible-demos", "web-navigation", "words-as-beacons"} <= set(done.stdout.split())


@pytest.mark.parametrize("method", ["compatible-demos", "web-navigation", "words-as-beacons"])
def test_a_method_says_what_it_lacks(method, tmp_path) -> None:
    arguments = ["biddable", "run", method, "--out", str(tmp_path / "run")]
    done = run(f"from biddable.cli import main; sys.argv = {arguments!r}; main()", ENVS)
    assert done.returncode == 2
    assert (
        done.stderr.strip()
        == 'error: gymnasium is not installed; install it with: pip install "biddable[envs]"'
    )
    assert not (tmp_path / "run").exists()
