"""Where a run was computed: what can change its numbers; no clock, no folder names."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import biddable

LIBRARIES = ("torch", "transformers", "accelerate", "peft", "numpy", "nltk")


def environment() -> dict[str, Any]:
    """Python, machine and library versions, and the commit when this is a source tree."""
    cpu = cpuinfo()
    facts: dict[str, Any] = {
        "biddable": biddable.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu.get("model name") or platform.processor() or platform.machine(),
        "cpu_bf16": not {"avx512_bf16", "amx_bf16"}.isdisjoint(cpu.get("flags", "").split()),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    if gpu := _gpu():
        facts["gpu"] = gpu
    for library in LIBRARIES:
        try:
            facts[library] = version(library)
        except PackageNotFoundError:
            facts[library] = None
    if commit := _commit():
        facts["commit"] = commit
    return facts


def add_facts(known: dict[str, Any], facts: dict[str, Any]) -> None:
    """Add ``facts`` to what is ``known`` of an environment.

    Where a run goes on under another one, the first value stands and the change is noted.
    """
    for name, value in facts.items():
        first = known.setdefault(name, value)
        changes = known.get("resumed_under", [])
        if value != first and (change := f"{name} {value} (was {first})") not in changes:
            known["resumed_under"] = [*changes, change]


def rank() -> int:
    """Which of the processes that ``torchrun`` started this is, from 0; 0 where it started none."""
    return int(os.environ.get("RANK", 0)) if int(os.environ.get("WORLD_SIZE", 1)) > 1 else 0


def cpuinfo() -> dict[str, str]:
    """What Linux says of the first core; empty elsewhere."""
    try:
        first_core = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return {}
    lines = (line.partition(":") for line in first_core.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _commit() -> str | None:
    """The commit of the source tree this runs from, with ``+changes`` if it was edited since."""
    package = Path(biddable.__file__).parent
    # An installed copy may lie inside somebody else's repository (a virtual environment in a project).
    if not (package.parent / ".git").exists():
        return None
    try:
        commit = _git(package.parent, "rev-parse", "HEAD")
        changed = _git(package.parent, "status", "--porcelain", "--", "biddable")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+changes" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
