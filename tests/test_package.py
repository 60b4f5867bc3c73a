"""The package as a whole: quick to import, its rooms in order, its names where they should be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import biddable
from biddable import registry
from biddable.errors import InputError

ROOT = Path(__file__).parents[1]
HEAVY = {
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "nltk",
    "langdetect",
    "matplotlib",
    "pyarrow",
    "datasets",
    "gymnasium",
    "selenium",
}
IMPORT_SECONDS = 0.3


def python(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return done.stdout


def test_import_is_quick() -> None:
    script = "import time; start = time.perf_counter(); import biddable; print(time.perf_counter() - start)"
    assert min(float(python(script)) for _ in range(5)) < IMPORT_SECONDS


@pytest.mark.parametrize(
    "module",
    [
        "biddable",
        "biddable.cli",
        *(target.partition(":")[0] for target in registry.BUILTIN["methods"].values()),
    ],
)
def test_heavy_libraries_are_not_imported_before_they_are_used(module: str) -> None:
    loaded = python(f"import sys, {module}; print(*sys.modules)").split()
    assert not HEAVY & set(loaded)


@pytest.mark.parametrize("name", biddable.__all__)
def test_public_names_resolve_and_are_documented(name: str) -> None:
    public = getattr(biddable, name)
    assert name in dir(biddable)
    assert public.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'nothing'"):
        biddable.nothing  # noqa: B018


def settings() -> dict[str, dict]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_version_is_that_of_the_project() -> None:
    assert biddable.__version__ == settings()["project"]["version"]


def contracts(kind: str) -> list[dict]:
    return [each for each in settings()["tool"]["importlinter"]["contracts"] if each["type"] == kind]


def test_imports_go_where_they_may() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.fail('import-linter is not installed; install it with: pip install -e ".[dev]"')
    done = subprocess.run([str(program), "--no-cache"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_every_room_has_its_place_in_the_order() -> None:
    [contract] = contracts("layers")
    rooms = {
        f"biddable.{path.stem}"
        for path in (ROOT / "biddable").iterdir()
        if (path.is_dir() and (path / "__init__.py").exists()) or path.suffix == ".py"
    }
    assert rooms - {"biddable.__init__"} == set(contract["layers"])


def test_a_contract_says_of_every_method_what_it_may_import() -> None:
    independent = [name for contract in contracts("independence") for name in contract["modules"]]
    [baselines] = contracts("forbidden")
    named = [*independent, *baselines["source_modules"], *baselines["forbidden_modules"]]
    modules = [target.partition(":")[0] for target in registry.BUILTIN["methods"].values()]
    rooms = tuple(f"{name.removesuffix('.*')}." for name in named)
    free = [module for module in modules if not f"{module}.".startswith(rooms)]
    assert free == ["biddable.methods.improve.grpo"], "GRPO runs SPaR beside itself"


@pytest.mark.parametrize("kind", registry.BUILTIN)
def test_what_is_registered_is_there(kind: registry.Kind) -> None:
    for name in registry.BUILTIN[kind]:
        assert callable(registry.find(kind, name))


def test_an_unknown_method_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"method is 'spa', expected one of [0-9]+ methods: spar"):
        registry.find("methods", "spa")


def test_others_add_methods_but_cannot_take_a_name_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugin.py").write_text("class Mine: pass\n")
    information = tmp_path / "plugin-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1\n")
    (information / "entry_points.txt").write_text(
        "[biddable.methods]\nmine = plugin:Mine\nspar = plugin:Mine\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert registry.find("methods", "mine").__name__ == "Mine"
    assert registry.find("methods", "spar").__name__ == "Spar"
    assert registry.names("methods") == sorted({*registry.BUILTIN["methods"], "mine"})


def test_no_file_names_a_machine() -> None:
    """Paths of somebody's computer in a tracked file break on every other one."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, cwd=ROOT, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: there is no list of tracked files")
    machine = re.compile("/(?:" + "|".join(("work", "opt", "root", "home")) + r")/\w")
    found = []
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if not path.is_file():
            continue  # deleted, but not yet committed
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
            if machine.search(line):
                found.append(f"{name}:{number}: {line.strip()[:80]}")
    assert not found


def test_every_library_that_is_imported_is_asked_for() -> None:
    project = settings()["project"]
    asked = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    known = {normal(re.split(r"[\s\[<>=!~;]", each)[0]) for each in asked} | {"triton"}  # torch's, for GPUs
    distributions = packages_distributions()
    for path in (ROOT / "biddable").rglob("*.py"):
        for module in imported(ast.parse(path.read_text("utf-8"))):
            if module not in sys.stdlib_module_names and module != "biddable":
                carriers = {normal(name) for name in distributions.get(module, [module])}
                assert carriers & known, f"{path.relative_to(ROOT)} imports {module}"


def imported(tree: ast.Module) -> Iterator[str]:
    """Every library imported anywhere in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_file_of_the_package_is_installed_with_it() -> None:
    patterns = settings()["tool"]["setuptools"]["package-data"]["biddable"]
    package = ROOT / "biddable"
    installed = {path for pattern in patterns for path in package.glob(pattern)}
    data = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert data <= installed
